//! `__consumer_offsets`: where groups and their positions are kept, in Kafka's own record format.
//!
//! The topic has one partition and is never compacted record by record. When it has grown enough, what it says is
//! appended once more as a whole, and everything before is given up: offsets stay dense, and who tails the topic
//! hears some positions twice.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use leeward_model::Instant;
use leeward_wire::ErrorCode;
use leeward_wire::record::{BatchBuilder, Compression, RecordBatch, split_batches};
use tracing::{error, info, warn};

use crate::api::blocking;
use crate::clock::{now_ms, wall_time};
use crate::cluster::{Cluster, NewTopic};
use crate::group::{GroupCoordinator, GroupRecord, Now, OffsetsBatch, OffsetsLog};
use crate::limits::{DECOMPRESSED_BYTES_MAX, OFFSETS_LOG_BYTES_MAX, OFFSETS_READ_BYTES};
use crate::partition::Partition;
use crate::settings::Overrides;
use crate::topic::OFFSETS_TOPIC;
use crate::validate::Refused;

/// Bytes of records that are written as one batch when the log is rewritten.
const REWRITTEN_BATCH_BYTES: usize = 256 * 1024;

type KeyedRecords = BTreeMap<Bytes, Bytes>;

/// The one partition of the topic. Appended to by one task, one batch at a time.
#[derive(Debug)]
pub(crate) struct OffsetsPartition {
    partition: Arc<Partition>,
    /// Size of the log from which on it is rewritten.
    rewrite_at_bytes: Arc<AtomicU64>,
}

impl OffsetsPartition {
    /// Opens the topic, creating it in a new cluster.
    pub(crate) fn open(cluster: &Cluster) -> Result<Self, Refused> {
        let topic = if let Some(topic) = cluster.topic(OFFSETS_TOPIC) {
            topic
        } else {
            let settings = [("cleanup.policy", "compact"), ("segment.bytes", "8388608")];
            let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned()));
            let settings = Overrides::from(settings);
            cluster.create_topic(&NewTopic { name: OFFSETS_TOPIC.to_owned(), partitions: 1, settings })?
        };
        let partition = topic.partition(0).expect("a topic has at least one partition");
        Ok(Self { partition, rewrite_at_bytes: Arc::new(AtomicU64::new(OFFSETS_LOG_BYTES_MAX)) })
    }

    /// Gives every record of the log to `coordinator`.
    pub(crate) fn load(&self, coordinator: &mut GroupCoordinator) -> Result<(), ErrorCode> {
        let now = Now { instant: Instant::ZERO, wall: wall_time() };
        let mut unknown = 0u64;
        for_each_record(&self.partition, |key, value| match GroupRecord::from_bytes(key, value) {
            Ok(Some(record)) => coordinator.load(None, record, now),
            Ok(None) | Err(_) => unknown += 1,
        })?;
        if unknown > 0 {
            warn!(records = unknown, "records of the offsets topic were not understood");
        }
        Ok(())
    }
}

impl OffsetsLog for OffsetsPartition {
    async fn append(&self, batch: OffsetsBatch) -> Result<(), ErrorCode> {
        let built = build(&batch.records)?;
        let partition = self.partition.clone();
        let rewrite_at_bytes = self.rewrite_at_bytes.clone();
        blocking(move || {
            partition.append(&built, now_ms()).map_err(|refused| refused.error)?;
            if partition.size_bytes() >= rewrite_at_bytes.load(Ordering::Relaxed) {
                rewrite(&partition, &rewrite_at_bytes);
            }
            Ok(())
        })
        .await
    }
}

fn build(records: &[(Bytes, Option<Bytes>)]) -> Result<RecordBatch, ErrorCode> {
    let mut builder = BatchBuilder::new(Compression::None);
    let now_ms = now_ms();
    for (key, value) in records {
        builder.append(now_ms, Some(key), value.as_deref(), &[]).map_err(|_| ErrorCode::MESSAGE_TOO_LARGE)?;
    }
    builder.build().map_err(|_| ErrorCode::MESSAGE_TOO_LARGE)
}

/// Appends what the log says as a whole and gives up what was before. A log that cannot be rewritten goes on growing
/// and is tried again once it is twice as large.
fn rewrite(partition: &Partition, rewrite_at_bytes: &AtomicU64) {
    let before = partition.size_bytes();
    let rewritten = latest(partition).and_then(|latest| {
        let begin = partition.extent().end;
        for records in batches(latest) {
            partition.append(&build(&records)?, now_ms()).map_err(|refused| refused.error)?;
        }
        partition.delete_records_before(begin)
    });
    let after = partition.size_bytes();
    match rewritten {
        Ok(_) => info!(before, after, "the offsets topic was rewritten"),
        Err(error) => error!(%error, "rewriting the offsets topic failed"),
    }
    rewrite_at_bytes.store(after.saturating_mul(2).max(OFFSETS_LOG_BYTES_MAX), Ordering::Relaxed);
}

/// The last value of each key that has one.
fn latest(partition: &Partition) -> Result<KeyedRecords, ErrorCode> {
    let mut latest = KeyedRecords::new();
    for_each_record(partition, |key, value| {
        match value {
            Some(value) => latest.insert(key, value),
            None => latest.remove(&key),
        };
    })?;
    Ok(latest)
}

fn batches(latest: KeyedRecords) -> Vec<Vec<(Bytes, Option<Bytes>)>> {
    let mut batches = vec![Vec::new()];
    let mut bytes = 0;
    for (key, value) in latest {
        bytes += key.len() + value.len();
        if bytes > REWRITTEN_BATCH_BYTES {
            batches.push(Vec::new());
            bytes = key.len() + value.len();
        }
        batches.last_mut().expect("there is one from the start").push((key, Some(value)));
    }
    batches.retain(|batch| !batch.is_empty());
    batches
}

/// Reads the log from its start to its end; damaged stretches are passed over, for what is left of groups is worth
/// having.
fn for_each_record(
    partition: &Partition,
    mut each: impl FnMut(Bytes, Option<Bytes>),
) -> Result<(), ErrorCode> {
    let mut offset = partition.extent().start;
    while offset < partition.extent().end {
        let bytes = match partition.plan_read(offset, OFFSETS_READ_BYTES).1 {
            Ok(Some(plan)) => partition.read(&plan)?,
            Ok(None) => return Ok(()),
            Err(ErrorCode::CORRUPT_MESSAGE) => {
                offset += 1;
                continue;
            }
            Err(error) => return Err(error),
        };
        for batch in split_batches(bytes) {
            let batch = batch.map_err(|_| ErrorCode::CORRUPT_MESSAGE)?;
            offset = batch.next_offset();
            let decompressed =
                batch.decompress(DECOMPRESSED_BYTES_MAX).map_err(|_| ErrorCode::CORRUPT_MESSAGE)?;
            for record in decompressed.records().filter_map(Result::ok) {
                if let Some(key) = record.key {
                    each(Bytes::copy_from_slice(key), record.value.map(Bytes::copy_from_slice));
                }
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use leeward_log::{FlushPolicy, SimulatedDisk};
    use parking_lot::RwLock;

    use super::*;
    use crate::settings::{BrokerSettings, TopicSettings};

    fn partition() -> Partition {
        let overrides = Overrides::from([("segment.bytes".to_owned(), "1000".to_owned())]);
        let settings = TopicSettings::new(&BrokerSettings::default(), &overrides);
        let disk = Arc::new(SimulatedDisk::new(1));
        let settings = Arc::new(RwLock::new(Arc::new(settings)));
        let name = OFFSETS_TOPIC.to_owned();
        Partition::open(name, disk, Path::new("/data/0"), FlushPolicy::OsDecides, settings).unwrap()
    }

    fn write(partition: &Partition, key: &'static str, value: Option<String>) {
        let record = (Bytes::from_static(key.as_bytes()), value.map(Bytes::from));
        partition.append(&build(&[record]).unwrap(), now_ms()).unwrap();
    }

    #[test]
    fn a_rewritten_log_says_the_same_in_fewer_bytes() {
        let partition = partition();
        for n in 0..100 {
            write(&partition, "a", Some(format!("a{n}")));
            write(&partition, "b", Some(format!("b{n}")));
        }
        write(&partition, "b", None);
        let end = partition.extent().end;
        let before = latest(&partition).unwrap();

        rewrite(&partition, &AtomicU64::new(0));

        assert_eq!(latest(&partition).unwrap(), before);
        assert_eq!(partition.extent().start, end);
        assert!(partition.size_bytes() < 2000);
    }
}
