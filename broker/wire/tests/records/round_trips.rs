//! What is built reads back as it was, through every codec.

use leeward_wire::record::{BatchBuilder, Compression, RecordBatch, RecordDigest};
use proptest::prelude::*;

use super::common::{LIMIT_BYTES, Owned, any_compression, any_records, batch_of, records_of};

proptest! {
    #[test]
    fn records_come_back_as_they_went_in(
        records in any_records(),
        compression in any_compression(),
    ) {
        let built = batch_of(BatchBuilder::new(compression), &records);

        let parsed = RecordBatch::parse(built.to_bytes()).unwrap();

        parsed.verify_crc().unwrap();
        prop_assert_eq!(records_of(&parsed), records);
        prop_assert_eq!(parsed.compression(), compression);
        prop_assert!(parsed.is_dense());
    }

    #[test]
    fn record_digests_do_not_depend_on_the_codec(
        records in any_records(),
        compression in any_compression(),
    ) {
        let plain = batch_of(BatchBuilder::new(Compression::None), &records);
        let other = batch_of(BatchBuilder::new(compression).base_offset(7), &records);

        prop_assert_eq!(digests(&plain), digests(&other));
    }
}

#[test]
fn large_batches_span_blocks_in_every_codec() {
    let records: Vec<_> =
        (0..4000).map(|index| Owned::of(&format!("record {index} of a batch larger than a block"))).collect();

    for compression in Compression::ALL {
        let batch = batch_of(BatchBuilder::new(compression), &records);

        assert_eq!(records_of(&batch), records, "{compression:?}");
    }
}

#[test]
fn duplicate_headers_and_nulls_are_kept_in_order() {
    let record = Owned {
        timestamp_ms: -1,
        key: None,
        value: None,
        headers: vec![
            (b"b".to_vec(), Some(b"1".to_vec())),
            (b"a".to_vec(), None),
            (b"b".to_vec(), Some(Vec::new())),
            (b"b".to_vec(), Some(b"1".to_vec())),
        ],
    };

    let batch = batch_of(BatchBuilder::new(Compression::None), std::slice::from_ref(&record));

    assert_eq!(records_of(&batch), [record]);
}

#[test]
fn a_digest_tells_null_from_empty() {
    let mut empty = Owned::of("x");
    empty.value = Some(Vec::new());
    let mut null = empty.clone();
    null.value = None;

    let empty = batch_of(BatchBuilder::new(Compression::None), &[empty]);
    let null = batch_of(BatchBuilder::new(Compression::None), &[null]);

    assert_ne!(digests(&empty), digests(&null));
}

fn digests(batch: &RecordBatch) -> Vec<RecordDigest> {
    batch
        .decompress(LIMIT_BYTES)
        .unwrap()
        .records()
        .map(|record| {
            let record = record.unwrap();
            RecordDigest::of(batch.timestamp_of(record.timestamp_delta), &record)
        })
        .collect()
}
