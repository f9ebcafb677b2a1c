//! What the brain asks the outside to do, and what comes back. Every effect is safe to repeat under its id.

use std::fmt;

use leeward_model::{FencingEpoch, RegionName};
use serde::{Deserialize, Serialize};

use crate::{
    fence::{FenceProof, GatewaysCut, LogEnd, SealEvidence},
    returning::{Divergence, FinalPosition, Tail},
};

/// An operation's number, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct OperationId(u64);

impl OperationId {
    pub const FIRST: Self = Self(1);

    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    pub fn number(self) -> u64 {
        self.0
    }
}

impl fmt::Display for OperationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One effect of one operation, as the journal knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct EffectId {
    pub operation: OperationId,
    pub ordinal: u32,
}

impl fmt::Display for EffectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.operation, self.ordinal)
    }
}

/// How far a link is drained before it is sealed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Drain {
    /// A switchover: to the source's sealed log ends, or it fails.
    To(Vec<LogEnd>),
    /// A failover: what reached the survivor.
    AsFarAsItCame,
}

/// One effect outside of this process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Effect {
    /// Tell every gateway to stop forwarding; done when all said so or their grants ran out.
    CutGateways {
        region: RegionName,
        epoch: FencingEpoch,
    },
    /// Refuse every write on the region's protected topics, and look whether it holds.
    SealRegion {
        region: RegionName,
        epoch: FencingEpoch,
    },
    UnsealRegion {
        region: RegionName,
        epoch: FencingEpoch,
    },
    /// Drain the link, then refuse batches of earlier epochs for ever (fence by lineage).
    DrainLink {
        source: RegionName,
        target: RegionName,
        epoch: FencingEpoch,
        drain: Drain,
    },
    /// Write final group positions and open the region's topics to applications.
    Promote {
        region: RegionName,
        fence: FenceProof,
    },
    /// Tell every gateway where to forward to, and under which epoch.
    MoveGateways {
        region: RegionName,
        epoch: FencingEpoch,
    },
    /// Compare-and-set of the names that clients resolve.
    UpdateDns {
        region: RegionName,
        epoch: FencingEpoch,
    },
    /// Resolve, connect, cluster id, produce, fetch.
    Verify {
        region: RegionName,
        epoch: FencingEpoch,
    },
    /// Copy the tails to a topic of their own on the survivor.
    Quarantine {
        region: RegionName,
        survivor: RegionName,
        epoch: FencingEpoch,
        tails: Vec<Tail>,
    },
    /// Delete the region's protected topics and make them anew, empty.
    RecreateTopics {
        region: RegionName,
        epoch: FencingEpoch,
    },
    /// Mirror from `source` to `target`; with positions the target's topics are kept and go on from there.
    StartLink {
        source: RegionName,
        target: RegionName,
        epoch: FencingEpoch,
        resume: Vec<FinalPosition>,
    },
    AwaitCaughtUp {
        source: RegionName,
        target: RegionName,
        epoch: FencingEpoch,
    },
}

impl Effect {
    /// The effect's name in logs, metrics and messages.
    pub fn name(&self) -> &'static str {
        match self {
            Self::CutGateways { .. } => "cut-gateways",
            Self::SealRegion { .. } => "seal-region",
            Self::UnsealRegion { .. } => "unseal-region",
            Self::DrainLink { .. } => "drain-link",
            Self::Promote { .. } => "promote",
            Self::MoveGateways { .. } => "move-gateways",
            Self::UpdateDns { .. } => "update-dns",
            Self::Verify { .. } => "verify",
            Self::Quarantine { .. } => "quarantine",
            Self::RecreateTopics { .. } => "recreate-topics",
            Self::StartLink { .. } => "start-link",
            Self::AwaitCaughtUp { .. } => "await-caught-up",
        }
    }
}

/// How an effect ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    GatewaysCut(GatewaysCut),
    Sealed(SealEvidence),
    LinkDrained {
        positions: Vec<FinalPosition>,
    },
    Promoted {
        topics: u32,
        groups: u32,
    },
    Quarantined {
        records: u64,
    },
    /// Of effects that have nothing to tell but that they are done.
    Done,
    Failed {
        error: String,
    },
}

/// Whether the outcome answers this effect.
pub(crate) fn answers(effect: &Effect, outcome: &Outcome) -> bool {
    match outcome {
        Outcome::Failed { .. } => true,
        Outcome::GatewaysCut(_) => matches!(effect, Effect::CutGateways { .. }),
        Outcome::Sealed(_) => matches!(effect, Effect::SealRegion { .. }),
        Outcome::LinkDrained { .. } => matches!(effect, Effect::DrainLink { .. }),
        Outcome::Promoted { .. } => matches!(effect, Effect::Promote { .. }),
        Outcome::Quarantined { .. } => matches!(effect, Effect::Quarantine { .. }),
        Outcome::Done => matches!(
            effect,
            Effect::UnsealRegion { .. }
                | Effect::MoveGateways { .. }
                | Effect::UpdateDns { .. }
                | Effect::Verify { .. }
                | Effect::RecreateTopics { .. }
                | Effect::StartLink { .. }
                | Effect::AwaitCaughtUp { .. }
        ),
    }
}

/// The divergence that a sealed region's evidence shows.
pub(crate) fn divergence(positions: &[FinalPosition], seal: &SealEvidence) -> Divergence {
    Divergence::between(positions, &seal.log_ends)
}
