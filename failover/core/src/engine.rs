//! Takes one event and says what to make durable and what to do.
//!
//! A [`Step`]'s entries are to be durable before its effects begin. If they cannot be made durable, the engine is to be
//! thrown away and replayed from the journal: it has already taken them into account. It reads no clock.

mod agents;
mod status;
mod verbs;
mod watch;

use std::{collections::BTreeMap, time::Duration};

use leeward_model::{FencingEpoch, Instant, Lag, RegionName, WallTime, mutation::planted};

use self::agents::Heard;
pub use self::{
    status::{RegionStatus, Status},
    verbs::{Rejected, Request, Verb},
};
use crate::{
    config::Config,
    decision::{HeldReason, PartitionDrift, PartitionSample},
    detector::{Detector, Report},
    effect::{Effect, EffectId, OperationId, Outcome},
    fence::{FenceProof, GatewaysCut},
    journal::{Entry, Inconsistent},
    lease::{Grant, Leases},
    limits::{ATTEMPTS_MAX, ATTEMPTS_ONWARD_MAX, RETRY_AFTER, RETRY_AFTER_MAX},
    needs,
    phases::{Kind, Operation, Phase, Stage},
    quorum::{self, RegionHealth, Verdict},
    state::State,
};

/// The moment of an event on both clocks: one to decide by, one for people and for what outlives the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    pub monotonic: Instant,
    pub wall: WallTime,
}

/// What a mirror agent says of one link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkReport {
    pub source: RegionName,
    pub target: RegionName,
    pub lag: Lag,
    pub offsets_age: Option<Duration>,
    pub partitions: Vec<PartitionSample>,
    pub drifts: Option<Vec<PartitionDrift>>,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    Report(Report),
    Link(LinkReport),
    Request(Request),
    Outcome {
        id: EffectId,
        outcome: Outcome,
    },
    /// Time passed.
    Tick,
}

/// Something worth telling people, that is no journal entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    Verdict { region: RegionName, before: Verdict, health: RegionHealth },
    Phase { before: Phase, after: Phase },
}

/// What follows from one event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Step {
    /// To be made durable, in order, before anything else.
    pub entries: Vec<Entry>,
    /// To be done next; each ends in an [`Event::Outcome`] under its id.
    pub effects: Vec<(EffectId, Effect)>,
    /// Effects whose outcome is not waited for any longer.
    pub abandoned: Vec<EffectId>,
    pub notices: Vec<Notice>,
    /// The operation that a request started, or had started before under the same key.
    pub operation: Option<OperationId>,
}

/// The failover of one topology.
#[derive(Clone, Debug)]
pub struct Engine {
    config: Config,
    state: State,
    detector: Detector,
    leases: Leases,
    /// Which region was told that it serves, and under which epoch.
    serving_told: Option<(RegionName, FencingEpoch)>,
    /// Agents of regions that hold data.
    agents: BTreeMap<RegionName, Heard>,
    started_at: Instant,
    links: BTreeMap<(RegionName, RegionName), (Instant, LinkReport)>,
    verdicts: BTreeMap<RegionName, Verdict>,
    phase: Phase,
    /// Why automation does nothing about a lost primary.
    waiting: Option<HeldReason>,
    retry_at: Instant,
    last_error: Option<String>,
    last_automatic: Option<Instant>,
}

impl Engine {
    /// The first entry of an empty journal.
    pub fn form(config: &Config, now: Now) -> Entry {
        let [primary, standby] = config.regions.clone();
        Entry::Formed { primary, standby, at: now.wall }
    }

    /// The engine after these entries, and what was begun and has no outcome: it is done again.
    ///
    /// # Errors
    ///
    /// [`Inconsistent`] where an entry cannot follow on the ones before it.
    pub fn replay(config: Config, entries: &[Entry], now: Now) -> Result<(Self, Step), Inconsistent> {
        let (first, rest) = entries.split_first().ok_or(Inconsistent::NotFormed)?;
        let mut state = State::formed(first)?;
        for entry in rest {
            state.apply(entry)?;
        }
        let verdicts = config.regions.iter().map(|region| (region.clone(), Verdict::Unknown)).collect();
        let mut engine = Self {
            detector: Detector::new(config.detect.clone()),
            leases: Leases::new(config.lease, now.monotonic),
            serving_told: None,
            agents: BTreeMap::new(),
            started_at: now.monotonic,
            links: BTreeMap::new(),
            verdicts,
            phase: Phase::Steady,
            waiting: None,
            retry_at: now.monotonic,
            last_error: None,
            last_automatic: None,
            config,
            state,
        };
        let mut step = Step::default();
        if let Some(operation) = &engine.state.operation {
            step.effects.clone_from(&operation.open);
        }
        engine.go_on(&mut step, now);
        Ok((engine, step))
    }

    /// Takes one event.
    ///
    /// # Errors
    ///
    /// [`Rejected`] for a request that is not taken, with `self` unchanged.
    pub fn on(&mut self, event: Event, now: Now) -> Result<Step, Rejected> {
        let mut step = Step::default();
        match event {
            Event::Report(report) => self.observe(&report, now.monotonic),
            Event::Link(report) => {
                self.links.insert((report.source.clone(), report.target.clone()), (now.monotonic, report));
            }
            Event::Request(request) => self.request(request, &mut step, now)?,
            Event::Outcome { id, outcome } => self.outcome(id, outcome, &mut step, now),
            Event::Tick => {}
        }
        self.go_on(&mut step, now);
        Ok(step)
    }

    /// The durable state.
    pub fn state(&self) -> &State {
        &self.state
    }

    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Leave to write to the serving region, for its agent and for gateways. `None` while nobody may write.
    pub fn grant(&self) -> Option<Grant> {
        let region = self.state.serving.clone()?;
        Some(Grant { region, epoch: self.state.epoch, valid_for: self.leases.rule().duration })
    }

    pub fn health(&self, region: &RegionName, now: Instant) -> RegionHealth {
        quorum::health(&self.config, &self.detector, region, now)
    }

    /// Records an entry: the state is always what the journal's entries add up to.
    fn record(&mut self, step: &mut Step, entry: Entry) {
        let before: Vec<EffectId> = self.open_effects();
        self.state.apply(&entry).expect("the engine makes only entries that follow on its own state");
        if !matches!(entry, Entry::Outcome { .. }) {
            let after = self.open_effects();
            step.abandoned.extend(before.into_iter().filter(|id| !after.contains(id)));
        }
        step.entries.push(entry);
    }

    fn open_effects(&self) -> Vec<EffectId> {
        let operation = self.state.operation.as_ref();
        operation.map(|running| running.open.iter().map(|(id, _)| *id).collect()).unwrap_or_default()
    }

    fn outcome(&mut self, id: EffectId, outcome: Outcome, step: &mut Step, now: Now) {
        let Some(running) = self.state.operation.as_ref() else { return };
        let open = running.open.iter().find(|(open, _)| *open == id);
        // An outcome that nobody waits for is a late one of an effect that was abandoned.
        let Some((_, effect)) = open else { return };
        if !crate::effect::answers(effect, &outcome) {
            return;
        }
        let failures_before = running.failures;
        self.last_error = match &outcome {
            Outcome::Failed { error } => Some(error.clone()),
            Outcome::Sealed(seal) if !seal.is_complete() => Some(format!(
                "{} of {} brokers refuse writes, log ends {}",
                seal.brokers_refusing,
                seal.brokers,
                if seal.still { "still" } else { "moving, or followers lack some of them" }
            )),
            Outcome::GatewaysCut(_)
            | Outcome::Sealed(_)
            | Outcome::LinkDrained { .. }
            | Outcome::Promoted { .. }
            | Outcome::Quarantined { .. }
            | Outcome::Done => None,
        };
        self.record(step, Entry::Outcome { id, outcome, at: now.wall });
        let failures = self.state.operation.as_ref().map_or(0, |running| running.failures);
        if failures > failures_before {
            self.retry_at = now.monotonic.after(self.retry_after());
        }
    }

    /// How long a step that failed waits. A region that is being lost is sealed as soon as it can be, and one that is gone back
    /// to serves nobody meanwhile.
    fn retry_after(&self) -> Duration {
        let patient = |running: &&Operation| !lease_decides(running) && !running.may_abort();
        let waiting = self.state.operation.as_ref().filter(patient);
        let doublings = waiting.map_or(0, |running| running.failures.saturating_sub(1));
        RETRY_AFTER.saturating_mul(2_u32.saturating_pow(doublings)).min(RETRY_AFTER_MAX)
    }

    /// Everything that follows without a further event.
    fn go_on(&mut self, step: &mut Step, now: Now) {
        self.count_what_is_opened(now.monotonic);
        while let Some(entry) = self.next_entry(now) {
            self.record(step, entry);
        }
        self.watch(step, now);
        while let Some(entry) = self.next_entry(now) {
            self.record(step, entry);
        }
        self.start_effects(step, now);
        self.notice(step, now.monotonic);
    }

    fn next_entry(&self, now: Now) -> Option<Entry> {
        let running = self.state.operation.as_ref()?;
        let operation = running.id;
        if let Stage::Over(result) = &running.stage {
            return Some(Entry::Finished { operation, result: result.clone(), at: now.wall });
        }
        if running.held.is_some() {
            return None;
        }
        if let Some(proof) = self.proof(running, now.monotonic) {
            return Some(Entry::Fenced { operation, proof, at: now.wall });
        }
        let attempts_max = if running.may_abort() { ATTEMPTS_MAX } else { ATTEMPTS_ONWARD_MAX };
        if running.failures < attempts_max || lease_decides(running) {
            return None;
        }
        let reason = HeldReason::StepFailed {
            step: running.stage.phase().name().to_owned(),
            attempts: running.failures,
            error: self.last_error.clone().unwrap_or_default(),
        };
        Some(if running.may_abort() {
            Entry::Aborted { operation, reason, at: now.wall }
        } else {
            Entry::Held { operation, reason, at: now.wall }
        })
    }

    fn proof(&self, running: &Operation, now: Instant) -> Option<FenceProof> {
        let Stage::Fencing { gateways, seal } = &running.stage else { return None };
        let uncut = planted("failover-does-not-wait-for-the-gateways");
        let uncut = uncut.then_some(GatewaysCut { acknowledged: 0, lapsed: 0 });
        let gateways = &gateways.or(uncut)?;
        let Operation { from, epoch, kind, .. } = running;
        if let Some(seal) = seal {
            return FenceProof::confirmed(from, *epoch, *gateways, seal);
        }
        if *kind != Kind::Failover {
            return None;
        }
        let over = self.leases.is_over(from, now) || planted("failover-takes-a-lease-for-over-at-once");
        FenceProof::assumed(from, *epoch, *gateways, over)
    }

    fn start_effects(&mut self, step: &mut Step, now: Now) {
        let Some(running) = self.state.operation.as_ref() else { return };
        if running.held.is_some() || (running.failures > 0 && now.monotonic < self.retry_at) {
            return;
        }
        let id = running.id;
        let open: Vec<Effect> = running.open.iter().map(|(_, effect)| effect.clone()).collect();
        let mut needed = needs::needed(running);
        needed.retain(|effect| {
            !open.contains(effect) && !self.waits_for_an_agent(running, effect, now.monotonic)
        });
        for effect in needed {
            let ordinal = self.state.operation.as_ref().map_or(0, |running| running.ordinals);
            let id = EffectId { operation: id, ordinal };
            self.record(step, Entry::Intent { id, effect: effect.clone(), at: now.wall });
            step.effects.push((id, effect));
        }
    }

    fn next_epoch(&self) -> FencingEpoch {
        self.state.epoch.next()
    }
}

/// The seal of a lost region is expected to fail: there the lease decides.
fn lease_decides(running: &Operation) -> bool {
    running.kind == Kind::Failover && matches!(running.stage, Stage::Fencing { .. })
}

#[cfg(test)]
mod tests;
