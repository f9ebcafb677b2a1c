//! What can happen to a partition's mirror.

use bytes::Bytes;
use leeward_model::{SourceOffset, TargetOffset};
use leeward_wire::ErrorCode;

use super::{BatchNumber, ChangeNumber, Question};
use crate::map::Run;

/// Something that the shell saw.
#[derive(Clone, Debug)]
pub enum Event {
    Started(Start),
    Fetched(Fetched),
    /// The source has no record at the position that was asked for.
    SourceOutOfRange {
        log_start: SourceOffset,
        log_end: SourceOffset,
    },
    /// The source's log up to the position was written by other leaders than what was read: it agrees up to `end` only.
    SourceDiverged {
        end: SourceOffset,
    },
    SourceTopicDeleted,
    SourceTopicRecreated,
    TargetTopicRecreated,
    /// All changes up to and with this one are durable.
    RunsPersisted(ChangeNumber),
    /// A batch was appended; `base` is `None` where the broker does not tell.
    Acknowledged {
        batch: BatchNumber,
        base: Option<TargetOffset>,
    },
    Refused {
        batch: BatchNumber,
        code: ErrorCode,
    },
    /// The connection that a batch was sent on is gone, so it can arrive no more, and its outcome is unknown.
    Unanswered {
        batch: BatchNumber,
    },
    TargetEnd {
        question: Question,
        end: TargetOffset,
    },
    /// Headers of the batches in the range that was asked for, in order.
    Audited {
        question: Question,
        batches: Vec<AuditedBatch>,
    },
    QuestionFailed {
        question: Question,
    },
    Checkpointed {
        target: TargetOffset,
    },
    /// Finish: with `drain_to`, once the target has everything below it; else once it has what was received.
    Seal {
        drain_to: Option<SourceOffset>,
    },
    /// Finish with what the target has.
    SealAtOnce,
    Tick,
}

/// What is known when a partition's mirror begins.
#[derive(Clone, Debug)]
pub struct Start {
    /// Read after `target_end` was: a run is stored before the records that it places are written, so nothing below
    /// that end can lack one, whoever wrote it.
    pub runs: Vec<Run>,
    /// Below this the target was seen to hold nothing that the runs do not say.
    pub checkpoint: Option<TargetOffset>,
    pub target_end: TargetOffset,
    /// Where the source's log begins; `None` while the source is dark.
    pub source_log_start: Option<SourceOffset>,
    /// Where to begin if nothing was ever written; `None` while the source is dark.
    pub begin_at: Option<SourceOffset>,
}

/// One answer of the source.
#[derive(Clone, Debug)]
pub struct Fetched {
    /// The position that was asked for.
    pub from: SourceOffset,
    /// Batches as they came.
    pub records: Bytes,
    pub aborted: Vec<AbortedTransaction>,
    /// The end of what may be read: committed, and on all replicas.
    pub last_stable: SourceOffset,
    pub log_start: SourceOffset,
}

/// A transaction whose records are in an answer and were never committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AbortedTransaction {
    pub producer_id: i64,
    pub first_offset: i64,
}

/// The header of a batch in the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AuditedBatch {
    pub base: TargetOffset,
    /// Offsets that the batch takes.
    pub offsets: u64,
    pub producer_id: i64,
}
