//! Record batches from outside the crate: round trips, hostile bytes, and another codec as the oracle.

#![allow(clippy::unwrap_used, reason = "a failed test names its line")]

#[path = "records/batches.rs"]
mod batches;
#[path = "records/common.rs"]
mod common;
#[path = "records/hostile.rs"]
mod hostile;
#[path = "records/oracle.rs"]
mod oracle;
#[path = "records/reencoding.rs"]
mod reencoding;
#[path = "records/round_trips.rs"]
mod round_trips;
