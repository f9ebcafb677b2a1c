//! What goes into the coordinator and what comes out, in its own words.

use std::time::Duration;

use bytes::Bytes;
use leeward_model::{GroupName, Instant, ProducerIdentity, TopicPartition, WallTime};
use leeward_wire::ErrorCode;

use super::{Append, CommittedOffset};

/// Names a request whose answer may come later; the caller picks it and never uses it twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// Names an append whose outcome the coordinator wants to hear.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PersistId(pub(super) u64);

/// The two clocks at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// For timeouts.
    pub instant: Instant,
    /// For commit timestamps and retention.
    pub wall: WallTime,
}

/// What the coordinator wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Answer a request. Each ticket is answered once.
    Reply { ticket: Ticket, response: Response },
    /// Append to the log, in the order of the commands, and tell the outcome by `persisted`.
    Persist { id: PersistId, append: Append },
}

/// A request that may change a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    Join(Box<Join>),
    Sync(Sync),
    Heartbeat(Heartbeat),
    Leave(Leave),
    Commit(Commit),
    DeleteGroup(GroupName),
    DeleteOffsets(DeleteOffsets),
}

/// The answer to the [`Request`] of the same name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Response {
    Join(JoinReply),
    Sync(SyncReply),
    Heartbeat(ErrorCode),
    Leave(LeaveReply),
    Commit(CommitReply),
    DeleteGroup(ErrorCode),
    DeleteOffsets(DeleteOffsetsReply),
}

impl Request {
    /// The answer that says `error` for the whole request.
    pub fn refused(&self, error: ErrorCode) -> Response {
        match self {
            Self::Join(join) => Response::Join(JoinReply::refused(&join.member.id, error)),
            Self::Sync(_) => Response::Sync(SyncReply::refused(error)),
            Self::Heartbeat(_) => Response::Heartbeat(error),
            Self::Leave(_) => Response::Leave(LeaveReply { error, members: Vec::new() }),
            Self::Commit(commit) => Response::Commit(commit.refused(error)),
            Self::DeleteGroup(_) => Response::DeleteGroup(error),
            Self::DeleteOffsets(_) => {
                Response::DeleteOffsets(DeleteOffsetsReply { error, partitions: Vec::new() })
            }
        }
    }
}

/// Who a client says it is within a group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// The id that the coordinator gave; empty where it has none.
    pub id: String,
    /// The id that the operator gave (KIP-345): such a member is static.
    pub instance_id: Option<String>,
}

/// Where a request comes from, for people who describe the group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Caller {
    pub client_id: String,
    pub client_host: String,
}

/// A way to assign partitions that a member knows, with what it wants to tell the leader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Protocol {
    pub name: String,
    pub metadata: Bytes,
}

/// Enters a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Join {
    pub group: GroupName,
    pub member: Identity,
    pub caller: Caller,
    /// Random text that makes the id of a new member unique.
    pub new_id_suffix: String,
    pub session_timeout: Duration,
    pub rebalance_timeout: Duration,
    pub protocol_type: String,
    /// In the order of the member's preference.
    pub protocols: Vec<Protocol>,
    /// A new dynamic member must come back with the id it is given (KIP-394).
    pub id_required: bool,
    /// The client understands that a leader need not assign (KIP-814).
    pub may_skip_assignment: bool,
}

/// What a member is told about its generation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinReply {
    pub error: ErrorCode,
    pub generation: i32,
    pub protocol_type: Option<String>,
    pub protocol: Option<String>,
    pub leader: String,
    pub skip_assignment: bool,
    pub member_id: String,
    /// All members, for the leader; empty for others.
    pub members: Vec<JoinedMember>,
}

impl JoinReply {
    pub(super) fn refused(member_id: &str, error: ErrorCode) -> Self {
        Self {
            error,
            generation: -1,
            protocol_type: None,
            protocol: None,
            leader: String::new(),
            skip_assignment: false,
            member_id: member_id.to_owned(),
            members: Vec::new(),
        }
    }
}

/// A member, as its leader sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinedMember {
    pub member: Identity,
    pub metadata: Bytes,
}

/// Asks for an assignment; the leader's brings everybody's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sync {
    pub group: GroupName,
    pub member: Identity,
    pub generation: i32,
    pub protocol_type: Option<String>,
    pub protocol: Option<String>,
    /// By member id.
    pub assignments: Vec<(String, Bytes)>,
}

/// A member's assignment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyncReply {
    pub error: ErrorCode,
    pub protocol_type: Option<String>,
    pub protocol: Option<String>,
    pub assignment: Bytes,
}

impl SyncReply {
    pub(super) fn refused(error: ErrorCode) -> Self {
        Self { error, protocol_type: None, protocol: None, assignment: Bytes::new() }
    }
}

/// Says that a member is alive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heartbeat {
    pub group: GroupName,
    pub member: Identity,
    pub generation: i32,
}

/// Takes members out of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leave {
    pub group: GroupName,
    pub members: Vec<Identity>,
}

/// What became of each member that was to leave, in the order of the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaveReply {
    /// Of the request as a whole; `members` is empty unless it is `NONE`.
    pub error: ErrorCode,
    pub members: Vec<(Identity, ErrorCode)>,
}

/// Stores positions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    pub group: GroupName,
    pub member: Identity,
    /// Negative for clients that assign partitions by themselves.
    pub generation: i32,
    /// Set for a commit that takes effect when this producer's transaction commits.
    pub producer: Option<ProducerIdentity>,
    pub offsets: Vec<(TopicPartition, CommittedOffset)>,
}

impl Commit {
    pub(super) fn refused(&self, error: ErrorCode) -> CommitReply {
        self.offsets.iter().map(|(partition, _)| (partition.clone(), error)).collect()
    }
}

/// What became of each position, in the order of the request.
pub type CommitReply = Vec<(TopicPartition, ErrorCode)>;

/// Forgets positions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeleteOffsets {
    pub group: GroupName,
    pub partitions: Vec<TopicPartition>,
}

/// What became of each position, in the order of the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeleteOffsetsReply {
    /// Of the request as a whole; `partitions` is empty unless it is `NONE`.
    pub error: ErrorCode,
    pub partitions: Vec<(TopicPartition, ErrorCode)>,
}

/// A group, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// Kafka's name of the state; `Dead` for a group that is not there.
    pub state: &'static str,
    pub protocol_type: String,
    /// Chosen by the group while it is stable; empty otherwise.
    pub protocol: String,
    pub members: Vec<MemberDescription>,
}

/// A member, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberDescription {
    pub member: Identity,
    pub caller: Caller,
    pub metadata: Bytes,
    pub assignment: Bytes,
}

/// A group in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing {
    pub group: GroupName,
    pub protocol_type: String,
    /// Kafka's name of the state.
    pub state: &'static str,
}
