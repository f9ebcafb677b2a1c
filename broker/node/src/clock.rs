//! The wall clock, as records and positions carry it.

use std::time::{SystemTime, UNIX_EPOCH};

use leeward_model::WallTime;

/// The moment.
pub(crate) fn wall_time() -> WallTime {
    WallTime::from_millis(now_ms())
}

/// Milliseconds since 1970.
pub(crate) fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
