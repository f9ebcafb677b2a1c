//! What a partition's mirror wants done, and what it wants known.

use leeward_model::{SourceOffset, TargetOffset};
use leeward_wire::{ErrorCode, record::RecordBatch};

use super::BatchNumber;
use crate::map::Run;

/// Which change of the stored map; counts up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct ChangeNumber(u64);

impl ChangeNumber {
    pub(super) fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// Which question to the target an answer belongs to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Question(u64);

impl Question {
    pub(super) fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// Something for the shell to do. Everything that is to be durable becomes so in the order of the commands.
#[derive(Clone, Debug)]
pub enum Command {
    /// Make these durable in one step, in order of number; then [`super::Event::RunsPersisted`].
    ///
    /// Where one step is too small: first what goes, then what is put, in the order given. What a crash leaves is a map then
    /// as long as what goes last becomes durable with what is put first, whose place it leaves.
    PersistRuns {
        change: ChangeNumber,
        put: Vec<Run>,
        remove: Vec<SourceOffset>,
        checkpoint: Option<TargetOffset>,
    },
    /// Make durable when it suits; then [`super::Event::Checkpointed`].
    Checkpoint {
        target: TargetOffset,
    },
    /// Append with acks from all replicas. Batches go out in the order of these commands, answers come back in it.
    Produce {
        batch: BatchNumber,
        records: RecordBatch,
    },
    AskTargetEnd {
        question: Question,
    },
    /// Read back the headers of the target's batches from `from` up to `to`.
    Audit {
        question: Question,
        from: TargetOffset,
        to: TargetOffset,
    },
    /// Another process has written further: read the stored map again and send [`super::Event::Started`].
    Reload,
    Emit(Notice),
}

/// What a person or a metric should hear of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    Active {
        from: SourceOffset,
        target_end: TargetOffset,
    },
    /// Records that somebody else wrote to the target.
    ForeignWrite {
        at: TargetOffset,
        records: u64,
    },
    /// The target lost its end: it is written again.
    TargetTruncated {
        from: TargetOffset,
        to: TargetOffset,
    },
    /// Records that the source deleted before they were read; the mirror goes on behind them.
    Lost {
        from: SourceOffset,
        to: SourceOffset,
    },
    /// The target refuses a batch for a reason that may pass.
    Refused {
        code: ErrorCode,
        at: SourceOffset,
    },
    Sealed {
        replicated_to: Option<SourceOffset>,
        target_end: Option<TargetOffset>,
    },
    Stopped(StopReason),
}

/// Why a partition is not mirrored any further until a person decides.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StopReason {
    #[error("source deleted offsets {from} to {to} before they were read")]
    RetentionOverrun { from: SourceOffset, to: SourceOffset },
    #[error("source has taken back offsets {from} to {to}, which were mirrored already")]
    SourceTruncated { from: SourceOffset, to: SourceOffset },
    #[error("source topic was deleted")]
    TopicDeleted,
    #[error("source topic was deleted and made again")]
    TopicRecreated,
    #[error("target topic was deleted and made again")]
    TargetRecreated,
    #[error("target holds {records} offsets that this link knows nothing of")]
    TargetNotEmpty { records: u64 },
    #[error("stored map contradicts itself at source offset {at}")]
    MapDamaged { at: SourceOffset },
    #[error("source batch at {at} cannot be read: {why}")]
    Unreadable { at: SourceOffset, why: String },
    #[error("target refuses the batch at source offset {at}: {code:?}")]
    Refused { at: SourceOffset, code: ErrorCode },
}

impl StopReason {
    /// The reason as a metric label.
    pub fn code(&self) -> &'static str {
        match self {
            Self::RetentionOverrun { .. } => "retention-overrun",
            Self::SourceTruncated { .. } => "source-truncated",
            Self::TopicDeleted => "topic-deleted",
            Self::TopicRecreated => "topic-recreated",
            Self::TargetRecreated => "target-recreated",
            Self::TargetNotEmpty { .. } => "target-not-empty",
            Self::MapDamaged { .. } => "map-damaged",
            Self::Unreadable { .. } => "unreadable-batch",
            Self::Refused { .. } => "target-refused",
        }
    }
}

impl std::fmt::Display for Notice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Active { from, target_end } => {
                write!(f, "mirrors from source offset {from} on, behind target offset {target_end}")
            }
            Self::ForeignWrite { at, records } => {
                write!(f, "somebody else wrote {records} records to the target at offset {at}")
            }
            Self::TargetTruncated { from, to } => {
                write!(f, "target lost offsets {from} to {to}; they are written again")
            }
            Self::Lost { from, to } => {
                write!(f, "source deleted offsets {from} to {to} before they were read; going on behind them")
            }
            Self::Refused { code, at } => {
                write!(f, "target refuses the batch at source offset {at}: {code:?}")
            }
            Self::Sealed { replicated_to: Some(replicated_to), target_end: Some(target_end) } => {
                write!(f, "ended at source offset {replicated_to}, target offset {target_end}")
            }
            Self::Sealed { .. } => f.write_str("ended before it began"),
            Self::Stopped(reason) => reason.fmt(f),
        }
    }
}

impl Notice {
    /// What happened, as a metric label.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Active { .. } => "active",
            Self::ForeignWrite { .. } => "foreign-write",
            Self::TargetTruncated { .. } => "target-truncated",
            Self::Lost { .. } => "retention-overrun",
            Self::Refused { .. } => "target-refuses",
            Self::Sealed { .. } => "sealed",
            Self::Stopped(reason) => reason.code(),
        }
    }

    /// The offsets that it is about; -1 where it is about none.
    pub fn range(&self) -> (i64, i64) {
        match self {
            Self::Active { from, .. } => (from.to_wire(), -1),
            Self::ForeignWrite { at, records } => (at.to_wire(), at.after(*records).to_wire()),
            Self::TargetTruncated { from, to } => (from.to_wire(), to.to_wire()),
            Self::Lost { from, to }
            | Self::Stopped(
                StopReason::RetentionOverrun { from, to } | StopReason::SourceTruncated { from, to },
            ) => (from.to_wire(), to.to_wire()),
            Self::Refused { at, .. }
            | Self::Stopped(
                StopReason::MapDamaged { at }
                | StopReason::Unreadable { at, .. }
                | StopReason::Refused { at, .. },
            ) => (at.to_wire(), -1),
            Self::Sealed { replicated_to, .. } => (replicated_to.map_or(-1, SourceOffset::to_wire), -1),
            Self::Stopped(
                StopReason::TopicDeleted
                | StopReason::TopicRecreated
                | StopReason::TargetRecreated
                | StopReason::TargetNotEmpty { .. },
            ) => (-1, -1),
        }
    }
}
