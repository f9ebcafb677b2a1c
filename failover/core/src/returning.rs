//! An old primary that comes back: what it has that the survivor lacks, and the way back to being a standby.

use leeward_model::{RegionName, SourceOffset, TargetOffset, TopicPartition};
use serde::{Deserialize, Serialize};

use crate::fence::LogEnd;

/// Where one partition's mirror stood when its link was sealed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FinalPosition {
    pub partition: TopicPartition,
    /// First offset of the old primary that did not cross.
    pub source: SourceOffset,
    /// The survivor's log end at that moment.
    pub target: TargetOffset,
}

/// Records `[from, to)` of the old primary that never left it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tail {
    pub partition: TopicPartition,
    pub from: SourceOffset,
    pub to: SourceOffset,
}

impl Tail {
    /// Offsets in the tail: at least as many as records.
    pub fn offsets(&self) -> u64 {
        self.to.since(self.from)
    }
}

/// The old primary came back with less than the survivor has of it: it lost records itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TruncatedSource {
    pub partition: TopicPartition,
    pub log_end: SourceOffset,
    pub replicated: SourceOffset,
}

/// How the old primary's logs differ from what crossed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Divergence {
    pub tails: Vec<Tail>,
    pub truncated: Vec<TruncatedSource>,
}

impl Divergence {
    /// Compares the old primary's log ends with the sealed link's positions. A partition that the link never knew
    /// is all tail.
    pub fn between(positions: &[FinalPosition], log_ends: &[LogEnd]) -> Self {
        let mut divergence = Self::default();
        for LogEnd { partition, end } in log_ends {
            let known = positions.iter().find(|position| position.partition == *partition);
            let replicated = known.map_or(SourceOffset::FIRST, |position| position.source);
            if *end > replicated {
                divergence.tails.push(Tail { partition: partition.clone(), from: replicated, to: *end });
            } else if *end < replicated {
                divergence.truncated.push(TruncatedSource {
                    partition: partition.clone(),
                    log_end: *end,
                    replicated,
                });
            }
        }
        divergence
    }

    /// Whether both sides hold the same, so that the old primary's topics can be kept.
    pub fn is_empty(&self) -> bool {
        self.tails.is_empty() && self.truncated.is_empty()
    }

    pub fn offsets(&self) -> u64 {
        self.tails.iter().map(Tail::offsets).fold(0, u64::saturating_add)
    }
}

/// What becomes of the tail on the way back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TailPolicy {
    /// Copied to a topic of its own on the survivor, with headers that say where from.
    Quarantine,
    /// Left out, by a person's word.
    Discard,
}

/// One step of a failback.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FailbackStep {
    Quarantine,
    RecreateTopics,
    LiftSeal,
    StartReverseLink,
    CatchUp,
    Switchover,
}

/// The steps from a fenced old primary back to an acting one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailbackPlan {
    pub region: RegionName,
    pub steps: Vec<FailbackStep>,
}

impl FailbackPlan {
    /// Kafka can cut a log only at its beginning: a tail means that the topics are made anew.
    pub fn for_region(region: &RegionName, divergence: &Divergence, policy: TailPolicy) -> Self {
        let mut steps = Vec::new();
        if !divergence.tails.is_empty() && policy == TailPolicy::Quarantine {
            steps.push(FailbackStep::Quarantine);
        }
        if !divergence.is_empty() {
            steps.push(FailbackStep::RecreateTopics);
        }
        steps.extend([
            FailbackStep::LiftSeal,
            FailbackStep::StartReverseLink,
            FailbackStep::CatchUp,
            FailbackStep::Switchover,
        ]);
        Self { region: region.clone(), steps }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use leeward_model::{PartitionIndex, TopicName};

    use super::*;
    use crate::config::tests::name;

    pub(crate) fn partition(index: i32) -> TopicPartition {
        TopicPartition {
            topic: TopicName::new("orders").expect("legal"),
            partition: PartitionIndex::from_wire(index).expect("not negative"),
        }
    }

    pub(crate) fn at(offset: i64) -> SourceOffset {
        SourceOffset::from_wire(offset).expect("not negative")
    }

    pub(crate) fn position(index: i32, source: i64) -> FinalPosition {
        FinalPosition {
            partition: partition(index),
            source: at(source),
            target: TargetOffset::from_wire(source).expect("not negative"),
        }
    }

    pub(crate) fn log_end(index: i32, end: i64) -> LogEnd {
        LogEnd { partition: partition(index), end: at(end) }
    }

    #[test]
    fn the_tail_is_what_the_old_primary_has_beyond_the_sealed_position() {
        let divergence = Divergence::between(&[position(0, 10)], &[log_end(0, 13), log_end(1, 2)]);

        assert_eq!(
            divergence.tails,
            [
                Tail { partition: partition(0), from: at(10), to: at(13) },
                Tail { partition: partition(1), from: at(0), to: at(2) },
            ]
        );
    }

    #[test]
    fn an_old_primary_that_lost_records_itself_is_told_apart() {
        let divergence = Divergence::between(&[position(0, 10)], &[log_end(0, 7)]);

        assert!(divergence.tails.is_empty() && divergence.truncated.len() == 1);
    }

    #[test]
    fn topics_without_a_tail_are_kept() {
        let plan = FailbackPlan::for_region(&name("a"), &Divergence::default(), TailPolicy::Quarantine);

        assert!(!plan.steps.contains(&FailbackStep::RecreateTopics));
    }
}
