//! The drill's own time: microseconds since it began, from one monotonic clock.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

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

    /// The beginning as RFC 3339 in UTC, to the second.
    pub(crate) fn began_at(&self) -> String {
        rfc3339(self.began_wall.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs())
    }
}

/// The wall clock as RFC 3339 in UTC, to the second.
pub fn now_utc() -> String {
    rfc3339(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs())
}

/// Seconds since the Unix epoch as RFC 3339, by the civil-from-days arithmetic of the Gregorian calendar.
fn rfc3339(unix_seconds: u64) -> String {
    let (days, seconds) = (unix_seconds / 86_400, unix_seconds % 86_400);
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    format!("{year:04}-{month:02}-{day:02}T{hours:02}:{minutes:02}:{:02}Z", seconds % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leap_day_is_a_day() {
        assert_eq!(rfc3339(1_709_164_800), "2024-02-29T00:00:00Z");
    }
}
