//! Finds our records in a log that the mirror wrote, by what they say: producer and batches are not ours there.

use std::collections::VecDeque;

use leeward_wire::record::{RecordBatch, RecordDigest, TimestampType};

use super::look::{Log, LookError};
use super::{Hub, Partition, Region};
use crate::limits::DECOMPRESSED_BYTES_MAX;
use crate::partition::Entry;

/// A record's digest with its own time, and without: a topic may stamp its own.
#[derive(Clone, Copy, Debug)]
struct Digests {
    timed: RecordDigest,
    timeless: RecordDigest,
}

/// Gives the candidates' records one by one, reading each batch when its turn comes.
struct Candidates<'a> {
    hub: &'a Hub,
    partition: &'a Partition,
    entries: VecDeque<Entry>,
    ready: VecDeque<Digests>,
}

impl Candidates<'_> {
    fn next(&mut self) -> Result<Option<Digests>, LookError> {
        while self.ready.is_empty() {
            let Some(entry) = self.entries.pop_front() else { return Ok(None) };
            let bytes = self.hub.read_batch(self.partition, &entry)?;
            let digests = digests_of(&RecordBatch::parse(bytes)?)?;
            self.ready.extend(digests.into_iter().skip(entry.skip as usize).map(|(_, digests)| digests));
        }
        Ok(self.ready.front().copied())
    }
}

/// How many of the candidates' records, from the first on, stand between two offsets in this order.
pub(super) async fn matching(
    hub: &Hub,
    region: &Region,
    partition: &Partition,
    (from, to): (i64, Option<i64>),
    candidates: Vec<Entry>,
) -> Result<u64, LookError> {
    let log = Log::open(region, &partition.name).await?;
    let end = log.end().await.inspect_err(|_| region.want_leaders())?;
    let end = to.map_or(end, |to| to.min(end));
    let mut candidates = Candidates { hub, partition, entries: candidates.into(), ready: VecDeque::new() };
    let mut wanted = candidates.next()?;
    let (mut matched, mut next) = (0, from);
    while next < end && wanted.is_some() {
        let batches = log.fetch(next).await?;
        let Some(last) = batches.last() else { break };
        let start = next;
        next = next.max(last.next_offset());
        for batch in batches.iter().filter(|batch| !batch.is_control()) {
            for (offset, stands) in digests_of(batch)? {
                let Some(digests) = wanted else { return Ok(matched) };
                let same = match batch.timestamp_type() {
                    TimestampType::CreateTime => stands.timed == digests.timed,
                    TimestampType::LogAppendTime => stands.timeless == digests.timeless,
                };
                if same && offset >= start && offset < end {
                    matched += 1;
                    candidates.ready.pop_front();
                    wanted = candidates.next()?;
                }
            }
        }
    }
    Ok(matched)
}

fn digests_of(batch: &RecordBatch) -> Result<Vec<(i64, Digests)>, LookError> {
    let content = batch.decompress(DECOMPRESSED_BYTES_MAX)?;
    let mut digests = Vec::new();
    for record in content.records() {
        let record = record?;
        let timed = RecordDigest::of(batch.timestamp_of(record.timestamp_delta), &record);
        let timeless = RecordDigest::of(-1, &record);
        let offset = batch.base_offset() + i64::from(record.offset_delta);
        digests.push((offset, Digests { timed, timeless }));
    }
    Ok(digests)
}
