//! From Kafka's messages to the coordinator's requests and back: what differs by version stays here.

mod groups;
mod members;
mod offsets;

/// Newest version of OffsetCommit and OffsetFetch that may be announced: later ones name topics by id only.
pub const OFFSETS_VERSION_MAX: i16 = 9;

pub use groups::{Located, describe_groups, describe_refused, find_coordinator, list_groups};
pub use members::{
    heartbeat, heartbeat_response, join, join_response, leave, leave_response, sync, sync_response,
};
pub use offsets::{
    commit, commit_response, delete_offsets, delete_offsets_response, fetch, fetch_refused, txn_commit,
    txn_commit_refused, txn_commit_response,
};
