//! A partition against two model regions: whatever happens in whatever order, each accepted record ends up in the acting
//! region exactly once and in order.

mod doubt;
mod gap;
mod hole;

use std::collections::{BTreeMap, VecDeque};

use leeward_model::{FencingEpoch, Instant, RegionName, Sequence};
use proptest::prelude::*;

use super::entry::Place;
use super::*;

/// A record in a region's log: ours by its ordinal, or somebody else's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Record {
    Ours(u64),
    Foreign,
}

#[derive(Clone, Debug)]
struct Stored {
    epoch: i16,
    sequence: i32,
    records: u32,
    base_offset: i64,
}

#[derive(Clone, Debug, Default)]
struct Region {
    log: Vec<Record>,
    /// Our batches that came in as such; mirrored ones have another producer.
    batches: Vec<Stored>,
}

impl Region {
    /// The broker's rules of idempotence.
    fn produce(&mut self, epoch: i16, sequence: i32, first: u64, records: u32) -> Outcome {
        if let Some(last) = self.batches.last() {
            let recent = self.batches.iter().rev().take(5).filter(|old| old.epoch == epoch);
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
        self.batches.push(Stored { epoch, sequence, records, base_offset });
        self.log.extend((first..first + u64::from(records)).map(Record::Ours));
        Outcome::Acknowledged { base_offset }
    }
}

#[derive(Clone, Debug)]
struct Request {
    region: RegionName,
    epoch: i16,
    sequence: i32,
    entry: Entry,
    outcome: Option<Outcome>,
}

struct World {
    forward: Forward,
    now: Instant,
    regions: BTreeMap<RegionName, Region>,
    acting: RegionName,
    epoch: u64,
    mirrored: usize,
    /// What must be mirrored back before the next failover: what both regions had once is forgotten.
    must_mirror: usize,
    /// Requests and responses on their way, in order.
    wire: VecDeque<Request>,
    /// Requests that were given up by the gateway and may still reach the broker.
    ghosts: VecDeque<Request>,
    operations: VecDeque<Command>,
    journal: Vec<Entry>,
    lineages: Vec<Lineage>,
    saved: Saved,
    next: u64,
    promoted: Option<Promoted>,
    /// Records below were in both regions when the acting one was promoted.
    had_both: u64,
}

fn region(name: &str) -> RegionName {
    RegionName::new(name).unwrap()
}

impl World {
    fn new() -> Self {
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
        };
        world.grant();
        world
    }

    fn other(&self) -> RegionName {
        if self.acting == region("a") { region("b") } else { region("a") }
    }

    fn on(&mut self, event: Event) {
        for command in self.forward.on(event, self.now) {
            match command {
                Command::Send { region, epoch, sequence, entry } => {
                    let (epoch, sequence) = (epoch.to_wire(), sequence.to_wire());
                    self.wire.push_back(Request { region, epoch, sequence, entry, outcome: None });
                }
                Command::SetAside { entry } => panic!("nothing is unacceptable here: {entry:?}"),
                Command::Trimmed { to } => self.check_trimmed(to),
                Command::Wake { .. } => {}
                operation => self.operations.push_back(operation),
            }
        }
    }

    /// Nothing is forgotten that the other region lacks, unless both had it when one of them was lost.
    fn check_trimmed(&self, to: u64) {
        let other = &self.regions[&self.other()];
        for ordinal in self.had_both..to {
            assert!(other.log.contains(&Record::Ours(ordinal)), "{ordinal} forgotten");
        }
    }

    /// Grants carry the promotion for as long as they name its region.
    fn grant(&mut self) {
        if self.wire.iter().any(|request| request.region != self.acting) {
            self.cut();
        }
        let promoted = self.promoted.clone();
        let epoch = FencingEpoch::from_wire(self.epoch).unwrap();
        self.on(Event::Granted(Grant { epoch, region: self.acting.clone(), promoted }));
    }

    fn accept(&mut self, records: u32) {
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
    fn deliver(&mut self, request: &Request) -> Option<Outcome> {
        let entry = &request.entry;
        if request.region != self.acting {
            return None;
        }
        let region = self.regions.get_mut(&request.region).unwrap();
        Some(region.produce(request.epoch, request.sequence, entry.first(), entry.sent_records()))
    }

    /// The oldest request that no broker has seen reaches its broker.
    fn reach(&mut self) {
        if let Some(at) = self.wire.iter().position(|request| request.outcome.is_none()) {
            let request = self.wire[at].clone();
            self.wire[at].outcome = self.deliver(&request);
        }
    }

    fn answer(&mut self) {
        if let Some(Request { outcome: Some(outcome), entry, .. }) = self.wire.front().cloned() {
            self.wire.pop_front();
            self.on(Event::Sent { ordinal: entry.ordinal, outcome });
        }
    }

    /// The connection breaks: what the broker has not seen may reach it later all the same.
    fn cut(&mut self) {
        let lost = std::mem::take(&mut self.wire);
        for request in lost {
            let ordinal = request.entry.ordinal;
            if request.outcome.is_none() {
                self.ghosts.push_back(request);
            }
            self.on(Event::Sent { ordinal, outcome: Outcome::Unknown });
        }
    }

    fn ghost(&mut self) {
        if let Some(ghost) = self.ghosts.pop_front() {
            self.deliver(&ghost);
        }
    }

    fn operate(&mut self) {
        let Some(command) = self.operations.pop_front() else { return };
        let event = match command {
            Command::FindEnd { operation, region } => match &self.regions[&region] {
                _ if region != self.acting => Event::Failed { operation },
                Region { log, .. } => Event::EndFound { operation, offset: log.len() as i64 },
            },
            Command::SaveLineage { operation, lineage } => {
                self.lineages.push(lineage);
                Event::LineageSaved { operation }
            }
            Command::Look { operation, region, epoch, from } => match &self.regions[&region] {
                _ if region != self.acting => Event::Failed { operation },
                Region { batches, .. } => {
                    let ours = batches
                        .iter()
                        .filter(|batch| batch.epoch == epoch.to_wire() && batch.base_offset >= from);
                    let found = ours.map(|batch| Found {
                        sequence: Sequence::from_wire(batch.sequence).unwrap(),
                        records: batch.records,
                        base_offset: batch.base_offset,
                    });
                    Event::Looked { operation, found: found.collect() }
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

    fn mirror(&mut self, records: usize) {
        let source = &self.regions[&self.acting];
        let to = source.log.len().min(self.mirrored + records);
        let copied: Vec<Record> = source.log[self.mirrored..to].to_vec();
        self.mirrored = to;
        let target = self.other();
        self.regions.get_mut(&target).unwrap().log.extend(copied);
    }

    fn marks(&self) -> Marks {
        let target_end = self.regions[&self.other()].log.len() as i64;
        Marks { replicated_to: self.mirrored as i64, target_end }
    }

    fn watermark(&mut self) {
        let (region, marks) = (self.acting.clone(), self.marks());
        self.on(Event::Replicated { region, marks });
    }

    /// The acting region dies and the other is promoted, once no grant lives; the gateway may hear of it late. The dead one comes back empty and is mirrored to anew.
    fn fail_over(&mut self, told: u8) {
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
        self.regions.insert(from, Region::default());
        self.mirrored = 0;
    }

    /// A planned move that went back.
    fn take_a_move_back(&mut self) {
        self.cut();
        self.on(Event::Lapsed);
        self.epoch += 1;
    }

    fn crash(&mut self) {
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

    fn act(&mut self, action: (u8, u8)) {
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

    fn settle(&mut self) {
        self.grant();
        for _ in 0..400 {
            self.now = self.now.after(Duration::from_secs(1));
            self.on(Event::Tick);
            for _ in 0..8 {
                self.operate();
                self.reach();
                self.answer();
            }
        }
    }
}

fn ours(region: &Region) -> Vec<u64> {
    let ours = region.log.iter().filter_map(|record| match record {
        Record::Ours(ordinal) => Some(*ordinal),
        Record::Foreign => None,
    });
    ours.collect()
}

/// A batch that stands in the acting region's log and is acknowledged, and then a saved state.
fn acknowledged_at_a() -> World {
    let mut world = World::new();
    world.accept(1);
    world.operate();
    world.operate();
    world.reach();
    world.answer();
    world.saved = world.forward.saved();
    world
}

#[test]
fn marks_that_come_while_no_grant_lives_do_not_trim() {
    let mut world = acknowledged_at_a();
    world.on(Event::Lapsed);
    world.mirror(1);
    world.watermark();
    assert_eq!(world.forward.buffered_records(), 1);

    world.grant();

    assert_eq!(world.forward.buffered_records(), 0);
}

#[test]
fn each_lineage_begins_at_sequence_0() {
    let mut world = acknowledged_at_a();
    world.mirror(1);
    world.fail_over(1);
    world.accept(1);

    while world.wire.is_empty() {
        world.operate();
    }

    let first = &world.wire[0];
    assert_eq!((first.epoch, first.sequence, first.entry.ordinal), (2, 0, 1));
}

#[test]
fn a_batch_whose_successor_is_acknowledged_is_not_sent_again() {
    let mut world = acknowledged_at_a();
    world.accept(1);
    world.accept(1);
    world.wire.clear();

    world.on(Event::Sent { ordinal: 1, outcome: Outcome::Unknown });
    world.on(Event::Sent { ordinal: 2, outcome: Outcome::Acknowledged { base_offset: 2 } });

    assert!(world.forward.is_acknowledged(3));
}

#[test]
fn a_restart_reads_the_regions_log_before_it_sends() {
    let mut world = acknowledged_at_a();
    world.accept(1);
    world.crash();

    assert!(matches!(world.operations.front(), Some(Command::Look { from: 1, .. })));
}

#[test]
fn the_newest_lineage_counts_in_whatever_order_the_journal_holds_them() {
    let mut world = acknowledged_at_a();
    world.fail_over(1);
    world.operate();
    world.operate();
    world.lineages.reverse();
    world.reach();
    world.answer();
    world.saved = Saved::default();

    world.crash();
    world.settle();

    assert_eq!(ours(&world.regions[&region("b")]), [0]);
}

#[test]
fn a_batch_that_no_region_takes_is_set_aside_and_those_behind_it_arrive() {
    let mut world = World::new();
    world.accept(1);
    world.accept(1);
    world.operate();
    world.operate();
    world.wire.clear();

    let commands = world.forward.on(Event::Sent { ordinal: 0, outcome: Outcome::Unacceptable }, world.now);

    assert!(matches!(
        &commands[..],
        [Command::Trimmed { to: 1 }, Command::SetAside { .. }, Command::SaveLineage { .. }]
    ));
    world.operations.extend(commands.into_iter().skip(2));
    world.settle();
    assert_eq!(ours(&world.regions[&world.acting]), [1]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, ..ProptestConfig::default() })]

    #[test]
    fn each_accepted_record_arrives_once_and_in_order(
        actions in proptest::collection::vec(any::<(u8, u8)>(), 1..300)
    ) {
        let mut world = World::new();
        for action in actions {
            world.act(action);
        }

        world.settle();

        prop_assert_eq!(ours(&world.regions[&world.acting]), (0..world.next).collect::<Vec<u64>>());
    }
}
