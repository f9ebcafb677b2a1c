//! What goes wrong around the mirror, and how it ends.

use leeward_mirror_core::partition::GapPolicy;
use leeward_wire::ErrorCode;

use super::{FINISH_WITHIN, Happening, LATE_MAX_MS, MirrorWorld, Regions};
use crate::mirrors::Mirrors;
use crate::run::Violation;
use crate::trace;

/// Errors of a leader that is not ready.
const PASSING: [ErrorCode; 4] = [
    ErrorCode::NOT_ENOUGH_REPLICAS,
    ErrorCode::NOT_LEADER_OR_FOLLOWER,
    ErrorCode::REQUEST_TIMED_OUT,
    ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
];

impl MirrorWorld {
    pub(super) fn go_wrong(&mut self) -> Result<(), Violation> {
        if self.regions.calm {
            return Ok(());
        }
        let schedule = &mut self.regions.schedule;
        let wait = schedule.random.millis(20, 600);
        schedule.after(wait, Happening::Fault);
        let who = schedule.random.below(self.mirrors.processes.len());
        let choice = schedule.random.below(12);
        let now = schedule.now();
        trace::note(|| format!("{now:?} fault {choice} at process {who}"));
        match choice {
            0 | 1 => self.crash(who),
            2 => self.mirrors.processes[who].paused_until = now + schedule.random.millis(100, 3_000),
            3 | 4 => self.cut(who)?,
            5 => self.refuse(who),
            6 | 7 => self.regions.change_leader(&mut self.mirrors),
            8 => self.regions.source_dark_until = now + schedule.random.millis(100, 1_500),
            9 if self.regions.settings.gap == GapPolicy::Continue => {
                self.regions.source.retain(&mut schedule.random);
            }
            10 | 11 if self.regions.foreigners => self.regions.write_foreign(),
            _ => {}
        }
        Ok(())
    }

    fn late_max_ms(&self) -> u64 {
        if self.regions.settings.gap == GapPolicy::Continue { LATE_MAX_MS } else { 4_000 }
    }

    fn crash(&mut self, who: usize) {
        if self.mirrors.crash(who, self.late_max_ms(), &mut self.regions) {
            let schedule = &mut self.regions.schedule;
            let wait = schedule.random.mostly_short(5, 3_000);
            schedule.after(wait, Happening::Start(who));
        }
    }

    fn cut(&mut self, who: usize) -> Result<(), Violation> {
        self.mirrors.cut(who, self.late_max_ms(), &mut self.regions)
    }

    fn refuse(&mut self, who: usize) {
        let code = *self.regions.schedule.random.pick(&PASSING);
        self.mirrors.refuse(who, code, &mut self.regions);
    }

    pub(super) fn calm_down(&mut self) {
        let now = self.regions.schedule.now();
        trace::note(|| format!("{now:?} nothing goes wrong any more"));
        self.regions.calm = true;
        self.regions.source_dark_until = now;
        for who in 1..self.mirrors.processes.len() {
            self.crash(who);
        }
        self.mirrors.processes.truncate(1);
        self.mirrors.processes[0].paused_until = now;
        self.regions.source.grow_at_last(&mut self.regions.schedule.random);
        self.regions.schedule.after(FINISH_WITHIN, Happening::TooLate);
    }
}

impl Regions {
    fn write_foreign(&mut self) {
        if !self.store.runs.is_empty() && self.target.committed() > 0 {
            let records = 1 + self.schedule.random.below(3);
            self.target.write_foreign(records);
        }
    }

    /// A leader is lost. A clean election keeps what is committed, an unclean one may not.
    fn change_leader(&mut self, mirrors: &mut Mirrors) {
        let (committed, end) = (self.target.committed(), self.target.end());
        let first = self.target.batches().first().map_or(0, crate::broker::Batch::end);
        let kept = if self.unclean && committed > first && self.schedule.random.one_in(4) {
            let lost = 1 + self.schedule.random.below((committed - first).min(12) as usize) as i64;
            committed - lost
        } else {
            committed + self.schedule.random.below((end - committed) as usize + 1) as i64
        };
        self.target.change_leader(kept);
        let kept = self.target.end();
        if kept < committed {
            // What each believes may be older than the loss, until the target's end surprises it.
            mirrors.processes.iter_mut().for_each(|process| process.deceived = true);
        }
        // What the new leader has, it has on all replicas before long.
        self.target.commit(kept);
    }
}
