//! The durable state: what the journal's entries add up to. Applying is the only way to change it.

use std::collections::{BTreeMap, VecDeque};

use leeward_model::{FencingEpoch, RegionName, WallTime, mutation::planted};
use serde::{Deserialize, Serialize};

use crate::{
    effect::{self, Effect, EffectId, OperationId, Outcome},
    fence::SealEvidence,
    journal::{Decided, Entry, IdempotencyKey, Inconsistent},
    limits::KEYS_MAX,
    loss::LossStatement,
    needs,
    phases::{Kind, Operation, OperationResult, Stage, Trigger},
    returning::{Divergence, FinalPosition, TailPolicy},
};

/// What a region is to its topology.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Standing {
    Primary,
    Standby,
    /// Left in an emergency, and not seen since: it may hold what nobody else has.
    Lost {
        positions: Vec<FinalPosition>,
    },
    /// Back and sealed; what never left it is known exactly.
    Fenced {
        divergence: Divergence,
        positions: Vec<FinalPosition>,
    },
    /// On its way back to being a standby.
    Resyncing,
}

/// The newest promotion: where the survivor stood when its link was sealed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Promotion {
    pub from: RegionName,
    pub epoch: FencingEpoch,
    pub positions: Vec<FinalPosition>,
}

/// What the journal adds up to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    pub epoch: FencingEpoch,
    pub primary: RegionName,
    /// The region that gateways may forward to. `None` from a decision until its promotion.
    pub serving: Option<RegionName>,
    pub standings: BTreeMap<RegionName, Standing>,
    pub operation: Option<Operation>,
    pub operations: OperationId,
    pub paused: bool,
    pub last_automatic_at: Option<WallTime>,
    pub loss: Option<LossStatement>,
    pub promotion: Option<Promotion>,
    pub last_result: Option<(OperationId, OperationResult)>,
    /// A failback that is caught up goes on with a switchover, for the person who asked.
    pub switchover_due: Option<Trigger>,
    keys: VecDeque<(IdempotencyKey, OperationId)>,
}

impl State {
    /// The state after the first entry.
    ///
    /// # Errors
    ///
    /// [`Inconsistent::NotFormed`] for any other entry.
    pub fn formed(entry: &Entry) -> Result<Self, Inconsistent> {
        let Entry::Formed { primary, standby, .. } = entry else { return Err(Inconsistent::NotFormed) };
        let standings = [(primary.clone(), Standing::Primary), (standby.clone(), Standing::Standby)]
            .into_iter()
            .collect();
        Ok(Self {
            epoch: FencingEpoch::FIRST,
            primary: primary.clone(),
            serving: Some(primary.clone()),
            standings,
            operation: None,
            operations: OperationId::FIRST,
            paused: false,
            last_automatic_at: None,
            loss: None,
            promotion: None,
            last_result: None,
            switchover_due: None,
            keys: VecDeque::new(),
        })
    }

    /// Whether a region's agent must keep its region sealed.
    pub fn must_be_sealed(&self, region: &RegionName) -> bool {
        if let Some(Operation { from, stage, .. }) = &self.operation
            && from == region
        {
            match stage {
                Stage::Relinking { .. } | Stage::CatchingUp | Stage::Aborting { .. } => return false,
                Stage::Fencing { .. }
                | Stage::Draining { .. }
                | Stage::Promoting { .. }
                | Stage::Redirecting { .. }
                | Stage::Verifying { .. }
                | Stage::Sealing { .. }
                | Stage::Quarantining { .. }
                | Stage::Recreating { .. } => return true,
                Stage::Over(_) => {}
            }
        }
        match self.standings.get(region) {
            Some(Standing::Lost { .. } | Standing::Fenced { .. }) => true,
            Some(Standing::Primary | Standing::Standby | Standing::Resyncing) | None => false,
        }
    }

    /// Whether the region's agent keeps to a lease: it serves, or is about to. Nobody writes there before its agent knows.
    pub fn is_leased(&self, region: &RegionName) -> bool {
        let about_to = |running: &Operation| match running.stage {
            Stage::Fencing { .. } | Stage::Draining { .. } | Stage::Promoting { .. } => running.to == *region,
            Stage::Aborting { .. } => running.from == *region,
            Stage::Redirecting { .. }
            | Stage::Verifying { .. }
            | Stage::Sealing { .. }
            | Stage::Quarantining { .. }
            | Stage::Recreating { .. }
            | Stage::Relinking { .. }
            | Stage::CatchingUp
            | Stage::Over(_) => false,
        };
        self.serving.as_ref() == Some(region) || self.operation.as_ref().is_some_and(about_to)
    }

    /// Whether the link from the primary into the other region is to run: that one is a standby, or catches up to be one.
    pub fn link_is_to_run(&self) -> bool {
        match &self.operation {
            Some(running) => {
                running.stage == Stage::CatchingUp
                    && !planted("failover-lets-a-link-stop-while-it-catches-up")
            }
            None => {
                let mut others = self.standings.iter().filter(|(region, _)| **region != self.primary);
                others.any(|(_, standing)| *standing == Standing::Standby)
            }
        }
    }

    /// The operation that this key started.
    pub fn operation_of(&self, key: &IdempotencyKey) -> Option<OperationId> {
        self.keys.iter().find(|(known, _)| known == key).map(|(_, operation)| *operation)
    }

    /// Takes the next entry.
    ///
    /// # Errors
    ///
    /// [`Inconsistent`], with `self` unchanged.
    pub fn apply(&mut self, entry: &Entry) -> Result<(), Inconsistent> {
        match entry {
            Entry::Formed { .. } => return Err(Inconsistent::FormedTwice),
            Entry::Decided(decided) => return self.decide(decided),
            Entry::Intent { id, effect, .. } => return self.intend(*id, effect),
            Entry::Outcome { id, outcome, .. } => return self.settle(*id, outcome),
            Entry::Fenced { operation, proof, .. } => {
                let running = self.running(*operation)?;
                if !matches!(running.stage, Stage::Fencing { .. }) || proof.epoch() != running.epoch {
                    return Err(Inconsistent::OutOfTurn { operation: *operation });
                }
                running.open.clear();
                running.failures = 0;
                running.stage = Stage::Draining { fence: proof.clone() };
            }
            Entry::Held { operation, reason, .. } => {
                let running = self.running(*operation)?;
                running.open.clear();
                running.held = Some(reason.clone());
            }
            Entry::Retried { operation, .. } => {
                let running = self.running(*operation)?;
                running.failures = 0;
                running.held = None;
            }
            Entry::Aborted { operation, reason, .. } => {
                let running = self.running(*operation)?;
                if !running.may_abort() {
                    return Err(Inconsistent::OutOfTurn { operation: *operation });
                }
                running.open.clear();
                running.failures = 0;
                running.held = None;
                running.stage =
                    Stage::Aborting { unsealed: false, gateways_moved: false, reason: reason.clone() };
            }
            Entry::Finished { operation, result, .. } => {
                if self.running(*operation)?.stage != Stage::Over(result.clone()) {
                    return Err(Inconsistent::OutOfTurn { operation: *operation });
                }
                self.operation = None;
                self.last_result = Some((*operation, result.clone()));
            }
            Entry::Paused { .. } => self.paused = true,
            Entry::Resumed { .. } => self.paused = false,
        }
        Ok(())
    }

    fn running(&mut self, operation: OperationId) -> Result<&mut Operation, Inconsistent> {
        let missing = Inconsistent::NoSuchOperation { operation };
        self.operation.as_mut().filter(|running| running.id == operation).ok_or(missing)
    }

    fn decide(&mut self, decided: &Decided) -> Result<(), Inconsistent> {
        let operation = decided.operation;
        if let Some(running) = self.operation.as_ref().filter(|running| !running.may_be_superseded()) {
            return Err(Inconsistent::Busy { operation, running: running.id });
        }
        let promotes = decided.kind.promotes();
        let due = if promotes { self.epoch.next() } else { self.epoch };
        if decided.epoch != due || operation != self.operations {
            return Err(Inconsistent::Epoch { operation, epoch: decided.epoch, current: self.epoch });
        }
        let stage = self.first_stage(decided).ok_or(Inconsistent::OutOfTurn { operation })?;
        self.epoch = decided.epoch;
        self.operations = operation.next();
        self.switchover_due = None;
        if promotes {
            self.serving = None;
        }
        if promotes && decided.trigger == Trigger::Automatic {
            self.last_automatic_at = Some(decided.at);
        }
        if matches!(decided.kind, Kind::Resync { .. }) {
            self.standings.insert(decided.from.clone(), Standing::Resyncing);
        }
        if let Some(key) = &decided.key {
            self.keys.push_back((key.clone(), operation));
            while self.keys.len() > KEYS_MAX {
                self.keys.pop_front();
            }
        }
        let link = decided.evidence.as_ref().and_then(|evidence| evidence.link.as_ref());
        self.operation = Some(Operation {
            id: operation,
            kind: decided.kind,
            trigger: decided.trigger.clone(),
            from: decided.from.clone(),
            to: decided.to.clone(),
            epoch: decided.epoch,
            decided_at: decided.at,
            samples: link.map(|link| link.partitions.clone()).unwrap_or_default(),
            stage,
            open: Vec::new(),
            ordinals: 0,
            failures: 0,
            held: None,
        });
        Ok(())
    }

    fn first_stage(&self, decided: &Decided) -> Option<Stage> {
        match (decided.kind, self.standings.get(&decided.from)?) {
            (Kind::Failover | Kind::Switchover, _) if decided.from == self.primary => {
                Some(Stage::Fencing { gateways: None, seal: None })
            }
            (Kind::Return, Standing::Lost { positions }) => {
                Some(Stage::Sealing { positions: positions.clone() })
            }
            (Kind::Resync { tail, .. }, Standing::Fenced { divergence, positions }) => {
                Some(needs::resync_begins(divergence, positions, tail))
            }
            (Kind::Resync { tail, .. }, Standing::Resyncing) => Some(self.resync_again(tail)),
            (Kind::Failover | Kind::Switchover | Kind::Return | Kind::Resync { .. }, _) => None,
        }
    }

    /// A resync that is given up for another starts over with new topics, once its tail is safe or discarded.
    fn resync_again(&self, tail: TailPolicy) -> Stage {
        let given_up = self.operation.as_ref().map(|running| &running.stage);
        match given_up {
            Some(Stage::Quarantining { divergence } | Stage::Recreating { unkept: divergence }) => {
                if tail == TailPolicy::Quarantine && !divergence.tails.is_empty() {
                    Stage::Quarantining { divergence: divergence.clone() }
                } else {
                    Stage::Recreating { unkept: divergence.clone() }
                }
            }
            Some(_) | None => Stage::Recreating { unkept: Divergence::default() },
        }
    }

    fn intend(&mut self, id: EffectId, effect: &Effect) -> Result<(), Inconsistent> {
        let running = self.running(id.operation)?;
        let wanted = running.held.is_none() && needs::needed(running).contains(effect);
        let open = running.open.iter().any(|(_, open)| open == effect);
        if !wanted || open || id.ordinal != running.ordinals {
            return Err(Inconsistent::OutOfStage { id, effect: effect.name() });
        }
        running.ordinals += 1;
        running.open.push((id, effect.clone()));
        Ok(())
    }

    fn settle(&mut self, id: EffectId, outcome: &Outcome) -> Result<(), Inconsistent> {
        let running = self.running(id.operation)?;
        let index = running.open.iter().position(|(open, _)| *open == id);
        let index = index.ok_or(Inconsistent::NoSuchIntent { id })?;
        let effect = &running.open[index].1;
        if !effect::answers(effect, outcome) {
            return Err(Inconsistent::OutOfStage { id, effect: effect.name() });
        }
        let (_, effect) = running.open.remove(index);
        let failed = match outcome {
            Outcome::Failed { .. } => true,
            Outcome::Sealed(seal) => !seal.is_complete(),
            Outcome::GatewaysCut(_)
            | Outcome::LinkDrained { .. }
            | Outcome::Promoted { .. }
            | Outcome::Quarantined { .. }
            | Outcome::Done => false,
        };
        if failed {
            running.failures += 1;
            return Ok(());
        }
        running.failures = 0;
        self.advance(&effect, outcome);
        Ok(())
    }

    /// Moves the running operation's stage on after a success.
    fn advance(&mut self, effect: &Effect, outcome: &Outcome) {
        let Some(mut running) = self.operation.take() else { return };
        let kind = running.kind;
        running.stage = match (running.stage, outcome, effect) {
            (Stage::Fencing { seal, .. }, Outcome::GatewaysCut(cut), _) => {
                Stage::Fencing { gateways: Some(*cut), seal }
            }
            (Stage::Fencing { gateways, .. }, Outcome::Sealed(seal), _) => {
                Stage::Fencing { gateways, seal: Some(seal.clone()) }
            }
            (Stage::Draining { fence }, Outcome::LinkDrained { positions }, _) => {
                self.loss = Some(LossStatement::at_promotion(&fence, &running.samples, positions));
                Stage::Promoting { fence, positions: positions.clone() }
            }
            (Stage::Promoting { positions, .. }, Outcome::Promoted { .. }, _) => {
                self.promote(&running.from, &running.to, positions.clone());
                Stage::Redirecting { gateways_moved: false, dns_updated: false, positions }
            }
            (Stage::Redirecting { gateways_moved, dns_updated, positions }, _, effect) => {
                let gateways_moved = gateways_moved || matches!(effect, Effect::MoveGateways { .. });
                let dns_updated = dns_updated || matches!(effect, Effect::UpdateDns { .. });
                if gateways_moved && dns_updated {
                    Stage::Verifying { positions }
                } else {
                    Stage::Redirecting { gateways_moved, dns_updated, positions }
                }
            }
            (Stage::Verifying { positions }, _, _) if kind == Kind::Switchover => {
                Stage::Relinking { unsealed: false, resume: positions }
            }
            (Stage::Verifying { .. }, _, _) => Stage::Over(OperationResult::Completed),
            (Stage::Aborting { reason, .. }, _, Effect::UnsealRegion { .. }) => {
                self.serving = Some(running.from.clone());
                Stage::Aborting { unsealed: true, gateways_moved: false, reason }
            }
            (Stage::Aborting { reason, .. }, _, _) => Stage::Over(OperationResult::Aborted(reason)),
            (Stage::Sealing { positions }, Outcome::Sealed(seal), _) => {
                self.fence_returned(&running.from, running.epoch, positions, seal);
                Stage::Over(OperationResult::Completed)
            }
            (Stage::Quarantining { .. }, _, _) => Stage::Recreating { unkept: Divergence::default() },
            (Stage::Recreating { .. }, _, _) => Stage::Relinking { unsealed: false, resume: Vec::new() },
            (Stage::Relinking { resume, .. }, _, Effect::UnsealRegion { .. }) => {
                Stage::Relinking { unsealed: true, resume }
            }
            (Stage::Relinking { .. }, _, _) if kind == Kind::Switchover => {
                self.standings.insert(running.from.clone(), Standing::Standby);
                Stage::Over(OperationResult::Completed)
            }
            (Stage::Relinking { .. }, _, _) => Stage::CatchingUp,
            (Stage::CatchingUp, _, _) => {
                self.standings.insert(running.from.clone(), Standing::Standby);
                let goes_on = matches!(kind, Kind::Resync { then_switchover: true, .. });
                self.switchover_due = goes_on.then(|| running.trigger.clone());
                Stage::Over(OperationResult::Completed)
            }
            (stage, _, _) => stage,
        };
        self.operation = Some(running);
    }

    fn promote(&mut self, from: &RegionName, to: &RegionName, positions: Vec<FinalPosition>) {
        let epoch = self.epoch;
        self.promotion = Some(Promotion { from: from.clone(), epoch, positions: positions.clone() });
        self.standings.insert(from.clone(), Standing::Lost { positions });
        self.standings.insert(to.clone(), Standing::Primary);
        self.primary = to.clone();
        self.serving = Some(to.clone());
    }

    fn fence_returned(
        &mut self,
        region: &RegionName,
        epoch: FencingEpoch,
        positions: Vec<FinalPosition>,
        seal: &SealEvidence,
    ) {
        self.loss = Some(LossStatement::exact(region, epoch, &positions, &seal.log_ends));
        let divergence = effect::divergence(&positions, seal);
        self.standings.insert(region.clone(), Standing::Fenced { divergence, positions });
    }
}
