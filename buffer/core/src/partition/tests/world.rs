//! A partition's surroundings: two model regions, a mirror, a wire that breaks.

use std::collections::{BTreeMap, VecDeque};

use leeward_model::{FencingEpoch, Instant, RegionName, Sequence, TopicId};

use super::super::entry::Place;
use super::super::*;

/// A record in a region's log: ours by its ordinal, or somebody else's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Record {
    Ours(u64),
    Foreign,
}

#[derive(Clone, Debug)]
pub(super) struct Stored {
    pub(super) writer: u32,
    pub(super) epoch: i16,
    pub(super) sequence: i32,
    pub(super) records: u32,
    pub(super) base_offset: i64,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Region {
    /// The id of the topic that has the log, where the region tells ids.
    pub(super) topic: Option<TopicId>,
    pub(super) log: Vec<Record>,
    /// Our batches that came in as such; mirrored ones have another producer.
    pub(super) batches: Vec<Stored>,
}

impl Region {
    /// The broker's rules of idempotence.
    pub(super) fn produce(
        &mut self,
        (writer, epoch): (u32, i16),
        sequence: i32,
        first: u64,
        records: u32,
    ) -> Outcome {
        let ours = self.batches.iter().rev().filter(|old| old.writer == writer);
        if let Some(last) = ours.clone().next() {
            let recent = ours.take(5).filter(|old| old.epoch == epoch);
            let mut same = recent.filter(|old| old.sequence == sequence && old.records == records);
            if let Some(repeat) = same.next() {
                return Outcome::Acknowledged { base_offset: repeat.base_offset };
            }
            let expected = Sequence::from_wire(last.sequence).unwrap().after(last.records).to_wire();
            let fits = match epoch.cmp(&last.epoch) {
                std::cmp::Ordering::Less => false,
                std::cmp::Ordering::Equal => sequence == expected,
                std::cmp::Ordering::Greater => sequence == 0,
            };
            if !fits {
                return Outcome::OutOfOrder;
            }
        }
        let base_offset = self.log.len() as i64;
        self.batches.push(Stored { writer, epoch, sequence, records, base_offset });
        self.log.extend((first..first + u64::from(records)).map(Record::Ours));
        Outcome::Acknowledged { base_offset }
    }
}

#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) region: RegionName,
    pub(super) writer: u32,
    pub(super) epoch: i16,
    pub(super) sequence: i32,
    pub(super) entry: Entry,
    pub(super) outcome: Option<Outcome>,
}

pub(super) struct World {
    pub(super) forward: Forward,
    pub(super) now: Instant,
    pub(super) regions: BTreeMap<RegionName, Region>,
    pub(super) acting: RegionName,
    pub(super) epoch: u64,
    pub(super) mirrored: usize,
    /// What must be mirrored back before the next failover: what both regions had once is forgotten.
    pub(super) must_mirror: usize,
    /// Requests and responses on their way, in order.
    pub(super) wire: VecDeque<Request>,
    /// Requests that were given up by the gateway and may still reach the broker.
    pub(super) ghosts: VecDeque<Request>,
    pub(super) operations: VecDeque<Command>,
    pub(super) journal: Vec<Entry>,
    pub(super) lineages: Vec<Lineage>,
    pub(super) saved: Saved,
    pub(super) next: u64,
    pub(super) promoted: Option<Promoted>,
    /// Records below were in both regions when the acting one was promoted.
    pub(super) had_both: u64,
    /// The topic that the mirror copies.
    pub(super) mirrors: Option<TopicId>,
    /// Topics that there were.
    pub(super) topics: u8,
    /// What stood in logs of topics that were deleted.
    pub(super) deleted: Vec<u64>,
    /// A question for the topic's id, and what it was at that time.
    pub(super) told: Option<(TopicQuestion, TopicId)>,
    /// What was said of records that a log lacks: forgotten, and sent again.
    pub(super) lost: (u64, u64),
}

pub(super) fn region(name: &str) -> RegionName {
    RegionName::new(name).unwrap()
}

impl World {
    /// Regions that tell the ids of topics.
    pub(super) fn telling_ids() -> Self {
        let mut world = Self::new();
        world.topics = 1;
        for name in [region("a"), region("b")] {
            let topic = world.new_topic();
            world.regions.get_mut(&name).unwrap().topic = topic;
        }
        world.mirror_anew();
        world
    }

    pub(super) fn new() -> Self {
        let names = [region("a"), region("b")];
        let mut world = Self {
            forward: Forward::new(Trimming::WhenReplicated),
            now: Instant::ZERO,
            regions: names.into_iter().map(|name| (name, Region::default())).collect(),
            acting: region("a"),
            epoch: 1,
            mirrored: 0,
            must_mirror: 0,
            wire: VecDeque::new(),
            ghosts: VecDeque::new(),
            operations: VecDeque::new(),
            journal: Vec::new(),
            lineages: Vec::new(),
            saved: Saved::default(),
            next: 0,
            promoted: None,
            had_both: 0,
            mirrors: None,
            topics: 0,
            deleted: Vec::new(),
            told: None,
            lost: (0, 0),
        };
        world.grant();
        world
    }

    pub(super) fn other(&self) -> RegionName {
        if self.acting == region("a") { region("b") } else { region("a") }
    }

    pub(super) fn on(&mut self, event: Event) {
        for command in self.forward.on(event, self.now) {
            match command {
                Command::Send { region, epoch, writer, sequence, entry } => {
                    let (epoch, sequence) = (epoch.to_wire(), sequence.to_wire());
                    self.wire.push_back(Request { region, writer, epoch, sequence, entry, outcome: None });
                }
                Command::SetAside { entry } => panic!("nothing is unacceptable here: {entry:?}"),
                Command::Trimmed { to } => self.check_trimmed(to),
                Command::Wake { .. } | Command::AskTopic { .. } => {}
                Command::LogLost { forgotten, sent_again } => {
                    self.lost = (self.lost.0 + forgotten, self.lost.1 + sent_again);
                }
                operation => self.operations.push_back(operation),
            }
        }
    }

    /// Nothing is forgotten that the other region lacks, unless both had it when one of them was lost.
    pub(super) fn check_trimmed(&self, to: u64) {
        let other = &self.regions[&self.other()];
        for ordinal in self.had_both..to {
            let there = other.log.contains(&Record::Ours(ordinal)) || self.deleted.contains(&ordinal);
            assert!(there, "{ordinal} forgotten");
        }
    }

    /// Grants carry the promotion for as long as they name its region.
    pub(super) fn grant(&mut self) {
        if self.wire.iter().any(|request| request.region != self.acting) {
            self.cut();
        }
        let promoted = self.promoted.clone();
        let epoch = FencingEpoch::from_wire(self.epoch).unwrap();
        self.on(Event::Granted(Grant { epoch, region: self.acting.clone(), promoted }));
    }

    pub(super) fn accept(&mut self, records: u32) {
        let entry = Entry {
            ordinal: self.next,
            records,
            skip: 0,
            position: self.next,
            accepted_at_ms: 0,
            place: Place::Unknown,
        };
        self.next = entry.end();
        self.journal.push(entry.clone());
        self.on(Event::Accepted(entry));
    }

    /// A region takes what reaches it while it is the acting one; afterwards it is dead or fenced.
    pub(super) fn deliver(&mut self, request: &Request) -> Option<Outcome> {
        let entry = &request.entry;
        if request.region != self.acting {
            return None;
        }
        let region = self.regions.get_mut(&request.region).unwrap();
        Some(region.produce(
            (request.writer, request.epoch),
            request.sequence,
            entry.first(),
            entry.sent_records(),
        ))
    }

    /// The oldest request that no broker has seen reaches its broker.
    pub(super) fn reach(&mut self) {
        if let Some(at) = self.wire.iter().position(|request| request.outcome.is_none()) {
            let request = self.wire[at].clone();
            self.wire[at].outcome = self.deliver(&request);
        }
    }

    pub(super) fn answer(&mut self) {
        if let Some(Request { outcome: Some(outcome), entry, .. }) = self.wire.front().cloned() {
            self.wire.pop_front();
            self.on(Event::Sent { ordinal: entry.ordinal, outcome });
        }
    }

    /// The connection breaks: what the broker has not seen may reach it later all the same.
    pub(super) fn cut(&mut self) {
        let lost = std::mem::take(&mut self.wire);
        for request in lost {
            let ordinal = request.entry.ordinal;
            if request.outcome.is_none() {
                self.ghosts.push_back(request);
            }
            self.on(Event::Sent { ordinal, outcome: Outcome::Unknown });
        }
    }

    pub(super) fn ghost(&mut self) {
        if let Some(ghost) = self.ghosts.pop_front() {
            self.deliver(&ghost);
        }
    }

    pub(super) fn operate(&mut self) {
        let Some(command) = self.operations.pop_front() else { return };
        let event = match command {
            Command::FindEnd { operation, region } => match &self.regions[&region] {
                _ if region != self.acting => Event::Failed { operation },
                Region { log, topic, .. } => {
                    Event::EndFound { operation, offset: log.len() as i64, topic: *topic }
                }
            },
            Command::SaveLineage { operation, lineage } => {
                self.lineages.push(lineage);
                Event::LineageSaved { operation }
            }
            Command::Look { operation, region, epoch, writer, from } => match &self.regions[&region] {
                _ if region != self.acting => Event::Failed { operation },
                Region { batches, topic, .. } => {
                    let ours = batches
                        .iter()
                        .filter(|batch| (batch.writer, batch.epoch) == (writer, epoch.to_wire()))
                        .filter(|batch| batch.base_offset >= from);
                    let found = ours.map(|batch| Found {
                        sequence: Sequence::from_wire(batch.sequence).unwrap(),
                        records: batch.records,
                        base_offset: batch.base_offset,
                    });
                    Event::Looked { operation, found: found.collect(), topic: *topic }
                }
            },
            Command::Match { operation, region, .. } if region != self.acting => Event::Failed { operation },
            Command::Match { operation, region, from, to, candidates } => {
                let log = &self.regions[&region].log;
                let to = to.map_or(log.len(), |to| log.len().min(to as usize));
                let log = &log[to.min(from as usize)..to];
                let mut wanted = candidates.iter().flat_map(|entry| entry.first()..entry.end()).peekable();
                let records = log
                    .iter()
                    .filter(|record| wanted.next_if(|ordinal| **record == Record::Ours(*ordinal)).is_some())
                    .count() as u64;
                Event::Matched { operation, records }
            }
            other => unreachable!("{other:?}"),
        };
        self.on(event);
    }

    pub(super) fn mirror(&mut self, records: usize) {
        let source = &self.regions[&self.acting];
        if source.topic != self.mirrors {
            return;
        }
        let to = source.log.len().min(self.mirrored + records);
        let copied: Vec<Record> = source.log[self.mirrored..to].to_vec();
        self.mirrored = to;
        let target = self.other();
        self.regions.get_mut(&target).unwrap().log.extend(copied);
    }

    pub(super) fn marks(&self) -> Marks {
        let target_end = self.regions[&self.other()].log.len() as i64;
        Marks { replicated_to: self.mirrored as i64, target_end }
    }

    pub(super) fn watermark(&mut self) {
        let (region, marks) = (self.acting.clone(), self.marks());
        self.on(Event::Replicated { region, topic: self.mirrors, marks });
    }

    /// The acting region dies and the other is promoted, once no grant lives; the gateway may hear of it late. The dead one comes back empty and is mirrored to anew.
    pub(super) fn fail_over(&mut self, told: u8) {
        if self.mirrored < self.must_mirror {
            return;
        }
        let marks = self.marks();
        let from = self.acting.clone();
        self.must_mirror = self.regions[&self.other()].log.len();
        self.cut();
        self.ghosts.clear();
        self.on(Event::Lapsed);
        self.acting = self.other();
        self.had_both = ours(&self.regions[&self.acting]).last().map_or(0, |newest| newest + 1);
        self.epoch += 1;
        self.promoted = Some(Promoted { from: from.clone(), marks });
        if !told.is_multiple_of(2) {
            self.grant();
        }
        let topic = self.new_topic();
        self.regions.insert(from, Region { topic, ..Region::default() });
        self.mirror_anew();
    }

    fn new_topic(&mut self) -> Option<TopicId> {
        self.topics += u8::from(self.topics > 0);
        TopicId::from_wire([self.topics; 16])
    }

    /// The mirror begins with the acting region's topic as it is.
    pub(super) fn mirror_anew(&mut self) {
        self.mirrors = self.regions[&self.acting].topic;
        self.mirrored = 0;
    }

    /// The acting region's topic is deleted and made again. The mirror stops, and goes on saying what it said.
    pub(super) fn make_anew(&mut self) {
        let topic = self.new_topic();
        let anew = Region { topic, ..Region::default() };
        let old = self.regions.insert(self.acting.clone(), anew).unwrap();
        self.deleted.extend(ours(&old));
    }

    /// The gateway asks for the topic's id.
    pub(super) fn ask(&mut self) {
        let question = self.forward.topic_question(&self.acting);
        self.told = question.zip(self.regions[&self.acting].topic);
    }

    /// The answer comes.
    pub(super) fn tell(&mut self) {
        if let Some((question, topic)) = self.told.take() {
            self.on(Event::TopicTold { question, topic });
        }
    }

    /// A planned move that went back.
    pub(super) fn take_a_move_back(&mut self) {
        self.cut();
        self.on(Event::Lapsed);
        self.epoch += 1;
    }

    pub(super) fn crash(&mut self) {
        for request in std::mem::take(&mut self.wire) {
            if request.outcome.is_none() {
                self.ghosts.push_back(request);
            }
        }
        self.operations.clear();
        let mut saved = self.saved.clone();
        for lineage in &self.lineages {
            saved.take_lineage(lineage.clone());
        }
        self.forward =
            Forward::recovered(Trimming::WhenReplicated, saved, self.journal.clone(), Vec::new(), self.next);
        self.grant();
    }

    pub(super) fn act(&mut self, action: (u8, u8)) {
        match action.0 {
            0..=39 => self.accept(1 + u32::from(action.1) % 4),
            40..=79 => self.reach(),
            80..=119 => self.answer(),
            120..=149 => self.operate(),
            150..=159 => self.cut(),
            160..=169 => self.ghost(),
            170..=194 => self.mirror(usize::from(action.1) % 7),
            195..=209 => self.watermark(),
            210..=219 => self.saved = self.forward.saved(),
            220..=226 => self.crash(),
            227..=231 => self.fail_over(action.1),
            232..=236 => self.on(Event::Lapsed),
            237..=244 => self.grant(),
            245..=246 => self.take_a_move_back(),
            247..=249 => {
                let acting = self.acting.clone();
                self.regions.get_mut(&acting).unwrap().log.push(Record::Foreign);
            }
            _ => {
                self.now = self.now.after(Duration::from_secs(1));
                self.on(Event::Tick);
            }
        }
    }

    pub(super) fn settle(&mut self) {
        self.grant();
        for _ in 0..400 {
            self.now = self.now.after(Duration::from_secs(1));
            self.on(Event::Tick);
            self.ask();
            self.tell();
            for _ in 0..8 {
                self.operate();
                self.reach();
                self.answer();
            }
        }
    }
}

pub(super) fn ours(region: &Region) -> Vec<u64> {
    let ours = region.log.iter().filter_map(|record| match record {
        Record::Ours(ordinal) => Some(*ordinal),
        Record::Foreign => None,
    });
    ours.collect()
}
