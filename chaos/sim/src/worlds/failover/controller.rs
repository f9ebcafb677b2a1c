//! The controller's process as the product's is: entries durable first, then effects; a crash forgets all but the journal.

use std::collections::BTreeMap;

use leeward_failover_core::{
    Effect, EffectId, Engine, Event, IdempotencyKey, Now, Outcome, Report, Request, Step, TailPolicy, Verb,
    Verdict,
};
use leeward_model::{FencingEpoch, Instant, RegionName};
use std::time::Duration;

use super::agent::Word;
use super::gateway::Seen;
use super::{FailoverWorld, Happening, LEASE, name};
use crate::run::Violation;
use crate::schedule::Clock;
use crate::trace;

const TICK: Duration = Duration::from_millis(50);

#[derive(Debug)]
pub(super) struct Controller {
    pub(super) engine: Engine,
    pub(super) clock: Clock,
    pub(super) life: u64,
    /// Effects that were begun and have no outcome.
    pub(super) effects: BTreeMap<EffectId, Effect>,
    pub(super) gateways: BTreeMap<usize, Seen>,
    /// Until then a gateway may hold a grant that a predecessor gave it.
    pub(super) unknown_until: Instant,
    serving_told: Option<(RegionName, FencingEpoch)>,
}

impl FailoverWorld {
    fn moment(&self, clock: Clock) -> Now {
        Now { monotonic: clock.read(self.schedule.now()), wall: self.wall() }
    }

    pub(super) fn start_controller(&mut self) -> Result<(), Violation> {
        if self.controller.is_some() {
            return Ok(());
        }
        self.controller_lives += 1;
        let (life, clock) = (self.controller_lives, self.clock());
        let now = self.moment(clock);
        if self.journal.is_empty() {
            self.journal.push(Engine::form(&self.config, now));
        }
        let (engine, step) = self.replay(now)?;
        let unknown_until = now.monotonic.after(LEASE.duration).after(LEASE.margin);
        self.controller = Some(Controller {
            engine,
            clock,
            life,
            effects: BTreeMap::new(),
            gateways: BTreeMap::new(),
            unknown_until,
            serving_told: None,
        });
        self.schedule.after(TICK, Happening::ControllerTicks(life));
        self.take(step)
    }

    fn replay(&self, now: Now) -> Result<(Engine, Step), Violation> {
        Engine::replay(self.config.clone(), &self.journal, now)
            .map_err(|error| Violation { invariant: super::checks::REPLAYS, detail: error.to_string() })
    }

    pub(super) fn controller_ticks(&mut self, life: u64) -> Result<(), Violation> {
        let Some(controller) = self.controller.as_ref().filter(|controller| controller.life == life) else {
            return Ok(());
        };
        let wait = controller.clock.stretch(TICK);
        self.schedule.after(wait, Happening::ControllerTicks(life));
        self.tell(Event::Tick)
    }

    /// Gives the engine an event; refused requests are an answer too.
    pub(super) fn tell(&mut self, event: Event) -> Result<(), Violation> {
        let Some(clock) = self.controller.as_ref().map(|controller| controller.clock) else { return Ok(()) };
        let now = self.moment(clock);
        let Some(controller) = &mut self.controller else { return Ok(()) };
        match controller.engine.on(event, now) {
            Ok(step) => self.take(step),
            Err(rejected) => {
                trace::note(|| format!("{:?} refused: {rejected}", self.schedule.now()));
                Ok(())
            }
        }
    }

    /// Makes entries durable, then begins effects.
    fn take(&mut self, step: Step) -> Result<(), Violation> {
        let now = self.schedule.now();
        if !step.entries.is_empty() && std::mem::take(&mut self.journal_fails) {
            trace::note(|| format!("{now:?} the journal fails: {} entries", step.entries.len()));
            return self.start_over();
        }
        for entry in &step.entries {
            trace::note(|| format!("{now:?} journal {}", super::checks::in_short(entry)));
        }
        for notice in &step.notices {
            if let leeward_failover_core::Notice::Verdict { region, health, .. } = notice {
                trace::note(|| format!("{now:?} {region} is {:?}: {:?}", health.verdict, health.cause));
            }
        }
        let changed = !step.entries.is_empty();
        self.journal.extend(step.entries);
        self.carry_on(&step.abandoned, step.effects, changed);
        Ok(())
    }

    fn carry_on(&mut self, abandoned: &[EffectId], effects: Vec<(EffectId, Effect)>, changed: bool) {
        let Some(controller) = &mut self.controller else { return };
        let life = controller.life;
        for id in abandoned {
            controller.effects.remove(id);
        }
        let gateways: Vec<usize> = controller.gateways.keys().copied().collect();
        for (id, effect) in effects {
            controller.effects.insert(id, effect);
            let delay = self.schedule.random.mostly_short(1, 1_000);
            self.schedule.after(delay, Happening::EffectTried(life, id, 0));
        }
        if changed {
            for gateway in gateways {
                self.grant(gateway);
            }
        }
    }

    /// The engine took entries into account that are not durable: only the journal counts.
    fn start_over(&mut self) -> Result<(), Violation> {
        let Some(clock) = self.controller.as_ref().map(|controller| controller.clock) else { return Ok(()) };
        let now = self.moment(clock);
        let (engine, step) = self.replay(now)?;
        if let Some(controller) = &mut self.controller {
            controller.engine = engine;
            controller.effects.clear();
        }
        self.journal.extend(step.entries);
        self.carry_on(&[], step.effects, true);
        Ok(())
    }

    pub(super) fn report_arrives(
        &mut self,
        site: usize,
        life: u64,
        reports: Vec<Report>,
        sent_at: Instant,
        new: bool,
    ) -> Result<(), Violation> {
        let Some(clock) = self.controller.as_ref().map(|controller| controller.clock) else { return Ok(()) };
        let since = clock.read(self.schedule.now());
        for report in reports {
            self.tell(Event::Report(report))?;
        }
        let agent = name(site);
        self.grant_first(&agent, new);
        let Some(controller) = &self.controller else { return Ok(()) };
        let state = controller.engine.state();
        let word = Word {
            epoch: state.epoch.to_wire(),
            serves: state.serving.as_ref() == Some(&agent),
            renewed: state.serving.as_ref() == Some(&agent) && controller.engine.renewed_since(&agent, since),
            seal: state.must_be_sealed(&agent),
            sent_at,
        };
        if self.passes(site, self.home) {
            let delay = self.schedule.random.mostly_short(1, 400);
            self.schedule.after(delay, Happening::WordArrives(site, life, word));
        }
        Ok(())
    }

    /// A region that learns that it serves has a lease from the start.
    fn grant_first(&mut self, agent: &RegionName, new: bool) {
        let now = self.schedule.now();
        let Some(controller) = &mut self.controller else { return };
        let local = controller.clock.read(now);
        let state = controller.engine.state();
        let serving = (agent.clone(), state.epoch);
        let starts_again = || new && controller.engine.health(agent, local).verdict != Verdict::Down;
        if state.serving.as_ref() != Some(agent) {
            controller.serving_told.take_if(|(told, _)| told == agent);
        } else if controller.serving_told.as_ref() != Some(&serving) || starts_again() {
            controller.engine.grant_first(agent, local);
            controller.serving_told = Some(serving);
        }
    }

    pub(super) fn effect_done(&mut self, life: u64, id: EffectId, outcome: Outcome) -> Result<(), Violation> {
        let Some(controller) = self.controller.as_mut().filter(|controller| controller.life == life) else {
            return Ok(());
        };
        if controller.effects.remove(&id).is_none() {
            return Ok(());
        }
        trace::note(|| format!("{:?} effect {id} ends in {outcome:?}", self.schedule.now()));
        self.tell(Event::Outcome { id, outcome })
    }

    /// Somebody asks for something, now and then for something foolish.
    pub(super) fn person_asks(&mut self) -> Result<(), Violation> {
        if self.calm {
            return Ok(());
        }
        let wait = self.schedule.random.millis(800, 6_000);
        self.schedule.after(wait, Happening::PersonAsks);
        let random = &mut self.schedule.random;
        let to = name(random.below(2));
        let tail = if random.one_in(3) { TailPolicy::Discard } else { TailPolicy::Quarantine };
        let accept_loss = random.one_in(2).then_some(Duration::MAX);
        let then_switchover = random.one_in(2);
        let verb = match random.below(12) {
            0 => Verb::Failover { to, accept_loss },
            1..=4 => Verb::Switchover { to },
            5 | 6 => Verb::Failback { to, tail, then_switchover },
            7 => Verb::Approve,
            8 => Verb::Retry,
            9 => Verb::Abort,
            10 => Verb::Pause,
            _ => Verb::Resume,
        };
        let key = random.one_in(3).then(|| IdempotencyKey::new(format!("k{}", random.below(6))));
        trace::note(|| format!("{:?} a person asks for {verb:?}", self.schedule.now()));
        self.tell(Event::Request(Request { verb, by: "ada".to_owned(), expected_epoch: None, key }))
    }
}
