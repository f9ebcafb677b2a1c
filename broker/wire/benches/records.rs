//! What a batch costs: per record iterated, per batch patched, and the same with a full CRC pass.

use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use leeward_wire::record::{
    BatchBuilder, Compression, Header, Patch, RecordBatch, RecordDigest, Reencode, crc32c, header, reencode,
    split_batches,
};

const RECORDS: usize = 1000;
const LIMIT_BYTES: usize = 16 << 20;

fn batch(compression: Compression, value_bytes: usize, headers: &[Header<'_>]) -> RecordBatch {
    let mut builder = BatchBuilder::new(compression);
    for index in 0..RECORDS {
        let key = index.to_string();
        let value = key.repeat(value_bytes / key.len());
        builder
            .append(1_700_000_000_000 + index as i64, Some(key.as_bytes()), Some(value.as_bytes()), headers)
            .expect("the records are small");
    }
    builder.build().expect("the records are small")
}

fn sum(batch: &RecordBatch) -> usize {
    let records = batch.records().expect("the batch is not compressed");
    records.map(|record| record.expect("the batch is well formed").value.map_or(0, <[u8]>::len)).sum()
}

fn per_record(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("per record");
    group.throughput(Throughput::Elements(RECORDS as u64));
    let plain = batch(Compression::None, 100, &[]);
    let with_header = batch(Compression::None, 100, &[Header { key: b"trace", value: Some(b"0123456789") }]);
    group.bench_function("iterate 100 B", |bencher| bencher.iter(|| sum(black_box(&plain))));
    group.bench_function("iterate 100 B and a header", |bencher| {
        bencher.iter(|| sum(black_box(&with_header)));
    });
    group.bench_function("digest 100 B", |bencher| {
        bencher.iter(|| {
            for record in plain.records().expect("the batch is not compressed") {
                black_box(RecordDigest::of(0, &record.expect("the batch is well formed")));
            }
        });
    });
    group.bench_function("build 100 B", |bencher| bencher.iter(|| batch(Compression::None, 100, &[])));
    group.bench_function("reencode 100 B", |bencher| {
        bencher.iter(|| reencode(black_box(&plain), |_| true, Reencode::default()));
    });
    for compression in Compression::ALL {
        let batch = batch(compression, 100, &[]);
        group.bench_function(format!("decompress {compression:?} 100 B"), |bencher| {
            bencher.iter(|| black_box(&batch).decompress(LIMIT_BYTES));
        });
    }
    group.finish();
}

fn per_batch(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("per batch");
    let patch = Patch { producer_id: 1 << 62, producer_epoch: 0, base_sequence: 12_345, ..Patch::default() };
    for (name, value_bytes) in [("16 KiB", 8), ("1 MiB", 1000)] {
        let batch = batch(Compression::None, value_bytes, &[]);
        let bytes = batch.to_bytes();
        group.bench_function(format!("parse {name}"), |bencher| {
            bencher.iter_batched(
                || bytes.clone(),
                |bytes| split_batches(bytes).next(),
                BatchSize::SmallInput,
            );
        });
        group.bench_function(format!("check crc {name}"), |bencher| {
            bencher.iter(|| black_box(&batch).verify_crc());
        });
        group.bench_function(format!("patch {name}"), |bencher| {
            bencher.iter(|| black_box(&batch).patched(patch));
        });
        group.bench_function(format!("full crc {name}"), |bencher| {
            bencher.iter(|| crc32c(black_box(&bytes[header::HEADER_BYTES..])));
        });
    }
    group.finish();
}

criterion_group!(benches, per_record, per_batch);
criterion_main!(benches);
