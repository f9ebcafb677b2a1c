//! Bounds of one partition's forwarding, and what happens when one is reached.

use std::time::Duration;

/// Batches of one partition on their way to the acting primary: brokers recognise a repeat among the last five.
pub const IN_FLIGHT_MAX: usize = 5;

/// Largest ordinal and offset; files that say a larger one are damaged.
pub const ORDINAL_MAX: u64 = 1 << 62;

/// Gaps that a lineage may have in its sequences; the partition stops when one more is needed.
pub const GAPS_MAX: usize = 1024;

/// Runs of acknowledged offsets that the state file keeps for one partition. Behind them the primary's log is read
/// after a restart.
pub const OFFSET_RUNS_MAX: usize = 1024;

/// Batches of a topic that is gone which are set aside in one step; each is a file that is synced.
pub const ABANDONED_AT_ONCE_MAX: usize = 64;

/// Pause before a batch is sent again after the primary refused it or the connection broke.
pub const RESEND_PAUSE: Duration = Duration::from_millis(50);

/// Pause before a partition that the primary keeps refusing is tried again.
pub const REFUSED_PAUSE: Duration = Duration::from_millis(100);
