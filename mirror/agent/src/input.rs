//! What a link's task is told by the tasks around it.

use leeward_client::Fetched;
use leeward_mirror_core::partition::{AuditedBatch, BatchNumber, ChangeNumber, Question};
use leeward_model::{PartitionIndex, SourceOffset, TargetOffset, TopicId, TopicName, TopicPartition};
use leeward_wire::ErrorCode;
use tokio::sync::oneshot;

use crate::{status::PartitionDrift, store::StoredPartition};

/// Partitions are named as they are at the source.
#[derive(Debug)]
pub(crate) enum Input {
    /// What both sides have, and which topics have another number of partitions at the target.
    Topics(Vec<MirroredTopic>, Vec<PartitionDrift>),
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
    Acknowledged {
        partition: TopicPartition,
        batch: BatchNumber,
        base: Option<TargetOffset>,
    },
    Refused {
        partition: TopicPartition,
        batch: BatchNumber,
        code: ErrorCode,
    },
    Unanswered {
        partition: TopicPartition,
        batch: BatchNumber,
    },
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
