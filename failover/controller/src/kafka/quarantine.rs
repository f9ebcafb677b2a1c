//! Tails that never left an old primary, copied record by record with headers that say where they come from.

use bytes::Bytes;
use leeward_client::{Acks, OffsetSpec};
use leeward_failover_core::Tail;
use leeward_model::{PartitionIndex, SourceOffset, TopicPartition, with_causes};
use leeward_wire::record::{BatchBuilder, Compression, Header, RecordBatch};

use super::{KafkaCluster, is_unknown_topic};
use crate::{
    cluster::{Cluster, ClusterError, QuarantineTopic, QuarantinedRecord},
    limits::{DECOMPRESSED_BYTES_MAX, QUARANTINE_MESSAGE_BYTES, QUARANTINE_RECORDS_A_BATCH},
};

const TOPIC: &str = "leeward-topic";
const PARTITION: &str = "leeward-partition";
const OFFSET: &str = "leeward-offset";

impl KafkaCluster {
    pub(super) async fn copy(
        &self,
        tail: &Tail,
        survivor: &dyn Cluster,
        into: &QuarantineTopic,
    ) -> Result<u64, ClusterError> {
        let client = self.client().await?;
        let copied_to = survivor.quarantined_to(into, &tail.partition).await?;
        let mut at = copied_to.unwrap_or(tail.from).max(tail.from);
        let earliest = client.list_offset(&tail.partition, OffsetSpec::Earliest).await;
        let earliest = earliest.map_err(|error| self.failed(&error))?;
        let start = SourceOffset::from_wire(earliest.offset).map_or(tail.from, |start| start.min(tail.to));
        if at < start {
            tracing::error!(partition = %tail.partition, from = %at, to = %start, "retention deleted records of the tail before they could be kept");
            at = start;
        }
        let mut copied = 0;
        while at < tail.to {
            let batches = self.fetch(&client, &tail.partition, at).await?;
            let last = batches.last().ok_or_else(|| self.lacks(&tail.partition, at, tail.to))?;
            let next = SourceOffset::from_wire(last.next_offset());
            let next = next.ok_or_else(|| self.refused("a batch ends before it begins"))?;
            let mut records = Vec::new();
            for batch in &batches {
                self.take(&tail.partition, batch, at, tail.to, &mut records)?;
            }
            copied += records.len() as u64;
            if !records.is_empty() {
                survivor.append_quarantine(into, records).await?;
            }
            at = next;
        }
        Ok(copied)
    }

    /// A leader may not tell yet what it has: whoever went on without it would lose it.
    fn lacks(&self, partition: &TopicPartition, at: SourceOffset, end: SourceOffset) -> ClusterError {
        self.refused(format!("{partition} tells no record at {at}, though its log ends at {end}"))
    }

    /// Takes a batch's records from `from` up to `to`. Control records are no one's data.
    fn take(
        &self,
        origin: &TopicPartition,
        batch: &RecordBatch,
        from: SourceOffset,
        to: SourceOffset,
        records: &mut Vec<QuarantinedRecord>,
    ) -> Result<(), ClusterError> {
        if batch.is_control() {
            return Ok(());
        }
        let unreadable =
            |error: &dyn std::error::Error| self.refused(format!("{origin}: {}", with_causes(error)));
        let decompressed = batch.decompress(DECOMPRESSED_BYTES_MAX).map_err(|error| unreadable(&error))?;
        for record in decompressed.records() {
            let record = record.map_err(|error| unreadable(&error))?;
            let offset = SourceOffset::from_wire(batch.base_offset() + i64::from(record.offset_delta));
            let Some(offset) = offset.filter(|offset| *offset >= from && *offset < to) else { continue };
            let owned = |bytes: &[u8]| Bytes::copy_from_slice(bytes);
            let header = |header: Header<'_>| {
                (String::from_utf8_lossy(header.key).into_owned(), header.value.map(owned))
            };
            records.push(QuarantinedRecord {
                origin: origin.clone(),
                offset,
                timestamp_millis: batch.timestamp_of(record.timestamp_delta),
                key: record.key.map(owned),
                value: record.value.map(owned),
                headers: record.headers.clone().map(header).collect(),
            });
        }
        Ok(())
    }

    /// Looks through the whole quarantine topic: it is small, and looked through once for each tail.
    pub(super) async fn find_quarantined(
        &self,
        into: &QuarantineTopic,
        origin: &TopicPartition,
    ) -> Result<Option<SourceOffset>, ClusterError> {
        let client = self.client().await?;
        let partition = partition_of(into);
        let mut at = SourceOffset::FIRST;
        let mut found: Option<SourceOffset> = None;
        match client.topic(&into.topic).await {
            Ok(_) => {}
            Err(error) if is_unknown_topic(&error) => return Ok(None),
            Err(error) => return Err(self.failed(&error)),
        }
        let end = self.read_log_ends(std::slice::from_ref(&partition)).await?;
        let end = end.first().map_or(SourceOffset::FIRST, |end| end.end);
        while at < end {
            let batches = self.fetch(&client, &partition, at).await?;
            let last = batches.last().ok_or_else(|| self.lacks(&partition, at, end))?;
            at = SourceOffset::from_wire(last.next_offset()).unwrap_or(end);
            for batch in &batches {
                let decompressed = batch.decompress(DECOMPRESSED_BYTES_MAX);
                let decompressed = decompressed.map_err(|error| self.refused(with_causes(&error)))?;
                for record in decompressed.records().flatten() {
                    found = found.max(came_from(record.headers.clone(), origin));
                }
            }
        }
        Ok(found.map(|offset| offset.after(1)))
    }

    pub(super) async fn append(
        &self,
        into: &QuarantineTopic,
        records: Vec<QuarantinedRecord>,
    ) -> Result<(), ClusterError> {
        let client = self.client().await?;
        let bytes = QUARANTINE_MESSAGE_BYTES.to_string();
        self.make_topic(&client, &into.topic, &[("retention.ms", "-1"), ("max.message.bytes", &bytes)])
            .await?;
        let partition = partition_of(into);
        for records in records.chunks(QUARANTINE_RECORDS_A_BATCH) {
            let batch = build(into, records).map_err(|error| self.refused(with_causes(&error)))?;
            let within = self.config.timeouts.request;
            client
                .produce(&partition, &batch, Acks::All, within)
                .await
                .map_err(|error| self.failed(&error))?;
        }
        Ok(())
    }
}

fn partition_of(into: &QuarantineTopic) -> TopicPartition {
    let partition = PartitionIndex::from_wire(0).expect("0 is not negative");
    TopicPartition { topic: into.topic.clone(), partition }
}

/// The record's offset at its origin, where it is of this one.
fn came_from<'a>(headers: impl Iterator<Item = Header<'a>>, origin: &TopicPartition) -> Option<SourceOffset> {
    let (mut topic, mut partition, mut offset) = (None, None, None);
    for header in headers {
        let value = header.value.and_then(|value| std::str::from_utf8(value).ok());
        match header.key {
            key if key == TOPIC.as_bytes() => topic = value,
            key if key == PARTITION.as_bytes() => partition = value,
            key if key == OFFSET.as_bytes() => offset = value,
            _ => {}
        }
    }
    let same = topic == Some(origin.topic.as_str()) && partition? == origin.partition.to_string();
    same.then_some(offset?.parse().ok()).flatten().and_then(SourceOffset::from_wire)
}

fn build(
    into: &QuarantineTopic,
    records: &[QuarantinedRecord],
) -> Result<RecordBatch, leeward_wire::record::BuildError> {
    let mut builder = BatchBuilder::new(Compression::None);
    for record in records {
        let partition = record.origin.partition.to_string();
        let offset = record.offset.to_string();
        let mut headers: Vec<Header<'_>> = record
            .headers
            .iter()
            .map(|(key, value)| Header { key: key.as_bytes(), value: value.as_deref() })
            .collect();
        let ours = [
            (TOPIC, record.origin.topic.as_str()),
            (PARTITION, partition.as_str()),
            (OFFSET, offset.as_str()),
        ];
        let given = into.headers.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        headers.extend(
            given
                .chain(ours)
                .map(|(key, value)| Header { key: key.as_bytes(), value: Some(value.as_bytes()) }),
        );
        builder.append(record.timestamp_millis, record.key.as_deref(), record.value.as_deref(), &headers)?;
    }
    builder.build()
}
