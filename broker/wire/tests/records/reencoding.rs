//! Batches that a broker would refuse or change, made plain.

use leeward_wire::record::{
    BatchBuilder, BatchError, Compression, ControlKind, Reencode, Reencoder, TimestampType, control_batch,
    reencode,
};
use proptest::prelude::*;

use super::common::{Owned, any_compression, any_records, batch_of, records_of};

proptest! {
    #[test]
    fn a_batch_with_holes_becomes_dense_and_keeps_its_records(
        records in any_records(),
        gaps in prop::collection::vec(0i32..5, 20),
        compression in any_compression(),
        base in 0i64..1 << 50,
        kept in any::<u64>(),
    ) {
        let mut builder = BatchBuilder::new(compression).base_offset(base).transactional();
        let mut delta = -1;
        let mut offsets = Vec::new();
        for (record, gap) in records.iter().zip(gaps) {
            delta += 1 + gap;
            offsets.push(base + i64::from(delta));
            record.append_to(&mut builder, delta);
        }
        let source = builder.build().unwrap();
        let keep = |offset: i64| kept >> (offset % 64) & 1 == 1;

        let reencoded = reencode(&source, keep, Reencode::default()).unwrap();

        let (expected, expected_offsets): (Vec<_>, Vec<_>) = records
            .into_iter()
            .zip(offsets)
            .filter(|(_, offset)| keep(*offset))
            .unzip();
        match reencoded {
            None => prop_assert!(expected.is_empty()),
            Some(reencoded) => {
                prop_assert_eq!(records_of(&reencoded.batch), expected);
                prop_assert_eq!(reencoded.source_offsets, expected_offsets);
                prop_assert!(reencoded.batch.is_dense());
                prop_assert!(!reencoded.batch.is_transactional());
                prop_assert_eq!(reencoded.batch.base_offset(), 0);
                prop_assert_eq!(reencoded.batch.compression(), compression);
                reencoded.batch.verify_crc().unwrap();
            }
        }
    }
}

#[test]
fn append_time_becomes_the_records_own_time() {
    let records = [Owned::of("a"), Owned::of("b")];
    let source = batch_of(BatchBuilder::new(Compression::Lz4).append_time(99), &records);

    let reencoded = reencode(&source, |_| true, Reencode::default()).unwrap().unwrap();

    let batch = reencoded.batch;
    assert_eq!(batch.timestamp_type(), TimestampType::CreateTime);
    assert_eq!((batch.base_timestamp(), batch.max_timestamp()), (99, 99));
    assert!(records_of(&batch).iter().all(|record| record.timestamp_ms == 99));
}

#[test]
fn small_batches_gather_into_one() {
    let mut reencoder = Reencoder::new(Reencode {
        producer_id: 8,
        producer_epoch: 1,
        base_sequence: 500,
        ..Reencode::default()
    });
    for base in [10, 20] {
        let builder = BatchBuilder::new(Compression::Zstd).base_offset(base);
        reencoder.push(&batch_of(builder, &[Owned::of("a")]), |_| true).unwrap();
    }

    let gathered = reencoder.finish().unwrap().unwrap();

    assert_eq!(gathered.source_offsets, [10, 20]);
    assert_eq!(gathered.batch.record_count(), 2);
    assert_eq!(gathered.batch.last_sequence(), 501);
}

#[test]
fn a_control_batch_is_not_reencoded() {
    let marker = control_batch(ControlKind::Abort, 0, 1, 0, 0).unwrap();

    let refused = reencode(&marker, |_| true, Reencode::default());

    assert!(matches!(refused, Err(BatchError::Control)));
}
