//! Record batches as a broker or a producer sends them: cut, decompressed under a cap, read record by record.

#![no_main]

use bytes::Bytes;
use leeward_wire::record::split_batches;
use libfuzzer_sys::fuzz_target;

const LIMIT_BYTES: usize = 1 << 20;

fuzz_target!(|input: &[u8]| {
    for batch in split_batches(Bytes::copy_from_slice(input)) {
        let Ok(batch) = batch else { return };
        let _ = batch.verify_crc();
        let Ok(plain) = batch.decompress(LIMIT_BYTES) else { continue };
        for record in plain.records() {
            let Ok(record) = record else { break };
            let _ = record.headers.count();
        }
    }
});
