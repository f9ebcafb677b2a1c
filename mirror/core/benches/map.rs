//! What a lookup in the offset map costs, both ways, by the number of runs.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use leeward_mirror_core::map::{OffsetMap, Run};
use leeward_model::{SourceOffset, TargetOffset};

/// Records of each run; the source has a gap of as many behind it.
const RUN_RECORDS: i64 = 100;
/// Lookups of one iteration, at offsets that jump about.
const LOOKUPS: u64 = 1000;

fn source(offset: i64) -> SourceOffset {
    SourceOffset::from_wire(offset).expect("not negative")
}

fn target(offset: i64) -> TargetOffset {
    TargetOffset::from_wire(offset).expect("not negative")
}

fn map(runs: i64) -> (OffsetMap, i64, i64) {
    let stored = (0..runs)
        .map(|index| Run {
            source: source(index * RUN_RECORDS * 2),
            target: target(index * RUN_RECORDS),
            foreign_before: 0,
            anchor: index == 0,
        })
        .collect();
    let (source_end, target_end) = (runs * RUN_RECORDS * 2, runs * RUN_RECORDS);
    (
        OffsetMap::load(stored, target(target_end)).expect("runs that follow each other"),
        source_end,
        target_end,
    )
}

/// Offsets below `end` in no order that a cache would like.
fn offsets(end: i64) -> Vec<i64> {
    let mut state: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((state >> 33) % end as u64) as i64
    };
    (0..LOOKUPS).map(|_| next()).collect()
}

fn lookups(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("per lookup");
    group.throughput(Throughput::Elements(LOOKUPS));
    for (name, runs) in [("1 run", 1), ("1 000 runs", 1000), ("1 M runs", 1_000_000)] {
        let (map, source_end, target_end) = map(runs);
        let (end, replicated_to) = (target(target_end), source(source_end));
        let sources: Vec<_> = offsets(source_end).into_iter().map(source).collect();
        let targets: Vec<_> = offsets(target_end).into_iter().map(target).collect();
        group.bench_function(format!("to target, {name}"), |bencher| {
            bencher.iter(|| {
                for offset in &sources {
                    black_box(map.to_target(black_box(*offset), replicated_to, end));
                }
            });
        });
        group.bench_function(format!("to source, {name}"), |bencher| {
            bencher.iter(|| {
                for offset in &targets {
                    black_box(map.to_source(black_box(*offset), end));
                }
            });
        });
    }
    group.finish();
}

criterion_group!(benches, lookups);
criterion_main!(benches);
