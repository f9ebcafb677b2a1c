//! Records of a topic that is gone: nobody will ever take them, and the journal keeps everything behind the oldest of them.

use leeward_model::Instant;

use super::{Command, Entry, Forward, Gap, Phase};
use crate::limits::{ABANDONED_AT_ONCE_MAX, GAPS_MAX, REFUSED_PAUSE};

impl Forward {
    /// Nobody will take what was accepted so far.
    pub(super) fn topic_is_gone(&mut self) {
        if self.abandoned_to <= self.trimmed_to {
            self.abandoned_from = self.trimmed_to;
        }
        self.abandoned_to = self.next_ordinal;
    }

    /// Sets aside what is abandoned, once nothing is under way, part by part. What the topic had acknowledged too: only it had
    /// those records, or the other region lacks them.
    pub(super) fn abandon(&mut self, now: Instant, commands: &mut Vec<Command>) {
        let count = self.entries.partition_point(|entry| entry.end() <= self.abandoned_to);
        let count = count.min(ABANDONED_AT_ONCE_MAX);
        if count == 0 {
            return;
        }
        let gaps = gaps_of(self.entries.range(self.acknowledged.min(count)..count));
        let room = self.lineage.as_ref().is_none_or(|lineage| lineage.gaps.len() + gaps.len() <= GAPS_MAX);
        if !room {
            return;
        }
        if self.open > 0 {
            return self.drain(None, false, None);
        }
        // An operation that goes on counts with what is abandoned; a lineage with new gaps is saved before it goes on.
        self.operation += 1;
        self.phase = Phase::Idle;
        for gap in gaps {
            self.leave_out(gap);
        }
        for _ in 0..count {
            commands.extend(self.entries.front().cloned().map(|entry| Command::SetAside { entry }));
            self.forget_first();
        }
        commands.push(Command::Trimmed { to: self.trimmed_to });
        commands.push(Command::Wake { at: now.after(REFUSED_PAUSE) });
    }
}

/// What the stream of sent records lacks without these, neighbours taken together.
fn gaps_of<'a>(unsent: impl Iterator<Item = &'a Entry>) -> Vec<Gap> {
    let mut gaps: Vec<Gap> = Vec::new();
    for entry in unsent {
        let records = u64::from(entry.sent_records());
        match gaps.last_mut() {
            Some(gap) if gap.end() == entry.first() => gap.records += records,
            Some(_) | None => gaps.push(Gap { ordinal: entry.first(), records }),
        }
    }
    gaps
}
