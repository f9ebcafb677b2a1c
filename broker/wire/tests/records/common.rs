//! Owned records, and strategies that make them.

use leeward_wire::record::{BatchBuilder, Compression, Header, RecordBatch};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

pub(crate) const LIMIT_BYTES: usize = 1 << 20;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Owned {
    pub(crate) timestamp_ms: i64,
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) value: Option<Vec<u8>>,
    pub(crate) headers: Vec<(Vec<u8>, Option<Vec<u8>>)>,
}

impl Owned {
    pub(crate) fn of(value: &str) -> Self {
        Self {
            timestamp_ms: 1_700_000_000_000,
            key: Some(b"key".to_vec()),
            value: Some(value.as_bytes().to_vec()),
            headers: Vec::new(),
        }
    }

    pub(crate) fn append_to(&self, builder: &mut BatchBuilder, offset_delta: i32) {
        let headers: Vec<_> =
            self.headers.iter().map(|(key, value)| Header { key, value: value.as_deref() }).collect();
        builder
            .append_at(offset_delta, self.timestamp_ms, self.key.as_deref(), self.value.as_deref(), &headers)
            .unwrap();
    }
}

pub(crate) fn batch_of(builder: BatchBuilder, records: &[Owned]) -> RecordBatch {
    let mut builder = builder;
    for (delta, record) in records.iter().enumerate() {
        record.append_to(&mut builder, i32::try_from(delta).unwrap());
    }
    builder.build().unwrap()
}

pub(crate) fn records_of(batch: &RecordBatch) -> Vec<Owned> {
    let decompressed = batch.decompress(LIMIT_BYTES).unwrap();
    decompressed
        .records()
        .map(|record| {
            let record = record.unwrap();
            Owned {
                timestamp_ms: batch.timestamp_of(record.timestamp_delta),
                key: record.key.map(<[u8]>::to_vec),
                value: record.value.map(<[u8]>::to_vec),
                headers: record
                    .headers
                    .map(|header| (header.key.to_vec(), header.value.map(<[u8]>::to_vec)))
                    .collect(),
            }
        })
        .collect()
}

pub(crate) fn any_bytes() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => vec(any::<u8>(), 0..80),
        1 => (any::<u8>(), 0..3000usize).prop_map(|(byte, length)| vec![byte; length]),
    ]
}

pub(crate) fn any_record() -> impl Strategy<Value = Owned> {
    (
        any::<i64>(),
        option::of(any_bytes()),
        option::of(any_bytes()),
        vec(("[ab]{0,2}", option::of(any_bytes())), 0..4),
    )
        .prop_map(|(timestamp_ms, key, value, headers)| Owned {
            timestamp_ms,
            key,
            value,
            headers: headers.into_iter().map(|(key, value)| (key.into_bytes(), value)).collect(),
        })
}

pub(crate) fn any_records() -> impl Strategy<Value = Vec<Owned>> {
    vec(any_record(), 1..20)
}

pub(crate) fn any_compression() -> impl Strategy<Value = Compression> {
    prop::sample::select(&Compression::ALL[..])
}
