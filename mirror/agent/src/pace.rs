//! How often a source broker is asked: as often as it has records, but under load at a steady rate, for its work is by the request.

use tokio::time::Instant;

use crate::limits::{FETCH_BURST, FETCH_PACE};

/// Fetches that were asked lately: each takes [`FETCH_PACE`], and [`FETCH_BURST`] of them may be ahead of that.
#[derive(Debug)]
pub(crate) struct Pace {
    /// When the fetches so far would have ended, had each come at its time.
    paid_until: Instant,
}

impl Pace {
    pub(crate) fn new(now: Instant) -> Self {
        Self { paid_until: now }
    }

    /// When the next fetch may be asked; in the past where it may be at once.
    pub(crate) fn next_at(&self) -> Instant {
        self.paid_until.checked_sub(FETCH_PACE * FETCH_BURST).unwrap_or(self.paid_until)
    }

    /// A fetch is asked.
    pub(crate) fn asked(&mut self, now: Instant) {
        self.paid_until = self.paid_until.max(now) + FETCH_PACE;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_not_held_up() {
        let now = Instant::now();
        let mut pace = Pace::new(now);

        for _ in 0..FETCH_BURST {
            assert!(pace.next_at() <= now);
            pace.asked(now);
        }
    }

    #[test]
    fn what_goes_on_comes_at_the_pace() {
        let began = Instant::now();
        let mut pace = Pace::new(began);
        let mut now = began;
        let fetches = 100;

        for _ in 0..fetches {
            now = now.max(pace.next_at());
            pace.asked(now);
        }

        assert_eq!(now - began, FETCH_PACE * (fetches - 1 - FETCH_BURST));
    }
}
