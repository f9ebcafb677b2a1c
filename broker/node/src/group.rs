//! Consumer groups by Kafka's classic protocol: who is a member, who leads, who gets what, how far they read.
//!
//! [`GroupCoordinator`] decides and knows no clock, task or log: requests, ticks and finished appends go in,
//! replies and appends come out. [`GroupService`] is the task that owns one and what connections call;
//! [`wire`] turns Kafka's messages into its requests and back.
//!
//! Memory is what a replay of `__consumer_offsets` gives: positions change when their append is durable, in
//! the order of the log, and no request that changes something is answered before.

mod classic;
mod commit;
mod coordinator;
mod effects;
mod expiry;
mod join;
mod leave;
pub mod limits;
mod member;
mod message;
mod offsets;
mod rebalance;
mod record;
mod service;
mod settings;
mod subscription;
mod sync;
#[cfg(test)]
mod tests;
pub mod wire;

pub use coordinator::GroupCoordinator;
pub use message::{
    Caller, Command, Commit, CommitReply, DeleteOffsets, DeleteOffsetsReply, Description, Heartbeat,
    Identity, Join, JoinReply, JoinedMember, Leave, LeaveReply, Listing, MemberDescription, Now, PersistId,
    Protocol, Request, Response, Sync, SyncReply, Ticket,
};
pub use offsets::{CommittedOffset, FetchedOffset, OffsetStore};
pub use record::{Append, GroupMetadata, GroupRecord, MemberMetadata};
pub use service::{GroupService, OffsetsBatch, OffsetsLog};
pub use settings::GroupSettings;
