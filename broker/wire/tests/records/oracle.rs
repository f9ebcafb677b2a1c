//! An independent codec reads what we write and writes what we read, where it loses nothing.
//!
//! It keeps headers in a map, so header keys are made unique here.

use bytes::{Bytes, BytesMut};
use kafka_protocol::indexmap::IndexMap;
use kafka_protocol::protocol::StrBytes;
use kafka_protocol::records::{
    Compression as OracleCompression, Record as OracleRecord, RecordBatchDecoder, RecordBatchEncoder,
    RecordEncodeOptions, TimestampType as OracleTimestampType,
};
use leeward_wire::record::{BatchBuilder, Compression, RecordBatch, split_batches};
use proptest::prelude::*;

use super::common::{Owned, any_records, batch_of, records_of};

proptest! {
    #[test]
    fn the_oracle_reads_what_we_write(records in records_it_can_hold()) {
        let builder = BatchBuilder::new(Compression::None).base_offset(40).producer(3, 2, 1);
        let mut bytes = batch_of(builder, &records).to_bytes();

        let decoded = RecordBatchDecoder::decode(&mut bytes).unwrap().records;

        let read: Vec<_> = decoded.iter().map(from_oracle).collect();
        prop_assert_eq!(read, records);
        prop_assert_eq!(decoded[0].offset, 40);
        prop_assert_eq!((decoded[0].producer_id, decoded[0].producer_epoch), (3, 2));
    }

    #[test]
    fn we_read_what_the_oracle_writes(records in records_it_can_hold()) {
        let theirs: Vec<_> = (0..).zip(&records).map(to_oracle).collect();
        let options = RecordEncodeOptions { version: 2, compression: OracleCompression::None };
        let mut bytes = BytesMut::new();
        RecordBatchEncoder::encode(&mut bytes, &theirs, &options).unwrap();

        let batches: Vec<RecordBatch> =
            split_batches(bytes.freeze()).collect::<Result<_, _>>().unwrap();

        let read: Vec<_> = batches.iter().flat_map(records_of).collect();
        prop_assert_eq!(read, records);
        prop_assert!(batches.iter().all(|batch| batch.verify_crc().is_ok()));
    }
}

fn records_it_can_hold() -> impl Strategy<Value = Vec<Owned>> {
    any_records().prop_map(|mut records| {
        for record in &mut records {
            record.timestamp_ms &= (1 << 45) - 1;
            record.headers.sort();
            record.headers.dedup_by(|left, right| left.0 == right.0);
        }
        records
    })
}

fn from_oracle(record: &OracleRecord) -> Owned {
    Owned {
        timestamp_ms: record.timestamp,
        key: record.key.as_ref().map(|key| key.to_vec()),
        value: record.value.as_ref().map(|value| value.to_vec()),
        headers: record
            .headers
            .iter()
            .map(|(key, value)| {
                let value = value.as_ref().map(|value| value.to_vec());
                (key.as_bytes().to_vec(), value)
            })
            .collect(),
    }
}

fn to_oracle((offset, record): (i32, &Owned)) -> OracleRecord {
    OracleRecord {
        transactional: false,
        control: false,
        delete_horizon: false,
        partition_leader_epoch: -1,
        producer_id: 3,
        producer_epoch: 2,
        timestamp_type: OracleTimestampType::Creation,
        offset: i64::from(offset),
        sequence: offset,
        timestamp: record.timestamp_ms,
        key: record.key.clone().map(Bytes::from),
        value: record.value.clone().map(Bytes::from),
        headers: record
            .headers
            .iter()
            .map(|(key, value)| {
                let key = String::from_utf8(key.clone()).unwrap();
                (StrBytes::from_string(key), value.clone().map(Bytes::from))
            })
            .collect::<IndexMap<_, _>>(),
    }
}
