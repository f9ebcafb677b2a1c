//! What a map in memory has that the one on disk lacks.

use std::collections::BTreeMap;

use leeward_model::SourceOffset;

use super::Run;

/// What has to be written for the map on disk to equal the map in memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Changes {
    /// The run that begins at a source offset; `None` where the one that does is to go.
    runs: BTreeMap<SourceOffset, Option<Run>>,
    /// The run that goes because the first that is put begins at its target offset.
    replaced: Option<SourceOffset>,
}

impl Changes {
    pub(crate) fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    pub(super) fn put(&mut self, run: Run) {
        self.runs.insert(run.source, Some(run));
    }

    /// Takes a stored run away, unless another was put in its place.
    pub(super) fn remove(&mut self, source: SourceOffset) {
        self.runs.entry(source).or_insert(None);
    }

    /// Takes a run away whose target offset the next one that is put begins at.
    pub(super) fn replace(&mut self, source: SourceOffset) {
        self.remove(source);
        self.replaced = Some(source);
    }

    pub(crate) fn merge(&mut self, later: Self) {
        self.runs.extend(later.runs);
        self.replaced = self.replaced.or(later.replaced);
    }

    /// What is put, by rising offset, and what goes; what the first that is put replaces goes last.
    pub(crate) fn into_parts(self) -> (Vec<Run>, Vec<SourceOffset>) {
        let gone = |source: &SourceOffset| self.runs.get(source) == Some(&None);
        let replaced = self.replaced.filter(gone);
        let others = self.runs.iter().filter(|(source, run)| run.is_none() && Some(**source) != replaced);
        let remove = others.map(|(source, _)| *source).chain(replaced).collect();
        (self.runs.into_values().flatten().collect(), remove)
    }
}

#[cfg(test)]
mod tests {
    use leeward_model::TargetOffset;
    use proptest::prelude::*;

    use super::*;

    /// The same, looking at everything for each step.
    #[derive(Clone, Debug, Default)]
    struct Naive {
        put: Vec<Run>,
        remove: Vec<SourceOffset>,
    }

    impl Naive {
        fn put(&mut self, run: Run) {
            self.remove.retain(|source| *source != run.source);
            self.put.retain(|other| other.source != run.source);
            self.put.push(run);
        }

        fn remove(&mut self, source: SourceOffset) {
            if !self.put.iter().any(|run| run.source == source) {
                self.remove.push(source);
            }
        }

        fn merge(&mut self, later: Self) {
            for source in later.remove {
                self.put.retain(|run| run.source != source);
                self.remove(source);
            }
            for run in later.put {
                self.put(run);
            }
        }

        fn sorted(mut self) -> (Vec<Run>, Vec<SourceOffset>) {
            self.put.sort_by_key(|run| run.source);
            self.remove.sort_unstable();
            self.remove.dedup();
            (self.put, self.remove)
        }
    }

    fn source(offset: i64) -> SourceOffset {
        SourceOffset::from_wire(offset).expect("not negative")
    }

    fn run(at: i64, target: i64) -> Run {
        let target = TargetOffset::from_wire(target).expect("not negative");
        Run { source: source(at), target, foreign_before: 0, anchor: false }
    }

    proptest! {
        #[test]
        fn changes_end_as_those_that_look_at_everything(
            rounds in prop::collection::vec(prop::collection::vec((any::<bool>(), 0i64..12, 0i64..99), 0..8), 0..8),
        ) {
            let (mut changes, mut naive) = (Changes::default(), Naive::default());

            for round in rounds {
                let (mut later, mut later_naive) = (Changes::default(), Naive::default());
                for (put, at, target) in round {
                    if put {
                        later.put(run(at, target));
                        later_naive.put(run(at, target));
                    } else {
                        later.remove(source(at));
                        later_naive.remove(source(at));
                    }
                }
                changes.merge(later);
                naive.merge(later_naive);
            }

            prop_assert_eq!(changes.into_parts(), naive.sorted());
        }
    }

    #[test]
    fn what_is_replaced_goes_last() {
        let mut changes = Changes::default();
        changes.replace(source(10));
        changes.put(run(12, 7));
        let mut later = Changes::default();
        later.remove(source(11));
        later.put(run(20, 9));

        changes.merge(later);

        assert_eq!(changes.into_parts(), (vec![run(12, 7), run(20, 9)], vec![source(11), source(10)]));
    }
}
