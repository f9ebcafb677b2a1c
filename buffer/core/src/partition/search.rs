//! What the log of a region holds of ours that was given the grant while nobody told us how regions changed before: nothing
//! that was known of a log can be trusted.
//!
//! What is found there by its content may have come by mirror, or from us. It is not sent, and is kept until the other region
//! has it. What is not found may still be under way: a batch of the lineage that a broken connection delivers late. Where the
//! log is the lineage's own, as after moves that were taken back, the lineage goes on, so that its sequences tell such a batch
//! from its repeat. Where it is another one, a batch that is under way was meant for a log that is gone.

use leeward_model::TopicId;
use leeward_model::mutation::planted;

use super::entry::Place;
use super::{Command, Forward, Found, Grant, Operation, Phase};

/// How far a search is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Searched {
    #[default]
    Nothing,
    /// The region has everything that is buffered below this ordinal.
    Found(u64),
    /// The same, and the log is not the lineage's.
    Elsewhere(u64),
    /// There is nothing that the lineage did not know; the log may be its own, with none of its batches yet.
    Untouched(u64),
}

impl Forward {
    /// Takes the next step: everything is looked for by its content, then the lineage's batches by their headers, then the
    /// log's end.
    pub(super) fn search(&mut self, grant: &Grant, commands: &mut Vec<Command>) {
        let Some(lineage) = self.lineage.clone() else { return };
        match self.searched {
            Searched::Nothing => self.search_all(grant, commands),
            Searched::Found(_) if lineage.region == grant.region => {
                self.look(&lineage, lineage.start_offset, commands);
            }
            Searched::Found(_) | Searched::Elsewhere(_) | Searched::Untouched(_) => {
                self.find_end(grant.region.clone(), commands);
            }
        }
    }

    fn search_all(&mut self, grant: &Grant, commands: &mut Vec<Command>) {
        self.acknowledged = 0;
        self.out = 0;
        if self.entries.is_empty() {
            return self.forget_lineage();
        }
        self.need_all_of_each();
        for entry in &mut self.entries {
            entry.place = Place::Unknown;
        }
        let candidates = self.entries.iter().cloned().collect();
        let operation = self.busy(Operation::Match);
        let region = grant.region.clone();
        commands.push(Command::Match { operation, region, from: 0, to: None, candidates });
    }

    /// Nothing of a batch is left out but what is forgotten.
    pub(super) fn need_all_of_each(&mut self) {
        for entry in &mut self.entries {
            let needed_from = entry.ordinal.max(self.trimmed_to);
            entry.skip = u32::try_from(needed_from - entry.ordinal).expect("less than the batch has");
        }
    }

    /// So many records from the first on were found by their content.
    pub(super) fn found_across(&mut self, records: u64) {
        let mut left = records;
        let mut behind = 0;
        for entry in &self.entries {
            if left == 0 {
                break;
            }
            let of_entry = left.min(entry.sent_records().into());
            behind = entry.first() + of_entry;
            left -= of_entry;
        }
        self.searched = Searched::Found(behind);
    }

    /// Whether the lineage goes on: the log has its batches, and nothing of ours beyond them.
    pub(super) fn goes_on_across(&mut self, found: &[Found], topic: Option<TopicId>) -> bool {
        let (Some(lineage), Searched::Found(found_to)) = (&self.lineage, self.searched) else { return false };
        self.phase = Phase::Idle;
        if lineage.topic.is_some_and(|known| Some(known) != topic) {
            self.searched = Searched::Elsewhere(found_to);
            return false;
        }
        let trimmed = lineage.count_before(self.trimmed_to);
        let ends = found.iter().filter_map(|found| Some(self.count_of(found)? + u64::from(found.records)));
        let appended = ends.fold(trimmed, u64::max);
        let none_else = lineage.count_before(found_to) <= appended;
        if planted("buffer-begins-anew-in-its-own-log") {
            self.searched = Searched::Elsewhere(found_to);
            return false;
        }
        if !found.is_empty() && none_else {
            self.take_up_again();
            return true;
        }
        let needed_from = self.needed_from();
        let kept_is_there = needed_from >= lineage.start_ordinal || found_to >= lineage.start_ordinal;
        let untouched = found.is_empty() && none_else && trimmed == 0 && kept_is_there;
        self.searched = if untouched { Searched::Untouched(found_to) } else { Searched::Elsewhere(found_to) };
        false
    }

    /// Whether a lineage begins at the log's end. An untouched one goes on instead, unless the log is shorter than it was.
    pub(super) fn begins_across(&mut self, end: i64, topic: Option<TopicId>) -> bool {
        let start_offset = self.lineage.as_ref().map_or(0, |lineage| lineage.start_offset);
        let same = self
            .lineage
            .as_ref()
            .is_some_and(|lineage| lineage.topic.is_none_or(|known| Some(known) == topic));
        match self.searched {
            Searched::Untouched(_) if same && end >= start_offset => {
                self.take_up_again();
                self.marks = None;
                self.acknowledged_end = start_offset;
                self.unsure = true;
                self.phase = Phase::Idle;
                false
            }
            Searched::Found(to) | Searched::Elsewhere(to) | Searched::Untouched(to) => {
                self.forget_lineage();
                self.keep_below(to, end);
                true
            }
            Searched::Nothing => true,
        }
    }

    /// The grant's region has the lineage's log.
    fn take_up_again(&mut self) {
        let Some(lineage) = self.lineage.clone() else { return };
        self.crossed = false;
        self.searched = Searched::Nothing;
        self.vouched = self.grant.as_ref().map_or(self.vouched, |grant| grant.epoch.to_wire());
        self.keep_below(lineage.start_ordinal, lineage.start_offset);
        self.take_heard();
    }

    /// What is buffered below `ordinal` stands in the region's log below `offset`: it is not sent, and waits for the other
    /// region.
    pub(super) fn keep_below(&mut self, ordinal: u64, offset: i64) {
        while let Some(entry) = self.entries.get_mut(self.acknowledged) {
            if entry.end() > ordinal {
                let there = ordinal.saturating_sub(entry.ordinal);
                entry.skip = entry.skip.max(u32::try_from(there).expect("less than the batch has"));
                break;
            }
            entry.place = Place::Below(offset);
            self.acknowledged += 1;
        }
        self.out = self.acknowledged;
    }
}
