//! One partition's way from the buffer to the acting primary: which batch goes next, under which sequence, and when it
//! may be forgotten. Pure: events and the time go in, commands come out.
//!
//! A partition writes each region's log as one idempotent producer. Its *lineage* says in which region, under which
//! producer epoch, and which record had sequence 0 there. A batch stays buffered until the other region has it. When the
//! acting primary changes, what the survivor has already is settled first, and the rest begins a new lineage there.

mod abandoned;
mod anew;
mod entry;
mod event;
mod lineage;
mod outcome;
mod search;
mod settle;
mod snapshot;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::time::Duration;

use leeward_model::{Instant, RegionName, TopicId, mutation::planted};

use crate::limits::IN_FLIGHT_MAX;

use anew::{Anew, Verified};
pub use entry::{Entry, Place};
pub use event::{Command, Event, Found, Grant, Marks, Operation, Outcome, Promoted, TopicQuestion};
pub use lineage::{Gap, Lineage};
use search::Searched;
pub use snapshot::{OffsetRun, Saved};

/// When a batch may be forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trimming {
    /// Once the other region has it.
    WhenReplicated,
    /// Once the acting primary has acknowledged it: there is no other region, or none that gets this topic.
    WhenAcknowledged,
}

/// What is going on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Nothing, until a grant lives.
    Idle,
    /// An operation of the shell; the result carries its number.
    Busy(Operation),
    /// Batches go out; `confirmed` once one was acknowledged since the last doubt. Before that they go one by one: a
    /// broker without state for a producer would take the second of two without the first.
    Forwarding {
        confirmed: bool,
    },
    /// Batches are out, and no more go until each of them has an outcome.
    Draining,
    Pausing {
        until: Instant,
    },
}

/// What follows once all batches that are out have an outcome.
#[derive(Clone, Copy, Debug, Default)]
struct AfterDrain {
    pause: Option<Duration>,
    look: bool,
    set_aside: Option<u64>,
}

/// The forwarding side of one partition.
#[derive(Debug)]
pub struct Forward {
    trimming: Trimming,
    /// What is buffered, in order: acknowledged, then out, then waiting.
    entries: VecDeque<Entry>,
    acknowledged: usize,
    out: usize,
    /// Batches that were sent and have no outcome yet.
    open: usize,
    trimmed_to: u64,
    next_ordinal: u64,
    /// Records below may stand in the lineage's log although no acknowledgement came.
    maybe_sent_to: u64,
    lineage: Option<Lineage>,
    /// The newest lineage that is in the journal, and `acknowledged_end` as it was when it was left.
    journaled: Option<Lineage>,
    journaled_end: i64,
    /// Offset in the lineage's log behind the newest of our records that is known to be there.
    acknowledged_end: i64,
    marks: Option<Marks>,
    /// What was said of a region and cannot be used yet.
    heard: Option<(RegionName, Option<TopicId>, Marks)>,
    grant: Option<Grant>,
    live: bool,
    phase: Phase,
    after_drain: AfterDrain,
    operation: u64,
    /// The lineage's log may hold more of ours than is known: read it before going on.
    unsure: bool,
    /// Records that were acknowledged to clients and cannot be read from the disk any more.
    damage: Vec<Gap>,
    /// The epoch up to which nothing but the lineage's region was the acting primary.
    vouched: u64,
    /// Another region may have been the acting primary between the lineage's and the grant's: offsets of the lineage's
    /// log say nothing about the grant's region.
    crossed: bool,
    /// What became of looking through the log of the grant's region because of that.
    searched: Searched,
    /// Whether the log is still the one that the lineage began in.
    anew: Anew,
    verified: Verified,
    /// Records between these are of a topic that is gone for good.
    abandoned_from: u64,
    abandoned_to: u64,
}

impl Forward {
    pub fn new(trimming: Trimming) -> Self {
        Self {
            trimming,
            entries: VecDeque::new(),
            acknowledged: 0,
            out: 0,
            open: 0,
            trimmed_to: 0,
            next_ordinal: 0,
            maybe_sent_to: 0,
            lineage: None,
            journaled: None,
            journaled_end: 0,
            acknowledged_end: 0,
            marks: None,
            heard: None,
            grant: None,
            live: false,
            phase: Phase::Idle,
            after_drain: AfterDrain::default(),
            operation: 0,
            unsure: false,
            damage: Vec::new(),
            vouched: 0,
            crossed: false,
            searched: Searched::default(),
            anew: Anew::default(),
            verified: Verified::default(),
            abandoned_from: u64::MAX,
            abandoned_to: 0,
        }
    }

    /// Takes one event and gives the commands that follow from it.
    pub fn on(&mut self, event: Event, now: Instant) -> Vec<Command> {
        let mut commands = Vec::new();
        match event {
            Event::Accepted(entry) => self.accept(entry),
            Event::Granted(grant) => self.granted(grant),
            Event::Lapsed => self.live = false,
            Event::EndFound { operation, offset, topic } => self.end_found(operation, offset, topic),
            Event::LineageSaved { operation } => self.lineage_was_saved(operation),
            Event::Looked { operation, found, topic } => {
                self.looked(operation, &found, topic, &mut commands);
            }
            Event::Matched { operation, records } => self.matched(operation, records),
            Event::Failed { operation } => self.failed(operation, now, &mut commands),
            Event::Sent { ordinal, outcome } => self.sent(ordinal, outcome),
            Event::Replicated { region, topic, marks } => {
                self.replicated(&region, topic, marks, &mut commands);
            }
            Event::TopicTold { question, topic } => self.topic_told(question, topic),
            Event::TopicGone => self.topic_is_gone(),
            Event::Tick => {}
        }
        self.trim(&mut commands);
        self.proceed(now, &mut commands);
        self.check();
        commands
    }

    fn accept(&mut self, entry: Entry) {
        debug_assert!(entry.ordinal >= self.next_ordinal);
        self.next_ordinal = entry.end();
        self.entries.push_back(entry);
    }

    fn granted(&mut self, grant: Grant) {
        let known = self.grant.as_ref();
        if known.is_some_and(|known| grant.epoch < known.epoch) {
            return;
        }
        self.live = true;
        let newer = known.is_none_or(|known| known.epoch != grant.epoch);
        let crossed = newer && self.is_cut_off_from(&grant);
        let moved = crossed || known.is_none_or(|known| known.region != grant.region);
        self.crossed |= crossed;
        if !self.crossed && self.lineage.as_ref().is_some_and(|lineage| lineage.region == grant.region) {
            self.vouched = self.vouched.max(grant.epoch.to_wire());
            self.take_heard();
        }
        if moved || newer {
            self.heard = None;
            self.grant = Some(grant);
        }
        if moved {
            self.operation += 1;
            self.after_drain = AfterDrain::default();
            self.searched = Searched::default();
            self.phase = if self.open > 0 { Phase::Draining } else { Phase::Idle };
        }
    }

    /// Whether somebody else may have been the acting primary between the lineage's region and the grant's. Each
    /// promotion takes one epoch, so two that we missed are needed to leave a region and come back to it.
    fn is_cut_off_from(&self, grant: &Grant) -> bool {
        let Some(lineage) = &self.lineage else { return false };
        let missed = grant.epoch.to_wire().saturating_sub(self.vouched);
        if lineage.region == grant.region {
            return missed > 1;
        }
        let from_elsewhere = grant.promoted.as_ref().is_some_and(|promoted| promoted.from != lineage.region);
        from_elsewhere || missed > 2
    }

    /// Goes on as far as the phase allows.
    fn proceed(&mut self, now: Instant, commands: &mut Vec<Command>) {
        if self.phase == Phase::Draining && self.open == 0 {
            self.drained(now, commands);
        }
        self.abandon(now, commands);
        if let Phase::Pausing { until } = self.phase
            && now >= until
        {
            self.phase = Phase::Idle;
        }
        if self.phase == Phase::Idle && self.live {
            self.begin(commands);
        }
        if self.live
            && let Phase::Forwarding { confirmed } = self.phase
        {
            let sure = confirmed || planted("buffer-sends-many-after-a-doubt");
            self.send(if sure { IN_FLIGHT_MAX } else { 1 }, commands);
        }
    }

    /// Starts whatever stands between here and forwarding.
    fn begin(&mut self, commands: &mut Vec<Command>) {
        debug_assert_eq!(self.open, 0);
        let Some(grant) = self.grant.clone() else { return };
        match &self.lineage {
            Some(_) if self.crossed => self.search(&grant, commands),
            Some(lineage) if lineage.region != grant.region => self.leave(&grant, commands),
            Some(_) if self.anew.is_going_on() => self.begin_anew(&grant, commands),
            Some(lineage) if self.unsure => {
                let lineage = lineage.clone();
                self.look(&lineage, self.acknowledged_end, commands);
            }
            Some(lineage) if self.journaled.as_ref() != Some(lineage) => {
                let lineage = lineage.clone();
                let operation = self.busy(Operation::Save);
                commands.push(Command::SaveLineage { operation, lineage });
            }
            Some(_) => self.phase = Phase::Forwarding { confirmed: false },
            None if self.entries.is_empty() => {}
            None => self.find_end(grant.region, commands),
        }
    }

    fn look(&mut self, lineage: &Lineage, from: i64, commands: &mut Vec<Command>) {
        let (region, epoch, writer) = (lineage.region.clone(), lineage.producer_epoch(), lineage.writer);
        let operation = self.busy(Operation::Look);
        commands.push(Command::Look { operation, region, epoch, writer, from });
    }

    fn find_end(&mut self, region: RegionName, commands: &mut Vec<Command>) {
        let operation = self.busy(Operation::FindEnd);
        commands.push(Command::FindEnd { operation, region });
    }

    fn busy(&mut self, operation: Operation) -> u64 {
        self.phase = Phase::Busy(operation);
        self.operation += 1;
        self.operation
    }

    /// Whether a result belongs to the operation that is going on.
    fn is_current(&self, operation: u64) -> bool {
        matches!(self.phase, Phase::Busy(_)) && self.operation == operation
    }

    fn send(&mut self, window: usize, commands: &mut Vec<Command>) {
        let Some(lineage) = &self.lineage else { return };
        while self.out < self.entries.len() && self.out - self.acknowledged < window {
            let entry = &self.entries[self.out];
            commands.push(Command::Send {
                region: lineage.region.clone(),
                epoch: lineage.producer_epoch(),
                writer: lineage.writer,
                sequence: lineage.sequence(entry.first()),
                entry: entry.clone(),
            });
            self.maybe_sent_to = self.maybe_sent_to.max(entry.end());
            self.out += 1;
            self.open += 1;
        }
    }

    /// What is said of a region while no grant lives may be of another log than the lineage's: it waits for the next grant.
    /// What is said of the grant's region before there is a lineage in it waits for that.
    /// What is said of another topic than the lineage's waits for a lineage in that one.
    fn replicated(
        &mut self,
        region: &RegionName,
        topic: Option<TopicId>,
        marks: Marks,
        commands: &mut Vec<Command>,
    ) {
        let here = self.lineage.as_ref().filter(|lineage| lineage.region == *region && !self.crossed);
        let granted = self.grant.as_ref().is_some_and(|grant| grant.region == *region);
        let ours = here.is_some_and(|lineage| lineage.topic == topic) && !self.anew.is_going_on();
        if ours && self.live {
            self.take_marks(marks);
        } else if here.is_some() || granted && self.live {
            let elsewhere = here.is_some_and(|lineage| lineage.topic != topic);
            self.heard = Some((region.clone(), topic, marks));
            if elsewhere && topic.is_some() {
                self.ask_topic(commands);
            }
        }
    }

    fn take_heard(&mut self) {
        if self.anew.is_going_on() {
            return;
        }
        let heard = self.heard.take_if(|(region, topic, _)| {
            self.lineage.as_ref().is_some_and(|lineage| (&lineage.region, lineage.topic) == (region, *topic))
        });
        if let Some((_, _, marks)) = heard {
            self.take_marks(marks);
        }
    }

    fn take_marks(&mut self, marks: Marks) {
        if self.marks.is_none_or(|known| marks.replicated_to > known.replicated_to) {
            self.marks = Some(marks);
        }
    }

    /// Forgets what nobody needs any more.
    fn trim(&mut self, commands: &mut Vec<Command>) {
        let before = self.trimmed_to;
        while self.acknowledged > 0 {
            let replicated = self.marks.zip(self.entries[0].last_offset());
            let verified = self.is_verified(&self.entries[0]);
            let done = match self.trimming {
                Trimming::WhenAcknowledged => true,
                Trimming::WhenReplicated if planted("buffer-forgets-what-one-region-has") => true,
                Trimming::WhenReplicated => {
                    let mirrored = replicated.is_some_and(|(marks, last)| marks.replicated_to > last);
                    if mirrored && !verified {
                        self.ask_topic(commands);
                    }
                    mirrored && verified
                }
            };
            if !done {
                break;
            }
            self.forget_first();
        }
        if self.trimmed_to > before {
            commands.push(Command::Trimmed { to: self.trimmed_to });
        }
    }

    fn forget_first(&mut self) {
        if let Some(entry) = self.entries.pop_front() {
            self.trimmed_to = entry.end();
            self.acknowledged = self.acknowledged.saturating_sub(1);
            self.out = self.out.saturating_sub(1);
        }
    }

    fn check(&self) {
        debug_assert!(self.acknowledged <= self.out && self.out <= self.entries.len());
        debug_assert!(self.open <= self.out - self.acknowledged);
    }

    /// Records below were acknowledged, or are forgotten.
    fn acknowledged_to(&self) -> u64 {
        self.entries.get(self.acknowledged).map_or(self.next_ordinal, Entry::first)
    }

    /// Records below are forgotten, or were left out.
    fn needed_from(&self) -> u64 {
        self.entries.front().map_or(self.next_ordinal, Entry::first)
    }

    /// The oldest position that is still needed; `None` where nothing is buffered.
    pub fn oldest(&self) -> Option<&Entry> {
        self.entries.front()
    }

    /// What is buffered, in order.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter()
    }

    /// Records that are buffered; those between the oldest and the newest that were left out are counted with them.
    pub fn buffered_records(&self) -> u64 {
        self.oldest().map_or(0, |oldest| self.next_ordinal - oldest.first())
    }

    /// Records that the acting primary is not known to have.
    pub fn unacknowledged_records(&self) -> u64 {
        self.entries.get(self.acknowledged).map_or(0, |oldest| self.next_ordinal - oldest.first())
    }

    /// Where the record with this ordinal stands in the acting region's log, if that is known.
    pub fn offset_of(&self, ordinal: u64) -> Option<i64> {
        let at = self.entries.partition_point(|entry| entry.end() <= ordinal);
        let entry = self.entries.get(at).filter(|_| at < self.acknowledged)?;
        let skipped = i64::try_from(ordinal.checked_sub(entry.first())?).ok()?;
        entry.exact_offset().map(|offset| offset + skipped)
    }

    /// Whether the acting primary has all records below this ordinal, or had them before they were forgotten.
    pub fn is_acknowledged(&self, end: u64) -> bool {
        match self.entries.get(self.acknowledged) {
            Some(first_open) => end <= first_open.first(),
            None => end <= self.next_ordinal,
        }
    }
}
