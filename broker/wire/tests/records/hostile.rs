//! Bytes that nobody honest wrote: errors, never a panic and never much memory.

use std::io::Write;

use bytes::Bytes;
use leeward_wire::record::{
    BatchBuilder, BatchError, Compression, Malformed, Patch, RecordBatch, Reencode, reencode, split_batches,
};
use proptest::prelude::*;

use super::common::{LIMIT_BYTES, Owned, any_compression, any_records, batch_of};

proptest! {
    #[test]
    fn flipped_bytes_never_panic(
        records in any_records(),
        compression in any_compression(),
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let mut bytes = batch_of(BatchBuilder::new(compression), &records).to_bytes().to_vec();
        for (at, byte) in flips {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }

        exercise(Bytes::from(bytes));
    }

    #[test]
    fn arbitrary_payloads_never_panic(
        payload in prop::collection::vec(any::<u8>(), 0..200),
        attributes in 0u8..128,
        record_count in any::<i32>(),
        last_offset_delta in any::<i32>(),
    ) {
        let batch = forged(&payload, attributes, record_count, last_offset_delta);

        exercise(batch);
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        exercise(Bytes::from(bytes));
    }
}

#[test]
fn a_bomb_stops_at_the_limit() {
    let zeros = Owned { value: Some(vec![0; 4 << 20]), ..Owned::of("") };

    for compression in Compression::ALL {
        let batch = batch_of(BatchBuilder::new(compression), std::slice::from_ref(&zeros));
        let decompressed = batch.decompress(LIMIT_BYTES);

        assert!(
            matches!(decompressed, Err(BatchError::TooLarge { limit_bytes: LIMIT_BYTES })),
            "{compression:?}"
        );
    }
}

#[test]
fn a_payload_exactly_at_the_limit_is_taken() {
    let records = [Owned::of("exactly")];
    let limit_bytes = batch_of(BatchBuilder::new(Compression::None), &records).payload().len();

    for compression in Compression::ALL {
        let batch = batch_of(BatchBuilder::new(compression), &records);

        assert!(batch.decompress(limit_bytes).is_ok(), "{compression:?}");
        assert!(batch.decompress(limit_bytes - 1).is_err(), "{compression:?}");
    }
}

#[test]
fn a_snappy_block_cannot_declare_more_than_it_holds() {
    let declares_a_mebibyte = [0x80, 0x80, 0x40, 0];
    let batch = RecordBatch::parse(forged(&declares_a_mebibyte, 2, 1, 0)).unwrap();

    let decompressed = batch.decompress(LIMIT_BYTES);

    assert!(matches!(decompressed, Err(BatchError::Decompress { .. })));
}

#[test]
fn raw_snappy_is_read_too() {
    let plain = batch_of(BatchBuilder::new(Compression::None), &[Owned::of("raw")]);
    let raw = snap::raw::Encoder::new().compress_vec(plain.payload()).unwrap();
    let batch = RecordBatch::parse(forged(&raw, 2, 1, 0)).unwrap();

    let decompressed = batch.decompress(LIMIT_BYTES).unwrap();

    assert_eq!(decompressed.payload(), plain.payload());
}

#[test]
fn joined_xerial_streams_are_read_as_one() {
    let one = batch_of(BatchBuilder::new(Compression::Snappy), &[Owned::of("one")]);
    let twice = [one.payload(), one.payload()].concat();
    let batch = RecordBatch::parse(forged(&twice, 2, 2, 1)).unwrap();

    let decompressed = batch.decompress(LIMIT_BYTES).unwrap();

    let single = one.decompress(LIMIT_BYTES).unwrap();
    assert_eq!(decompressed.payload()[..], [&single.payload()[..]; 2].concat());
}

#[test]
fn lz4_with_linked_blocks_is_read() {
    use lz4_flex::frame::{BlockMode, BlockSize, FrameEncoder, FrameInfo};
    let records: Vec<_> = (0..5000).map(|index| Owned::of(&index.to_string())).collect();
    let plain = batch_of(BatchBuilder::new(Compression::None), &records);
    let frame =
        FrameInfo::new().block_size(BlockSize::Max64KB).block_mode(BlockMode::Linked).content_checksum(true);
    let mut encoder = FrameEncoder::with_frame_info(frame, Vec::new());
    encoder.write_all(plain.payload()).unwrap();
    let linked = encoder.finish().unwrap();
    let batch = RecordBatch::parse(forged(&linked, 3, 5000, 4999)).unwrap();

    let decompressed = batch.decompress(LIMIT_BYTES).unwrap();

    assert_eq!(decompressed.payload(), plain.payload());
}

#[test]
fn a_stream_cut_anywhere_is_an_error_or_misses_records() {
    let records: Vec<_> = (0..100).map(|index| Owned::of(&index.to_string())).collect();

    for compression in Compression::ALL {
        let whole = batch_of(BatchBuilder::new(compression), &records);
        for length in 0..whole.payload().len() {
            let cut = forged(&whole.payload()[..length], compression.code(), 100, 99);
            let batch = RecordBatch::parse(cut).unwrap();

            let read =
                batch.decompress(LIMIT_BYTES).is_ok_and(|plain| plain.records().all(|record| record.is_ok()));

            let only_the_end_mark = compression == Compression::Lz4 && length + 4 >= whole.payload().len();
            assert!(!read || only_the_end_mark, "{compression:?} cut to {length}");
        }
    }
}

#[test]
fn bytes_after_the_last_record_are_an_error() {
    let batch = batch_of(BatchBuilder::new(Compression::None), &[Owned::of("a"), Owned::of("b")]);
    let fewer = RecordBatch::parse(forged(batch.payload(), 0, 1, 1)).unwrap();

    let mut records = fewer.records().unwrap();

    assert!(records.next().unwrap().is_ok());
    assert!(matches!(records.next(), Some(Err(BatchError::TrailingBytes { .. }))));
    assert!(records.next().is_none());
}

#[test]
fn a_record_past_the_batchs_last_offset_is_an_error() {
    let batch = batch_of(BatchBuilder::new(Compression::None), &[Owned::of("a"), Owned::of("b")]);
    let shorter = RecordBatch::parse(forged(batch.payload(), 0, 2, 0)).unwrap();

    let second = shorter.records().unwrap().nth(1).unwrap();

    assert!(matches!(second, Err(BatchError::Record { index: 1, source: Malformed::OffsetDelta(1) })));
}

/// A batch with this payload, whatever it means; its CRC is wrong.
fn forged(payload: &[u8], attributes: u8, record_count: i32, last_offset_delta: i32) -> Bytes {
    let mut bytes = vec![0; 61];
    bytes.extend_from_slice(payload);
    let length = i32::try_from(bytes.len() - 12).unwrap();
    bytes[8..12].copy_from_slice(&length.to_be_bytes());
    bytes[16] = 2;
    bytes[22] = attributes;
    bytes[23..27].copy_from_slice(&last_offset_delta.to_be_bytes());
    bytes[57..61].copy_from_slice(&record_count.to_be_bytes());
    Bytes::from(bytes)
}

/// Does to hostile bytes all that can be done to a batch.
fn exercise(bytes: Bytes) {
    for batch in split_batches(bytes.clone()).flatten() {
        exercise_batch(&batch);
    }
    if let Ok(batch) = RecordBatch::parse(bytes) {
        exercise_batch(&batch);
    }
}

fn exercise_batch(batch: &RecordBatch) {
    let _ = (batch.verify_crc(), batch.next_offset(), batch.last_sequence());
    let _ = batch.control_record();
    if let Ok(decompressed) = batch.decompress(LIMIT_BYTES) {
        for record in decompressed.records().flatten() {
            let _ = batch.timestamp_of(record.timestamp_delta);
            let _ = record.headers.count();
        }
    }
    let how = Reencode { limit_bytes: LIMIT_BYTES, ..Reencode::default() };
    let _ = reencode(batch, |offset| offset % 2 == 0, how);
    let _ = batch.patched(Patch::default()).to_bytes();
}
