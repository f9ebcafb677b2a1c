//! What a partition's log promises, on a disk that crashes and fails.

#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use leeward_log::{
    Disk, DiskFault, FlushPolicy, PartitionAppendError, PartitionConfig, PartitionLog, PartitionReadError,
    PartitionRecovery, SimulatedDisk,
};
use leeward_wire::record::{BatchBuilder, Compression, RecordBatch, split_batches};
use proptest::prelude::*;

const SMALL: PartitionConfig = PartitionConfig { segment_bytes: 400, flush: FlushPolicy::EveryAppend };
/// Bytes of the batches that [`batch`] makes of one record.
const BATCH_BYTES: u64 = 72;

fn directory() -> PathBuf {
    PathBuf::from("/data/topic/0")
}

fn open(disk: &SimulatedDisk) -> (PartitionLog, PartitionRecovery) {
    PartitionLog::open(Arc::new(disk.clone()), &directory(), SMALL, &mut |_| {}).unwrap()
}

/// A batch of records whose values are `value` and whose times begin at `time_ms`.
fn batch(records: usize, time_ms: i64, value: &str) -> RecordBatch {
    let mut builder = BatchBuilder::new(Compression::None);
    for n in 0..records {
        builder.append(time_ms + n as i64, None, Some(value.as_bytes()), &[]).unwrap();
    }
    builder.build().unwrap()
}

fn filled(disk: &SimulatedDisk, batches: i64) -> PartitionLog {
    let (mut log, _) = open(disk);
    for n in 0..batches {
        log.append(&batch(1, 1000 + n, &format!("v{n:03}")), 3).unwrap();
    }
    log
}

fn base_offsets(log: &PartitionLog, from: i64, max_bytes: usize) -> Vec<i64> {
    let bytes = log.read(from, max_bytes).unwrap();
    split_batches(bytes).map(|batch| batch.unwrap().base_offset()).collect()
}

fn segment(base: i64) -> PathBuf {
    directory().join(format!("{base:020}.log"))
}

#[test]
fn a_batch_is_stored_as_sent_but_for_offset_and_leader_epoch() {
    let disk = SimulatedDisk::new(1);
    let (mut log, _) = open(&disk);
    log.append(&batch(3, 0, "x"), 5).unwrap();
    let sent = batch(2, 0, "yy");

    log.append(&sent, 5).unwrap();

    let bytes = log.read(3, 1).unwrap();
    assert_eq!(bytes[..], sent.with_base_offset(3).unwrap().with_leader_epoch(5).to_bytes()[..]);
    assert_eq!(bytes[16..], sent.to_bytes()[16..]);
}

#[test]
fn a_flush_keeps_what_was_appended_before_a_new_segment_began() {
    for seed in 0..20 {
        let disk = SimulatedDisk::new(seed);
        let config = PartitionConfig { flush: FlushPolicy::OsDecides, ..SMALL };
        let (mut log, _) =
            PartitionLog::open(Arc::new(disk.clone()), &directory(), config, &mut |_| {}).unwrap();
        for n in 0..12 {
            log.append(&batch(1, n, "x"), 0).unwrap();
        }

        log.flush().unwrap();
        disk.crash();

        let (log, recovery) = open(&disk);
        assert_eq!((log.end_offset(), recovery.damage.len()), (12, 0), "seed {seed}");
    }
}

#[test]
fn a_flush_after_one_that_failed_claims_nothing() {
    let disk = SimulatedDisk::new(1);
    let config = PartitionConfig { flush: FlushPolicy::OsDecides, ..SMALL };
    let (mut log, _) = PartitionLog::open(Arc::new(disk.clone()), &directory(), config, &mut |_| {}).unwrap();
    log.append(&batch(1, 0, "x"), 0).unwrap();
    disk.inject(DiskFault::SyncFails);

    let (failed, again) = (log.flush().unwrap_err(), log.flush().unwrap_err());

    assert!(matches!(failed, PartitionAppendError::Sync { .. }), "{failed}");
    assert!(matches!(again, PartitionAppendError::Poisoned { .. }), "{again}");
}

#[test]
fn reads_give_whole_batches_from_the_one_that_holds_the_offset() {
    let disk = SimulatedDisk::new(1);
    let (mut log, _) = open(&disk);
    for _ in 0..4 {
        log.append(&batch(10, 0, ""), 0).unwrap();
    }

    assert_eq!(base_offsets(&log, 15, 1), [10]);
    assert_eq!(base_offsets(&log, 19, 1_000_000), [10, 20]);
    assert_eq!(base_offsets(&log, 20, 1_000_000), [20]);
    assert_eq!(base_offsets(&log, 40, 1_000_000), [0i64; 0]);
    assert!(matches!(log.read(41, 1), Err(PartitionReadError::OutOfRange { end: 40, .. })));
}

#[test]
fn a_batch_larger_than_asked_for_is_read_whole() {
    let disk = SimulatedDisk::new(1);
    let config = PartitionConfig { segment_bytes: 1 << 20, ..SMALL };
    let (mut log, _) = PartitionLog::open(Arc::new(disk.clone()), &directory(), config, &mut |_| {}).unwrap();
    let large = batch(1, 0, &"x".repeat(100_000));
    for batch in [&batch(1, 0, "a"), &large, &batch(1, 0, "b")] {
        log.append(batch, 0).unwrap();
    }

    assert_eq!(log.read(1, 10).unwrap().len(), large.size_bytes());
    assert_eq!(base_offsets(&log, 0, 300_000), [0, 1, 2]);
    assert_eq!(base_offsets(&log, 2, 10), [2]);
}

#[test]
fn reopening_finds_everything_again() {
    let disk = SimulatedDisk::new(1);
    let log = filled(&disk, 50);
    let mut seen = 0;

    let (reopened, recovery) =
        PartitionLog::open(Arc::new(disk.clone()), &directory(), SMALL, &mut |_| seen += 1).unwrap();

    assert_eq!((seen, reopened.end_offset(), recovery.batches), (50, 50, 50));
    assert_eq!(reopened.size_bytes(), log.size_bytes());
    assert_eq!(reopened.epoch_end(3), Some((3, 50)));
    assert_eq!(reopened.epoch_end(2), None);
    for offset in 0..50 {
        assert_eq!(reopened.read(offset, 1).unwrap(), log.read(offset, 1).unwrap());
    }
}

#[test]
fn a_torn_last_batch_is_cut_and_kept_aside() {
    let disk = SimulatedDisk::new(1);
    filled(&disk, 3);
    disk.cut(&segment(0), 3 * BATCH_BYTES as usize - 5);

    let (log, recovery) = open(&disk);

    let torn = recovery.torn_tail.unwrap();
    assert_eq!((log.end_offset(), torn.offset, torn.bytes), (2, 2 * BATCH_BYTES, BATCH_BYTES - 5));
    assert!(disk.bytes(&torn.copy).is_some());
    assert_eq!(recovery.damage, vec![]);
}

#[test]
fn damage_in_the_middle_is_named_and_the_rest_is_read() {
    let disk = SimulatedDisk::new(1);
    filled(&disk, 20);
    disk.flip_bit(&segment(0), BATCH_BYTES as usize + 66, 0);

    let (log, recovery) = open(&disk);

    let damage = &recovery.damage[0];
    assert_eq!((damage.from, damage.to, damage.at, damage.bytes), (1, 2, BATCH_BYTES, BATCH_BYTES));
    assert_eq!(base_offsets(&log, 0, 10_000), [0]);
    assert!(matches!(log.read(1, 1), Err(PartitionReadError::Damaged { from: 1, to: 2 })));
    assert_eq!(base_offsets(&log, 2, 1), [2]);
    assert_eq!(log.end_offset(), 20);
}

#[test]
fn a_flipped_bit_in_an_offset_is_damage_too() {
    let disk = SimulatedDisk::new(1);
    filled(&disk, 4);
    disk.flip_bit(&segment(0), BATCH_BYTES as usize + 7, 0);

    let (_, recovery) = open(&disk);

    assert_eq!((recovery.damage[0].from, recovery.damage[0].to), (1, 2));
}

#[test]
fn deleted_records_stay_deleted() {
    let disk = SimulatedDisk::new(1);
    let mut log = filled(&disk, 20);

    log.delete_records_before(7).unwrap();
    disk.crash();
    let (reopened, recovery) = open(&disk);

    assert_eq!((reopened.start_offset(), reopened.end_offset()), (7, 20));
    assert_eq!(recovery.damage, vec![]);
    assert!(matches!(reopened.read(6, 1), Err(PartitionReadError::OutOfRange { start: 7, .. })));
}

#[test]
fn retention_by_time_gives_up_whole_segments_of_old_records() {
    let disk = SimulatedDisk::new(1);
    let mut log = filled(&disk, 20);

    assert!(log.retain_since(1012).unwrap());

    assert_eq!(log.start_offset(), 10);
    assert!(!log.retain_since(1012).unwrap());
    assert!(log.retain_since(9999).unwrap());
    assert_eq!((log.start_offset(), log.end_offset()), (20, 20));
}

#[test]
fn retention_by_size_keeps_at_least_that_much() {
    let disk = SimulatedDisk::new(1);
    let mut log = filled(&disk, 20);

    log.retain_bytes(500).unwrap();

    assert!(log.size_bytes() >= 500 && log.size_bytes() < 500 + 400);
}

#[test]
fn the_first_batch_since_a_time_is_found() {
    let disk = SimulatedDisk::new(1);
    let log = filled(&disk, 20);

    assert_eq!(log.first_batch_since(1013).unwrap().unwrap().base_offset(), 13);
    assert_eq!(log.first_batch_since(0).unwrap().unwrap().base_offset(), 0);
    assert!(log.first_batch_since(1020).unwrap().is_none());
}

#[test]
fn a_failed_sync_ends_the_log_until_it_is_opened_anew() {
    let disk = SimulatedDisk::new(1);
    let mut log = filled(&disk, 2);
    disk.inject(DiskFault::SyncFails);

    assert!(matches!(log.append(&batch(1, 0, ""), 0), Err(PartitionAppendError::Sync { .. })));
    assert!(matches!(log.append(&batch(1, 0, ""), 0), Err(PartitionAppendError::Poisoned { .. })));
    assert_eq!(log.end_offset(), 2);
}

#[test]
fn a_segment_that_may_not_have_begun_ends_the_log_until_it_is_opened_anew() {
    for seed in 0..20 {
        let disk = SimulatedDisk::new(seed);
        let mut log = filled(&disk, 2);
        disk.inject(DiskFault::SyncFails);
        let next_segments = "v".repeat(usize::try_from(SMALL.segment_bytes).unwrap());

        let begun = log.append(&batch(1, 0, &next_segments), 0);
        let into_the_old = log.append(&batch(1, 0, ""), 0);
        disk.crash();
        open(&disk).0.append(&batch(1, 0, ""), 0).unwrap();
        disk.crash();

        assert!(matches!(begun, Err(PartitionAppendError::Write { .. })), "{begun:?}");
        assert!(matches!(into_the_old, Err(PartitionAppendError::Poisoned { .. })), "{into_the_old:?}");
        let (log, recovery) = open(&disk);
        assert_eq!((log.end_offset(), recovery.damage.len()), (3, 0), "seed {seed}");
        assert_eq!(
            (base_offsets(&log, 0, 10_000)[..2].to_vec(), base_offsets(&log, 2, 10_000)),
            (vec![0, 1], vec![2])
        );
    }
}

#[test]
fn a_full_disk_refuses_the_batch_and_takes_later_ones() {
    let disk = SimulatedDisk::new(1);
    let mut log = filled(&disk, 2);
    disk.inject(DiskFault::NoSpace);

    let refused = log.append(&batch(1, 0, "v"), 0);
    log.append(&batch(1, 0, "v"), 0).unwrap();

    assert!(matches!(refused, Err(PartitionAppendError::NoSpace { .. })));
    assert_eq!(base_offsets(&open(&disk).0, 0, 10_000), [0, 1, 2]);
}

#[test]
fn a_failing_read_names_file_and_byte_and_damages_nothing() {
    let disk = SimulatedDisk::new(1);
    let log = filled(&disk, 2);
    disk.inject(DiskFault::ReadFails);

    let failed = log.read(1, 100).unwrap_err();

    assert!(matches!(failed, PartitionReadError::Io { .. }));
    assert!(failed.to_string().contains("00000000000000000000.log from byte 0"), "{failed}");
    assert_eq!(base_offsets(&log, 1, 100), [1]);
}

#[test]
fn a_failing_read_at_open_refuses_and_changes_nothing() {
    let disk = SimulatedDisk::new(1);
    drop(filled(&disk, 2));
    let before = disk.bytes(&segment(0));
    disk.inject(DiskFault::ReadFails);

    let refused = PartitionLog::open(Arc::new(disk.clone()), &directory(), SMALL, &mut |_| {});

    assert!(refused.is_err());
    assert_eq!(disk.bytes(&segment(0)), before);
    assert_eq!(base_offsets(&open(&disk).0, 0, 10_000), [0, 1]);
}

#[test]
fn segments_are_as_they_were() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/partition-v2.bin");
    let disk = SimulatedDisk::new(1);

    filled(&disk, 2);

    assert_eq!(disk.bytes(&segment(0)).unwrap(), std::fs::read(golden).unwrap());
}

#[derive(Clone, Debug)]
enum Step {
    Append(usize),
    Delete,
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
        8 => (0usize..120).prop_map(Step::Append),
        1 => Just(Step::Delete),
        1 => fault.prop_map(Step::Fault),
        1 => Just(Step::Crash),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn what_was_appended_with_flush_survives_any_crash(
        seed: u64,
        steps in prop::collection::vec(step(), 1..60),
    ) {
        let disk = SimulatedDisk::new(seed);
        let (mut log, _) = open(&disk);
        let mut acknowledged: Vec<RecordBatch> = Vec::new();
        for step in steps.into_iter().chain([Step::Crash]) {
            match step {
                Step::Append(size) => {
                    if let Ok(placed) = log.append(&batch(1, 0, &"x".repeat(size)), 0) {
                        acknowledged.push(placed);
                    }
                }
                Step::Delete => {
                    let middle = i64::midpoint(log.start_offset(), log.end_offset());
                    let _ = log.delete_records_before(middle);
                    let start = log.start_offset();
                    acknowledged.retain(|batch| batch.base_offset() >= start);
                }
                Step::Fault(fault) => disk.inject(fault),
                Step::Crash => {
                    disk.crash();
                    let (reopened, recovery) = open(&disk);
                    prop_assert_eq!(&recovery.damage, &vec![]);
                    log = reopened;
                    for batch in acknowledged.iter().filter(|b| b.base_offset() >= log.start_offset()) {
                        prop_assert_eq!(log.read(batch.base_offset(), 1).unwrap(), batch.to_bytes());
                    }
                    if let Some(last) = acknowledged.last() {
                        prop_assert!(log.end_offset() > last.base_offset());
                    }
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn damage_never_changes_a_batch_and_never_goes_unnamed(
        batches in 1i64..25,
        hurts in prop::collection::vec(
            (any::<prop::sample::Index>(), any::<prop::sample::Index>(), prop::option::weighted(0.8, 0u8..8)),
            1..5,
        ),
    ) {
        let disk = SimulatedDisk::new(1);
        let log = filled(&disk, batches);
        let sent: Vec<_> = (0..batches).map(|offset| log.read(offset, 1).unwrap()).collect();
        let names = disk.list(&directory()).unwrap();
        let several = hurts.len() > 1;
        for (file, offset, bit) in hurts {
            let path = directory().join(file.get(&names));
            let length = disk.bytes(&path).unwrap().len();
            match bit {
                // No checksum covers a batch's offset; where its neighbours are damaged too, nothing tells it.
                Some(_) if several && offset.index(length.max(1)) % (BATCH_BYTES as usize) < 8 => {}
                Some(bit) if length > 0 => disk.flip_bit(&path, offset.index(length), bit),
                _ => disk.cut(&path, offset.index(length + 1)),
            }
        }

        let Ok((log, recovery)) =
            PartitionLog::open(Arc::new(disk.clone()), &directory(), SMALL, &mut |_| {})
        else {
            return Ok(());
        };

        for (offset, sent) in (0..).zip(sent) {
            match log.read(offset, 1) {
                // The leader epoch is all that no checksum covers.
                Ok(read) if !read.is_empty() => {
                    prop_assert_eq!(&read[..12], &sent[..12]);
                    prop_assert_eq!(&read[16..], &sent[16..]);
                }
                Ok(_) => prop_assert_eq!(offset, log.end_offset()),
                Err(PartitionReadError::OutOfRange { .. }) => prop_assert!(offset > log.end_offset()),
                Err(PartitionReadError::Damaged { .. }) => {
                    let named = |d: &leeward_log::DamagedOffsets| d.from <= offset && offset < d.to;
                    prop_assert!(recovery.damage.iter().any(named));
                }
                Err(error) => return Err(TestCaseError::fail(error.to_string())),
            }
        }
    }
}
