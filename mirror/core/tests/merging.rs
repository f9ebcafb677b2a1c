//! Small batches that wait for a target become one; what the target says to it decides how it goes on.
#![allow(clippy::unwrap_used)]

use bytes::BytesMut;
use leeward_mirror_core::limits::RETRY_LONGEST;
use leeward_mirror_core::partition::{
    BatchNumber, Command, Event, Fetched, GapPolicy, MergePolicy, Partition, Settings, Start, StopReason,
};
use leeward_model::{Instant, LinkName, PartitionIndex, SourceOffset, TargetOffset, TopicId};
use leeward_wire::ErrorCode;
use leeward_wire::record::{BatchBuilder, Compression, RecordBatch};

const SMALL: usize = 100;
const HALF_FILLED: usize = 10_000;
const FILLED: usize = 20_000;

fn source(offset: i64) -> SourceOffset {
    SourceOffset::from_wire(offset).unwrap()
}

fn target(offset: i64) -> TargetOffset {
    TargetOffset::from_wire(offset).unwrap()
}

/// One record whose value begins with its offset.
fn batch(offset: i64, bytes: usize, codec: Compression) -> RecordBatch {
    let value = format!("{offset:<bytes$}");
    let mut builder = BatchBuilder::new(codec).base_offset(offset).producer(7, 0, 0);
    builder.append(1_000 + offset, None, Some(value.as_bytes()), &[]).unwrap();
    builder.build().unwrap()
}

struct Sent {
    number: BatchNumber,
    batch: RecordBatch,
}

impl Sent {
    fn offsets(&self) -> Vec<i64> {
        let decompressed = self.batch.decompress(1 << 20).unwrap();
        let value = |record: leeward_wire::record::Record<'_>| {
            std::str::from_utf8(record.value.unwrap()).unwrap().trim().parse().unwrap()
        };
        decompressed.records().map(|record| value(record.unwrap())).collect()
    }
}

/// A mirror whose map is always durable at once.
struct Mirror {
    partition: Partition,
    now: Instant,
    fetched: i64,
    stopped: Option<StopReason>,
}

impl Mirror {
    fn new() -> Self {
        let settings = Settings {
            link: LinkName::new("a-to-b").unwrap(),
            topic: TopicId::from_wire([7; 16]).unwrap(),
            partition: PartitionIndex::from_wire(0).unwrap(),
            gap: GapPolicy::Stop,
            merge: MergePolicy::default(),
            late_within: RETRY_LONGEST,
        };
        let mut mirror =
            Self { partition: Partition::new(settings), now: Instant::ZERO, fetched: 0, stopped: None };
        mirror.on(Event::Started(Start {
            runs: Vec::new(),
            checkpoint: None,
            target_end: target(0),
            source_log_start: Some(source(0)),
            begin_at: Some(source(0)),
        }));
        mirror
    }

    /// A mirror of which the target has taken the first record already, and that has sent the second.
    fn under_way() -> (Self, Sent) {
        let mut mirror = Self::new();
        let mut sent = mirror.fetch(&[SMALL], Compression::None);
        let first = sent.remove(0);
        assert!(mirror.acknowledge(&first, 0).is_empty());
        let mut sent = mirror.fetch(&[SMALL], Compression::None);
        (mirror, sent.remove(0))
    }

    fn on(&mut self, event: Event) -> Vec<Sent> {
        let mut sent = Vec::new();
        for command in self.partition.on(event, self.now) {
            match command {
                Command::Produce { batch: number, records: batch } => sent.push(Sent { number, batch }),
                Command::PersistRuns { change, .. } => sent.extend(self.on(Event::RunsPersisted(change))),
                Command::Emit(leeward_mirror_core::partition::Notice::Stopped(reason)) => {
                    self.stopped = Some(reason);
                }
                _ => {}
            }
        }
        sent
    }

    fn fetch(&mut self, sizes: &[usize], codec: Compression) -> Vec<Sent> {
        let from = self.fetched;
        let mut records = BytesMut::new();
        for bytes in sizes {
            records.extend_from_slice(&batch(self.fetched, *bytes, codec).to_bytes());
            self.fetched += 1;
        }
        self.on(Event::Fetched(Fetched {
            from: source(from),
            records: records.freeze(),
            aborted: Vec::new(),
            last_stable: source(self.fetched),
            log_start: source(0),
        }))
    }

    fn acknowledge(&mut self, sent: &Sent, base: i64) -> Vec<Sent> {
        self.on(Event::Acknowledged { batch: sent.number, base: Some(target(base)) })
    }

    fn refuse(&mut self, sent: &Sent, code: ErrorCode) -> Vec<Sent> {
        self.on(Event::Refused { batch: sent.number, code })
    }

    /// Nothing is in flight any more, and the mirror asks where the target ends.
    fn find_target_end(&mut self, end: i64) -> Vec<Sent> {
        self.now = self.now.after(RETRY_LONGEST);
        let asked = self.partition.on(Event::Tick, self.now);
        let question = asked.iter().find_map(|command| match command {
            Command::AskTargetEnd { question } => Some(*question),
            _ => None,
        });
        self.on(Event::TargetEnd { question: question.unwrap(), end: target(end) })
    }
}

fn offsets(sent: &[Sent]) -> Vec<Vec<i64>> {
    sent.iter().map(Sent::offsets).collect()
}

#[test]
fn small_batches_of_one_answer_go_as_one() {
    let (mut mirror, second) = Mirror::under_way();
    mirror.acknowledge(&second, 1);

    let sent = mirror.fetch(&[SMALL, SMALL, SMALL], Compression::None);

    assert_eq!(offsets(&sent), [[2, 3, 4]]);
    let batch = &sent[0].batch;
    assert_eq!((batch.record_count(), batch.base_sequence()), (3, 2));
    batch.verify_crc().unwrap();
    let decompressed = batch.decompress(1 << 20).unwrap();
    let times: Vec<_> =
        decompressed.records().map(|record| batch.timestamp_of(record.unwrap().timestamp_delta)).collect();
    assert_eq!(times, [1_002, 1_003, 1_004]);
}

#[test]
fn small_batches_wait_for_each_other_while_one_is_in_flight() {
    let (mut mirror, second) = Mirror::under_way();

    assert!(mirror.fetch(&[SMALL], Compression::None).is_empty());
    assert!(mirror.fetch(&[SMALL, SMALL], Compression::None).is_empty());
    let sent = mirror.acknowledge(&second, 1);

    assert_eq!(offsets(&sent), [[2, 3, 4]]);
}

#[test]
fn what_is_enough_for_a_batch_does_not_wait() {
    let (mut mirror, _second) = Mirror::under_way();

    let sent = mirror.fetch(&[HALF_FILLED, HALF_FILLED], Compression::None);

    assert_eq!(offsets(&sent), [[2, 3]]);
}

#[test]
fn an_acknowledged_merged_batch_moves_the_watermark_over_all_that_it_was_made_of() {
    let (mut mirror, second) = Mirror::under_way();
    mirror.acknowledge(&second, 1);
    let sent = mirror.fetch(&[SMALL, SMALL, SMALL], Compression::Lz4);
    assert_eq!(sent[0].batch.compression(), Compression::Lz4);

    mirror.acknowledge(&sent[0], 2);

    assert_eq!(mirror.partition.replicated_to(), Some(source(5)));
    assert_eq!(mirror.partition.target_end(), target(5));
    assert_eq!(mirror.partition.queued_bytes(), 0);
    assert_eq!(mirror.partition.to_target(source(3)).exact(), Some(target(3)));
}

#[test]
fn filled_batches_and_those_of_another_codec_stay_as_they_are() {
    let (mut mirror, second) = Mirror::under_way();
    mirror.acknowledge(&second, 1);

    let mut filled = mirror.fetch(&[SMALL, FILLED, SMALL], Compression::None);
    filled.extend(mirror.acknowledge(&filled[0], 2));
    filled.extend(mirror.acknowledge(&filled[1], 3));
    mirror.acknowledge(&filled[2], 4);
    let mut mixed = mirror.fetch(&[SMALL], Compression::Zstd);
    mixed.extend(mirror.fetch(&[SMALL], Compression::None));
    mixed.extend(mirror.acknowledge(&mixed[0], 5));

    assert_eq!(offsets(&filled), [[2], [3], [4]]);
    assert_eq!(offsets(&mixed), [[5], [6]]);
}

#[test]
fn a_merged_batch_that_is_too_large_goes_in_smaller_ones() {
    let (mut mirror, second) = Mirror::under_way();
    mirror.acknowledge(&second, 1);
    let sent = mirror.fetch(&[SMALL; 8], Compression::None);

    mirror.refuse(&sent[0], ErrorCode::MESSAGE_TOO_LARGE);
    let again = mirror.find_target_end(2);

    let first = again[0].offsets();
    assert!(first.len() > 1 && first.len() < 8, "{first:?}");
    assert_eq!(first[0], 2);
    assert_eq!(mirror.stopped, None);
}

/// A fenced region refuses every size; once the fence is lifted, batches are merged as before.
#[test]
fn a_target_that_refuses_every_size_does_not_end_merging() {
    let (mut mirror, second) = Mirror::under_way();
    mirror.acknowledge(&second, 1);
    let mut sent = mirror.fetch(&[SMALL; 8], Compression::None);
    while sent[0].offsets().len() > 1 {
        mirror.refuse(&sent[0], ErrorCode::MESSAGE_TOO_LARGE);
        sent = mirror.find_target_end(2);
    }

    mirror.refuse(&sent[0], ErrorCode::MESSAGE_TOO_LARGE);
    let lifted = mirror.find_target_end(2);

    assert_eq!(offsets(&lifted), [[2, 3, 4, 5, 6, 7, 8, 9]]);
}

#[test]
fn a_refused_merged_batch_is_taken_apart_so_that_the_broken_one_is_named() {
    let (mut mirror, second) = Mirror::under_way();
    mirror.acknowledge(&second, 1);
    let sent = mirror.fetch(&[SMALL; 3], Compression::None);
    mirror.refuse(&sent[0], ErrorCode::INVALID_TIMESTAMP);
    assert_eq!(mirror.stopped, None);

    let alone = mirror.find_target_end(2);
    assert_eq!(offsets(&alone), [[2]]);
    let rest = mirror.acknowledge(&alone[0], 2);
    assert_eq!(offsets(&rest), [[3]]);
    mirror.refuse(&rest[0], ErrorCode::INVALID_TIMESTAMP);

    let at = source(3);
    assert_eq!(mirror.stopped, Some(StopReason::Refused { at, code: ErrorCode::INVALID_TIMESTAMP }));
}

#[test]
fn a_merged_batch_without_an_answer_is_sent_again_from_where_the_target_ends() {
    let (mut mirror, second) = Mirror::under_way();
    mirror.acknowledge(&second, 1);
    let sent = mirror.fetch(&[SMALL; 4], Compression::None);
    mirror.on(Event::Unanswered { batch: sent[0].number });

    let again = mirror.find_target_end(2);

    assert_eq!(offsets(&again), [[2, 3, 4, 5]]);
    assert_eq!(again[0].batch.base_sequence(), 2);
    mirror.acknowledge(&again[0], 2);
    assert_eq!(mirror.partition.replicated_to(), Some(source(6)));
}
