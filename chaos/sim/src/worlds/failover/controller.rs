//! The controller's process as the product's is: entries durable first, then effects; a crash forgets all but the journal.

use std::collections::BTreeMap;

use leeward_failover_core::{
    Effect, EffectId, Engine, Event, IdempotencyKey, Now, Outcome, Request, Step, TailPolicy, Verb,
};
use leeward_model::Instant;
use std::time::Duration;

use super::agent::{Told, Word};
use super::data::Data;
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
}

impl<D: Data> FailoverWorld<D> {
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

    pub(super) fn report_arrives(&mut self, site: usize, life: u64, told: Told) -> Result<(), Violation> {
        let Some(clock) = self.controller.as_ref().map(|controller| controller.clock) else { return Ok(()) };
        let since = clock.read(self.schedule.now());
        let agent = name(site);
        let Some(controller) = &mut self.controller else { return Ok(()) };
        controller.engine.hear(&agent, told.taken, since);
        self.agents[site].heard_at = self.schedule.now();
        for report in told.reports {
            self.tell(Event::Report(report))?;
        }
        let Some(controller) = &mut self.controller else { return Ok(()) };
        let instruction = controller.engine.instruct(&agent, since, since);
        let word = Word { instruction, sent_at: told.sent_at };
        if self.passes(site, self.home) {
            let delay = self.schedule.random.mostly_short(1, 400);
            self.schedule.after(delay, Happening::WordArrives(site, life, word));
        }
        Ok(())
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
        self.ask(verb, key)
    }

    /// Somebody who was alarmed moves everything away from where the alarm came from.
    pub(super) fn person_is_alarmed(&mut self) -> Result<(), Violation> {
        let Some(primary) = self.primary().filter(|_| !self.calm) else { return Ok(()) };
        self.ask(Verb::Switchover { to: name(1 - primary) }, None)
    }

    fn ask(&mut self, verb: Verb, key: Option<IdempotencyKey>) -> Result<(), Violation> {
        trace::note(|| format!("{:?} a person asks for {verb:?}", self.schedule.now()));
        self.tell(Event::Request(Request { verb, by: "ada".to_owned(), expected_epoch: None, key }))
    }
}
