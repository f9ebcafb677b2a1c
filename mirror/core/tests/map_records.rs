//! What the map writes into topics and files, byte for byte, and that it reads back what it wrote.
#![allow(clippy::unwrap_used)]

use leeward_mirror_core::map::{MapRecord, RecordError, Run, decode, encode_key, encode_value};
use leeward_model::{PartitionIndex, SourceOffset, TargetOffset, TopicId, TopicName};
use proptest::prelude::*;

const GOLDEN: &str = include_str!("golden/map-records-v1.txt");

fn topic() -> TopicId {
    TopicId::from_wire(*b"0123456789abcdef").unwrap()
}

fn partition() -> PartitionIndex {
    PartitionIndex::from_wire(5).unwrap()
}

fn run(source: i64, target: i64, foreign_before: u64, anchor: bool) -> MapRecord {
    let source = SourceOffset::from_wire(source).unwrap();
    let target = TargetOffset::from_wire(target).unwrap();
    MapRecord::Run(Run { source, target, foreign_before, anchor })
}

fn records() -> [MapRecord; 6] {
    let target = TargetOffset::from_wire(77).unwrap();
    [
        run(1 << 40, 1 << 33, 12, true),
        MapRecord::RunRemoved(SourceOffset::from_wire(9).unwrap()),
        MapRecord::Checkpoint { target, target_topic: topic() },
        MapRecord::CheckpointRemoved,
        MapRecord::Names {
            source: TopicName::new("orders").unwrap(),
            target: TopicName::new("eu.orders").unwrap(),
        },
        MapRecord::NamesRemoved,
    ]
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

#[test]
fn stored_records_keep_their_bytes() {
    let lines = records().map(|record| {
        let value = encode_value(&record).map_or("-".to_owned(), |value| hex(&value));
        format!("{} {value}\n", hex(&encode_key(topic(), partition(), &record)))
    });

    assert_eq!(lines.concat(), GOLDEN);
}

#[test]
fn a_record_of_a_later_version_is_told_apart_from_a_damaged_one() {
    let mut key = encode_key(topic(), partition(), &records()[0]);

    key[4] = 2;

    assert_eq!(decode(&key, None), Err(RecordError::Checksum));
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(source in 0..i64::MAX, target in 0..i64::MAX, foreign: u64, anchor: bool) {
        let record = run(source, target, foreign % (target as u64 + 1), anchor);

        let value = encode_value(&record);
        let back = decode(&encode_key(topic(), partition(), &record), value.as_deref());

        prop_assert_eq!(back, Ok((topic(), partition(), record)));
    }

    #[test]
    fn any_flipped_bit_is_noticed(place in 0usize..31, bit in 0u8..8) {
        let record = run(1, 2, 0, false);
        let key = encode_key(topic(), partition(), &record);
        let mut value = encode_value(&record).unwrap();
        let place = place % value.len();

        value[place] ^= 1 << bit;

        prop_assert!(decode(&key, Some(&value)).is_err());
    }

    #[test]
    fn hostile_bytes_are_an_error(key: Vec<u8>, value: Option<Vec<u8>>) {
        prop_assert!(decode(&key, value.as_deref()).is_err());
    }
}
