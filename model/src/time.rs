//! Time as an argument. Cores compare these; only shells read clocks.

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};
use time::{OffsetDateTime, format_description::StaticFormatDescription, macros::format_description};

/// RFC 3339 in UTC, to the millisecond.
const FORMAT: StaticFormatDescription =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");

/// A point on one process's monotonic clock, counted from that process's own start.
///
/// Two processes' instants do not compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(Duration);

impl Instant {
    pub const ZERO: Self = Self(Duration::ZERO);

    pub const fn from_start(elapsed: Duration) -> Self {
        Self(elapsed)
    }

    #[must_use]
    pub fn after(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(duration))
    }

    /// Time from `earlier` to this instant; zero where `earlier` is later.
    pub fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

/// Milliseconds since the Unix epoch on somebody's wall clock: for people and for record timestamps, never
/// for deciding in which order things happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct WallTime(i64);

impl WallTime {
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// Time from `earlier` to this one; zero where `earlier` is later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

/// RFC 3339 in UTC; milliseconds of the Unix epoch where the calendar does not reach.
impl fmt::Display for WallTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.0) * 1_000_000);
        match at.ok().and_then(|at| at.format(FORMAT).ok()) {
            Some(text) => f.write_str(&text),
            None => write!(f, "{}ms", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wall_time_is_shown_in_utc() {
        assert_eq!(WallTime::from_millis(1_709_164_800_007).to_string(), "2024-02-29T00:00:00.007Z");
    }

    #[test]
    fn a_time_beyond_the_calendar_is_shown_all_the_same() {
        assert_eq!(WallTime::from_millis(i64::MAX).to_string(), "9223372036854775807ms");
    }
}
