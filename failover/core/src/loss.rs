//! What a failover may have lost: bounds while the source is dark, exact once it returns.

use leeward_model::{FencingEpoch, RegionName, SourceOffset, TopicPartition, mutation::planted};
use serde::{Deserialize, Serialize};

use crate::{
    decision::PartitionSample,
    fence::{FenceProof, LogEnd},
    returning::FinalPosition,
};

/// How much may be lost at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum UpperBound {
    Offsets(u64),
    /// The source is dark and its fence is not confirmed: nobody knows how far its log goes.
    Unbounded,
}

/// One partition's loss, in offsets of the old primary's log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LossBounds {
    pub partition: TopicPartition,
    /// First offset that did not cross.
    pub from: SourceOffset,
    /// Known to be at the source and not at the target.
    pub lower: u64,
    pub upper: UpperBound,
}

impl LossBounds {
    pub fn is_exact(&self) -> bool {
        self.upper == UpperBound::Offsets(self.lower)
    }
}

/// What one failover may have lost, partition by partition. Never one number where there is an interval.
///
/// Records that producers' buffers replay are counted here too: the statement speaks of the mirror alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LossStatement {
    pub region: RegionName,
    pub epoch: FencingEpoch,
    pub partitions: Vec<LossBounds>,
}

impl LossStatement {
    /// The statement at promotion: exact under a confirmed fence, which read the log ends; else from below only.
    pub fn at_promotion(
        fence: &FenceProof,
        samples: &[PartitionSample],
        positions: &[FinalPosition],
    ) -> Self {
        let from_seal = fence.seal().map(|seal| seal.log_ends.as_slice());
        let partitions = match from_seal {
            Some(log_ends) => log_ends.iter().map(|end| exact(positions, end)).collect(),
            None => positions.iter().map(|position| lower_only(samples, position)).collect(),
        };
        Self { region: fence.region().clone(), epoch: fence.epoch(), partitions }
    }

    /// The statement once the old primary's log ends were read under a complete seal.
    pub fn exact(
        region: &RegionName,
        epoch: FencingEpoch,
        positions: &[FinalPosition],
        log_ends: &[LogEnd],
    ) -> Self {
        let partitions = log_ends.iter().map(|end| exact(positions, end)).collect();
        Self { region: region.clone(), epoch, partitions }
    }

    pub fn lower(&self) -> u64 {
        self.partitions.iter().map(|bounds| bounds.lower).fold(0, u64::saturating_add)
    }

    pub fn upper(&self) -> UpperBound {
        self.partitions.iter().fold(UpperBound::Offsets(0), |sum, bounds| match (sum, bounds.upper) {
            (UpperBound::Offsets(sum), UpperBound::Offsets(upper)) => {
                UpperBound::Offsets(sum.saturating_add(upper))
            }
            (UpperBound::Unbounded, _) | (_, UpperBound::Unbounded) => UpperBound::Unbounded,
        })
    }

    pub fn is_exact(&self) -> bool {
        self.partitions.iter().all(LossBounds::is_exact)
    }
}

fn exact(positions: &[FinalPosition], end: &LogEnd) -> LossBounds {
    let known = positions.iter().find(|position| position.partition == end.partition);
    let from = known.map_or(SourceOffset::FIRST, |position| position.source);
    let under = u64::from(planted("failover-tells-less-than-was-lost"));
    let lost = end.end.since(from).saturating_sub(under);
    LossBounds { partition: end.partition.clone(), from, lower: lost, upper: UpperBound::Offsets(lost) }
}

fn lower_only(samples: &[PartitionSample], position: &FinalPosition) -> LossBounds {
    let seen = samples.iter().find(|sample| sample.partition == position.partition);
    let lower = seen.and_then(|sample| sample.source_end).map_or(0, |end| end.since(position.source));
    LossBounds {
        partition: position.partition.clone(),
        from: position.source,
        lower,
        upper: UpperBound::Unbounded,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::tests::name,
        fence::{GatewaysCut, SealEvidence},
        returning::tests::{at, log_end, partition, position},
    };

    const CUT: GatewaysCut = GatewaysCut { acknowledged: 1, lapsed: 0 };

    #[test]
    fn the_upper_bound_is_unbounded_while_the_source_is_dark() {
        let fence = FenceProof::assumed(&name("a"), FencingEpoch::FIRST, CUT, true).expect("lease over");
        let sample = PartitionSample { partition: partition(0), source_end: Some(at(15)), replicated: at(9) };

        let statement = LossStatement::at_promotion(&fence, &[sample], &[position(0, 10)]);

        assert_eq!((statement.lower(), statement.upper()), (5, UpperBound::Unbounded));
    }

    #[test]
    fn the_statement_is_exact_where_the_log_ends_were_read_under_the_seal() {
        let seal =
            SealEvidence { brokers: 1, brokers_refusing: 1, log_ends: vec![log_end(0, 12)], still: true };
        let fence = FenceProof::confirmed(&name("a"), FencingEpoch::FIRST, CUT, &seal).expect("complete");

        let statement = LossStatement::at_promotion(&fence, &[], &[position(0, 10)]);

        assert!(statement.is_exact() && statement.lower() == 2);
    }
}
