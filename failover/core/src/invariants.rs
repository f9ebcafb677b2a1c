//! What must stay true, as functions: over the state at any moment, and over a journal as a whole.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use leeward_model::{FencingEpoch, WallTime};

use crate::{
    effect::{Effect, EffectId, OperationId, Outcome},
    journal::{Decided, Entry},
    phases::{Kind, Stage, Trigger},
    quorum::Verdict,
    state::{Standing, State},
};

/// A property that does not hold. The numbers are the properties' own (S1, S2...).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    #[error("S1/S2: decision {operation} takes epoch {epoch} after {before}")]
    EpochNotRising { operation: OperationId, epoch: FencingEpoch, before: FencingEpoch },
    #[error("S4: {count} regions are primary")]
    Primaries { count: usize },
    #[error("S4: a region serves that is not the primary")]
    ServesUnpromoted,
    #[error("S4: operation {operation} promotes without a fence of its own epoch")]
    PromotedUnfenced { operation: OperationId },
    #[error("S4: operation {operation} moves gateways to a region before its promotion")]
    MovedBeforePromotion { operation: OperationId },
    #[error("S5: a loss is bounded although its source is dark and unfenced")]
    BoundedInTheDark,
    #[error("S6: outcome of effect {id} without an intent before it")]
    OutcomeWithoutIntent { id: EffectId },
    #[error("S10: automatic failovers {operation} and one before it are {apart:?} apart")]
    Flapped { operation: OperationId, apart: Duration },
    #[error("S11: DNS goes back to epoch {epoch} after {before}")]
    DnsWentBack { epoch: FencingEpoch, before: FencingEpoch },
    #[error("S16: automatic failover {operation} onto a standby that was not healthy")]
    UnhealthyTarget { operation: OperationId },
}

/// Checks the state at one moment.
///
/// # Errors
///
/// The first [`Violation`].
pub fn check(state: &State) -> Result<(), Violation> {
    let primaries = state.standings.values().filter(|standing| matches!(standing, Standing::Primary)).count();
    if primaries != 1 {
        return Err(Violation::Primaries { count: primaries });
    }
    if state.serving.as_ref().is_some_and(|serving| *serving != state.primary) {
        return Err(Violation::ServesUnpromoted);
    }
    let unfenced = |stage: &Stage| matches!(stage, Stage::Promoting { fence, .. } if !fence.is_confirmed());
    let dark = state.operation.as_ref().is_some_and(|running| unfenced(&running.stage));
    let bounded = state
        .loss
        .as_ref()
        .is_some_and(|loss| !loss.partitions.is_empty() && loss.upper() != crate::UpperBound::Unbounded);
    if dark && bounded { Err(Violation::BoundedInTheDark) } else { Ok(()) }
}

#[derive(Default)]
struct History {
    epoch: Option<FencingEpoch>,
    dns: Option<FencingEpoch>,
    intents: BTreeMap<EffectId, Effect>,
    fenced: BTreeMap<OperationId, FencingEpoch>,
    promoted: BTreeSet<OperationId>,
    aborted: BTreeSet<OperationId>,
    automatic_at: Option<WallTime>,
}

/// Checks a whole journal.
///
/// # Errors
///
/// The first [`Violation`].
pub fn check_history(entries: &[Entry], cooldown: Duration) -> Result<(), Violation> {
    let mut history = History::default();
    for entry in entries {
        match entry {
            Entry::Formed { .. } => history.epoch = Some(FencingEpoch::FIRST),
            Entry::Decided(decided) => history.decided(decided, cooldown)?,
            Entry::Intent { id, effect, .. } => history.intent(*id, effect)?,
            Entry::Outcome { id, outcome, .. } => history.outcome(*id, outcome)?,
            Entry::Fenced { operation, proof, .. } => {
                history.fenced.insert(*operation, proof.epoch());
            }
            Entry::Aborted { operation, .. } => {
                history.aborted.insert(*operation);
            }
            Entry::Held { .. }
            | Entry::Retried { .. }
            | Entry::Finished { .. }
            | Entry::Paused { .. }
            | Entry::Resumed { .. } => {}
        }
    }
    Ok(())
}

impl History {
    fn decided(&mut self, decided: &Decided, cooldown: Duration) -> Result<(), Violation> {
        let Decided { operation, epoch, .. } = *decided;
        let before = self.epoch.unwrap_or(FencingEpoch::FIRST);
        let promotes = decided.kind.promotes();
        if (promotes && epoch <= before) || (!promotes && epoch != before) {
            return Err(Violation::EpochNotRising { operation, epoch, before });
        }
        self.epoch = Some(epoch);
        if decided.kind == Kind::Failover && decided.trigger == Trigger::Automatic {
            if let Some(last) = self.automatic_at.replace(decided.at) {
                let apart = decided.at.since(last);
                if apart < cooldown {
                    return Err(Violation::Flapped { operation, apart });
                }
            }
            let healthy = |decided: &Decided| {
                decided
                    .evidence
                    .as_ref()
                    .is_some_and(|seen| seen.to.verdict == Verdict::Healthy && seen.to_is_standby)
            };
            if !healthy(decided) {
                return Err(Violation::UnhealthyTarget { operation });
            }
        }
        Ok(())
    }

    fn intent(&mut self, id: EffectId, effect: &Effect) -> Result<(), Violation> {
        let operation = id.operation;
        match effect {
            Effect::Promote { fence, .. } if self.fenced.get(&operation) != Some(&fence.epoch()) => {
                return Err(Violation::PromotedUnfenced { operation });
            }
            Effect::MoveGateways { .. }
                if !self.promoted.contains(&operation) && !self.aborted.contains(&operation) =>
            {
                return Err(Violation::MovedBeforePromotion { operation });
            }
            Effect::UpdateDns { epoch, .. } => {
                if let Some(before) = self.dns.replace(*epoch).filter(|before| before > epoch) {
                    return Err(Violation::DnsWentBack { epoch: *epoch, before });
                }
            }
            Effect::CutGateways { .. }
            | Effect::SealRegion { .. }
            | Effect::UnsealRegion { .. }
            | Effect::DrainLink { .. }
            | Effect::Promote { .. }
            | Effect::MoveGateways { .. }
            | Effect::Verify { .. }
            | Effect::Quarantine { .. }
            | Effect::RecreateTopics { .. }
            | Effect::StartLink { .. }
            | Effect::AwaitCaughtUp { .. } => {}
        }
        self.intents.insert(id, effect.clone());
        Ok(())
    }

    fn outcome(&mut self, id: EffectId, outcome: &Outcome) -> Result<(), Violation> {
        if !self.intents.contains_key(&id) {
            return Err(Violation::OutcomeWithoutIntent { id });
        }
        if matches!(outcome, Outcome::Promoted { .. }) {
            self.promoted.insert(id.operation);
        }
        Ok(())
    }
}
