//! Stored runs beyond the target's end: written ahead of batches that may never have arrived.

use std::collections::{BTreeMap, BTreeSet};

use leeward_model::{SourceOffset, TargetOffset};

use super::Run;

/// Runs that count for nothing until the target reaches them. They may contradict each other.
///
/// Invariant: both hold the same runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Ahead {
    by_target: BTreeMap<(TargetOffset, SourceOffset), Run>,
    by_source: BTreeSet<(SourceOffset, TargetOffset)>,
}

impl Ahead {
    pub(super) fn add(&mut self, runs: impl IntoIterator<Item = Run>) {
        for run in runs {
            self.by_target.insert((run.target, run.source), run);
            self.by_source.insert((run.source, run.target));
        }
    }

    pub(super) fn contains(&self, run: &Run) -> bool {
        self.by_target.get(&(run.target, run.source)) == Some(run)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Run> {
        self.by_target.values()
    }

    /// Takes out what begins below either end.
    pub(super) fn take_passed(&mut self, target_end: TargetOffset, source_end: SourceOffset) -> Vec<Run> {
        let mut passed = self.take_while(|target| target < target_end);
        while let Some((source, target)) =
            self.by_source.first().copied().filter(|first| first.0 < source_end)
        {
            self.by_source.pop_first();
            passed.extend(self.by_target.remove(&(target, source)));
        }
        passed
    }

    /// Takes out what the target has reached, by rising target offset.
    pub(super) fn take_reached(&mut self, target_end: TargetOffset) -> Vec<Run> {
        self.take_while(|target| target <= target_end)
    }

    /// Every run stands that much further on.
    pub(super) fn shift(&mut self, records: u64) {
        let runs = std::mem::take(self).by_target.into_values();
        self.add(runs.map(|run| Run { target: run.target.after(records), ..run }));
    }

    fn take_while(&mut self, taken: impl Fn(TargetOffset) -> bool) -> Vec<Run> {
        let mut runs = Vec::new();
        while let Some(first) = self.by_target.first_entry().filter(|first| taken(first.key().0)) {
            let run = first.remove();
            self.by_source.remove(&(run.source, run.target));
            runs.push(run);
        }
        runs
    }
}
