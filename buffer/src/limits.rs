//! Bounds of the gateway, and what happens when one is reached.

use std::time::Duration;

/// Producers that one partition remembers; those that were silent longest are forgotten first, and a batch of a
/// forgotten producer is taken as a new producer's.
pub const PRODUCERS_MAX: usize = 4096;

/// Batches that are remembered of each producer, as brokers do: a retry of an older one is out of order.
pub const REMEMBERED_BATCHES: usize = 5;

/// Batches of one partition on their way to the acting primary: brokers recognise a repeat among the last five.
pub const IN_FLIGHT_MAX: usize = 5;

/// Bytes that a payload may have when it is decompressed at the door; more is refused.
pub const DECOMPRESSED_BYTES_MAX: usize = leeward_wire::record::limits::DECOMPRESSED_BYTES_MAX;

/// Gaps that a lineage may have in its sequences; the partition stops when one more is needed.
pub const GAPS_MAX: usize = 1024;

/// Runs of acknowledged offsets that the state file keeps for one partition. Behind them the primary's log is read
/// after a restart.
pub const OFFSET_RUNS_MAX: usize = 1024;

/// Pause before a batch is sent again after the primary refused it or the connection broke.
pub const RESEND_PAUSE: Duration = Duration::from_millis(50);

/// Pause before a partition that the primary keeps refusing is tried again.
pub const REFUSED_PAUSE: Duration = Duration::from_millis(500);
