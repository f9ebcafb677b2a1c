//! What is made durable before anything is done. The journal's entries, applied in order, are the state.

use std::time::Duration;

use leeward_model::{FencingEpoch, RegionName, WallTime};
use serde::{Deserialize, Serialize};

use crate::{
    decision::{Evidence, HeldReason},
    effect::{Effect, EffectId, OperationId, Outcome},
    fence::FenceProof,
    phases::{Kind, OperationResult, Trigger},
};

/// A caller's name for one request: the same key again finds the same operation.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct IdempotencyKey(String);

impl IdempotencyKey {
    pub fn new(key: impl Into<String>) -> Self {
        Self(key.into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// An operation's beginning. For a failover and a switchover this is what issues the epoch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decided {
    pub operation: OperationId,
    pub kind: Kind,
    pub trigger: Trigger,
    /// The region that is left, or that is brought back.
    pub from: RegionName,
    /// The region that is promoted, or that survived.
    pub to: RegionName,
    pub epoch: FencingEpoch,
    pub accept_loss: Option<Duration>,
    pub key: Option<IdempotencyKey>,
    /// What the decision rests on; returns of old primaries need none.
    pub evidence: Option<Evidence>,
    pub at: WallTime,
}

/// One line of the journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Entry {
    /// The first entry: who is primary when nothing ever happened.
    Formed {
        primary: RegionName,
        standby: RegionName,
        at: WallTime,
    },
    Decided(Box<Decided>),
    Intent {
        id: EffectId,
        effect: Effect,
        at: WallTime,
    },
    Outcome {
        id: EffectId,
        outcome: Outcome,
        at: WallTime,
    },
    Fenced {
        operation: OperationId,
        proof: FenceProof,
        at: WallTime,
    },
    /// A person is needed.
    Held {
        operation: OperationId,
        reason: HeldReason,
        at: WallTime,
    },
    /// A person said: try again.
    Retried {
        operation: OperationId,
        by: String,
        at: WallTime,
    },
    /// A switchover goes back to where it began.
    Aborted {
        operation: OperationId,
        reason: HeldReason,
        at: WallTime,
    },
    Finished {
        operation: OperationId,
        result: OperationResult,
        at: WallTime,
    },
    Paused {
        by: String,
        at: WallTime,
    },
    Resumed {
        by: String,
        at: WallTime,
    },
}

impl Entry {
    pub fn at(&self) -> WallTime {
        match self {
            Self::Decided(decided) => decided.at,
            Self::Formed { at, .. }
            | Self::Intent { at, .. }
            | Self::Outcome { at, .. }
            | Self::Fenced { at, .. }
            | Self::Held { at, .. }
            | Self::Retried { at, .. }
            | Self::Aborted { at, .. }
            | Self::Finished { at, .. }
            | Self::Paused { at, .. }
            | Self::Resumed { at, .. } => *at,
        }
    }
}

/// An entry that cannot follow on the ones before it: the journal is damaged or another program's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Inconsistent {
    #[error("the journal does not begin with its forming")]
    NotFormed,
    #[error("the journal is formed twice")]
    FormedTwice,
    #[error("decision {operation} takes epoch {epoch} after epoch {current}")]
    Epoch { operation: OperationId, epoch: FencingEpoch, current: FencingEpoch },
    #[error("decision {operation} was made while operation {running} was running")]
    Busy { operation: OperationId, running: OperationId },
    #[error("entry names operation {operation}, which is not running")]
    NoSuchOperation { operation: OperationId },
    #[error("outcome of effect {id} without an open intent")]
    NoSuchIntent { id: EffectId },
    #[error("effect {id} ({effect}) does not belong to its operation's stage")]
    OutOfStage { id: EffectId, effect: &'static str },
    #[error("operation {operation} ends or is fenced out of its turn")]
    OutOfTurn { operation: OperationId },
}
