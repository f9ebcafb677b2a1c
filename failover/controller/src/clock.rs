//! The process's two clocks, as the brain takes them, and the machine's, for what a process tells the one after it.

use std::{
    fs,
    time::{Duration, Instant as StdInstant, SystemTime, UNIX_EPOCH},
};

use leeward_failover_core::Now;
use leeward_model::{Instant, WallTime};
use nix::time::{ClockId, clock_gettime};

/// Where Linux names its boot.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

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
        Now { monotonic: Instant::from_start(self.started_at.elapsed()), wall: wall() }
    }
}

/// The wall clock.
pub(crate) fn wall() -> WallTime {
    let since_epoch = since_epoch().as_millis();
    WallTime::from_millis(i64::try_from(since_epoch).unwrap_or(i64::MAX))
}

/// What the wall clock counts since the Unix epoch.
pub(crate) fn since_epoch() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// A moment of the machine's running time, which goes on across processes, counts sleep, is never set, and ends with
/// the boot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BootMoment {
    pub(crate) boot: String,
    pub(crate) micros: u64,
}

/// The machine's running time. Where the system names no boot, nothing is ever left of a moment.
#[derive(Clone, Debug)]
pub(crate) struct BootClock {
    boot: String,
}

impl BootClock {
    pub(crate) fn of_this_boot() -> Self {
        Self { boot: fs::read_to_string(BOOT_ID).unwrap_or_default().trim().to_owned() }
    }

    /// The moment that comes after this much time.
    pub(crate) fn after(&self, left: Duration) -> BootMoment {
        let micros = Self::running().saturating_add(left).as_micros();
        BootMoment { boot: self.boot.clone(), micros: u64::try_from(micros).unwrap_or(u64::MAX) }
    }

    /// Time until this moment; nothing where it is over, or of another boot.
    pub(crate) fn until(&self, moment: &BootMoment) -> Duration {
        let same = !self.boot.is_empty() && self.boot == moment.boot;
        if same {
            Duration::from_micros(moment.micros).saturating_sub(Self::running())
        } else {
            Duration::ZERO
        }
    }

    fn running() -> Duration {
        clock_gettime(ClockId::CLOCK_BOOTTIME).map_or(Duration::ZERO, Duration::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_of_a_moment_is_known_to_the_next_process_of_the_same_boot_only() {
        let hour = Duration::from_hours(1);
        let moment = BootClock::of_this_boot().after(hour);
        let rebooted = BootClock { boot: "another".to_owned() };

        let left = BootClock::of_this_boot().until(&moment);

        assert!(left <= hour && left > hour / 2, "{left:?}");
        assert_eq!(rebooted.until(&moment), Duration::ZERO);
    }
}
