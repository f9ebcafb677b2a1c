//! The process's two clocks, as the brain takes them.

use std::time::{Instant as StdInstant, SystemTime, UNIX_EPOCH};

use leeward_failover_core::Now;
use leeward_model::{Instant, WallTime};

/// Counts monotonic time from its own beginning.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    started_at: StdInstant,
}

impl Clock {
    pub(crate) fn start() -> Self {
        Self { started_at: StdInstant::now() }
    }

    pub(crate) fn now(&self) -> Now {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Now {
            monotonic: Instant::from_start(self.started_at.elapsed()),
            wall: WallTime::from_millis(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX)),
        }
    }
}
