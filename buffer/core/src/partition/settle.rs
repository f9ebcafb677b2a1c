//! What a region's log holds of ours already: at a change of the acting primary, and after a doubt.

use leeward_model::{Instant, TopicId, mutation::planted};

use super::anew::{Anew, Verified};
use super::entry::Place;
use super::outcome::pause_until;
use super::{Command, Forward, Found, Gap, Grant, Lineage, Marks, Operation, Phase, Searched};
use crate::limits::REFUSED_PAUSE;

/// Half of the sequences: what seems further ahead is behind.
const HALF: u64 = 1 << 30;
const SEQUENCES: u64 = 1 << 31;

impl Forward {
    /// Leaves the lineage's region for another one: forgets what is mirrored, and has the rest looked for where it may
    /// be mirrored without anybody knowing.
    pub(super) fn leave(&mut self, grant: &Grant, commands: &mut Vec<Command>) {
        let Some(lineage) = &self.lineage else { return };
        let promoted = grant.promoted.as_ref().filter(|promoted| promoted.from == lineage.region);
        let promoted = promoted.map(|promoted| promoted.marks);
        if promoted.is_some() && !self.trusts_promoted() {
            self.verified.to = 0;
        }
        let marks = [promoted, self.marks]
            .into_iter()
            .flatten()
            .max_by_key(|marks| marks.replicated_to)
            .unwrap_or(Marks { replicated_to: 0, target_end: 0 });
        let before = self.trimmed_to;
        let known_end = self.forget_mirrored(marks.replicated_to);
        let kept = self.send_kept_again();
        let maybe_sent_to = self.maybe_sent_to;
        let ambiguous = !planted("buffer-replays-without-looking")
            && self.acknowledged == 0
            && (kept || marks.replicated_to > known_end)
            && self.entries.front().is_some_and(|entry| entry.ordinal < maybe_sent_to);
        if self.trimmed_to > before {
            commands.push(Command::Trimmed { to: self.trimmed_to });
        }
        if ambiguous {
            let candidates =
                self.entries.iter().take_while(|entry| entry.ordinal < maybe_sent_to).cloned().collect();
            // The target holds at most one record for each source offset. What is kept may have been in it before.
            let behind_known = (marks.target_end - (marks.replicated_to - known_end)).max(0);
            let (from, to) = if kept { (0, None) } else { (behind_known, Some(marks.target_end)) };
            let operation = self.busy(Operation::Match);
            let region = grant.region.clone();
            commands.push(Command::Match { operation, region, from, to, candidates });
        } else {
            self.forget_lineage();
            self.begin(commands);
        }
    }

    /// Whether records are left that stood in the lineage's log before it began. Where they stand nobody knows, so they and
    /// all behind them are to be looked for.
    fn send_kept_again(&mut self) -> bool {
        let Some(start_ordinal) = self.lineage.as_ref().map(|lineage| lineage.start_ordinal) else {
            return false;
        };
        let trimmed_to = self.trimmed_to;
        if self.entries.front().is_none_or(|front| front.ordinal.max(trimmed_to) >= start_ordinal) {
            return false;
        }
        self.need_all_of_each();
        self.maybe_sent_to = self.maybe_sent_to.max(start_ordinal);
        self.acknowledged = 0;
        true
    }

    /// Forgets the acknowledged batches that are mirrored; returns the source offset behind the last record of ours
    /// whose place is known. What is acknowledged and stays is not in the target.
    fn forget_mirrored(&mut self, replicated_to: i64) -> i64 {
        let anywhere = self.may_be_of_two_logs();
        if anywhere {
            self.acknowledged_end = 0;
        }
        let mut known_end = self.acknowledged_end;
        while self.acknowledged > 0 {
            let verified = self.is_verified(&self.entries[0]);
            let entry = &mut self.entries[0];
            match entry.place {
                Place::At(offset) if (offset < replicated_to || anywhere) && !verified => {
                    known_end = if anywhere { 0 } else { offset };
                    self.acknowledged_end = known_end;
                    self.acknowledged = 0;
                }
                Place::At(offset) if offset + i64::from(entry.sent_records()) <= replicated_to => {
                    self.forget_first();
                }
                Place::At(offset) if offset < replicated_to => {
                    let mirrored = u32::try_from(replicated_to - offset).expect("within the batch");
                    entry.skip += mirrored;
                    self.trimmed_to = entry.first();
                    break;
                }
                Place::At(_) => break,
                // In the log, but nobody knows where: as good as ambiguous, and so it stays if the settling has to be
                // begun again.
                Place::Below(_) | Place::Unknown => {
                    known_end = self.lineage.as_ref().map_or(0, |lineage| lineage.start_offset);
                    if !planted("buffer-forgets-a-doubt") {
                        self.acknowledged_end = known_end;
                    }
                    self.maybe_sent_to = self.maybe_sent_to.max(entry.end());
                    self.acknowledged = 0;
                }
            }
        }
        known_end
    }

    pub(super) fn matched(&mut self, operation: u64, records: u64) {
        if !self.is_current(operation) {
            return;
        }
        self.phase = Phase::Idle;
        let forgets = !self.crossed || planted("buffer-forgets-what-it-found");
        let kept = if forgets { 0 } else { records };
        self.forget_found(records - kept);
        if self.crossed { self.found_across(kept) } else { self.forget_lineage() }
    }

    /// Forgets so many records from the first on.
    fn forget_found(&mut self, records: u64) {
        let mut left = records;
        while let Some(entry) = self.entries.front_mut().filter(|_| left > 0) {
            let sent = u64::from(entry.sent_records());
            if sent <= left {
                left -= sent;
                self.forget_first();
            } else {
                entry.skip += u32::try_from(left).expect("less than the batch has");
                self.trimmed_to = entry.first();
                left = 0;
            }
        }
    }

    pub(super) fn forget_lineage(&mut self) {
        if let Some(lineage) = self.lineage.take() {
            // What was left out is missing in the next one too.
            let trimmed_to = self.trimmed_to;
            self.damage.extend(lineage.gaps.into_iter().filter(|gap| gap.end() > trimmed_to));
            self.damage.sort_by_key(|gap| gap.ordinal);
        }
        self.journaled_end = self.acknowledged_end;
        self.marks = None;
        self.unsure = false;
        self.crossed = false;
        self.anew = Anew::No;
        self.verified = Verified::default();
        self.searched = Searched::default();
        self.acknowledged = 0;
        self.out = 0;
        self.maybe_sent_to = 0;
        for entry in &mut self.entries {
            entry.place = Place::Unknown;
        }
        self.phase = Phase::Idle;
    }

    pub(super) fn end_found(&mut self, operation: u64, offset: i64, topic: Option<TopicId>) {
        let Some(grant) = self.grant.clone().filter(|_| self.is_current(operation)) else {
            return;
        };
        if let Anew::Read(read) = self.anew
            && !self.crossed
        {
            return self.end_found_anew(read, offset, topic);
        }
        let kept_from = self.needed_from();
        if self.crossed && !self.begins_across(offset, topic) {
            return;
        }
        let start_ordinal = self.acknowledged_to();
        self.maybe_sent_to = start_ordinal;
        self.verified.to = start_ordinal;
        self.acknowledged_end = offset;
        self.vouched = grant.epoch.to_wire();
        self.damage.retain(|gap| gap.ordinal >= start_ordinal);
        self.lineage = Some(Lineage {
            region: grant.region,
            epoch: grant.epoch,
            turn: 0,
            writer: 0,
            topic,
            kept_from,
            start_ordinal,
            start_offset: offset,
            gaps: std::mem::take(&mut self.damage),
        });
        self.take_heard();
        self.phase = Phase::Idle;
    }

    pub(super) fn lineage_was_saved(&mut self, operation: u64) {
        if self.is_current(operation) {
            self.journaled.clone_from(&self.lineage);
            self.phase = Phase::Idle;
        }
    }

    pub(super) fn failed(&mut self, operation: u64, now: Instant, commands: &mut Vec<Command>) {
        if self.is_current(operation) {
            self.phase = pause_until(now.after(REFUSED_PAUSE), commands);
        }
    }

    /// Our batches in the lineage's log, behind what was known.
    pub(super) fn looked(
        &mut self,
        operation: u64,
        found: &[Found],
        topic: Option<TopicId>,
        commands: &mut Vec<Command>,
    ) {
        if !self.is_current(operation) {
            return;
        }
        let goes_on = if self.crossed {
            self.goes_on_across(found, topic)
        } else {
            self.read_by(topic, found, commands)
        };
        if !goes_on {
            return;
        }
        let (seen, appended) = self.place_found(found);
        self.infer_places(seen);
        self.out = self.acknowledged;
        self.verified.to = self.acknowledged_to();
        self.settle_damage(appended);
        self.unsure = false;
        self.phase = Phase::Idle;
    }

    /// Gives those that were found their places; returns behind the last of them, and how many records of the lineage the log
    /// has.
    pub(super) fn place_found(&mut self, found: &[Found]) -> (usize, Option<u64>) {
        let counted: Vec<(u64, Found)> =
            found.iter().filter_map(|found| Some((self.count_of(found)?, *found))).collect();
        let start = self.lineage.as_ref().map_or(0, |lineage| lineage.start_ordinal);
        let sent_from = self.entries.partition_point(|entry| entry.first() < start);
        let mut at = self.acknowledged.max(sent_from);
        let mut seen = self.acknowledged;
        for (count, found) in &counted {
            while let Some(entry) = self.entries.get(at) {
                let Some(lineage) = &self.lineage else { return (seen, None) };
                let entry_count = lineage.count_before(entry.first());
                if entry_count > *count {
                    break;
                }
                if entry_count == *count && entry.sent_records() == found.records {
                    self.entries[at].place = Place::At(found.base_offset);
                    seen = at + 1;
                }
                at += 1;
            }
            self.acknowledged_end = self.acknowledged_end.max(found.base_offset + i64::from(found.records));
        }
        (seen, counted.iter().map(|(count, found)| count + u64::from(found.records)).max())
    }

    /// How many records of the lineage come before a found batch. Sequences are counted modulo 2^31, so the one nearest
    /// to the first record that is needed is meant.
    pub(super) fn count_of(&self, found: &Found) -> Option<u64> {
        let lineage = self.lineage.as_ref()?;
        let near = lineage.count_before(self.trimmed_to);
        let sequence = u64::from(found.sequence.to_wire().unsigned_abs());
        let ahead = (sequence + SEQUENCES - near % SEQUENCES) % SEQUENCES;
        (ahead < HALF).then_some(near + ahead)
    }

    /// Damaged records that the log has are no loss; the others are left out of the stream.
    pub(super) fn settle_damage(&mut self, appended: Option<u64>) {
        for gap in std::mem::take(&mut self.damage) {
            let Some(lineage) = &self.lineage else { return };
            if gap.end() <= lineage.start_ordinal {
                continue;
            }
            let begin = lineage.count_before(gap.ordinal);
            let there = appended.map_or(0, |appended| appended.saturating_sub(begin)).min(gap.records);
            let passed = self.entries.range(..self.acknowledged).any(|entry| entry.ordinal >= gap.end());
            if there < gap.records && !passed {
                self.leave_out(Gap { ordinal: gap.ordinal + there, records: gap.records - there });
            }
        }
    }
}
