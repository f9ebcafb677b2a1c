//! Record batches as a broker or a producer sends them: headers, decompression under a cap, records, re-encoding.

use bytes::Bytes;
use leeward_wire::record::{
    BatchDigest, Compression, Patch, RecordBatch, RecordDigest, Reencode, crc32c, reencode, split_batches,
};

/// Bytes that a batch may have when decompressed: a smaller input that gives more must be refused.
const PLAIN_BYTES_MAX: usize = 1 << 20;
/// Where a batch's checksum stands, and what it covers begins.
const CRC_AT: usize = 17;
const COVERED_AT: usize = 21;

/// Batches one after another, as they are and with checksums made to fit.
pub(crate) fn records(input: &[u8]) {
    let bytes = Bytes::copy_from_slice(input);
    leeward_client::fuzzing::fetched(bytes.clone(), 1);
    leeward_mirror::fuzzing::heartbeats(bytes.clone());
    leeward_buffer::fuzzing::batch(bytes.clone());
    for batch in split_batches(bytes) {
        let Ok(batch) = batch else { return };
        let mut raw = batch.to_bytes().to_vec();
        let crc = crc32c(&raw[COVERED_AT..]);
        raw[CRC_AT..COVERED_AT].copy_from_slice(&crc.to_be_bytes());
        let sealed = RecordBatch::parse(Bytes::from(raw)).expect("only its checksum changed");
        assert!(sealed.verify_crc().is_ok());
        leeward_buffer::fuzzing::batch(sealed.to_bytes());
        one(&sealed);
    }
}

fn one(batch: &RecordBatch) {
    let _ = (batch.last_offset(), batch.next_offset(), batch.last_sequence(), batch.is_dense());
    let _ = (batch.timestamp_type(), batch.max_timestamp(), batch.compression());
    let _ = BatchDigest::of(batch);
    let _ = batch.control_record();
    let _ = batch.with_base_offset(7).map(|moved| moved.verify_crc());
    let patched = batch.patched(Patch { producer_id: 1, clear_transactional: true, ..Patch::default() });
    assert!(patched.verify_crc().is_ok());
    assert!(batch.with_append_time(5).verify_crc().is_ok());
    let Ok(plain) = batch.decompress(PLAIN_BYTES_MAX) else { return };
    assert!(plain.payload().len() <= PLAIN_BYTES_MAX.max(batch.size_bytes()));
    for record in plain.records() {
        let Ok(record) = record else { break };
        let _ = RecordDigest::of(batch.timestamp_of(record.timestamp_delta), &record);
        let _ = record.headers.count();
    }
    let how =
        Reencode { compression: Some(Compression::Lz4), limit_bytes: PLAIN_BYTES_MAX, ..Reencode::default() };
    if let Ok(Some(again)) = reencode(batch, |offset| offset % 2 == 0, how) {
        assert!(again.batch.verify_crc().is_ok());
    }
}
