//! What goes wrong around the mirror, and how it ends.

use std::time::Duration;

use leeward_mirror_core::partition::{Event, GapPolicy};
use leeward_wire::ErrorCode;

use super::process::LATE_MAX_MS;
use super::{FINISH_WITHIN, Happening, MirrorWorld};
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
        if self.calm {
            return Ok(());
        }
        let wait = self.schedule.random.millis(20, 600);
        self.schedule.after(wait, Happening::Fault);
        let who = self.schedule.random.below(self.processes.len());
        let choice = self.schedule.random.below(12);
        let now = self.schedule.now();
        trace::note(|| format!("{now:?} fault {choice} at process {who}"));
        match choice {
            0 | 1 => self.crash(who),
            2 => self.processes[who].paused_until = now + self.schedule.random.millis(100, 3_000),
            3 | 4 => self.cut(who)?,
            5 => self.refuse(who),
            6 | 7 => self.change_leader(),
            8 => self.source_dark_until = now + self.schedule.random.millis(100, 1_500),
            9 if self.settings.gap == GapPolicy::Continue => {
                self.source.retain(&mut self.schedule.random);
            }
            10 | 11 if self.foreigners && !self.store.runs.is_empty() && self.target.committed() > 0 => {
                let records = 1 + self.schedule.random.below(3);
                self.target.write_foreign(records);
            }
            _ => {}
        }
        Ok(())
    }

    /// Some of what was under way to the store and to the target arrives all the same.
    fn crash(&mut self, who: usize) {
        if !self.processes[who].alive {
            return;
        }
        let stored = self.schedule.random.below(self.processes[who].storing.len() + 1);
        for command in self.processes[who].storing.drain(..).take(stored) {
            self.store.apply(&command);
        }
        self.drop_connection(who);
        self.processes[who].alive = false;
        let wait = self.schedule.random.mostly_short(5, 3_000);
        self.schedule.after(wait, Happening::Start(who));
    }

    /// The connection to the target breaks: batches under way, the first ones, may still arrive, and late.
    fn cut(&mut self, who: usize) -> Result<(), Violation> {
        if !self.processes[who].alive {
            return Ok(());
        }
        self.drop_connection(who);
        self.connect(who);
        for batch in std::mem::take(&mut self.processes[who].unanswered) {
            self.feed(who, Event::Unanswered { batch })?;
        }
        Ok(())
    }

    fn drop_connection(&mut self, who: usize) {
        let now = self.schedule.now();
        let id = self.processes[who].connection;
        let late_max = if self.settings.gap == GapPolicy::Continue { LATE_MAX_MS } else { 4_000 };
        let late = self.schedule.random.mostly_short(1, late_max);
        let connection = self.connections.get_mut(&id).expect("a process has a connection");
        connection.owner = None;
        connection.answers.clear();
        let arriving = self.schedule.random.below(connection.sent.len() + 1);
        connection.sent.truncate(arriving);
        connection.held_until = now + late;
    }

    /// The leader refuses the next batch for a moment, and may take the one behind it.
    fn refuse(&mut self, who: usize) {
        let id = self.processes[who].connection;
        let code = *self.schedule.random.pick(&PASSING);
        let connection = self.connections.get_mut(&id).expect("a process has a connection");
        if let Some((batch, _)) = connection.sent.pop_front() {
            let now = self.schedule.now();
            let done = connection.replicating.arrival(now, Duration::ZERO);
            let term = self.target.term;
            self.schedule.at(done, Happening::Replicated { connection: id, batch, outcome: Err(code), term });
        }
    }

    /// A leader is lost. A clean election keeps what is committed, an unclean one may not.
    fn change_leader(&mut self) {
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
            self.processes.iter_mut().for_each(|process| process.deceived = true);
        }
        // What the new leader has, it has on all replicas before long.
        self.target.commit(kept);
    }

    pub(super) fn calm_down(&mut self) {
        let now = self.schedule.now();
        trace::note(|| format!("{now:?} nothing goes wrong any more"));
        self.calm = true;
        self.source_dark_until = now;
        for who in 1..self.processes.len() {
            self.crash(who);
        }
        self.processes.truncate(1);
        self.processes[0].paused_until = now;
        self.source.grow_at_last(&mut self.schedule.random);
        self.schedule.after(FINISH_WITHIN, Happening::TooLate);
    }
}
