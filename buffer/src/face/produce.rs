//! Takes clients' batches: door, idempotence, disk. Answers once the batch is as safe as was promised.

use bytes::Bytes;
use leeward_model::{PartitionIndex, TopicName, TopicPartition};
use leeward_wire::api::{ProduceRequest, ProduceResponse, ProduceResponsePartition, ProduceResponseTopic};
use leeward_wire::record::RecordBatch;
use leeward_wire::{ApiKey, ErrorCode, RequestHeader, encode_response};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

use super::Face;
use super::asked::Closed;
use crate::door;
use crate::frames::batch_head;
use crate::hub::{Acknowledge, Hub, Partition, SetAside, wall_clock_ms};
use crate::intake::{Claim, Offer};
use crate::partition::{Entry, Event, Place};
use crate::store::Refused;

/// Not appended, and worth another try: all client libraries send again.
const NOT_NOW: ErrorCode = ErrorCode::NOT_ENOUGH_REPLICAS;

/// How one partition's batch fared so far.
enum Progress {
    Done(ErrorCode, i64),
    /// On its way to the disk.
    Storing(oneshot::Receiver<(ErrorCode, i64)>),
}

/// A produce request whose batches were handed on.
pub(super) struct Produced {
    acks: i16,
    timeout: Duration,
    topics: Vec<(String, Vec<(i32, Progress)>)>,
}

/// Hands all batches of a request on.
pub(super) fn produce(face: &Face, request: ProduceRequest) -> Produced {
    let timeout = Duration::from_millis(u64::try_from(request.timeout_ms).unwrap_or(0));
    let mut topics = Vec::new();
    for topic in request.topic_data {
        let mut partitions = Vec::new();
        for partition in topic.partition_data {
            let progress =
                one(&face.hub, &topic.name, partition.index, partition.records.unwrap_or_default());
            partitions.push((partition.index, progress));
        }
        topics.push((topic.name, partitions));
    }
    Produced { acks: request.acks, timeout, topics }
}

fn one(hub: &Arc<Hub>, topic: &str, index: i32, records: Bytes) -> Progress {
    let Some(name) = known_partition(hub, topic, index) else {
        return Progress::Done(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, -1);
    };
    let opened = door::open(records).and_then(|batch| {
        door::check(&batch, hub.catalog.rules(topic), wall_clock_ms())?;
        Ok(batch)
    });
    match opened {
        Ok(batch) => offer(hub, &hub.partition(&name), &batch),
        Err(refused) => {
            tracing::debug!(partition = %name, error = %refused, "batch is not let in");
            hub.metrics.rejected(refused.reason(), 1);
            Progress::Done(refused.code(), -1)
        }
    }
}

fn known_partition(hub: &Hub, topic: &str, index: i32) -> Option<TopicPartition> {
    let known = hub.catalog.topic(topic)?;
    u32::try_from(index).ok().filter(|index| *index < known.partitions)?;
    Some(TopicPartition { topic: TopicName::new(topic).ok()?, partition: PartitionIndex::from_wire(index)? })
}

fn offer(hub: &Arc<Hub>, partition: &Arc<Partition>, batch: &RecordBatch) -> Progress {
    let records = batch.record_count().unsigned_abs();
    let mut intake = partition.intake.lock();
    let ordinal = match intake.offer(Claim::of(batch), records) {
        Offer::Take { ordinal } => ordinal,
        Offer::Known { ordinal } => {
            drop(intake);
            hub.metrics.repeated_batches.inc();
            return stored(hub, partition, ordinal, records);
        }
        // It becomes durable or not within a moment; the client's next try is told which.
        Offer::OnItsWay { .. } => return Progress::Done(NOT_NOW, -1),
        Offer::Refuse(code) => {
            hub.metrics.rejected("sequence", u64::from(records));
            return Progress::Done(code, -1);
        }
    };
    let accepted_at_ms = wall_clock_ms();
    let bytes = batch.to_bytes();
    let head = batch_head(&partition.name, ordinal, accepted_at_ms);
    let (answer, answered) = oneshot::channel();
    let (hub_of_journal, partition_of_journal) = (hub.clone(), partition.clone());
    let kept = bytes.clone();
    let timer = hub.metrics.fsync.start_timer();
    let done = move |stored: Result<leeward_log::Position, leeward_log::AppendError>| {
        timer.observe_duration();
        let (hub, partition) = (hub_of_journal, partition_of_journal);
        let position = match stored {
            Ok(position) => position.get(),
            Err(_) => {
                partition.intake.lock().failed();
                hub.metrics.rejected("journal", u64::from(records));
                let _ = answer.send((NOT_NOW, -1));
                return;
            }
        };
        if !partition.intake.lock().stored() {
            let _ = answer.send((NOT_NOW, -1));
            return;
        }
        hub.cache(&partition, ordinal, kept);
        hub.metrics.accepted_records.inc_by(u64::from(records));
        let place = Place::Unknown;
        let entry = Entry { ordinal, records, skip: 0, position, accepted_at_ms, place };
        hub.tell(&partition, Event::Accepted(entry));
        hub.mark_dirty();
        let _ = answer.send((ErrorCode::NONE, -1));
    };
    if let Err(refused) = hub.store.append_batch(vec![head, bytes], done) {
        intake.withdraw();
        let reason = match refused {
            Refused::Full => "full",
            Refused::Journal => "journal",
        };
        hub.metrics.rejected(reason, u64::from(records));
        return Progress::Done(NOT_NOW, -1);
    }
    drop(intake);
    match hub.acknowledge {
        Acknowledge::AfterFsync => Progress::Storing(answered),
        Acknowledge::AfterKafka => after_kafka(hub, partition, ordinal, records, Some(answered)),
    }
}

/// The progress of a batch that is durable already.
fn stored(hub: &Arc<Hub>, partition: &Arc<Partition>, ordinal: u64, records: u32) -> Progress {
    match hub.acknowledge {
        Acknowledge::AfterFsync => Progress::Done(ErrorCode::NONE, -1),
        Acknowledge::AfterKafka => after_kafka(hub, partition, ordinal, records, None),
    }
}

fn after_kafka(
    hub: &Arc<Hub>,
    partition: &Arc<Partition>,
    ordinal: u64,
    records: u32,
    storing: Option<oneshot::Receiver<(ErrorCode, i64)>>,
) -> Progress {
    let acknowledged = partition.wait(ordinal, ordinal + u64::from(records));
    let (answer, answered) = oneshot::channel();
    hub.spawn(async move {
        let stored = match storing {
            Some(storing) => storing.await.unwrap_or((NOT_NOW, -1)),
            None => (ErrorCode::NONE, -1),
        };
        let outcome = if stored.0.is_none() {
            match acknowledged.await {
                Ok(Ok(offset)) => (ErrorCode::NONE, offset),
                Ok(Err(SetAside)) => (ErrorCode::INVALID_RECORD, -1),
                Err(_) => (ErrorCode::REQUEST_TIMED_OUT, -1),
            }
        } else {
            stored
        };
        let _ = answer.send(outcome);
    });
    Progress::Storing(answered)
}

impl Produced {
    /// The response, once all batches are done; none where the client wants none.
    pub(super) async fn answer(self, header: &RequestHeader) -> Result<Option<Bytes>, Closed> {
        if self.acks == 0 {
            return Ok(None);
        }
        let deadline = tokio::time::Instant::now() + self.timeout;
        let mut responses = Vec::new();
        for (name, partitions) in self.topics {
            let mut partition_responses = Vec::new();
            for (index, progress) in partitions {
                let (code, base_offset) = match progress {
                    Progress::Done(code, base_offset) => (code, base_offset),
                    Progress::Storing(answered) => match tokio::time::timeout_at(deadline, answered).await {
                        Ok(Ok(outcome)) => outcome,
                        Ok(Err(_)) => (NOT_NOW, -1),
                        Err(_) => (ErrorCode::REQUEST_TIMED_OUT, -1),
                    },
                };
                partition_responses.push(ProduceResponsePartition {
                    index,
                    error_code: code.code(),
                    base_offset,
                    ..ProduceResponsePartition::default()
                });
            }
            responses.push(ProduceResponseTopic {
                name,
                partition_responses,
                ..ProduceResponseTopic::default()
            });
        }
        let response = ProduceResponse { responses, ..ProduceResponse::default() };
        encode_response(ApiKey::Produce, header.api_version, header.correlation_id, &response)
            .map(Some)
            .map_err(|error| {
                tracing::error!(%error, "answer cannot be written");
                Closed
            })
    }
}
