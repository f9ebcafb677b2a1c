//! An operation and the stages that it walks through.
//!
//! Failover: Fencing, Draining, Promoting, Redirecting, Verifying. Switchover: the same, then Relinking (the old
//! primary becomes the standby), or Aborting. Return: Sealing. Resync: Quarantining, Recreating, Relinking, CatchingUp.

use leeward_model::{FencingEpoch, RegionName, WallTime};
use serde::{Deserialize, Serialize};

use crate::{
    decision::{HeldReason, PartitionSample},
    effect::{Effect, EffectId, OperationId},
    fence::{FenceProof, GatewaysCut, SealEvidence},
    returning::{Divergence, FinalPosition, TailPolicy},
};

/// What an operation is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// An emergency: the primary is lost.
    Failover,
    /// Planned: nothing is lost, or it is undone.
    Switchover,
    /// An old primary is back: it is sealed and its tail is listed.
    Return,
    /// A sealed old primary is made a standby again.
    Resync { tail: TailPolicy, then_switchover: bool },
}

impl Kind {
    /// Whether it moves the primary, and so issues an epoch.
    pub fn promotes(self) -> bool {
        match self {
            Self::Failover | Self::Switchover => true,
            Self::Return | Self::Resync { .. } => false,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Failover => "failover",
            Self::Switchover => "switchover",
            Self::Return => "return",
            Self::Resync { .. } => "failback",
        }
    }
}

/// Who started an operation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Trigger {
    Automatic,
    Person { name: String },
}

/// How an operation ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum OperationResult {
    Completed,
    Aborted(HeldReason),
}

/// Where an operation stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stage {
    Fencing {
        gateways: Option<GatewaysCut>,
        seal: Option<SealEvidence>,
    },
    Draining {
        fence: FenceProof,
    },
    Promoting {
        fence: FenceProof,
        positions: Vec<FinalPosition>,
    },
    Redirecting {
        gateways_moved: bool,
        dns_updated: bool,
        positions: Vec<FinalPosition>,
    },
    Verifying {
        positions: Vec<FinalPosition>,
    },
    Aborting {
        unsealed: bool,
        gateways_moved: bool,
        reason: HeldReason,
    },
    Sealing {
        positions: Vec<FinalPosition>,
    },
    Quarantining {
        divergence: Divergence,
    },
    /// `unkept`: what is in no quarantine, and lost once the topics are made anew.
    Recreating {
        unkept: Divergence,
    },
    Relinking {
        unsealed: bool,
        resume: Vec<FinalPosition>,
    },
    CatchingUp,
    Over(OperationResult),
}

impl Stage {
    /// The phase that people see.
    pub fn phase(&self) -> Phase {
        match self {
            Self::Fencing { .. } | Self::Sealing { .. } => Phase::Fencing,
            Self::Draining { .. } => Phase::Draining,
            Self::Promoting { .. } => Phase::Promoting,
            Self::Redirecting { .. } => Phase::Redirecting,
            Self::Verifying { .. } => Phase::Verifying,
            Self::Aborting { .. } => Phase::Aborting,
            Self::Quarantining { .. }
            | Self::Recreating { .. }
            | Self::Relinking { .. }
            | Self::CatchingUp => Phase::Resyncing,
            Self::Over(_) => Phase::Steady,
        }
    }
}

/// The topology's phase in one word.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Phase {
    Steady,
    Suspect,
    Deciding,
    Fencing,
    Draining,
    Promoting,
    Redirecting,
    Verifying,
    Aborting,
    Resyncing,
    Held(HeldReason),
}

impl Phase {
    pub fn name(&self) -> &'static str {
        match self {
            Self::Steady => "steady",
            Self::Suspect => "suspect",
            Self::Deciding => "deciding",
            Self::Fencing => "fencing",
            Self::Draining => "draining",
            Self::Promoting => "promoting",
            Self::Redirecting => "redirecting",
            Self::Verifying => "verifying",
            Self::Aborting => "aborting",
            Self::Resyncing => "resyncing",
            Self::Held(_) => "held",
        }
    }
}

/// A running operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    pub id: OperationId,
    pub kind: Kind,
    pub trigger: Trigger,
    pub from: RegionName,
    pub to: RegionName,
    pub epoch: FencingEpoch,
    pub decided_at: WallTime,
    pub samples: Vec<PartitionSample>,
    pub stage: Stage,
    /// Intents without an outcome.
    pub open: Vec<(EffectId, Effect)>,
    pub ordinals: u32,
    /// Failures in a row since the operation last got further.
    pub failures: u32,
    pub held: Option<HeldReason>,
}

impl Operation {
    pub fn phase(&self) -> Phase {
        self.held.as_ref().map_or_else(|| self.stage.phase(), |reason| Phase::Held(reason.clone()))
    }

    /// Whether it may be given up for a newer decision.
    pub fn may_be_superseded(&self) -> bool {
        self.held.is_some() || !self.kind.promotes()
    }

    /// Whether going back is still possible: nothing was promoted.
    pub fn may_abort(&self) -> bool {
        self.kind == Kind::Switchover && matches!(self.stage, Stage::Fencing { .. } | Stage::Draining { .. })
    }
}
