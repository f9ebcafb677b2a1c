//! What goes wrong around the controller, and how it ends.

use std::time::Duration;

use leeward_failover_core::{Event, Request, Verb};

use super::data::Data;
use super::{FAILED_OVER_WITHIN, FAULTS_FOR, FailoverWorld, Happening, LOSS_AFTER};
use crate::trace;

impl<D: Data> FailoverWorld<D> {
    pub(super) fn go_wrong(&mut self) {
        if self.calm {
            return;
        }
        let wait = self.schedule.random.millis(200, 3_000);
        self.schedule.after(wait, Happening::Fault);
        let now = self.schedule.now();
        let choice = self.schedule.random.below(18);
        let site = self.schedule.random.below(3);
        let long = self.schedule.random.mostly_short(200, 15_000);
        // What a paused process is to take waits for the pause's end, so no pause outlives the faults or grows shorter.
        let paused_until = (now + long).min(FAULTS_FOR);
        trace::note(|| format!("{now:?} fault {choice} at {site} for {long:?}"));
        match choice {
            0 | 1 => self.crash_controller(long),
            2 => pause(&mut self.controller_paused_until, paused_until.min(now + Duration::from_secs(4))),
            3 => self.journal_fails = true,
            4 | 5 => {
                let other = (site + 1) % 3;
                let pair = (site.min(other), site.max(other));
                if !self.cut.remove(&pair) {
                    self.cut.insert(pair);
                }
            }
            6 => self.cut.clear(),
            7 | 8 if site < 2 => self.regions[site].down_until = now + long,
            9 if site < 2 => self.lose_region(site, long),
            10 => self.crash_agent(site, long.min(Duration::from_secs(4))),
            11 => {
                let agent = &mut self.agents[site];
                pause(&mut agent.paused_until, paused_until);
                agent.undisturbed_since = agent.undisturbed_since.max(agent.paused_until);
            }
            12 => {
                let gateway = self.schedule.random.below(2);
                pause(&mut self.gateways[gateway].paused_until, paused_until);
            }
            13 => {
                let hours = self.schedule.random.below(3) as i64;
                self.wall_offset_ms += (hours - 1) * 60_000;
            }
            // A site that reaches nobody, and is well.
            14..=16 => self.isolate(site),
            // An agent that is started again and hears nobody.
            17 => {
                self.isolate(site);
                self.crash_agent(site, long.min(Duration::from_secs(4)));
            }
            _ => {}
        }
    }

    fn isolate(&mut self, site: usize) {
        self.cut.clear();
        let others = (0..3).filter(|other| *other != site);
        self.cut.extend(others.map(|other| (site.min(other), site.max(other))));
    }

    fn crash_controller(&mut self, long: Duration) {
        if self.controller.take().is_some() {
            self.schedule.after(long, Happening::ControllerStarts);
        }
    }

    fn crash_agent(&mut self, site: usize, long: Duration) {
        if self.agents[site].alive {
            self.agents[site].alive = false;
            self.schedule.after(long, Happening::AgentStarts(site));
        }
    }

    /// Brokers, agent and, if it stands there, the controller.
    fn lose_region(&mut self, site: usize, long: Duration) {
        self.regions[site].down_until = self.schedule.now() + long;
        self.crash_agent(site, long);
        if self.home == site {
            self.crash_controller(long);
        }
        D::region_is_lost(self, site, long);
    }

    pub(super) fn calm_down(&mut self) {
        let now = self.schedule.now();
        trace::note(|| format!("{now:?} nothing goes wrong any more"));
        self.calm = true;
        self.cut.clear();
        self.journal_fails = false;
        self.controller_paused_until = now;
        self.regions.iter_mut().for_each(|region| region.down_until = region.down_until.min(now));
        for site in 0..3 {
            self.agents[site].paused_until = now;
            if !self.agents[site].alive {
                self.schedule.after(Duration::ZERO, Happening::AgentStarts(site));
            }
        }
        self.gateways.iter_mut().for_each(|gateway| gateway.paused_until = now);
        self.schedule.after(Duration::ZERO, Happening::ControllerStarts);
        self.schedule.after(LOSS_AFTER, Happening::Loss);
        D::calm_down(self);
    }

    /// The acting primary is lost, where everything is ready for that.
    pub(super) fn lose_for_good(&mut self) {
        // A pause and a held operation are people's to end; a refusal leaves everything as it is.
        let resume = Request { verb: Verb::Resume, by: "ada".to_owned(), expected_epoch: None, key: None };
        let resumed = self.tell(Event::Request(resume)).is_ok();
        let ready = resumed && self.is_ready() && D::may_lose(self);
        if let (true, Some(primary)) = (ready, self.primary()) {
            let now = self.schedule.now();
            trace::note(|| format!("{now:?} region {primary} is lost for good"));
            self.regions[primary].down_until = Duration::MAX;
            self.agents[primary].alive = false;
            self.lost = Some(primary);
            D::region_is_lost(self, primary, Duration::MAX);
        }
        self.schedule.after(FAILED_OVER_WITHIN, Happening::TooLate);
    }
}

fn pause(paused_until: &mut Duration, until: Duration) {
    *paused_until = until.max(*paused_until);
}
