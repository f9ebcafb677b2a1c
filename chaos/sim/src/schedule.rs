//! The one order of things: what happens next, whose clock says what, and when bytes of a connection arrive.

use std::collections::BTreeMap;
use std::time::Duration;

use leeward_model::Instant;

use crate::random::Random;

/// What is going to happen, in order of true time, which no process knows.
#[derive(Debug)]
pub(crate) struct Scheduler<E> {
    pub(crate) random: Random,
    now: Duration,
    scheduled: u64,
    coming: BTreeMap<(Duration, u64), E>,
}

impl<E> Scheduler<E> {
    pub(crate) fn new(seed: u64) -> Self {
        Self { random: Random::new(seed), now: Duration::ZERO, scheduled: 0, coming: BTreeMap::new() }
    }

    pub(crate) fn now(&self) -> Duration {
        self.now
    }

    pub(crate) fn after(&mut self, delay: Duration, event: E) {
        self.at(self.now + delay, event);
    }

    /// Two events of one moment happen in the order in which they were scheduled.
    pub(crate) fn at(&mut self, time: Duration, event: E) {
        self.scheduled += 1;
        self.coming.insert((time.max(self.now), self.scheduled), event);
    }

    /// Goes on to the next event.
    pub(crate) fn advance(&mut self) -> Option<E> {
        let ((time, _), event) = self.coming.pop_first()?;
        self.now = time;
        Some(event)
    }
}

/// What all that lies around a process goes by.
pub(crate) trait Surroundings {
    fn now(&self) -> Duration;
    fn random(&mut self) -> &mut Random;
    /// Nothing goes wrong any more.
    fn is_calm(&self) -> bool;
}

/// One process's clocks. The monotonic one begins at its start and runs a little too fast or too slow.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    started: Duration,
    drift_ppm: i64,
}

impl Clock {
    /// A process that starts at this moment, with a drift of at most `drift_ppm_max` either way.
    pub(crate) fn started(now: Duration, drift_ppm_max: u32, random: &mut Random) -> Self {
        let span = u64::from(drift_ppm_max) * 2 + 1;
        let drift_ppm = (random.next() % span) as i64 - i64::from(drift_ppm_max);
        Self { started: now, drift_ppm }
    }

    pub(crate) fn read(&self, now: Duration) -> Instant {
        let elapsed = now.saturating_sub(self.started).as_micros() as i64;
        let shown =
            elapsed + elapsed / 1_000_000 * self.drift_ppm + elapsed % 1_000_000 * self.drift_ppm / 1_000_000;
        Instant::from_start(Duration::from_micros(shown.max(0) as u64))
    }

    /// The true time that passes while this clock counts `wait`.
    pub(crate) fn stretch(&self, wait: Duration) -> Duration {
        let wait = wait.as_micros() as i64;
        let longer = wait - wait / 1_000_000 * self.drift_ppm - wait % 1_000_000 * self.drift_ppm / 1_000_000;
        Duration::from_micros(longer.max(1) as u64)
    }
}

/// When bytes of one direction of a connection arrive: never before those that were sent earlier.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Wire {
    latest: Duration,
}

impl Wire {
    pub(crate) fn arrival(&mut self, now: Duration, delay: Duration) -> Duration {
        self.latest = self.latest.max(now + delay);
        self.latest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_happen_in_order_of_time_and_then_of_scheduling() {
        let mut scheduler = Scheduler::new(1);
        scheduler.after(Duration::from_millis(2), 'c');
        scheduler.after(Duration::from_millis(1), 'a');
        scheduler.after(Duration::from_millis(1), 'b');

        let order: String = std::iter::from_fn(|| scheduler.advance()).collect();

        assert_eq!(order, "abc");
    }

    #[test]
    fn a_clock_that_runs_fast_waits_a_shorter_time() {
        let clock = Clock { started: Duration::from_secs(1), drift_ppm: 10_000 };

        assert_eq!(clock.read(Duration::from_secs(3)), Instant::from_start(Duration::from_millis(2_020)));
        assert_eq!(clock.stretch(Duration::from_secs(1)), Duration::from_millis(990));
    }

    #[test]
    fn bytes_of_one_connection_do_not_overtake() {
        let mut wire = Wire::default();
        let first = wire.arrival(Duration::ZERO, Duration::from_millis(5));

        assert_eq!(wire.arrival(Duration::ZERO, Duration::from_millis(1)), first);
    }
}
