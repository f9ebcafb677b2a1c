//! What a journal promises, on a disk that crashes and fails.

#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use leeward_log::{
    AppendError, Disk, DiskFault, Journal, JournalConfig, Position, ReadError, Recovery, SimulatedDisk,
    write_all_at,
};
use proptest::prelude::*;

const SMALL: JournalConfig = JournalConfig { segment_bytes: 200, preallocate_bytes: 64 };
/// A frame's header on disk.
const OVERHEAD: u64 = 28;

fn directory() -> PathBuf {
    PathBuf::from("/data/journal")
}

fn open(disk: &SimulatedDisk) -> (Journal, Recovery) {
    Journal::open(Arc::new(disk.clone()), &directory(), SMALL).unwrap()
}

fn add(journal: &mut Journal, payload: &[u8]) -> Position {
    let position = journal.append(7, &[payload]).unwrap();
    journal.sync().unwrap();
    position
}

/// All readable payloads from the start on.
fn payloads(journal: &Journal) -> Vec<Bytes> {
    let reader = journal.reader();
    let mut position = reader.start();
    let mut found = Vec::new();
    while position < reader.end() {
        match reader.read(position, 100) {
            Ok(frames) => {
                position = frames.last().unwrap().next;
                found.extend(frames.into_iter().map(|frame| frame.payload));
            }
            Err(ReadError::Damaged { to, .. }) => position = to,
            Err(error) => panic!("{error}"),
        }
    }
    found
}

fn first_segment() -> PathBuf {
    directory().join("00000000000000000000.journal")
}

#[test]
fn frames_come_back_in_order_over_segments_and_reopening() {
    let disk = SimulatedDisk::new(1);
    let (mut journal, _) = open(&disk);
    let sent: Vec<Bytes> = (0..40u8).map(|n| Bytes::from(vec![n; usize::from(n)])).collect();
    for payload in &sent {
        add(&mut journal, payload);
    }

    let (reopened, recovery) = open(&disk);

    assert_eq!(payloads(&journal), sent);
    assert_eq!(payloads(&reopened), sent);
    assert_eq!((recovery.frames, recovery.torn_tail, recovery.damage), (40, None, vec![]));
}

#[test]
fn trimming_deletes_whole_segments_and_keeps_positions() {
    let disk = SimulatedDisk::new(1);
    let (mut journal, _) = open(&disk);
    let positions: Vec<Position> = (0..40u8).map(|n| add(&mut journal, &[n; 20])).collect();

    journal.trimmer().trim_before(positions[30]).unwrap();
    let (reopened, recovery) = open(&disk);

    assert!(reopened.start() <= positions[30] && reopened.start() > positions[20]);
    assert_eq!(recovery.damage, vec![]);
    assert_eq!(reopened.end(), journal.end());
    assert!(matches!(reopened.reader().read(positions[0], 10), Err(ReadError::Trimmed { .. })));
}

#[test]
fn a_trimming_whose_sync_failed_goes_on_with_the_next() {
    let disk = SimulatedDisk::new(1);
    let (mut journal, _) = open(&disk);
    let positions: Vec<Position> = (0..40u8).map(|n| add(&mut journal, &[n; 20])).collect();
    disk.inject(DiskFault::SyncFails);

    let failed = journal.trimmer().trim_before(positions[30]);
    let again = journal.trimmer().trim_before(positions[30]);

    assert!(failed.is_err() && again.is_ok(), "{failed:?}, {again:?}");
    assert!(journal.start() > positions[20] && journal.start() <= positions[30]);
    let (reopened, recovery) = open(&disk);
    assert_eq!((reopened.start(), recovery.damage), (journal.start(), vec![]));
}

#[test]
fn a_frame_that_calls_more_durable_than_stood_before_it_is_torn_off() {
    let disk = SimulatedDisk::new(1);
    let (mut journal, _) = open(&disk);
    add(&mut journal, b"first");
    let second = add(&mut journal, b"second");
    let at = 32 + OVERHEAD as usize + 5;
    let mut frame = disk.bytes(&first_segment()).unwrap()[at..at + OVERHEAD as usize + 6].to_vec();
    frame[16..24].copy_from_slice(&(1u64 << 56).to_be_bytes());
    let crc = leeward_wire::record::crc32c(&frame[4..]).to_be_bytes();
    frame[..4].copy_from_slice(&crc);
    let file = disk.open(&first_segment()).unwrap();
    write_all_at(&*file, at as u64, &frame).unwrap();
    file.sync_data().unwrap();

    let (reopened, recovery) = open(&disk);

    assert_eq!((reopened.end(), recovery.damage), (second, vec![]));
    assert_eq!(recovery.torn_tail.unwrap().bytes, frame.len() as u64);
}

#[test]
fn a_flipped_bit_in_the_middle_is_named_and_the_rest_is_read() {
    let disk = SimulatedDisk::new(1);
    let (mut journal, _) = open(&disk);
    let positions: Vec<Position> = (0..20u8).map(|n| add(&mut journal, &[n; 20])).collect();
    disk.flip_bit(&first_segment(), 32 + 48 + 30, 3);

    let (reopened, recovery) = open(&disk);

    assert_eq!(recovery.damage.len(), 1);
    assert_eq!((recovery.damage[0].from, recovery.damage[0].to), (positions[1], positions[2]));
    assert_eq!((recovery.damage[0].offset, recovery.damage[0].bytes), (80, 48));
    assert!(disk.bytes(recovery.damage[0].copy.as_ref().unwrap()).is_some());
    assert_eq!(payloads(&reopened).len(), 19);
    assert!(matches!(reopened.reader().read(positions[1], 10), Err(ReadError::Damaged { .. })));
}

#[test]
fn a_truncated_segment_in_the_middle_is_named() {
    let disk = SimulatedDisk::new(1);
    let (mut journal, _) = open(&disk);
    for n in 0..20u8 {
        add(&mut journal, &[n; 20]);
    }
    disk.cut(&first_segment(), 40);

    let (reopened, recovery) = open(&disk);

    assert_eq!(recovery.damage.len(), 1);
    assert_eq!(recovery.damage[0].from, Position::FIRST);
    assert_eq!(reopened.end(), journal.end());
}

#[test]
fn a_lost_segment_is_named() {
    let disk = SimulatedDisk::new(1);
    let (mut journal, _) = open(&disk);
    for n in 0..20u8 {
        add(&mut journal, &[n; 20]);
    }
    let names = disk.list(&directory()).unwrap();
    disk.remove(&directory().join(&names[1])).unwrap();

    let (_, recovery) = open(&disk);

    assert_eq!(recovery.damage.len(), 1);
    assert_eq!(recovery.damage[0].copy, None);
}

#[test]
fn a_failed_sync_ends_the_journal_until_it_is_opened_anew() {
    let disk = SimulatedDisk::new(1);
    let (mut journal, _) = open(&disk);
    add(&mut journal, b"kept");
    journal.append(7, &[b"lost"]).unwrap();
    disk.inject(DiskFault::SyncFails);

    let failed = journal.sync().unwrap_err();
    let refused = journal.append(7, &[b"more"]).unwrap_err();

    assert!(matches!(failed, AppendError::Sync { .. }));
    assert!(matches!(refused, AppendError::Poisoned { .. }));
    let (mut reopened, _) = open(&disk);
    add(&mut reopened, b"after");
    disk.crash();
    let (reopened, recovery) = open(&disk);
    assert_eq!(recovery.damage, vec![]);
    let found = payloads(&reopened);
    assert_eq!((&found[0][..], &found[found.len() - 1][..]), (&b"kept"[..], &b"after"[..]));
}

#[test]
fn a_failing_read_is_named_and_damages_nothing() {
    let disk = SimulatedDisk::new(1);
    let (mut journal, _) = open(&disk);
    let at = add(&mut journal, b"kept");
    disk.inject(DiskFault::ReadFails);

    let failed = journal.reader().read(at, 1).unwrap_err();

    assert!(matches!(failed, ReadError::Io { position, .. } if position == at), "{failed}");
    assert_eq!(payloads(&journal), [&b"kept"[..]]);
}

#[test]
fn a_failing_read_at_open_refuses_and_changes_nothing() {
    let disk = SimulatedDisk::new(1);
    let (mut journal, _) = open(&disk);
    add(&mut journal, b"kept");
    drop(journal);
    let before = disk.bytes(&first_segment());
    disk.inject(DiskFault::ReadFails);

    let refused = Journal::open(Arc::new(disk.clone()), &directory(), SMALL).unwrap_err();

    assert!(refused.to_string().contains("00000000000000000000.journal"), "{refused}");
    assert_eq!(disk.bytes(&first_segment()), before);
    assert_eq!(payloads(&open(&disk).0), [&b"kept"[..]]);
}

#[test]
fn a_full_disk_refuses_the_group_and_takes_later_ones() {
    let disk = SimulatedDisk::new(1);
    let (mut journal, _) = open(&disk);
    add(&mut journal, b"kept");
    journal.append(7, &[&[1; 100]]).unwrap();
    disk.inject(DiskFault::NoSpace);

    let refused = journal.sync().unwrap_err();
    add(&mut journal, b"later");

    assert!(matches!(refused, AppendError::NoSpace { .. }) && refused.may_retry());
    let (reopened, recovery) = open(&disk);
    assert_eq!(payloads(&reopened), [&b"kept"[..], b"later"]);
    assert_eq!((recovery.torn_tail, recovery.damage), (None, vec![]));
}

#[test]
fn a_short_write_is_completed() {
    let disk = SimulatedDisk::new(1);
    let (mut journal, _) = open(&disk);
    disk.inject(DiskFault::ShortWrite);

    add(&mut journal, b"whole");

    assert_eq!(payloads(&open(&disk).0), [&b"whole"[..]]);
}

#[test]
fn version_1_bytes_are_as_they_were() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/journal-v1.bin");
    let disk = SimulatedDisk::new(1);
    let config = JournalConfig { preallocate_bytes: 0, ..SMALL };
    let (mut journal, _) = Journal::open(Arc::new(disk.clone()), &directory(), config).unwrap();
    add(&mut journal, b"first");
    add(&mut journal, b"");
    journal.append(255, &[b"in ", b"parts"]).unwrap();
    journal.sync().unwrap();

    let bytes = disk.bytes(&first_segment()).unwrap();

    assert_eq!(bytes, std::fs::read(golden).unwrap());
}

#[derive(Clone, Debug)]
enum Step {
    Append(usize),
    Sync,
    Trim,
    Fault(DiskFault),
    Crash,
}

fn step() -> impl Strategy<Value = Step> {
    let fault = prop::sample::select(vec![
        DiskFault::ShortWrite,
        DiskFault::NoSpace,
        DiskFault::WriteFails,
        DiskFault::SyncFails,
    ]);
    prop_oneof![
        6 => (0usize..120).prop_map(Step::Append),
        4 => Just(Step::Sync),
        1 => Just(Step::Trim),
        1 => fault.prop_map(Step::Fault),
        1 => Just(Step::Crash),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn what_was_synced_survives_any_crash(seed: u64, steps in prop::collection::vec(step(), 1..80)) {
        let disk = SimulatedDisk::new(seed);
        let (mut journal, _) = open(&disk);
        let mut acknowledged: Vec<(Position, Vec<u8>)> = Vec::new();
        let mut staged: Vec<(Position, Vec<u8>)> = Vec::new();
        let mut counter = 0u8;
        for step in steps.into_iter().chain([Step::Sync, Step::Crash]) {
            match step {
                Step::Append(size) => {
                    counter = counter.wrapping_add(1);
                    let payload = vec![counter; size];
                    if let Ok(position) = journal.append(1, &[&payload]) {
                        staged.push((position, payload));
                    }
                }
                Step::Sync => match journal.sync() {
                    Ok(_) => acknowledged.append(&mut staged),
                    Err(_) => staged.clear(),
                },
                Step::Trim => {
                    let _ = journal.trimmer().trim_before(journal.end());
                    let start = journal.start();
                    acknowledged.retain(|(position, _)| *position >= start);
                }
                Step::Fault(fault) => disk.inject(fault),
                Step::Crash => {
                    staged.clear();
                    disk.crash();
                    let (reopened, recovery) = open(&disk);
                    prop_assert_eq!(&recovery.damage, &vec![]);
                    journal = reopened;
                    let start = journal.start();
                    for (position, payload) in &acknowledged {
                        if *position >= start {
                            let frames = journal.reader().read(*position, 1).unwrap();
                            prop_assert_eq!(&frames[0].payload[..], &payload[..]);
                        }
                    }
                    if let Some((last, _)) = acknowledged.last() {
                        prop_assert!(*last < journal.end());
                    }
                }
            }
        }
    }
}

#[derive(Clone, Debug)]
enum Hurt {
    Flip { offset: prop::sample::Index, bit: u8 },
    Cut { length: prop::sample::Index },
}

fn hurt() -> impl Strategy<Value = Hurt> {
    prop_oneof![
        4 => (any::<prop::sample::Index>(), 0u8..8).prop_map(|(offset, bit)| Hurt::Flip { offset, bit }),
        1 => any::<prop::sample::Index>().prop_map(|length| Hurt::Cut { length }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn damage_never_changes_a_frame_and_never_goes_unnamed(
        sizes in prop::collection::vec(0usize..60, 1..25),
        hurts in prop::collection::vec((any::<prop::sample::Index>(), hurt()), 1..5),
    ) {
        let disk = SimulatedDisk::new(1);
        let (mut journal, _) = open(&disk);
        let sent: Vec<(Position, Vec<u8>)> = (0u8..)
            .zip(&sizes)
            .map(|(n, size)| {
                let payload = vec![n; *size];
                (add(&mut journal, &payload), payload)
            })
            .collect();
        let names = disk.list(&directory()).unwrap();
        for (file, hurt) in hurts {
            let path = directory().join(file.get(&names));
            let length = disk.bytes(&path).unwrap().len();
            match hurt {
                Hurt::Flip { offset, bit } if length > 0 => disk.flip_bit(&path, offset.index(length), bit),
                Hurt::Flip { .. } => {}
                Hurt::Cut { length: kept } => disk.cut(&path, kept.index(length + 1)),
            }
        }

        let Ok((journal, recovery)) =
            Journal::open(Arc::new(disk.clone()), &directory(), SMALL)
        else {
            return Ok(());
        };

        for (position, payload) in sent {
            match journal.reader().read(position, 1) {
                Ok(frames) if !frames.is_empty() => prop_assert_eq!(&frames[0].payload[..], &payload[..]),
                Ok(_) => prop_assert!(position >= recovery.end),
                Err(ReadError::Damaged { .. }) => {
                    let named = |d: &leeward_log::Damage| d.from <= position && position < d.to;
                    prop_assert!(recovery.damage.iter().any(named));
                }
                Err(error) => return Err(TestCaseError::fail(error.to_string())),
            }
        }
    }
}
