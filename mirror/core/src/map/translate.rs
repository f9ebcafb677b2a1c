//! Asking the map. A position names the record that is read next, so one inside a gap means the next record behind it.

use leeward_model::{SourceOffset, TargetOffset};

use super::OffsetMap;

/// The answer of a map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Translation<T> {
    /// Reading goes on here: nothing is read twice, nothing is skipped.
    Exact(T),
    NotThere(NotThere),
}

impl<T> Translation<T> {
    pub fn exact(self) -> Option<T> {
        match self {
            Self::Exact(offset) => Some(offset),
            Self::NotThere(_) => None,
        }
    }
}

/// Why a position has no counterpart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotThere {
    #[error("the target has the source up to {replicated_to} only")]
    NotYet { replicated_to: SourceOffset },
    #[error("the target ends at {target_end}")]
    BeyondEnd { target_end: TargetOffset },
    #[error("the mirror began at source offset {first}, which is {target} at the target")]
    BeforeStart { first: SourceOffset, target: TargetOffset },
    #[error("nothing of this partition was mirrored yet")]
    Nothing,
}

impl OffsetMap {
    /// Where a source position stands in the target.
    ///
    /// `replicated_to` is the source position up to which the target, which ends at `target_end`, has everything.
    pub fn to_target(
        &self,
        source: SourceOffset,
        replicated_to: SourceOffset,
        target_end: TargetOffset,
    ) -> Translation<TargetOffset> {
        let Some(first) = self.runs.first() else {
            return Translation::NotThere(NotThere::Nothing);
        };
        if source < first.source {
            let (first, target) = (first.source, first.target);
            return Translation::NotThere(NotThere::BeforeStart { first, target });
        }
        if source > replicated_to {
            return Translation::NotThere(NotThere::NotYet { replicated_to });
        }
        let next = self.runs.partition_point(|run| run.source <= source);
        let run = &self.runs[next - 1];
        let next = self.runs.get(next).filter(|next| next.boundary() <= target_end);
        let (end, resumed) = next.map_or((target_end, target_end), |next| (next.boundary(), next.target));
        let target = run.at(source);
        Translation::Exact(if target < end { target } else { resumed.min(target_end) })
    }

    /// Where a target position stands in the source.
    pub fn to_source(&self, target: TargetOffset, target_end: TargetOffset) -> Translation<SourceOffset> {
        let Some(first) = self.runs.first() else {
            return Translation::NotThere(NotThere::Nothing);
        };
        if target > target_end {
            return Translation::NotThere(NotThere::BeyondEnd { target_end });
        }
        if target < first.boundary() {
            let (first, target) = (first.source, first.target);
            return Translation::NotThere(NotThere::BeforeStart { first, target });
        }
        let next = self.runs.partition_point(|run| run.boundary() <= target);
        let run = &self.runs[next - 1];
        Translation::Exact(run.back(target))
    }
}
