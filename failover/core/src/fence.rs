//! Proof that a region takes no more writes, and on what it rests.

use leeward_model::{FencingEpoch, RegionName, SourceOffset, TopicPartition};
use serde::{Deserialize, Serialize};

/// How the gateways stopped forwarding to a region.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GatewaysCut {
    /// Gateways that said they stopped.
    pub acknowledged: u32,
    /// Gateways that were not heard, but whose grants ran out.
    pub lapsed: u32,
}

/// The end of one partition's log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogEnd {
    pub partition: TopicPartition,
    pub end: SourceOffset,
}

/// What was seen of a seal over the wire.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealEvidence {
    pub brokers: u32,
    /// Brokers on which a write probe was refused.
    pub brokers_refusing: u32,
    /// The log ends of every protected partition.
    pub log_ends: Vec<LogEnd>,
    /// No log end moved between two readings after the refusals.
    pub still: bool,
}

impl SealEvidence {
    /// Whether every broker refuses and nothing moves.
    pub fn is_complete(&self) -> bool {
        self.brokers > 0 && self.brokers_refusing == self.brokers && self.still
    }
}

/// Proof that a region takes no more writes of earlier epochs. `Promote` takes it by value.
///
/// Invariant: made only by [`FenceProof::confirmed`] and [`FenceProof::assumed`], from what was observed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FenceProof {
    region: RegionName,
    epoch: FencingEpoch,
    gateways: GatewaysCut,
    seal: Option<SealEvidence>,
}

impl FenceProof {
    /// Every broker refused a write, no log end moved, and the gateways are cut off. `None` where any is missing.
    ///
    /// The engine begins no seal while the region's agent may lift one, so what was seen of it stays.
    pub fn confirmed(
        region: &RegionName,
        epoch: FencingEpoch,
        gateways: GatewaysCut,
        seal: &SealEvidence,
    ) -> Option<Self> {
        seal.is_complete().then(|| Self { region: region.clone(), epoch, gateways, seal: Some(seal.clone()) })
    }

    /// The region was not reached, its lease ran out and the gateways are cut off. `None` while the lease lives.
    pub fn assumed(
        region: &RegionName,
        epoch: FencingEpoch,
        gateways: GatewaysCut,
        lease_over: bool,
    ) -> Option<Self> {
        lease_over.then(|| Self { region: region.clone(), epoch, gateways, seal: None })
    }

    pub fn region(&self) -> &RegionName {
        &self.region
    }

    pub fn epoch(&self) -> FencingEpoch {
        self.epoch
    }

    pub fn gateways(&self) -> GatewaysCut {
        self.gateways
    }

    /// What was seen on the brokers; `None` where the lease alone is relied on.
    pub fn seal(&self) -> Option<&SealEvidence> {
        self.seal.as_ref()
    }

    pub fn is_confirmed(&self) -> bool {
        self.seal.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::name;

    const CUT: GatewaysCut = GatewaysCut { acknowledged: 1, lapsed: 0 };

    fn seal(brokers_refusing: u32, still: bool) -> SealEvidence {
        SealEvidence { brokers: 3, brokers_refusing, log_ends: Vec::new(), still }
    }

    #[test]
    fn one_broker_that_still_takes_writes_spoils_the_proof() {
        assert!(FenceProof::confirmed(&name("a"), FencingEpoch::FIRST, CUT, &seal(2, true)).is_none());
    }

    #[test]
    fn a_log_that_moves_spoils_the_proof() {
        assert!(FenceProof::confirmed(&name("a"), FencingEpoch::FIRST, CUT, &seal(3, false)).is_none());
    }

    #[test]
    fn a_living_lease_proves_nothing() {
        assert!(FenceProof::assumed(&name("a"), FencingEpoch::FIRST, CUT, false).is_none());
    }
}
