//! Group positions from looks and from the log of commits: nothing missed, nothing back, whatever crosses.

#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};

use bytes::{Bytes, BytesMut};
use leeward_mirror_core::groups::{Commit, CommitReader, Key, Look, Position, Positions, Unreadable};
use leeward_model::{GroupName, PartitionIndex, SourceOffset, TopicName, TopicPartition};
use leeward_wire::{
    offsets_topic::{GroupMetadataKey, OffsetCommitKey, OffsetCommitValue, OffsetsTopicKey},
    record::{BatchBuilder, Compression, ControlKind, RecordBatch, control_batch},
};
use proptest::prelude::*;

fn key(group: &str) -> Key {
    let partition = PartitionIndex::from_wire(0).unwrap();
    (GroupName::new(group), TopicPartition { topic: TopicName::new("orders").unwrap(), partition })
}

fn position(offset: i64) -> Position {
    Position { source: SourceOffset::from_wire(offset).unwrap(), metadata: "m".to_owned() }
}

fn key_bytes(group: &str, topic: &str) -> Bytes {
    let key = OffsetCommitKey { group: group.to_owned(), topic: topic.to_owned(), partition: 0 };
    OffsetsTopicKey::Offset(key).to_bytes().unwrap()
}

fn value_bytes(offset: i64, version: i16) -> Bytes {
    let value = OffsetCommitValue { offset, metadata: "m".to_owned(), ..Default::default() };
    value.to_bytes(version).unwrap()
}

/// A log of commits as a broker keeps it.
#[derive(Default)]
struct Log {
    batches: Vec<RecordBatch>,
    end: i64,
}

impl Log {
    fn push(&mut self, batch: &RecordBatch) {
        self.batches.push(batch.with_base_offset(self.end).unwrap());
        self.end += i64::from(batch.last_offset_delta()) + 1;
    }

    fn record(&mut self, key: &[u8], value: Option<&Bytes>, transaction: Option<i64>) {
        let mut builder = BatchBuilder::new(Compression::None);
        if let Some(producer) = transaction {
            builder = builder.producer(producer, 0, 0).transactional();
        }
        builder.append(7, Some(key), value.map(|value| &value[..]), &[]).unwrap();
        self.push(&builder.build().unwrap());
    }

    fn commit(&mut self, group: &str, offset: i64) {
        self.record(&key_bytes(group, "orders"), Some(&value_bytes(offset, 3)), None);
    }

    fn delete(&mut self, group: &str) {
        self.record(&key_bytes(group, "orders"), None, None);
    }

    fn commit_within(&mut self, producer: i64, group: &str, offset: i64) {
        self.record(&key_bytes(group, "orders"), Some(&value_bytes(offset, 3)), Some(producer));
    }

    fn end_transaction(&mut self, producer: i64, kind: ControlKind) {
        self.push(&control_batch(kind, 0, producer, 0, 7).unwrap());
    }

    /// At most `batches` batches from an offset on.
    fn from(&self, offset: i64, batches: usize) -> Bytes {
        let mut bytes = BytesMut::new();
        for batch in self.batches.iter().filter(|batch| batch.next_offset() > offset).take(batches) {
            batch.write_to(&mut bytes);
        }
        bytes.freeze()
    }
}

fn read(log: &Log) -> Result<Vec<Commit>, Unreadable> {
    CommitReader::at(0).read(log.from(0, usize::MAX), |_| true)
}

fn told(commits: &[Commit]) -> Vec<(Key, Option<Position>)> {
    commits.iter().map(|commit| (commit.key.clone(), commit.position.clone())).collect()
}

#[test]
fn every_version_of_keys_and_values_is_a_commit() {
    let mut log = Log::default();
    for version in 0..=4 {
        log.record(&key_bytes("g", "orders"), Some(&value_bytes(i64::from(version), version)), None);
    }
    let mut old_key = key_bytes("g", "orders").to_vec();
    old_key[1] = 0;
    log.record(&old_key, Some(&value_bytes(5, 3)), None);

    let commits = read(&log).unwrap();

    let expected: Vec<_> = (0..=5).map(|offset| (key("g"), Some(position(offset)))).collect();
    assert_eq!(told(&commits), expected);
}

#[test]
fn a_tombstone_gives_a_position_up_and_a_groups_own_records_say_nothing() {
    let mut log = Log::default();
    let group = OffsetsTopicKey::Group(GroupMetadataKey { group: "g".to_owned() }).to_bytes().unwrap();
    log.record(&group, None, None);
    log.record(b"\0\x08anything", Some(&Bytes::from_static(b"of newer protocols")), None);
    log.record(&key_bytes("g", "__internal"), Some(&value_bytes(5, 3)), None);
    log.delete("g");

    assert_eq!(told(&read(&log).unwrap()), [(key("g"), None)]);
}

#[test]
fn a_transactional_commit_counts_once_its_marker_is_there() {
    let mut log = Log::default();
    log.commit_within(1, "committed", 10);
    log.commit_within(2, "aborted", 20);
    log.commit_within(3, "open", 30);
    log.commit("plain", 40);
    let before = read(&log).unwrap();
    log.end_transaction(1, ControlKind::Commit);
    log.end_transaction(2, ControlKind::Abort);

    let after = read(&log).unwrap();

    assert_eq!(told(&before), [(key("plain"), Some(position(40)))]);
    assert_eq!(told(&after[1..]), [(key("committed"), Some(position(10)))]);
}

#[test]
fn a_transactional_commit_that_a_later_one_outdated_does_not_come_back() {
    let mut log = Log::default();
    log.commit_within(1, "g", 10);
    log.commit_within(2, "g", 20);
    log.commit_within(2, "h", 21);
    log.commit("h", 30);
    log.end_transaction(2, ControlKind::Commit);
    log.end_transaction(1, ControlKind::Commit);

    let commits = read(&log).unwrap();

    assert_eq!(told(&commits), [(key("h"), Some(position(30))), (key("g"), Some(position(20)))]);
}

/// Key or value of a record.
type Field = Option<Vec<u8>>;

#[test]
fn bytes_that_are_no_commit_are_an_error() {
    let commit = (key_bytes("g", "orders"), value_bytes(5, 3));
    let cut = |bytes: &Bytes| bytes[..bytes.len() - 1].to_vec();
    let future = [b"\0\x09".as_slice(), &commit.1[2..]].concat();
    let hostile: [(Field, Field); 6] = [
        (None, Some(commit.1.to_vec())),
        (Some(Vec::new()), Some(commit.1.to_vec())),
        (Some(cut(&commit.0)), Some(commit.1.to_vec())),
        (Some(commit.0.to_vec()), Some(Vec::new())),
        (Some(commit.0.to_vec()), Some(cut(&commit.1))),
        (Some(commit.0.to_vec()), Some(future)),
    ];
    for (key, value) in hostile {
        let mut builder = BatchBuilder::new(Compression::None);
        builder.append(7, key.as_deref(), value.as_deref(), &[]).unwrap();
        let mut log = Log::default();
        log.push(&builder.build().unwrap());

        assert!(read(&log).is_err(), "{key:?} {value:?}");
    }
}

#[test]
fn a_look_counts_only_once_the_log_was_read_to_its_end() {
    let mut log = Log::default();
    log.commit("g", 10);
    log.commit("g", 20);
    let mut positions = Positions::default();
    positions.follow_log(BTreeMap::from([(0, 0)]));
    let look = |offset| Look { positions: BTreeMap::from([(key("g"), position(offset))]), ..Look::default() };
    positions.looked(look(20), Some(BTreeMap::from([(0, log.end)])));

    positions.read(0, log.from(0, 1), |_| true).unwrap();
    let halfway = (positions.get(&key("g")).cloned(), positions.is_settled());
    positions.read(0, log.from(1, 1), |_| true).unwrap();

    assert_eq!(halfway, (Some(position(20)), false));
    assert_eq!(positions.get(&key("g")), Some(&position(20)));
    assert!(positions.is_settled());
}

#[test]
fn groups_that_could_not_be_asked_keep_their_positions() {
    let mut positions = Positions::default();
    let both = BTreeMap::from([(key("asked"), position(1)), (key("unread"), position(2))]);
    positions.looked(Look { positions: both, ..Look::default() }, None);
    positions.take_changed();

    let unread = BTreeSet::from([GroupName::new("unread")]);
    positions.looked(Look { unread, ..Look::default() }, None);

    assert_eq!(positions.get(&key("unread")), Some(&position(2)));
    assert_eq!(positions.take_changed(), BTreeSet::from([key("asked")]));
}

/// The source's coordinator: positions, each with where its record stands.
#[derive(Clone, Debug, Default)]
struct Coordinator {
    positions: BTreeMap<Key, (i64, Option<Position>)>,
    open: BTreeMap<i64, Vec<(Key, i64, Position)>>,
}

impl Coordinator {
    fn take(&mut self, key: Key, at: i64, position: Option<Position>) {
        if self.positions.get(&key).is_none_or(|(before, _)| *before < at) {
            self.positions.insert(key, (at, position));
        }
    }

    fn look(&self) -> Look {
        let there = self.positions.iter().filter_map(|(key, (_, at))| Some((key.clone(), at.clone()?)));
        Look { positions: there.collect(), ..Look::default() }
    }
}

#[derive(Clone, Debug)]
enum Step {
    Commit(u8),
    Delete(u8),
    CommitWithin(i64, u8),
    End(i64, bool),
    Read(usize),
    BeginLook,
    /// The look's answers are read, but have not arrived.
    AnswerLook,
    EndLook,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..3u8).prop_map(Step::Commit),
        1 => (0..3u8).prop_map(Step::Delete),
        2 => (1..3i64, 0..3u8).prop_map(|(producer, group)| Step::CommitWithin(producer, group)),
        2 => (1..3i64, any::<bool>()).prop_map(|(producer, commits)| Step::End(producer, commits)),
        4 => (1..4usize).prop_map(Step::Read),
        1 => Just(Step::BeginLook),
        1 => Just(Step::AnswerLook),
        1 => Just(Step::EndLook),
    ]
}

/// How far a look is.
#[derive(Debug, Default)]
enum Looking {
    #[default]
    No,
    Begun,
    Answered(Look),
}

/// Log, coordinator and follower; each commit has a higher offset than all before it.
#[derive(Default)]
struct World {
    log: Log,
    coordinator: Coordinator,
    positions: Positions,
    read_to: i64,
    looking: Looking,
    offset: i64,
}

impl World {
    fn begin(&mut self) {
        let open = self.coordinator.open.values().flatten().map(|(_, at, _)| *at).min();
        self.read_to = open.unwrap_or(self.log.end);
        self.positions.follow_log(BTreeMap::from([(0, self.read_to)]));
    }

    fn run(&mut self, step: &Step) {
        let at = self.log.end;
        let name = |group: u8| format!("g{group}");
        match *step {
            Step::Commit(group) => {
                self.offset += 1;
                self.log.commit(&name(group), self.offset);
                self.coordinator.take(key(&name(group)), at, Some(position(self.offset)));
            }
            Step::Delete(group) => {
                self.log.delete(&name(group));
                self.coordinator.take(key(&name(group)), at, None);
            }
            Step::CommitWithin(producer, group) => {
                self.offset += 1;
                self.log.commit_within(producer, &name(group), self.offset);
                let commit = (key(&name(group)), at, position(self.offset));
                self.coordinator.open.entry(producer).or_default().push(commit);
            }
            Step::End(producer, commits) => {
                let kind = if commits { ControlKind::Commit } else { ControlKind::Abort };
                self.log.end_transaction(producer, kind);
                let open = self.coordinator.open.remove(&producer).unwrap_or_default();
                for (key, at, position) in open.into_iter().filter(|_| commits) {
                    self.coordinator.take(key, at, Some(position));
                }
            }
            Step::Read(batches) => {
                let bytes = self.log.from(self.read_to, batches);
                let found = leeward_wire::record::split_batches(bytes.clone())
                    .map(|batch| batch.unwrap().next_offset());
                self.read_to = found.last().unwrap_or(self.read_to);
                self.positions.read(0, bytes, |_| true).unwrap();
            }
            Step::BeginLook => {
                self.positions.look_begins();
                self.looking = Looking::Begun;
            }
            Step::AnswerLook => {
                if matches!(self.looking, Looking::Begun) {
                    self.looking = Looking::Answered(self.coordinator.look());
                }
            }
            Step::EndLook => {
                if let Looking::Answered(look) = std::mem::take(&mut self.looking) {
                    self.positions.looked(look, Some(BTreeMap::from([(0, self.log.end)])));
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn positions_never_go_back_and_end_as_the_coordinators(
        before in prop::collection::vec(step(), 0..12),
        steps in prop::collection::vec(step(), 0..120),
    ) {
        let mut world = World::default();
        let writes = |step: &Step| !matches!(step, Step::Read(_) | Step::BeginLook | Step::AnswerLook | Step::EndLook);
        before.into_iter().filter(writes).for_each(|step| world.run(&step));
        world.begin();
        let mut highest = BTreeMap::<Key, i64>::new();
        for step in steps {
            world.run(&step);
            for group in ["g0", "g1", "g2"] {
                let now = world.positions.get(&key(group)).map_or(0, |position| position.source.to_wire());
                let before = highest.entry(key(group)).or_default();
                prop_assert!(now == 0 || now >= *before, "{group} went from {before} back to {now}");
                *before = now.max(*before);
            }
        }
        for step in [Step::BeginLook, Step::AnswerLook, Step::EndLook, Step::Read(usize::MAX)] {
            world.run(&step);
        }
        prop_assert!(world.positions.is_settled());
        for (key, (_, position)) in &world.coordinator.positions {
            prop_assert_eq!(world.positions.get(key), position.as_ref());
        }
    }
}
