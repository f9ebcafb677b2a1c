//! What a step of a group leads to, collected until the step is over.

use std::collections::BTreeMap;

use bytes::Bytes;
use leeward_model::{GroupName, ProducerId, TopicPartition};
use leeward_wire::ErrorCode;

use super::{
    Append, CommitReply, CommittedOffset, DeleteOffsetsReply, GroupRecord, GroupSettings, JoinReply, Now,
    Response, Ticket,
};

/// What a step is given besides its group.
#[derive(Debug)]
pub(super) struct Context<'a> {
    pub(super) now: Now,
    pub(super) settings: &'a GroupSettings,
    pub(super) effects: &'a mut Effects,
}

impl Context<'_> {
    pub(super) fn reply(&mut self, ticket: Ticket, response: Response) {
        self.effects.replies.push((ticket, response));
    }

    /// Appends records of one group and goes on with `after` when they are durable, or cannot become so.
    pub(super) fn persist(&mut self, group: &GroupName, records: Vec<GroupRecord>, after: After) {
        let append = Append { producer: None, records };
        self.effects.appends.push((append, Pending { group: group.clone(), after }));
    }
}

/// What a step leads to.
#[derive(Debug, Default)]
pub(super) struct Effects {
    pub(super) replies: Vec<(Ticket, Response)>,
    pub(super) appends: Vec<(Append, Pending)>,
}

/// An append on its way.
#[derive(Debug)]
pub(super) struct Pending {
    /// The group that it is about: it loses nothing meanwhile.
    pub(super) group: GroupName,
    pub(super) after: After,
}

/// What follows when an append is durable.
#[derive(Debug)]
pub(super) enum After {
    /// Nothing: memory is right already.
    Nothing,
    /// Hand out the leader's assignment.
    Assign { generation: i32, assignments: BTreeMap<String, Bytes> },
    /// Tell a static member that it has taken the place of its former self.
    Join { ticket: Ticket, reply: JoinReply },
    /// Take over the positions that were not refused.
    Commit {
        ticket: Ticket,
        producer: Option<ProducerId>,
        accepted: Vec<(TopicPartition, CommittedOffset)>,
        reply: CommitReply,
    },
    /// Drop the group and its positions.
    DeleteGroup { ticket: Ticket, removed: Vec<TopicPartition> },
    /// Drop the positions.
    DeleteOffsets { ticket: Ticket, removed: Vec<TopicPartition>, reply: DeleteOffsetsReply },
    /// Drop positions that nobody asked about, and the group where it is dead.
    Forget { removed: Vec<TopicPartition> },
}

impl After {
    /// The answer where the append failed; `None` where nobody waits.
    pub(super) fn refused(self, error: ErrorCode) -> Option<(Ticket, Response)> {
        match self {
            Self::Nothing | Self::Assign { .. } | Self::Forget { .. } => None,
            Self::Join { ticket, reply } => {
                Some((ticket, Response::Join(JoinReply::refused(&reply.member_id, error))))
            }
            Self::Commit { ticket, mut reply, .. } => {
                for (_, outcome) in reply.iter_mut().filter(|(_, outcome)| outcome.is_none()) {
                    *outcome = error;
                }
                Some((ticket, Response::Commit(reply)))
            }
            Self::DeleteGroup { ticket, .. } => Some((ticket, Response::DeleteGroup(error))),
            Self::DeleteOffsets { ticket, .. } => {
                let reply = DeleteOffsetsReply { error, partitions: Vec::new() };
                Some((ticket, Response::DeleteOffsets(reply)))
            }
        }
    }
}

/// What a group's client is told where the log refused an append with `error`.
pub(super) fn told(error: ErrorCode) -> ErrorCode {
    match error {
        ErrorCode::UNKNOWN_TOPIC_OR_PARTITION
        | ErrorCode::NOT_ENOUGH_REPLICAS
        | ErrorCode::NOT_ENOUGH_REPLICAS_AFTER_APPEND
        | ErrorCode::REQUEST_TIMED_OUT => ErrorCode::COORDINATOR_NOT_AVAILABLE,
        ErrorCode::NOT_LEADER_OR_FOLLOWER | ErrorCode::KAFKA_STORAGE_ERROR => ErrorCode::NOT_COORDINATOR,
        ErrorCode::MESSAGE_TOO_LARGE | ErrorCode::RECORD_LIST_TOO_LARGE => ErrorCode::UNKNOWN_SERVER_ERROR,
        other => other,
    }
}
