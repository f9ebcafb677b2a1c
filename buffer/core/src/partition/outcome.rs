//! What follows from the outcomes of sent batches.

use std::time::Duration;

use leeward_model::Instant;

use super::anew::Doubt;
use super::entry::Place;
use super::{AfterDrain, Command, Forward, Gap, Outcome, Phase};
use crate::limits::{GAPS_MAX, REFUSED_PAUSE, RESEND_PAUSE};

impl Forward {
    pub(super) fn sent(&mut self, ordinal: u64, outcome: Outcome) {
        let at = self.entries.partition_point(|entry| entry.ordinal < ordinal);
        let is_out = at >= self.acknowledged
            && at < self.out
            && self.entries.get(at).is_some_and(|entry| entry.ordinal == ordinal);
        if !is_out || self.open == 0 {
            return;
        }
        self.open -= 1;
        match outcome {
            Outcome::Acknowledged { base_offset } if self.is_below_what_was(at, base_offset) => {
                self.doubt_log(Doubt::Acknowledged);
            }
            Outcome::Acknowledged { base_offset } => {
                self.entries[at].place = Place::At(base_offset);
                if let Phase::Forwarding { .. } = self.phase {
                    self.phase = Phase::Forwarding { confirmed: true };
                    self.count_acknowledged();
                }
            }
            Outcome::NotSent | Outcome::Unknown | Outcome::NotNow => {
                self.drain(Some(RESEND_PAUSE), false, None);
            }
            Outcome::TooLarge => self.drain(Some(REFUSED_PAUSE), false, None),
            Outcome::AcknowledgedSomewhere => self.drain(None, true, None),
            Outcome::OutOfOrder => {
                let pause = self.pause_before_looking();
                self.drain(Some(pause), true, None);
            }
            Outcome::Unacceptable => self.drain(None, false, Some(ordinal)),
        }
    }

    fn pause_before_looking(&self) -> Duration {
        match self.phase {
            Phase::Forwarding { confirmed: true } => RESEND_PAUSE,
            Phase::Forwarding { confirmed: false }
            | Phase::Idle
            | Phase::Busy(_)
            | Phase::Draining
            | Phase::Pausing { .. } => REFUSED_PAUSE,
        }
    }

    /// Sends nothing more until all that is out has an outcome. The first failure decides what follows: those behind
    /// it fail because of it.
    pub(super) fn drain(&mut self, pause: Option<Duration>, look: bool, set_aside: Option<u64>) {
        if let Phase::Forwarding { .. } = self.phase {
            self.phase = Phase::Draining;
            self.after_drain = AfterDrain { pause, look, set_aside };
        }
    }

    /// Moves the border of what is acknowledged up to the first batch whose place is not known.
    fn count_acknowledged(&mut self) {
        while self.acknowledged < self.out {
            let entry = &self.entries[self.acknowledged];
            let Some(last) = entry.last_offset() else { break };
            self.acknowledged_end = self.acknowledged_end.max(last + 1);
            self.acknowledged += 1;
        }
    }

    /// Everything that was out has an outcome.
    pub(super) fn drained(&mut self, now: Instant, commands: &mut Vec<Command>) {
        if self.anew.is_going_on() {
            // What was acknowledged meanwhile may be of another log than what was acknowledged before.
            self.forget_uncounted_places();
        } else {
            self.infer_places(self.out);
        }
        self.out = self.acknowledged;
        let mut after = std::mem::take(&mut self.after_drain);
        self.unsure |= after.look;
        if let Some(ordinal) = after.set_aside
            && !self.set_aside(ordinal, commands)
        {
            after.pause = Some(REFUSED_PAUSE);
        }
        self.phase = match after.pause {
            Some(pause) => pause_until(now.after(pause), commands),
            None => Phase::Idle,
        };
        self.trim(commands);
    }

    /// A batch whose successor is in the log is there as well: the broker takes no sequence with a gap before it.
    pub(super) fn infer_places(&mut self, end: usize) {
        let mut below = None;
        for entry in self.entries.range_mut(self.acknowledged..end).rev() {
            match (entry.place, below) {
                (Place::At(offset), _) => below = Some(offset),
                (Place::Unknown, Some(offset)) => entry.place = Place::Below(offset),
                (Place::Unknown, None) | (Place::Below(_), _) => {}
            }
        }
        self.out = self.out.max(end);
        self.count_acknowledged();
    }

    /// Leaves a batch out of the stream, if it is the next to be sent and the lineage has room for one more gap.
    fn set_aside(&mut self, ordinal: u64, commands: &mut Vec<Command>) -> bool {
        let next = self.entries.get(self.acknowledged).is_some_and(|entry| entry.ordinal == ordinal);
        let room = self.lineage.as_ref().is_some_and(|lineage| lineage.gaps.len() < GAPS_MAX);
        if !next || !room {
            return false;
        }
        let Some(entry) = self.entries.remove(self.acknowledged) else { return false };
        self.leave_out(Gap { ordinal: entry.first(), records: u64::from(entry.sent_records()) });
        if self.acknowledged == 0 {
            self.trimmed_to = entry.end();
            commands.push(Command::Trimmed { to: self.trimmed_to });
        }
        commands.push(Command::SetAside { entry });
        true
    }

    /// Closes the sequences over records that are never sent. What is abandoned part by part is one gap.
    pub(super) fn leave_out(&mut self, gap: Gap) {
        let Some(lineage) = &mut self.lineage else { return };
        let mut abandoned = lineage.gaps.iter_mut().filter(|known| known.ordinal >= self.abandoned_from);
        match abandoned.find(|known| known.end() == gap.ordinal) {
            Some(known) => known.records += gap.records,
            None => {
                lineage.gaps.push(gap);
                lineage.gaps.sort_by_key(|gap| gap.ordinal);
            }
        }
    }
}

pub(super) fn pause_until(until: Instant, commands: &mut Vec<Command>) -> Phase {
    commands.push(Command::Wake { at: until });
    Phase::Pausing { until }
}
