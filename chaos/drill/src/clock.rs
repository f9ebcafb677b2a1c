//! The drill's own time: microseconds since it began, from one monotonic clock.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use leeward_model::WallTime;

/// When a drill began, by both clocks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DrillClock {
    began: Instant,
    began_wall: SystemTime,
}

impl DrillClock {
    pub(crate) fn start() -> Self {
        Self { began: Instant::now(), began_wall: SystemTime::now() }
    }

    /// Microseconds since the beginning.
    pub(crate) fn micros(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// When somebody's wall-clock milliseconds were, by this drill's time. Only for machines that share a clock.
    pub(crate) fn micros_of_wall(&self, millis: i64) -> u64 {
        self.micros_of_unix(u64::try_from(millis).unwrap_or(0).saturating_mul(1000))
    }

    /// When somebody's Unix microseconds were, by this drill's time. Only for processes of this machine.
    pub(crate) fn micros_of_unix(&self, micros: u64) -> u64 {
        let began = self.began_wall.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        let at = Duration::from_micros(micros);
        u64::try_from(at.saturating_sub(began).as_micros()).unwrap_or(u64::MAX)
    }

    /// The beginning on the wall clock.
    pub(crate) fn began_at(&self) -> WallTime {
        wall(self.began_wall)
    }
}

/// The wall clock.
pub fn now() -> WallTime {
    wall(SystemTime::now())
}

fn wall(at: SystemTime) -> WallTime {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    WallTime::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
