//! A topic that was deleted and made again under its name has another log, and offsets of the old one say nothing of it.
//!
//! The rule: what a region told of one topic never counts for another. Marks count for the lineage's topic only, and for what
//! is known to have been acknowledged by that one: the topic was there under its name after the acknowledgement. Two things
//! raise a doubt: another topic is told under the name, or an acknowledgement stands below what was reached before. The log is
//! then read for our batches. What it has is kept until the other region has it. What it lacks was acknowledged by another
//! log: where the topic is another one too, somebody deleted those records, and they are forgotten, never written into the new
//! topic. Where it is the same one, or the region tells no ids, the log was cut, and they are sent again, as is all that was
//! never acknowledged. The sequences go on, since a broker without state for a producer takes any first one; where they cannot,
//! because the log lacks some in the middle, another producer of the partition's writes on.
//!
//! Another id means a deletion only while a grant lives: a region that was left and comes back has other topics as well.
//!
//! A record of the new topic is never lost by that, and written twice only where another producer writes on: where the log was
//! cut, or where the topic was made anew between two batches that were under way together, and took the second of them alone.
//! A record of the deleted topic whose outcome nobody knew may stand in the new one as well. Where the gateway is killed, or the
//! region lost, before it knows of the new topic, batches whose outcome it does not know may be written twice, too.

use leeward_model::{RegionName, TopicId};

use super::entry::{Entry, Place};
use super::{Command, Forward, Found, Gap, Grant, Lineage, Phase, TopicQuestion};

/// Why the log may be another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Doubt {
    /// Another topic was told; who told it may lag behind.
    Told,
    /// An acknowledgement stands below what was reached before.
    Acknowledged,
}

/// What is certain of the topic that acknowledged.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Verified {
    /// Records below were acknowledged by the lineage's topic: it was there under its name later.
    pub(super) to: u64,
    /// The shell was asked for the topic's id, and has not told it.
    pub(super) asking: bool,
}

/// Whether the log is still the one that the lineage began in, and how far the next lineage is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Anew {
    #[default]
    No,
    /// The log is to be read.
    Doubted(Doubt),
    /// It was read while this topic had it, and its end is to be found.
    Read(Option<TopicId>),
}

impl Anew {
    pub(super) fn is_going_on(self) -> bool {
        match self {
            Self::No => false,
            Self::Doubted(_) | Self::Read(_) => true,
        }
    }
}

impl Forward {
    /// What to ask of a region's topic; `None` where nothing hangs on it.
    pub fn topic_question(&self, region: &RegionName) -> Option<TopicQuestion> {
        let lineage = self.lineage.as_ref().filter(|lineage| lineage.region == *region && !self.crossed)?;
        let acknowledged_to = self.acknowledged_to();
        let wanted = !self.entries.is_empty() && acknowledged_to > self.verified.to;
        let question = TopicQuestion { epoch: lineage.epoch, turn: lineage.turn, acknowledged_to };
        (wanted || self.verified.asking).then_some(question)
    }

    pub(super) fn ask_topic(&mut self, commands: &mut Vec<Command>) {
        if let Some(lineage) = &self.lineage
            && !self.verified.asking
        {
            commands.push(Command::AskTopic { region: lineage.region.clone() });
            self.verified.asking = true;
        }
    }

    pub(super) fn topic_told(&mut self, question: TopicQuestion, topic: TopicId) {
        let Some(lineage) = &mut self.lineage else { return };
        if (lineage.epoch, lineage.turn) != (question.epoch, question.turn)
            || self.anew.is_going_on()
            || !self.live
        {
            return;
        }
        self.verified.asking = false;
        match lineage.topic {
            Some(known) if known != topic => self.doubt_log(Doubt::Told),
            Some(_) => self.verified.to = self.verified.to.max(question.acknowledged_to),
            None => self.take_topic(Some(topic)),
        }
    }

    /// The lineage's topic is told for the first time: that of a journal which had none.
    fn take_topic(&mut self, topic: Option<TopicId>) {
        if let Some(lineage) = &mut self.lineage
            && lineage.topic.is_none()
            && topic.is_some()
        {
            lineage.topic = topic;
            self.marks = None;
            self.take_heard();
        }
    }

    fn has_topic_id(&self) -> bool {
        self.lineage.as_ref().is_some_and(|lineage| lineage.topic.is_some())
    }

    /// Whether the lineage's topic acknowledged the entry, as far as ids are told.
    pub(super) fn is_verified(&self, entry: &Entry) -> bool {
        !self.has_topic_id() || entry.end() <= self.verified.to
    }

    /// Whether what the promoted region is said to have can be of the lineage's topic: the mirror told marks of it.
    pub(super) fn trusts_promoted(&self) -> bool {
        !self.has_topic_id() || self.marks.is_some()
    }

    /// Whether what is buffered may have been mirrored from a log before the one that has it.
    pub(super) fn may_be_of_two_logs(&self) -> bool {
        let again = self.lineage.as_ref().is_some_and(|lineage| lineage.turn > 0);
        self.anew.is_going_on() || again && self.marks.is_none()
    }

    /// Whether an acknowledgement of the entry stands below what the log had reached before.
    pub(super) fn is_below_what_was(&self, at: usize, base_offset: i64) -> bool {
        let before = self.entries.range(self.acknowledged..at).filter_map(Entry::last_offset).max();
        base_offset < self.acknowledged_end || before.is_some_and(|last| base_offset <= last)
    }

    /// The log may be another one: marks wait, and nothing more is sent before it is read.
    pub(super) fn doubt_log(&mut self, doubt: Doubt) {
        let marks = self.marks.take();
        if let (Some(lineage), Some(marks)) = (&self.lineage, marks) {
            self.heard.get_or_insert((lineage.region.clone(), lineage.topic, marks));
        }
        if self.anew != Anew::Doubted(Doubt::Acknowledged) {
            self.anew = Anew::Doubted(doubt);
        }
        match self.phase {
            Phase::Forwarding { .. } => self.drain(None, false, None),
            Phase::Busy(_) => {
                // What it was begun for does not hold any more.
                self.operation += 1;
                self.phase = Phase::Idle;
            }
            Phase::Idle | Phase::Draining | Phase::Pausing { .. } => {}
        }
    }

    /// What was acknowledged and is not counted yet stays in doubt.
    pub(super) fn forget_uncounted_places(&mut self) {
        for entry in self.entries.range_mut(self.acknowledged..) {
            entry.place = Place::Unknown;
        }
    }

    /// Takes the next step to a lineage in the log as it is.
    pub(super) fn begin_anew(&mut self, grant: &Grant, commands: &mut Vec<Command>) {
        let Some(lineage) = self.lineage.clone() else { return };
        match self.anew {
            Anew::No => {}
            Anew::Doubted(_) => self.look(&lineage, 0, commands),
            Anew::Read(_) => self.find_end(grant.region.clone(), commands),
        }
    }

    /// Compares the topic that was read with the lineage's; `false` where the reading is not to be used as usual.
    pub(super) fn read_by(
        &mut self,
        topic: Option<TopicId>,
        found: &[Found],
        commands: &mut Vec<Command>,
    ) -> bool {
        if !self.live {
            // Another region may have acted meanwhile, and this one's topics may have been made anew for it.
            self.phase = Phase::Idle;
            return false;
        }
        self.take_topic(topic);
        let same = self.lineage.as_ref().is_some_and(|lineage| lineage.topic == topic);
        match self.anew {
            Anew::No if same => true,
            Anew::No => {
                self.doubt_log(Doubt::Told);
                false
            }
            Anew::Doubted(Doubt::Told) if same => {
                self.anew = Anew::No;
                self.unsure = true;
                self.phase = Phase::Idle;
                self.take_heard();
                false
            }
            Anew::Doubted(_) | Anew::Read(_) => {
                self.settle_anew(topic, found, same, commands);
                false
            }
        }
    }

    /// The log is read: what it has of ours is known, and what it lacks is forgotten or sent again.
    fn settle_anew(
        &mut self,
        topic: Option<TopicId>,
        found: &[Found],
        same: bool,
        commands: &mut Vec<Command>,
    ) {
        let acknowledged_to = self.acknowledged_to();
        for entry in &mut self.entries {
            entry.place = Place::Unknown;
        }
        (self.acknowledged, self.out, self.acknowledged_end) = (0, 0, 0);
        let (_, appended) = self.place_found(found);
        let lacks = |entry: &Entry| entry.place == Place::Unknown && entry.end() <= acknowledged_to;
        let lacking = self.entries.iter().filter(|entry| lacks(entry));
        let lacking: u64 = lacking.map(|entry| u64::from(entry.sent_records())).sum();
        let before = self.trimmed_to;
        let mut forgotten = 0;
        while !same && let Some(entry) = self.entries.front().filter(|entry| lacks(entry)) {
            forgotten += u64::from(entry.sent_records());
            self.forget_first();
        }
        if self.trimmed_to > before {
            commands.push(Command::Trimmed { to: self.trimmed_to });
        }
        if lacking > 0 {
            commands.push(Command::LogLost { forgotten, sent_again: lacking - forgotten });
        }
        self.acknowledged = self.entries.iter().take_while(|entry| entry.place != Place::Unknown).count();
        self.out = self.acknowledged;
        self.phase = Phase::Idle;
        let overtaken = self.entries.range(self.acknowledged..).any(|entry| entry.place != Place::Unknown);
        if overtaken || lacking > forgotten {
            self.anew = Anew::Read(topic);
        } else {
            self.go_on_anew(topic, appended);
        }
    }

    /// The lineage's sequences go on in the new log: so they tell a batch that is still under way from its repeat.
    fn go_on_anew(&mut self, topic: Option<TopicId>, appended: Option<u64>) {
        let acknowledged_to = self.acknowledged_to();
        let kept_from = self.needed_from();
        let Some(lineage) = &mut self.lineage else { return };
        lineage.turn += 1;
        lineage.topic = topic;
        lineage.kept_from = kept_from;
        lineage.start_offset = 0;
        self.settle_damage(appended);
        self.begins_in_new_log(acknowledged_to);
    }

    fn begins_in_new_log(&mut self, verified_to: u64) {
        self.marks = None;
        self.journaled_end = 0;
        self.verified.to = verified_to;
        self.unsure = false;
        self.verified.asking = false;
        self.anew = Anew::No;
        self.take_heard();
    }

    /// The end of the log that was read: a lineage begins there, unless the topic was made anew again.
    pub(super) fn end_found_anew(&mut self, read: Option<TopicId>, offset: i64, topic: Option<TopicId>) {
        self.phase = Phase::Idle;
        if read != topic {
            self.anew = Anew::Doubted(Doubt::Told);
            return;
        }
        let Some(old) = self.lineage.take() else { return };
        let start_ordinal = self.acknowledged_to();
        let left_out: Vec<Gap> = old.gaps.into_iter().chain(std::mem::take(&mut self.damage)).collect();
        self.lineage = Some(Lineage {
            turn: old.turn + 1,
            writer: old.writer + 1,
            topic,
            kept_from: self.needed_from().min(start_ordinal),
            start_ordinal,
            start_offset: offset,
            gaps: left_out.into_iter().filter(|gap| gap.ordinal >= start_ordinal).collect(),
            ..old
        });
        for entry in self.entries.iter_mut().skip(self.acknowledged) {
            entry.place = Place::Unknown;
        }
        self.acknowledged_end = offset;
        self.maybe_sent_to = self.maybe_sent_to.max(start_ordinal);
        self.begins_in_new_log(start_ordinal);
    }
}
