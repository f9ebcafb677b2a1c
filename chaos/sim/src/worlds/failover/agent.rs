//! A region's agent as the product's is: probes, keeps to the lease, seals its region by itself.

use std::time::Duration;

use leeward_failover_core::{Level, Probe, Report};
use leeward_model::Instant;

use super::{FailoverWorld, GUARD, Happening, LEASE, ROUND, name};
use crate::schedule::Clock;
use crate::trace;

/// What an agent is told.
#[derive(Clone, Copy, Debug)]
pub(super) struct Word {
    pub(super) epoch: u64,
    pub(super) serves: bool,
    pub(super) renewed: bool,
    pub(super) seal: bool,
    /// When the report was sent that this answers, on the agent's clock.
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
    epoch: u64,
    /// Whether it serves and whether it is to be sealed.
    told: Option<(bool, bool)>,
    lease_until: Option<Instant>,
    /// What it noted for the process after it: whether it serves, and when its lease ends in true time.
    noted: (bool, Duration),
    /// It has sealed the region, or begun to.
    sealing: bool,
}

impl Agent {
    fn must_seal(&self, now: Instant) -> bool {
        let ran_out = self.lease_until.is_some_and(|until| now >= until);
        match self.told {
            Some((_, true)) => true,
            Some((false, false)) => false,
            Some((true, false)) | None => ran_out,
        }
    }

    fn take(&mut self, word: Word, now: Duration) {
        if word.epoch < self.epoch {
            return;
        }
        self.epoch = word.epoch;
        self.told = Some((word.serves, word.seal));
        if !word.serves {
            self.lease_until = None;
        } else if word.renewed || self.lease_until.is_none() {
            self.lease_until = Some(word.sent_at.after(LEASE.duration));
        }
        let left = self.lease_until.map_or(Duration::ZERO, |until| until.since(self.clock.read(now)));
        self.noted = (word.serves, now + left);
    }
}

impl FailoverWorld {
    pub(super) fn agent(&mut self, life: u64, now: Duration) -> Agent {
        Agent {
            life,
            alive: true,
            paused_until: Duration::ZERO,
            undisturbed_since: now,
            clock: self.clock(),
            epoch: 0,
            told: None,
            lease_until: None,
            noted: (false, Duration::ZERO),
            sealing: false,
        }
    }

    pub(super) fn begin_agent(&mut self, site: usize) {
        let life = self.agents[site].life;
        self.schedule.after(Duration::from_millis(1), Happening::Round(site, life));
        self.schedule.after(GUARD, Happening::Guard(site, life));
    }

    /// An agent that is started again keeps to what is left of the lease.
    pub(super) fn start_agent(&mut self, site: usize) {
        let now = self.schedule.now();
        let (life, noted) = (self.agents[site].life + 1, self.agents[site].noted);
        let mut agent = self.agent(life, now);
        agent.noted = noted;
        agent.sealing = site < 2 && self.regions[site].sealed;
        if noted.0 {
            let left = noted.1.saturating_sub(now);
            let wait = if left.is_zero() { Duration::from_secs(1) } else { left };
            agent.lease_until = Some(agent.clock.read(now).after(wait.min(LEASE.duration)));
        }
        self.agents[site] = agent;
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
        let (sent_at, new) = (agent.clock.read(now), agent.told.is_none());
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
            self.schedule.after(delay, Happening::ReportArrives { site, life, reports, sent_at, new });
        }
    }

    pub(super) fn word_arrives(&mut self, site: usize, life: u64, word: Word) {
        if self.lives(site, life) {
            let now = self.schedule.now();
            self.agents[site].take(word, now);
        }
    }

    /// Seals the region where it must be, and opens what it sealed; not while an operation leaves the region, though the
    /// agent may not have heard of it: `docs/simulation.md` lists that as a known limit.
    pub(super) fn guard(&mut self, site: usize, life: u64) {
        if !self.lives(site, life) {
            return;
        }
        let now = self.schedule.now();
        let is_left = self.is_left(site);
        let agent = &mut self.agents[site];
        self.schedule.after(agent.clock.stretch(GUARD), Happening::Guard(site, life));
        if site >= 2 || self.regions[site].down_until > now {
            return;
        }
        let must_seal = agent.must_seal(agent.clock.read(now));
        if must_seal && !(agent.sealing && self.regions[site].sealed) {
            trace::note(|| format!("{now:?} agent {site} seals its region"));
            agent.sealing = true;
            self.regions[site].sealed = true;
        } else if !must_seal && agent.sealing && agent.told.is_some() && !is_left {
            trace::note(|| format!("{now:?} agent {site} opens its region"));
            agent.sealing = false;
            self.regions[site].sealed = false;
        }
    }
}
