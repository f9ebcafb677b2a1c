//! What a link's task is told by the tasks around it.

use leeward_client::Fetched;
use leeward_mirror_core::partition::{AuditedBatch, BatchNumber, ChangeNumber, Question};
use leeward_model::{PartitionIndex, SourceOffset, TargetOffset, TopicId, TopicName, TopicPartition};
use leeward_wire::ErrorCode;
use tokio::sync::oneshot;

use crate::{
    status::{PartitionDrift, RefusedChange},
    store::StoredPartition,
};

/// Partitions are named as they are at the source.
#[derive(Debug)]
pub(crate) enum Input {
    Topics(ComparedTopics),
    TopicDeleted(TopicName),
    Opened {
        partition: TopicPartition,
        opening: Opening,
    },
    OpeningFailed {
        partition: TopicPartition,
    },
    Fetched {
        asked: Vec<TopicPartition>,
        answers: Vec<Fetched>,
        done: oneshot::Sender<()>,
    },
    SourceRange {
        partition: TopicPartition,
        log_start: SourceOffset,
        log_end: SourceOffset,
    },
    TopicRecreated {
        partition: TopicPartition,
    },
    /// What became of the batches of one request.
    Produced(Vec<Produced>),
    TargetEnd {
        partition: TopicPartition,
        question: Question,
        end: TargetOffset,
    },
    Audited {
        partition: TopicPartition,
        question: Question,
        batches: Vec<AuditedBatch>,
    },
    QuestionFailed {
        partition: TopicPartition,
        question: Question,
    },
    Stored {
        key: (TopicId, PartitionIndex),
        change: ChangeNumber,
    },
    Checkpointed {
        key: (TopicId, PartitionIndex),
        target: TargetOffset,
    },
}

/// What became of one batch.
#[derive(Debug)]
pub(crate) struct Produced {
    pub(crate) partition: TopicPartition,
    pub(crate) batch: BatchNumber,
    pub(crate) outcome: Outcome,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Outcome {
    /// Appended; at this offset, where the broker tells.
    Acknowledged(Option<TargetOffset>),
    Refused(ErrorCode),
    /// The connection that it was sent on is gone, or it was never sent.
    Unanswered,
}

/// What a comparison of both sides' topics found.
#[derive(Debug)]
pub(crate) struct ComparedTopics {
    pub(crate) mirrored: Vec<MirroredTopic>,
    pub(crate) drifts: Vec<PartitionDrift>,
    pub(crate) refusals: Vec<RefusedChange>,
}

/// A topic that both sides have.
#[derive(Clone, Debug)]
pub(crate) struct MirroredTopic {
    pub(crate) source: TopicName,
    pub(crate) source_id: TopicId,
    pub(crate) target: TopicName,
    pub(crate) target_id: TopicId,
    pub(crate) partitions: u32,
}

/// What is known about a partition when its mirror begins.
#[derive(Debug)]
pub(crate) struct Opening {
    pub(crate) stored: StoredPartition,
    pub(crate) target_end: TargetOffset,
    /// First and next offset of the source.
    pub(crate) source: Option<(SourceOffset, SourceOffset)>,
}
