//! What a frame costs: Produce and Fetch, decoded and encoded, beside the crate that the tests hold this codec against.

use std::hint::black_box;

use bytes::{Bytes, BytesMut};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use kafka_protocol::messages as theirs;
use kafka_protocol::protocol::{Decodable, Encodable};
use kafka_protocol::records::RecordBatchDecoder;
use leeward_wire::api::{
    FetchResponse, FetchResponsePartition, FetchResponseTopic, ProduceRequest, ProduceRequestPartition,
    ProduceRequestTopic,
};
use leeward_wire::record::{BatchBuilder, Compression, split_batches};
use leeward_wire::{ApiKey, Message, Reader, encode_request, encode_response};

/// Newest versions that name topics, which both sides speak.
const PRODUCE_VERSION: i16 = 12;
const FETCH_VERSION: i16 = 12;
const RECORDS: usize = 64;
const VALUE_BYTES: usize = 1024;

/// A batch of 64 KiB.
fn records() -> Bytes {
    let mut builder = BatchBuilder::new(Compression::None);
    for index in 0..RECORDS {
        builder
            .append(1_700_000_000_000 + index as i64, None, Some(&[index as u8; VALUE_BYTES]), &[])
            .expect("the records are small");
    }
    builder.build().expect("the records are small").to_bytes()
}

fn produce(partitions: i32) -> ProduceRequest {
    let partition = |index| ProduceRequestPartition { index, records: Some(records()) };
    ProduceRequest {
        acks: -1,
        timeout_ms: 30_000,
        topic_data: vec![ProduceRequestTopic {
            name: "orders".to_owned(),
            partition_data: (0..partitions).map(partition).collect(),
            ..ProduceRequestTopic::default()
        }],
        ..ProduceRequest::default()
    }
}

fn fetch(partitions: i32) -> FetchResponse {
    let partition = |partition_index| FetchResponsePartition {
        partition_index,
        high_watermark: 64,
        records: Some(records()),
        ..FetchResponsePartition::default()
    };
    FetchResponse {
        responses: vec![FetchResponseTopic {
            topic: "orders".to_owned(),
            partitions: (0..partitions).map(partition).collect(),
            ..FetchResponseTopic::default()
        }],
        ..FetchResponse::default()
    }
}

/// A message without the frame's header.
fn body<M: Message>(message: &M, version: i16) -> Bytes {
    let mut out = BytesMut::new();
    message.encode(version, &mut out).expect("the version can say it");
    out.freeze()
}

fn per_frame(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("per frame");
    for partitions in [1, 16] {
        let request = produce(partitions);
        let response = fetch(partitions);
        group.bench_function(format!("encode Produce, {partitions} x 64 KiB"), |bencher| {
            bencher.iter(|| encode_request(PRODUCE_VERSION, 1, Some("bench"), black_box(&request)));
        });
        group.bench_function(format!("encode Fetch, {partitions} x 64 KiB"), |bencher| {
            bencher.iter(|| encode_response(ApiKey::Fetch, FETCH_VERSION, 1, black_box(&response)));
        });
        let produce_body = body(&request, PRODUCE_VERSION);
        let fetch_body = body(&response, FETCH_VERSION);
        decoding::<ProduceRequest, theirs::ProduceRequest>(
            &mut group,
            &format!("Produce, {partitions} x 64 KiB"),
            &produce_body,
            PRODUCE_VERSION,
        );
        decoding::<FetchResponse, theirs::FetchResponse>(
            &mut group,
            &format!("Fetch, {partitions} x 64 KiB"),
            &fetch_body,
            FETCH_VERSION,
        );
    }
    group.finish();
}

fn decoding<Ours: Message, Theirs: Decodable + Encodable>(
    group: &mut criterion::BenchmarkGroup<'_, criterion::measurement::WallTime>,
    name: &str,
    body: &Bytes,
    version: i16,
) {
    group.bench_function(format!("decode {name}"), |bencher| {
        bencher.iter_batched(
            || Reader::new(body.clone()),
            |mut input| Ours::decode(&mut input, version),
            BatchSize::SmallInput,
        );
    });
    group.bench_function(format!("decode {name}, kafka-protocol"), |bencher| {
        bencher.iter_batched(
            || body.clone(),
            |mut input| Theirs::decode(&mut input, version),
            BatchSize::SmallInput,
        );
    });
    let message = Theirs::decode(&mut body.clone(), version).expect("they read what we write");
    group.bench_function(format!("encode {name}, kafka-protocol"), |bencher| {
        bencher.iter(|| {
            let mut out = BytesMut::with_capacity(body.len());
            message.encode(&mut out, version).expect("they write what they read");
            out
        });
    });
}

/// From a batch's bytes to each of its records, the checksum held.
fn per_record(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("per record of 1 KiB");
    group.throughput(Throughput::Elements(RECORDS as u64));
    let bytes = records();
    group.bench_function("check and iterate", |bencher| {
        bencher.iter_batched(
            || bytes.clone(),
            |bytes| {
                let batch = split_batches(bytes).next().expect("a batch").expect("a sound one");
                batch.verify_crc().expect("the checksum holds");
                let records = batch.records().expect("the batch is not compressed");
                records.map(|record| record.expect("well formed").value.map_or(0, <[u8]>::len)).sum::<usize>()
            },
            BatchSize::SmallInput,
        );
    });
    group.bench_function("check and iterate, kafka-protocol", |bencher| {
        bencher.iter_batched(
            || bytes.clone(),
            |mut bytes| {
                let set = RecordBatchDecoder::decode(&mut bytes).expect("they read what we write");
                set.records.iter().map(|record| record.value.as_ref().map_or(0, Bytes::len)).sum::<usize>()
            },
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

criterion_group!(benches, per_frame, per_record);
criterion_main!(benches);
