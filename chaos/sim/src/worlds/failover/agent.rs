//! A region's agent: probes, reports, and does to its region what the product's own duty says.

use std::time::Duration;

use leeward_failover_core::{
    Act, Before, Duty, Instruction, Keeping, Level, Probe, Report, Role, Sealing, Taken,
};
use leeward_model::{FencingEpoch, Instant};

use super::data::Data;
use super::{FailoverWorld, GUARD, Happening, LEASE, ROUND, name};
use crate::schedule::Clock;
use crate::trace;

/// What an agent reports, and when it sent that, on its own clock.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) reports: Vec<Report>,
    pub(super) sent_at: Instant,
    pub(super) taken: Option<Taken>,
}

/// What an agent is told, in answer to a report sent at that moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Word {
    pub(super) instruction: Instruction,
    pub(super) sent_at: Instant,
}

#[derive(Debug)]
pub(super) struct Agent {
    pub(super) life: u64,
    pub(super) alive: bool,
    pub(super) paused_until: Duration,
    /// Since when it has been running without a pause, in true time.
    pub(super) undisturbed_since: Duration,
    pub(super) clock: Clock,
    duty: Duty,
    /// When the report was sent that its last word answered: a connection keeps its order.
    answered: Instant,
    /// Until then it may send what lifts the seal that it is lifting.
    opening: Option<Instant>,
    /// When a controller took a report of it last, in true time.
    pub(super) heard_at: Duration,
    /// The epoch under which it, or the one before it, was told last that its region serves.
    serves_under: Option<FencingEpoch>,
    /// What it noted for the process after it: what the region is, and when its lease ends in true time.
    noted: (Role, Duration),
}

impl Agent {
    /// Whether it goes by a word of this epoch that its region serves.
    pub(super) fn keeps_a_lease_of(&self, epoch: FencingEpoch) -> bool {
        self.serves_under.is_some_and(|under| under >= epoch)
    }

    fn take(&mut self, word: Word, now: Duration) {
        if word.sent_at < self.answered {
            return;
        }
        self.answered = word.sent_at;
        self.duty.take(&word.instruction, word.sent_at);
        let taken = self.duty.taken().filter(|taken| taken.role.serves);
        self.serves_under = taken.map(|taken| taken.epoch);
        let lease = self.duty.lease_until();
        let left = lease.map_or(Duration::ZERO, |until| until.since(self.clock.read(now)));
        self.noted = (self.duty.role().unwrap_or_default(), now + left);
    }
}

impl<D: Data> FailoverWorld<D> {
    pub(super) fn agent(&mut self, before: Option<&Agent>) -> Agent {
        let now = self.schedule.now();
        let clock = self.clock();
        let (role, lease_until) = before.map_or_else(Default::default, |agent| agent.noted);
        let begun = before.is_some_and(|agent| agent.duty.sealing() != Sealing::Open);
        let sealing = if begun { Sealing::Begun } else { Sealing::Open };
        let keeping = Keeping { lease: LEASE.duration, seals_itself: true };
        let left = lease_until.saturating_sub(now);
        Agent {
            life: before.map_or(0, |agent| agent.life + 1),
            alive: true,
            paused_until: Duration::ZERO,
            undisturbed_since: now,
            clock,
            duty: Duty::new(keeping, Before { role, left, sealing }, clock.read(now)),
            answered: Instant::ZERO,
            opening: None,
            serves_under: before.and_then(|agent| agent.serves_under),
            heard_at: before.map_or(Duration::ZERO, |agent| agent.heard_at),
            noted: (role, lease_until),
        }
    }

    pub(super) fn begin_agent(&mut self, site: usize) {
        let life = self.agents[site].life;
        self.schedule.after(Duration::from_millis(1), Happening::Round(site, life));
        self.schedule.after(GUARD, Happening::Guard(site, life));
    }

    /// An agent that is started again keeps to what the one before it noted.
    pub(super) fn start_agent(&mut self, site: usize) {
        let before = self.agents.remove(site);
        let agent = self.agent(Some(&before));
        self.agents.insert(site, agent);
        self.begin_agent(site);
    }

    fn lives(&self, site: usize, life: u64) -> bool {
        self.agents[site].alive && self.agents[site].life == life
    }

    /// Probes both regions and reports.
    pub(super) fn agent_round(&mut self, site: usize, life: u64) {
        if !self.lives(site, life) {
            return;
        }
        let now = self.schedule.now();
        let agent = &self.agents[site];
        let (sent_at, taken) = (agent.clock.read(now), agent.duty.taken());
        self.schedule.after(agent.clock.stretch(ROUND), Happening::Round(site, life));
        let reports: Vec<Report> = (0..2)
            .map(|region| {
                let flaky = !self.calm && self.schedule.random.one_in(60);
                let probe = if self.reaches(site, region) && !flaky { Probe::Good } else { Probe::Failed };
                let samples = Level::ALL.iter().map(|level| (*level, probe)).collect();
                Report { observer: name(site), region: name(region), samples, slipped: false }
            })
            .collect();
        if self.passes(site, self.home) {
            let delay = self.schedule.random.mostly_short(1, 400);
            let told = Told { reports, sent_at, taken };
            self.schedule.after(delay, Happening::ReportArrives { site, life, told });
        }
    }

    pub(super) fn word_arrives(&mut self, site: usize, life: u64, word: Word) {
        if self.lives(site, life) {
            let now = self.schedule.now();
            self.agents[site].take(word, now);
            if word.instruction.role.serves {
                self.is_guarded(site);
            }
        }
    }

    /// Does to the region what is to be done. A seal is set at once, but lifting one takes a while.
    pub(super) fn guard(&mut self, site: usize, life: u64) {
        if !self.lives(site, life) {
            return;
        }
        let now = self.schedule.now();
        let agent = &mut self.agents[site];
        self.schedule.after(agent.clock.stretch(GUARD), Happening::Guard(site, life));
        if site >= 2 || agent.opening.is_some() {
            return;
        }
        let up = self.regions[site].down_until <= now;
        match agent.duty.next(agent.clock.read(now)) {
            Some(Act::Seal) => {
                trace::note(|| format!("{now:?} agent {site} seals its region: reached {up}"));
                self.regions[site].sealed |= up;
                agent.duty.sealed(up);
            }
            Some(Act::Look) if up && !self.regions[site].sealed => agent.duty.sealed(false),
            Some(Act::Open { until }) => {
                trace::note(|| format!("{now:?} agent {site} begins to open its region"));
                agent.opening = Some(until);
                let left = until.since(agent.clock.read(now));
                let delay = self.schedule.random.millis(20, 800).min(agent.clock.stretch(left));
                self.schedule.after(delay, Happening::Opens(site, life));
                // People who were alarmed by the seal act when it is about to be lifted.
                if self.schedule.random.one_in(2) {
                    let after = self.schedule.random.millis(0, 500);
                    self.schedule.after(after, Happening::PersonIsAlarmed);
                }
            }
            Some(Act::Look) | None => {}
        }
    }

    pub(super) fn opens(&mut self, site: usize, life: u64) {
        if !self.lives(site, life) {
            return;
        }
        let now = self.schedule.now();
        let agent = &mut self.agents[site];
        let Some(until) = agent.opening.take() else { return };
        let done = self.regions[site].down_until <= now && agent.clock.read(now) < until;
        trace::note(|| format!("{now:?} agent {site} opens its region: {done}"));
        self.regions[site].sealed &= !done;
        agent.duty.opened(done);
    }
}
