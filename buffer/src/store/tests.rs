//! The disk loses what was not synced, and fails on purpose: what was acknowledged is there at the next start.

mod cut;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::mpsc;

use leeward_log::{DiskFault, SimulatedDisk};
use leeward_model::{FencingEpoch, PartitionIndex, RegionName, TopicId, TopicName};
use leeward_wire::record::{BatchBuilder, Compression, RecordBatch};

use super::*;
use crate::door::TopicRules;
use crate::frames::{Frame, batch_head, hole_frame, lineage_frame};
use crate::intake::{Claim, Offer, Remembered};
use crate::partition::{Gap, Lineage, Marks, OffsetRun, Saved};
use crate::state::{JournalRange, KnownTopic, PartitionState};

const CAPACITY: u64 = 64 << 20;
const HOLE: Gap = Gap { ordinal: 43, records: 5 };

fn partition() -> TopicPartition {
    TopicPartition {
        topic: TopicName::new("orders").unwrap(),
        partition: PartitionIndex::from_wire(3).unwrap(),
    }
}

fn open(disk: &SimulatedDisk) -> Opened {
    try_open(disk).unwrap()
}

fn try_open(disk: &SimulatedDisk) -> Result<Opened, StoreError> {
    let trimming = |_: &TopicPartition| Trimming::WhenReplicated;
    Store::open(Arc::new(disk.clone()), Path::new("/buffer"), None, CAPACITY, GroupWait::default(), trimming)
}

fn batch(sequence: i32, value: &str) -> RecordBatch {
    let mut builder = BatchBuilder::new(Compression::None).producer(5, 0, sequence);
    builder.append(1, None, Some(value.as_bytes()), &[]).unwrap();
    builder.build().unwrap()
}

fn plain(value: &str) -> RecordBatch {
    let mut builder = BatchBuilder::new(Compression::None);
    builder.append(1, None, Some(value.as_bytes()), &[]).unwrap();
    builder.build().unwrap()
}

/// What a start finds: ordinals and the batches there.
fn found(opened: &Opened) -> BTreeMap<u64, Bytes> {
    let mut found = BTreeMap::new();
    for (_, recovered) in &opened.partitions {
        for entry in recovered.forward.entries() {
            let (kind, payload) = opened.store.read(entry.position).unwrap().unwrap();
            let Some(crate::frames::Frame::Batch { batch, .. }) = crate::frames::read(kind, payload) else {
                panic!("a batch stands there");
            };
            found.insert(entry.ordinal, batch);
        }
    }
    found
}

struct Life {
    opened: Opened,
    intake: crate::intake::Intake,
}

impl Life {
    fn begin(disk: &SimulatedDisk) -> Self {
        let mut opened = open(disk);
        let intake = opened.partitions.pop().map(|(_, recovered)| recovered.intake).unwrap_or_default();
        Self { opened, intake }
    }

    /// Offers a batch that becomes durable.
    fn accept(&mut self, batch: &RecordBatch) -> u64 {
        let (ordinal, hears) = self.offer(batch).unwrap();
        assert!(self.settle(&hears));
        ordinal
    }

    /// Writes the state file, as if nothing of the partition was forwarded yet.
    fn save(&self) -> Result<(), StoreError> {
        let (next_ordinal, producers) = (self.intake.next_ordinal(), self.intake.producers().clone());
        let state = PartitionState { saved: Saved::default(), next_ordinal, producers };
        let state = State { partitions: vec![(partition(), state)], ..State::default() };
        self.opened.store.save(state, 0)
    }

    /// Offers a batch; the receiver hears whether it is durable.
    fn offer(&mut self, batch: &RecordBatch) -> Option<(u64, mpsc::Receiver<bool>)> {
        let Offer::Take { ordinal } = self.intake.offer(Claim::of(batch), 1) else { return None };
        let (told, hears) = mpsc::channel();
        let parts = vec![batch_head(&partition(), ordinal, 7), batch.to_bytes()];
        let done = move |stored: Result<Position, AppendError>| {
            let _ = told.send(stored.is_ok());
        };
        if self.opened.store.append_batch(parts, done).is_err() {
            self.intake.withdraw();
            return None;
        }
        Some((ordinal, hears))
    }

    fn settle(&mut self, hears: &mpsc::Receiver<bool>) -> bool {
        if hears.recv() == Ok(true) {
            self.intake.stored()
        } else {
            self.intake.failed();
            false
        }
    }
}

#[test]
fn what_was_acknowledged_is_found_after_a_crash_that_drops_unsynced_writes() {
    let faults = [DiskFault::ShortWrite, DiskFault::NoSpace, DiskFault::WriteFails, DiskFault::SyncFails];
    for seed in 0..40 {
        let disk = SimulatedDisk::new(seed);
        let mut acknowledged = BTreeMap::new();
        for life in 0..3 {
            let mut gateway = Life::begin(&disk);
            for step in 0..12_u64 {
                if (seed + step) % 7 == 3 {
                    disk.inject(faults[((seed / 7 + step) % 4) as usize]);
                }
                let offered = plain(&format!("{life}-{step}"));
                let Some((ordinal, hears)) = gateway.offer(&offered) else { continue };
                // The last ones are on their way when the power goes.
                if step < 9 && gateway.settle(&hears) {
                    acknowledged.insert(ordinal, offered.to_bytes());
                }
                if step % 4 == 2 {
                    let _ = gateway.save();
                }
            }
            disk.crash();
            drop(gateway);

            let opened = open(&disk);
            let found = found(&opened);
            assert!(opened.partitions.iter().all(|(_, one)| one.hole.is_none()), "seed {seed}, life {life}");
            for (ordinal, batch) in &acknowledged {
                assert_eq!(found.get(ordinal), Some(batch), "seed {seed}, life {life}, ordinal {ordinal}");
            }
        }
    }
}

#[test]
fn a_repeat_after_a_restart_is_known() {
    let disk = SimulatedDisk::new(1);
    let mut gateway = Life::begin(&disk);
    let (_, hears) = gateway.offer(&batch(0, "first")).unwrap();
    gateway.settle(&hears);
    drop(gateway);

    let mut again = Life::begin(&disk);

    assert_eq!(again.intake.offer(Claim::of(&batch(0, "first")), 1), Offer::Known { ordinal: 0 });
}

#[test]
fn a_full_buffer_takes_nothing_and_drops_nothing() {
    let disk = SimulatedDisk::new(1);
    let mut gateway = Life::begin(&disk);
    gateway.opened.store.capacity = 200;
    let (_, hears) = gateway.offer(&batch(0, "first")).unwrap();
    gateway.settle(&hears);

    assert!(gateway.offer(&batch(1, "second")).is_none());
    assert_eq!(found(&open(&disk)).len(), 1);
}

#[test]
fn a_flipped_bit_costs_one_batch_and_is_counted() {
    let disk = SimulatedDisk::new(1);
    let mut gateway = Life::begin(&disk);
    for sequence in 0..5 {
        let (_, hears) = gateway.offer(&batch(sequence, "value")).unwrap();
        gateway.settle(&hears);
    }
    drop(gateway);
    let segment = Path::new("/buffer/journal/00000000000000000000.journal");
    let frame_bytes = (disk.bytes(segment).unwrap().iter().rposition(|byte| *byte != 0).unwrap() - 31) / 5;
    disk.flip_bit(segment, 32 + frame_bytes + frame_bytes / 2, 3);

    let opened = open(&disk);

    assert_eq!(found(&opened).keys().copied().collect::<Vec<_>>(), [0, 2, 3, 4]);
    assert_eq!(opened.partitions[0].1.damaged_records, 1);
}

fn golden_state(keeps: u64) -> State {
    let mut producers = crate::intake::Producers::default();
    producers.insert(7, 1, Remembered { first: 0, last: 2, ordinal: 40 });
    let lineage = Lineage {
        region: RegionName::new("eu-west").unwrap(),
        epoch: FencingEpoch::from_wire(3).unwrap(),
        turn: 0,
        writer: 0,
        topic: None,
        kept_from: 10 - keeps,
        start_ordinal: 10,
        start_offset: 100,
        gaps: vec![Gap { ordinal: 20, records: 2 }],
    };
    let saved = Saved {
        trimmed_to: 30,
        lineage: Some(lineage),
        acknowledged_end: 140,
        runs: vec![OffsetRun { ordinal: 30, offset: 118, records: 10 }],
        marks: Some(Marks { replicated_to: 120, target_end: 119 }),
        vouched: 4,
        damage: vec![HOLE],
    };
    let state = PartitionState { saved, next_ordinal: 43, producers };
    State {
        identity: *b"0123456789abcdef",
        producer_ids_to: 1000,
        epoch: 3,
        topics: vec![KnownTopic { rules: Some(RULES), ..unruled("orders") }, unruled("payments")],
        journal: Some(JournalRange { from: 300, to: 4000 }),
        partitions: vec![(partition(), state)],
    }
}

const RULES: TopicRules = TopicRules {
    batch_bytes_max: Some(1_048_588),
    compacted: true,
    behind_max_ms: None,
    ahead_max_ms: Some(3_600_000),
};

fn unruled(name: &str) -> KnownTopic {
    KnownTopic { name: name.to_owned(), partitions: 4, internal: false, rules: None }
}

/// A file that programs in the field can read, kept in the tree.
fn golden(name: &str, written: &[u8]) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden").join(name);
    let kept = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert_eq!(kept, written, "the format of {name} has changed: give it a new version");
}

#[test]
fn the_state_file_is_written_as_it_always_was() {
    golden("state-v4.bin", &golden_state(2).to_bytes());
}

#[test]
fn state_files_of_the_versions_before_are_read() {
    let mut unruled_topics = golden_state(2);
    unruled_topics.topics = vec![unruled("orders")];
    let without_journal = |state: &State| {
        let mut state = state.clone();
        state.journal = None;
        state.partitions[0].1.saved.damage.clear();
        state
    };
    let keeping_nothing = State { topics: vec![unruled("orders")], ..golden_state(0) };

    for (name, known) in [
        ("state-v1.bin", without_journal(&keeping_nothing)),
        ("state-v2.bin", without_journal(&unruled_topics)),
        ("state-v3.bin", unruled_topics),
    ] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden").join(name);

        let read = State::read(&Bytes::from(std::fs::read(path).unwrap()));

        assert_eq!(read, Ok(known), "{name}");
    }
}

#[test]
fn the_state_file_reads_back() {
    assert_eq!(State::read(&golden_state(2).to_bytes()), Ok(golden_state(2)));
}

#[test]
fn a_state_file_with_any_bit_flipped_is_refused() {
    let bytes = golden_state(2).to_bytes();
    for at in 0..bytes.len() {
        let mut flipped = bytes.to_vec();
        flipped[at] ^= 1;
        assert!(State::read(&Bytes::from(flipped)).is_err(), "byte {at}");
    }
}

#[test]
fn a_state_file_that_says_what_no_log_reaches_is_refused() {
    let mut state = golden_state(2);
    state.partitions[0].1.next_ordinal = u64::MAX;

    assert!(State::read(&state.to_bytes()).is_err());
}

#[test]
fn a_state_file_that_was_cut_is_refused() {
    let bytes = golden_state(2).to_bytes();

    assert!((0..bytes.len()).all(|length| State::read(&bytes.slice(..length)).is_err()));
}

#[test]
fn a_journal_whose_state_file_is_missing_is_refused() {
    let disk = SimulatedDisk::new(1);
    let mut gateway = Life::begin(&disk);
    let (_, hears) = gateway.offer(&batch(0, "first")).unwrap();
    gateway.settle(&hears);
    drop(gateway);
    disk.remove(Path::new("/buffer/state")).unwrap();

    let refused = try_open(&disk);

    let said = refused.map(|_| ()).unwrap_err();
    assert!(matches!(said, StoreError::State { source: StateError::Missing, .. }), "{said}");
}

/// One that began again in a log that was made anew.
fn lineage_in_a_log() -> Lineage {
    let topic = TopicId::from_wire(*b"0123456789abcdef");
    Lineage { turn: 2, writer: 1, topic, kept_from: 12, ..golden_lineage(0) }
}

fn golden_lineage(keeps: u64) -> Lineage {
    golden_state(keeps).partitions[0].1.saved.lineage.clone().unwrap()
}

#[test]
fn the_journals_frames_are_written_as_they_always_were() {
    let mut frames = batch_head(&partition(), 9, 1_700_000_000_000).to_vec();
    frames.extend_from_slice(&lineage_frame(&partition(), &golden_lineage(0)).1);
    golden("frames-v1.bin", &frames);
    golden("frame-kind3-v1.bin", &lineage_frame(&partition(), &golden_lineage(2)).1);
    golden("frame-kind5-v1.bin", &lineage_frame(&partition(), &lineage_in_a_log()).1);
    golden("frame-kind4-v1.bin", &hole_frame(&partition(), HOLE));
}

#[test]
fn a_holes_frame_reads_back() {
    let read = crate::frames::read(crate::frames::HOLE, hole_frame(&partition(), HOLE));

    assert_eq!(read, Some(Frame::Hole { partition: partition(), hole: HOLE }));
}

#[test]
fn a_lineages_frame_reads_back_with_what_it_keeps() {
    let read = |lineage: &Lineage| {
        let (kind, payload) = lineage_frame(&partition(), lineage);
        crate::frames::read(kind, payload)
    };

    for lineage in [golden_lineage(0), golden_lineage(2), lineage_in_a_log()] {
        assert_eq!(read(&lineage), Some(Frame::Lineage { partition: partition(), lineage }));
    }
}
