//! What fuzz targets reach beyond this crate's surface. Each takes any bytes and must not panic.

use leeward_model::{PartitionIndex, TopicName, TopicPartition};
use leeward_wire::ErrorCode;

use crate::fetch::{AbortedTransaction, Fetched, Isolation};
use crate::records::read_records;
use crate::scram::{ScramHash, ScramStart};

const NONCE: &str = "rOprNGfwEbeRWgbNEkqO";

/// A server's two SCRAM messages. Proofs over more than `iterations_max` iterations are left out: they only take time.
pub fn scram(server_first: &[u8], server_final: &[u8], iterations_max: u32) {
    for hash in [ScramHash::Sha256, ScramHash::Sha512] {
        let (start, _) = ScramStart::new(hash, "user", "pencil".to_owned().into(), NONCE.to_owned());
        let asked = start.iterations(server_first);
        if asked.is_ok_and(|asked| asked > iterations_max) {
            continue;
        }
        if let Ok((proof, _)) = start.answer(server_first) {
            let _ = proof.finish(server_final);
        }
    }
}

/// The records of one partition in a broker's answer to a fetch.
pub fn fetched(records: bytes::Bytes, from: i64) {
    let fetched = Fetched {
        partition: TopicPartition {
            topic: TopicName::new("t").expect("legal"),
            partition: PartitionIndex::from_wire(0).expect("not negative"),
        },
        error: ErrorCode::NONE,
        records,
        high_watermark: i64::MAX,
        last_stable_offset: i64::MAX,
        log_start_offset: 0,
        aborted: vec![AbortedTransaction { producer_id: 7, first_offset: 0 }],
        diverging: None,
    };
    for isolation in [Isolation::ReadUncommitted, Isolation::ReadCommitted] {
        let _ = read_records(&fetched, from, isolation);
    }
}
