//! OffsetCommit: who may move a group's positions, and when.

use leeward_wire::ErrorCode;

use super::{
    Commit, CommitReply, CommittedOffset, GroupRecord, OffsetStore,
    classic::{Group, State},
    effects::Context,
};
use leeward_model::TopicPartition;

impl Group {
    /// Checks who commits; a commit is a sign of life.
    ///
    /// # Errors
    ///
    /// What Kafka tells a committer that is not, or not any more, part of the generation.
    pub(super) fn validate_commit(&mut self, commit: &Commit, cx: &Context<'_>) -> Result<(), ErrorCode> {
        if self.state == State::Dead {
            return Err(ErrorCode::COORDINATOR_NOT_AVAILABLE);
        }
        if commit.generation < 0 && self.state == State::Empty {
            return Ok(());
        }
        let member = &commit.member;
        let is_transactional = commit.producer.is_some();
        if commit.generation >= 0 || !member.id.is_empty() || member.instance_id.is_some() {
            self.validate_member(member)?;
            if !is_transactional && commit.generation != self.generation {
                return Err(ErrorCode::ILLEGAL_GENERATION);
            }
        } else if !is_transactional {
            return Err(ErrorCode::UNKNOWN_MEMBER_ID);
        }
        if !is_transactional && matches!(self.state, State::CompletingRebalance { .. }) {
            return Err(ErrorCode::REBALANCE_IN_PROGRESS);
        }
        self.heard_from(&member.id, cx);
        Ok(())
    }
}

/// The positions of a commit that may be stored, and the answer for all of them.
pub(super) fn accept(
    commit: &Commit,
    offsets: &OffsetStore,
    cx: &Context<'_>,
) -> (Vec<(TopicPartition, CommittedOffset)>, CommitReply) {
    let mut accepted: Vec<(TopicPartition, CommittedOffset)> = Vec::new();
    let mut reply = Vec::with_capacity(commit.offsets.len());
    for (partition, position) in &commit.offsets {
        let is_one_more = !offsets.contains(&commit.group, partition);
        let error = if position.metadata.len() > cx.settings.metadata_bytes_max {
            ErrorCode::OFFSET_METADATA_TOO_LARGE
        } else if is_one_more && offsets.len() + accepted.len() >= cx.settings.offsets_max {
            ErrorCode::POLICY_VIOLATION
        } else {
            accepted.push((partition.clone(), position.clone()));
            ErrorCode::NONE
        };
        reply.push((partition.clone(), error));
    }
    (accepted, reply)
}

/// The records that store a commit's accepted positions.
pub(super) fn records(commit: &Commit, accepted: &[(TopicPartition, CommittedOffset)]) -> Vec<GroupRecord> {
    let record = |(partition, position): &(TopicPartition, CommittedOffset)| GroupRecord::Offset {
        group: commit.group.clone(),
        partition: partition.clone(),
        value: Some(position.clone()),
    };
    accepted.iter().map(record).collect()
}
