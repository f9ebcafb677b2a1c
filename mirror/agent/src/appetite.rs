//! How much to ask the source for at once: little where it is near, so that bytes are written while they are in the processor's
//! caches and memory stays small; much where it is far, so that the way is filled.

use std::time::Duration;

use crate::limits::{FETCH_BYTES_MAX, FETCH_BYTES_MIN};

/// Bytes a second above which it does not pay to ask for more at once.
const NEAR_BYTES_PER_SECOND: f64 = 400e6;
/// Time on the way below which a source is near.
const NEAR: Duration = Duration::from_millis(10);
/// Time on the way above which a source is far.
const FAR: Duration = Duration::from_millis(20);

/// Bytes of one answer.
///
/// Invariant: from [`FETCH_BYTES_MIN`] to [`FETCH_BYTES_MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Appetite(i32);

impl Appetite {
    pub(crate) const LEAST: Self = Self(FETCH_BYTES_MIN);

    pub(crate) fn answer_bytes(self) -> i32 {
        self.0
    }

    /// Bytes of one partition in an answer: several partitions are to come with each.
    pub(crate) fn partition_bytes(self) -> i32 {
        self.0 / 4
    }

    /// Learns from an answer. One that the source had not enough records for says nothing.
    #[must_use]
    pub(crate) fn after(self, answered: usize, took: Duration) -> Self {
        let full = answered >= usize::try_from(self.0).unwrap_or(usize::MAX) / 2;
        let on_the_way =
            took.saturating_sub(Duration::from_secs_f64(answered as f64 / NEAR_BYTES_PER_SECOND));
        if full && on_the_way > FAR {
            Self(self.0.saturating_mul(2).min(FETCH_BYTES_MAX))
        } else if full && on_the_way < NEAR {
            Self((self.0 / 2).max(FETCH_BYTES_MIN))
        } else {
            self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full(appetite: Appetite) -> usize {
        usize::try_from(appetite.answer_bytes()).expect("positive")
    }

    #[test]
    fn a_far_source_is_asked_for_more_until_the_bound() {
        let mut appetite = Appetite::LEAST;
        for _ in 0..10 {
            appetite = appetite.after(full(appetite), Duration::from_millis(200));
        }

        assert_eq!(appetite.answer_bytes(), FETCH_BYTES_MAX);
    }

    #[test]
    fn a_near_source_is_asked_for_less_again() {
        let mut appetite = Appetite(FETCH_BYTES_MAX);
        for _ in 0..10 {
            appetite = appetite.after(full(appetite), Duration::from_millis(8));
        }

        assert_eq!(appetite, Appetite::LEAST);
    }

    #[test]
    fn a_long_poll_with_few_records_says_nothing() {
        let appetite = Appetite::LEAST.after(1000, Duration::from_millis(250));

        assert_eq!(appetite, Appetite::LEAST);
    }
}
