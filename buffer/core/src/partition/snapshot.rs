//! What of a partition survives a restart beside the journal's frames.

use super::entry::Place;
use super::{Entry, Forward, Gap, Lineage, Marks, Trimming};
use crate::limits::OFFSET_RUNS_MAX;

/// Consecutive records at consecutive offsets of the lineage's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OffsetRun {
    pub ordinal: u64,
    pub offset: i64,
    pub records: u64,
}

/// A partition's positions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Saved {
    /// Nothing below this ordinal is needed.
    pub trimmed_to: u64,
    pub lineage: Option<Lineage>,
    /// Offset in the lineage's log from which on it is not known what stands there of ours.
    pub acknowledged_end: i64,
    pub runs: Vec<OffsetRun>,
    pub marks: Option<Marks>,
    /// The epoch up to which nothing but the lineage's region was the acting primary.
    pub vouched: u64,
    /// Records that are missing, and of which it is not settled whether they were forwarded; in order.
    pub damage: Vec<Gap>,
}

impl Saved {
    /// Takes a lineage that the journal holds. The newest counts, wherever it stands: one that was left while it was on its
    /// way to the disk may come behind the one that took its place.
    pub fn take_lineage(&mut self, lineage: Lineage) {
        let Some(known) = &self.lineage else { return self.begin(lineage) };
        if !lineage.replaces(known) {
            return;
        }
        if (known.epoch, known.turn, &known.region) == (lineage.epoch, lineage.turn, &lineage.region) {
            self.lineage = Some(lineage);
        } else {
            self.begin(lineage);
        }
    }

    fn begin(&mut self, lineage: Lineage) {
        *self = Self {
            trimmed_to: self.trimmed_to.max(lineage.kept_from),
            acknowledged_end: lineage.start_offset,
            lineage: Some(lineage),
            damage: std::mem::take(&mut self.damage),
            ..Self::default()
        };
    }
}

impl Forward {
    /// The partition after a restart: `entries` are what the journal holds, in order, and `damage` what it lacks that was not
    /// known to be missing.
    pub fn recovered(
        trimming: Trimming,
        saved: Saved,
        entries: Vec<Entry>,
        damage: Vec<Gap>,
        next_ordinal: u64,
    ) -> Self {
        let mut forward = Self::new(trimming);
        forward.next_ordinal = next_ordinal;
        let kept_from = saved.lineage.as_ref().map_or(0, |lineage| lineage.kept_from);
        forward.trimmed_to = saved.trimmed_to.max(kept_from);
        let missing = saved.damage.iter().copied().chain(damage);
        forward.damage = missing.filter(|gap| gap.end() > forward.trimmed_to).collect();
        forward.damage.sort_by_key(|gap| gap.ordinal);
        let left_out: Vec<Gap> = saved.lineage.iter().flat_map(|lineage| lineage.gaps.clone()).collect();
        for mut entry in entries {
            if entry.end() <= forward.trimmed_to {
                continue;
            }
            let trimmed = forward.trimmed_to.saturating_sub(entry.ordinal);
            entry.skip = u32::try_from(trimmed).expect("less than the batch has");
            if !left_out.iter().any(|gap| gap.ordinal <= entry.first() && entry.end() <= gap.end()) {
                forward.entries.push_back(entry);
            }
        }
        let within = |inner: &Gap, outer: &Gap| inner.ordinal >= outer.ordinal && inner.end() <= outer.end();
        forward.damage.retain(|gap| !left_out.iter().any(|out| within(out, gap) || within(gap, out)));
        forward.acknowledged_end = saved.acknowledged_end;
        forward.marks = saved.marks;
        forward.vouched =
            saved.vouched.max(saved.lineage.as_ref().map_or(0, |lineage| lineage.epoch.to_wire()));
        forward.journaled.clone_from(&saved.lineage);
        forward.journaled_end = saved.acknowledged_end;
        forward.unsure =
            saved.lineage.is_some() && !(forward.entries.is_empty() && forward.damage.is_empty());
        forward.maybe_sent_to = if saved.lineage.is_some() { forward.next_ordinal } else { 0 };
        if let Some(lineage) = &saved.lineage {
            forward.keep_below(lineage.start_ordinal, lineage.start_offset);
        }
        forward.lineage = saved.lineage;
        forward.place(&saved.runs);
        if forward.lineage.is_none() && forward.entries.is_empty() {
            // Nothing was ever forwarded, and what comes begins the first lineage.
            forward.damage.clear();
        }
        forward
    }

    fn place(&mut self, runs: &[OffsetRun]) {
        for entry in self.entries.iter_mut().skip(self.acknowledged) {
            let first = entry.first();
            let run =
                runs.iter().find(|run| run.ordinal <= first && entry.end() <= run.ordinal + run.records);
            let Some(run) = run else { break };
            let into = i64::try_from(first - run.ordinal).expect("within the run");
            entry.place = Place::At(run.offset + into);
            self.acknowledged += 1;
        }
        self.out = self.acknowledged;
    }

    /// What to keep for the next start.
    pub fn saved(&self) -> Saved {
        let (trimmed_to, damage) = (self.trimmed_past_holes(), self.damage.clone());
        let Some(journaled) = self.journaled.clone() else {
            return Saved { trimmed_to, damage, ..Saved::default() };
        };
        let current = self
            .lineage
            .as_ref()
            .filter(|lineage| lineage.region == journaled.region && lineage.epoch == journaled.epoch)
            .filter(|lineage| lineage.turn == journaled.turn);
        if current.is_none() {
            // Between two lineages: a restart settles the older one again.
            let acknowledged_end = self.journaled_end;
            let lineage = Some(journaled);
            return Saved { trimmed_to, lineage, acknowledged_end, damage, ..Saved::default() };
        }
        // The first id that is told of a topic is not worth a frame.
        let topic = current.and_then(|lineage| lineage.topic).or(journaled.topic);
        let journaled = Lineage { topic, ..journaled };
        let (runs, complete) = self.runs(journaled.start_ordinal);
        let end_of_runs = runs.last().map(|run| run.offset.saturating_add_unsigned(run.records));
        let acknowledged_end =
            if complete { self.acknowledged_end } else { end_of_runs.unwrap_or(journaled.start_offset) };
        let (marks, vouched) = (self.marks, self.vouched);
        Saved { trimmed_to, lineage: Some(journaled), acknowledged_end, runs, marks, vouched, damage }
    }

    /// As `trimmed_to`, and beyond what is left out behind it: of that a start may find nothing else.
    fn trimmed_past_holes(&self) -> u64 {
        let next = self.needed_from();
        let settled = self.damage.iter().all(|gap| gap.ordinal >= next);
        if settled { self.trimmed_to.max(next) } else { self.trimmed_to }
    }

    /// Where the acknowledged batches stand that were sent, from this ordinal on, and whether that is all of them.
    fn runs(&self, from: u64) -> (Vec<OffsetRun>, bool) {
        let mut runs: Vec<OffsetRun> = Vec::new();
        let acknowledged = self.entries.range(..self.acknowledged);
        for entry in acknowledged.skip_while(|entry| entry.end() <= from) {
            let Some(offset) = entry.exact_offset() else { return (runs, false) };
            let records = u64::from(entry.sent_records());
            let run = OffsetRun { ordinal: entry.first(), offset, records };
            if let Some(last) = runs.last_mut()
                && last.ordinal + last.records == run.ordinal
                && last.offset.checked_add_unsigned(last.records) == Some(offset)
            {
                last.records += records;
            } else if runs.len() == OFFSET_RUNS_MAX {
                return (runs, false);
            } else {
                runs.push(run);
            }
        }
        (runs, true)
    }
}
