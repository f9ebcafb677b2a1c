//! Headers: fields, patches, splitting, control batches.

use bytes::{Bytes, BytesMut};
use leeward_wire::record::{
    BatchBuilder, BatchDigest, BatchError, BuildError, Compression, ControlKind, Patch, RecordBatch,
    TimestampType, control_batch, crc32c, header, split_batches,
};
use proptest::prelude::*;

use super::common::{Owned, any_compression, any_records, batch_of, records_of};

const COVERED: usize = 21;

proptest! {
    #[test]
    fn a_patched_crc_equals_a_full_pass(
        records in any_records(),
        compression in any_compression(),
        producer_id in any::<i64>(),
        producer_epoch in any::<i16>(),
        base_sequence in any::<i32>(),
        clear in any::<bool>(),
    ) {
        let builder = BatchBuilder::new(compression).producer(5, 6, 7).transactional();
        let batch = batch_of(builder, &records);

        let patched = batch.patched(Patch {
            producer_id,
            producer_epoch,
            base_sequence,
            clear_transactional: clear,
            clear_delete_horizon: clear,
            clear_log_append_time: clear,
        });

        let bytes = patched.to_bytes();
        prop_assert_eq!(patched.crc(), crc32c(&bytes[COVERED..]));
        prop_assert_eq!(patched.producer_id(), producer_id);
        prop_assert_eq!(patched.producer_epoch(), producer_epoch);
        prop_assert_eq!(patched.base_sequence(), base_sequence);
        prop_assert_eq!(patched.is_transactional(), !clear);
        prop_assert_eq!(patched.payload(), batch.payload());
    }

    #[test]
    fn a_corrupt_payload_stays_corrupt_under_a_patch(
        records in any_records(),
        at in any::<prop::sample::Index>(),
        flip in 1u8..,
        producer_id in any::<i64>(),
    ) {
        let mut bytes = batch_of(BatchBuilder::new(Compression::None), &records).to_bytes().to_vec();
        let at = header::HEADER_BYTES + at.index(bytes.len() - header::HEADER_BYTES);
        bytes[at] ^= flip;
        let corrupt = RecordBatch::parse(Bytes::from(bytes)).unwrap();

        let patched = corrupt.patched(Patch { producer_id, ..Patch::default() });

        prop_assert!(matches!(patched.verify_crc(), Err(BatchError::Crc { .. })), "signed again");
    }

    #[test]
    fn batches_split_as_they_were_joined(
        parts in prop::collection::vec((any_records(), any_compression()), 0..4),
        partial in 0usize..60,
    ) {
        let batches: Vec<_> = parts
            .iter()
            .map(|(records, compression)| batch_of(BatchBuilder::new(*compression), records))
            .collect();
        let mut joined = BytesMut::new();
        for batch in &batches {
            batch.write_to(&mut joined);
        }
        joined.extend_from_slice(&sample().to_bytes()[..partial]);

        let mut split = split_batches(joined.freeze());
        let found: Vec<_> = split.by_ref().map(Result::unwrap).collect();

        prop_assert_eq!(found, batches);
        prop_assert_eq!(split.rest_bytes(), partial);
    }
}

#[test]
fn moving_a_batch_leaves_its_crc_valid() {
    let batch = sample();

    let moved = batch.with_base_offset(1 << 40).unwrap().with_leader_epoch(9);

    moved.verify_crc().unwrap();
    assert_eq!(moved.crc(), batch.crc());
    assert_eq!(moved.last_offset(), (1 << 40) + 1);
    assert_eq!(moved.partition_leader_epoch(), 9);
}

#[test]
fn setters_in_place_equal_the_moved_batch() {
    let mut bytes = sample().to_bytes().to_vec();

    header::set_base_offset(&mut bytes, 77);
    header::set_leader_epoch(&mut bytes, 3);

    let moved = sample().with_base_offset(77).unwrap().with_leader_epoch(3);
    assert_eq!(bytes, moved.to_bytes());
}

#[test]
fn a_batch_cannot_move_past_the_last_offset() {
    let moved = sample().with_base_offset(i64::MAX - 1);

    assert!(matches!(moved, Err(BatchError::Offsets { .. })));
}

#[test]
fn the_last_sequence_wraps_to_zero() {
    let builder = BatchBuilder::new(Compression::None).producer(1, 0, i32::MAX);

    let batch = batch_of(builder, &[Owned::of("a"), Owned::of("b")]);

    assert_eq!(batch.last_sequence(), 0);
}

#[test]
fn a_batch_with_holes_is_not_dense() {
    let mut builder = BatchBuilder::new(Compression::None);
    Owned::of("a").append_to(&mut builder, 0);
    builder.reach(4).unwrap();

    let batch = builder.build().unwrap();

    assert!(!batch.is_dense());
    assert_eq!(batch.next_offset(), 5);
}

#[test]
fn a_builder_refuses_offsets_that_go_back() {
    let mut builder = BatchBuilder::new(Compression::None);
    Owned::of("a").append_to(&mut builder, 3);

    let refused = builder.append_at(3, 0, None, None, &[]);

    assert_eq!(refused, Err(BuildError::OffsetDelta(3)));
}

#[test]
fn append_time_is_every_records_time() {
    let batch = sample().with_append_time(42);

    batch.verify_crc().unwrap();
    assert_eq!(batch.timestamp_type(), TimestampType::LogAppendTime);
    assert!(records_of(&batch).iter().all(|record| record.timestamp_ms == 42));
}

#[test]
fn an_older_message_format_is_a_typed_error() {
    let mut bytes = sample().to_bytes().to_vec();
    bytes[16] = 1;

    let mut split = split_batches(Bytes::from(bytes));

    assert!(matches!(split.next(), Some(Err(BatchError::OldMagic { magic: 1 }))));
    assert!(split.next().is_none());
}

#[test]
fn a_transaction_marker_has_the_brokers_78_bytes() {
    let batch = control_batch(ControlKind::Commit, 12, 4000, 1, 1_700_000_000_000).unwrap();

    let record = batch.control_record().unwrap();

    assert_eq!(batch.size_bytes(), 78);
    assert!(batch.is_control() && batch.is_transactional());
    assert_eq!(record.kind, ControlKind::Commit);
    assert_eq!(record.coordinator_epoch, Some(12));
}

#[test]
fn a_data_batch_has_no_control_record() {
    let read = sample().control_record();

    assert!(matches!(read, Err(BatchError::NoControlRecord)));
}

#[test]
fn a_batch_digest_survives_forwarding() {
    let batch = sample();

    let forwarded = batch
        .patched(Patch { producer_id: 9, producer_epoch: 0, base_sequence: 100, ..Patch::default() })
        .with_base_offset(100)
        .unwrap()
        .with_leader_epoch(4)
        .with_append_time(5);

    assert_eq!(BatchDigest::of(&forwarded), BatchDigest::of(&batch));
}

fn sample() -> RecordBatch {
    let builder = BatchBuilder::new(Compression::None).producer(1, 2, 3);
    batch_of(builder, &[Owned::of("a"), Owned::of("b")])
}
