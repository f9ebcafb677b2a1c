//! What goes wrong on a record's way, beside what goes wrong around the controller, and how it ends.

use std::time::Duration;

use leeward_failover_core::{Event, Request, Standing, TailPolicy, Verb};
use leeward_wire::ErrorCode;

use super::links::LATE_MAX_MS;
use super::{Carrying, FailoverWorld, Joined};
use crate::run::Violation;
use crate::sites::name;
use crate::trace;
use crate::worlds::failover::LOSS_AFTER;

/// How long records are still accepted once a region is lost for good.
const ACCEPTED_AFTER_LOSS: Duration = Duration::from_secs(3);
const FINISH_WITHIN: Duration = Duration::from_secs(100);
const HELPS_EVERY: Duration = Duration::from_millis(900);
const LONGEST: Duration = Duration::from_secs(3);

impl FailoverWorld<Joined> {
    pub(super) fn data_goes_wrong(&mut self) -> Result<(), Violation> {
        if self.calm {
            return Ok(());
        }
        let wait = self.schedule.random.millis(100, 1_200);
        self.later(wait, Carrying::GoesWrong);
        let choice = self.schedule.random.below(13);
        let region = self.schedule.random.below(2);
        let long = self.schedule.random.mostly_short(20, 3_000).min(LONGEST);
        let now = self.schedule.now();
        trace::note(|| format!("{now:?} data fault {choice} at {region} for {long:?}"));
        match choice {
            0 | 1 => self.crash_gateway(),
            2 | 3 => self.cut_gateway()?,
            4 => self.pause_gateway(long),
            5 | 6 => self.crash_link_agent(region, long),
            7 => self.data.mirrors.processes[region].paused_until = now + long,
            8 => self.with_mirrors(|mirrors, around| mirrors.cut(region, LATE_MAX_MS, around))?,
            9 => {
                let code = ErrorCode::NOT_ENOUGH_REPLICAS;
                self.with_mirrors(|mirrors, around| mirrors.refuse(region, code, around));
            }
            10 | 11 => self.change_leader(region),
            _ => {}
        }
        Ok(())
    }

    /// A leader is lost: what is committed stays.
    fn change_leader(&mut self, region: usize) {
        let broker = &mut self.data.logs[region].broker;
        let (committed, end) = (broker.committed(), broker.end());
        let kept = committed + self.schedule.random.below((end - committed) as usize + 1) as i64;
        broker.change_leader(kept);
        broker.commit(broker.end());
    }

    pub(super) fn calm_data(&mut self) {
        self.restart_gateway();
        for region in 0..2 {
            self.data.links[region].is_up = true;
            self.data.mirrors.processes[region].paused_until = self.schedule.now();
        }
        self.later(HELPS_EVERY, Carrying::PersonHelps);
        self.later(LOSS_AFTER + ACCEPTED_AFTER_LOSS, Carrying::LastAccepted);
        self.later(LOSS_AFTER + FINISH_WITHIN, Carrying::FinishedLate);
    }

    /// Somebody does what is left to people, and sees to it that a lost region is repaired.
    pub(super) fn person_helps(&mut self) -> Result<(), Violation> {
        self.later(HELPS_EVERY, Carrying::PersonHelps);
        if let Some(lost) = self.data.replaced.filter(|_| self.data.comes_back)
            && self.regions[lost].down_until == Duration::MAX
        {
            self.regions[lost].down_until = self.schedule.now();
            self.data.links[lost].is_up = true;
            if !self.agents[lost].alive {
                self.start_agent(lost);
            }
        }
        let Some(state) = self.state() else { return Ok(()) };
        let Some(primary) = self.primary() else { return Ok(()) };
        let held = state.operation.as_ref().map(|running| running.held.is_some());
        let other = state.standings.get(&name(1 - primary));
        let verb = match held {
            Some(true) => Verb::Retry,
            None if state.paused => Verb::Resume,
            None if matches!(other, Some(Standing::Fenced { .. } | Standing::Resyncing)) => {
                Verb::Failback { to: name(1 - primary), tail: TailPolicy::Quarantine, then_switchover: false }
            }
            Some(false) | None => return Ok(()),
        };
        self.tell(Event::Request(Request { verb, by: "eve".to_owned(), expected_epoch: None, key: None }))
    }
}
