//! Sends batches to one broker: one of each partition in a request, several requests in flight, outcomes back to the
//! partitions. Each item gets exactly one outcome.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::FuturesOrdered;
use leeward_client::{Cluster, Connection, Lane, Pending, RequestError};
use leeward_model::{ProducerEpoch, Sequence};
use leeward_wire::ErrorCode;
use leeward_wire::api::{
    ProduceRequest, ProduceRequestPartition, ProduceRequestTopic, ProduceResponse, ProduceResponsePartition,
};
use leeward_wire::record::{Patch, RecordBatch, Reencode, Reencoder};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{Hub, Partition, Region};
use crate::limits::{DECOMPRESSED_BYTES_MAX, PRODUCE_TIMEOUT, REQUEST_BYTES_MAX, REQUESTS_IN_FLIGHT_MAX};
use crate::partition::{Entry, Event, Outcome};

/// Newest version without topic ids: those differ between regions.
const PRODUCE_VERSION_MAX: i16 = 12;
/// As many replicas as the topic demands.
const ALL_IN_SYNC: i16 = -1;

/// A batch to be sent.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) partition: Arc<Partition>,
    pub(super) epoch: ProducerEpoch,
    pub(super) writer: u32,
    pub(super) sequence: Sequence,
    pub(super) entry: Entry,
    /// Its size as it was sent; 0 before.
    bytes: usize,
}

impl Item {
    pub(super) fn new(
        partition: Arc<Partition>,
        (epoch, writer, sequence): (ProducerEpoch, u32, Sequence),
        entry: Entry,
    ) -> Self {
        Self { partition, epoch, writer, sequence, entry, bytes: 0 }
    }
}

struct Sender {
    hub: Arc<Hub>,
    region: Arc<Region>,
    cluster: Arc<Cluster>,
    broker: i32,
    waiting: VecDeque<Item>,
}

/// Sends until `stop`, or until nobody can send any more.
pub(super) async fn run(
    hub: Arc<Hub>,
    region: Arc<Region>,
    cluster: Arc<Cluster>,
    broker: i32,
    mut items: mpsc::UnboundedReceiver<Item>,
    stop: CancellationToken,
) {
    let mut sender = Sender { hub, region, cluster, broker, waiting: VecDeque::new() };
    let mut open = FuturesOrdered::new();
    loop {
        while let Ok(item) = items.try_recv() {
            sender.waiting.push_back(item);
        }
        if !sender.waiting.is_empty() && open.len() < REQUESTS_IN_FLIGHT_MAX {
            if let Some((sent, answer)) = sender.request(&stop).await {
                sender.region.open_requests.fetch_add(1, Ordering::Relaxed);
                let stop = stop.clone();
                open.push_back(async move {
                    let answer = tokio::select! {
                        biased;
                        () = stop.cancelled() => None,
                        answer = answer.answer() => Some(answer),
                    };
                    (sent, answer)
                });
            }
            continue;
        }
        tokio::select! {
            biased;
            Some((sent, answer)) = open.next(), if !open.is_empty() => {
                sender.region.open_requests.fetch_sub(1, Ordering::Relaxed);
                sender.answered(sent, answer);
            }
            () = stop.cancelled(), if open.is_empty() => break,
            item = items.recv() => match item {
                Some(item) => sender.waiting.push_back(item),
                None if open.is_empty() && sender.waiting.is_empty() => break,
                None => {}
            },
        }
    }
    items.close();
    while let Some(item) = items.recv().await {
        sender.waiting.push_back(item);
    }
    sender.give_up();
}

impl Sender {
    /// Sends what fits into one request; `None` where nothing was sent.
    async fn request(&mut self, stop: &CancellationToken) -> Option<(Vec<Item>, Pending<ProduceRequest>)> {
        if stop.is_cancelled() || !self.hub.allows(&self.region.name) {
            self.give_up();
            return None;
        }
        let connected = tokio::select! {
            biased;
            () = stop.cancelled() => None,
            connected = self.cluster.connection(self.broker, Lane::Produce) => connected.ok(),
        };
        let version = connected
            .as_ref()
            .and_then(|connection| connection.version_up_to::<ProduceRequest>(PRODUCE_VERSION_MAX).ok());
        let (Some(connection), Some(version)) = (connected, version) else {
            self.region.want_leaders();
            self.give_up();
            return None;
        };
        let (items, batches) = self.take();
        if items.is_empty() {
            return None;
        }
        // Checked last: between this and the socket stands nothing that waits.
        if !self.hub.allows(&self.region.name) {
            self.tell_all(items, Outcome::NotSent);
            return None;
        }
        self.submit(&connection, version, items, batches).await
    }

    async fn submit(
        &self,
        connection: &Connection,
        version: i16,
        items: Vec<Item>,
        batches: Vec<Bytes>,
    ) -> Option<(Vec<Item>, Pending<ProduceRequest>)> {
        let request = request_of(&items, batches);
        match connection.submit(&request, version, PRODUCE_TIMEOUT).await {
            Ok(pending) => Some((items, pending)),
            Err(error) => {
                tracing::debug!(region = %self.region.name, %error, "batches are not sent");
                self.tell_all(items, Outcome::NotSent);
                None
            }
        }
    }

    /// Takes the first waiting batch of each partition, up to the size of a request.
    fn take(&mut self) -> (Vec<Item>, Vec<Bytes>) {
        let (mut items, mut batches, mut left) = (Vec::new(), Vec::new(), VecDeque::new());
        let mut seen = HashSet::new();
        let mut bytes = 0;
        while let Some(mut item) = self.waiting.pop_front() {
            let is_first = seen.insert(item.partition.name.clone());
            if !is_first || bytes >= REQUEST_BYTES_MAX {
                left.push_back(item);
                continue;
            }
            match self.batch(&item) {
                Ok(batch) => {
                    item.bytes = batch.len();
                    bytes += batch.len();
                    batches.push(batch);
                    items.push(item);
                }
                Err(error) => {
                    tracing::error!(partition = %item.partition.name, error, "buffered batch cannot be read");
                    self.tell(&item, Outcome::NotNow);
                }
            }
        }
        self.waiting = left;
        (items, batches)
    }

    /// The batch under our own identity, without what the region has.
    fn batch(&self, item: &Item) -> Result<Bytes, String> {
        let bytes = self.hub.read_batch(&item.partition, &item.entry).map_err(|error| error.to_string())?;
        let batch = RecordBatch::parse(bytes).map_err(|error| error.to_string())?;
        let producer_id = item.partition.producer(item.writer).to_wire();
        let (producer_epoch, base_sequence) = (item.epoch.to_wire(), item.sequence.to_wire());
        if item.entry.skip == 0 {
            let patch = Patch { producer_id, producer_epoch, base_sequence, ..Patch::default() };
            return Ok(batch.patched(patch).to_bytes());
        }
        let how = Reencode {
            producer_id,
            producer_epoch,
            base_sequence,
            limit_bytes: DECOMPRESSED_BYTES_MAX,
            ..Reencode::default()
        };
        let mut reencoder = Reencoder::new(how);
        let skip = i64::from(item.entry.skip);
        reencoder
            .push(&batch, |offset| offset - batch.base_offset() >= skip)
            .map_err(|error| error.to_string())?;
        let rest = reencoder.finish().map_err(|error| error.to_string())?;
        rest.map(|rest| rest.batch.to_bytes()).ok_or_else(|| "nothing is left of the batch".to_owned())
    }

    fn answered(&self, items: Vec<Item>, answer: Option<Result<ProduceResponse, RequestError>>) {
        let response = match answer {
            Some(Ok(response)) => response,
            Some(Err(error)) => {
                tracing::debug!(region = %self.region.name, %error, "batches have no answer");
                self.region.want_leaders();
                self.tell_all(items, Outcome::Unknown);
                return;
            }
            None => {
                self.tell_all(items, Outcome::Unknown);
                return;
            }
        };
        let mut answers: BTreeMap<(String, i32), ProduceResponsePartition> = BTreeMap::new();
        for topic in response.responses {
            for partition in topic.partition_responses {
                answers.insert((topic.name.clone(), partition.index), partition);
            }
        }
        for item in items {
            let name = &item.partition.name;
            let key = (name.topic.as_str().to_owned(), name.partition.to_wire());
            let outcome = answers.get(&key).map_or(Outcome::Unknown, |answer| self.judge(&item, answer));
            self.tell(&item, outcome);
        }
    }

    fn judge(&self, item: &Item, answer: &ProduceResponsePartition) -> Outcome {
        let code = ErrorCode::new(answer.error_code);
        let outcome = match outcome_of(code, answer.base_offset) {
            Outcome::TooLarge if self.hub.is_given_up(&item.partition, item.entry.ordinal) => {
                Outcome::Unacceptable
            }
            outcome => outcome,
        };
        match outcome {
            Outcome::Acknowledged { .. } => {
                self.hub.metrics.forwarded_records.inc_by(u64::from(item.entry.sent_records()));
                self.hub.uncache(&item.partition, item.entry.ordinal);
                item.partition.was_taken(item.entry.ordinal);
            }
            Outcome::AcknowledgedSomewhere => item.partition.was_taken(item.entry.ordinal),
            Outcome::NotSent
            | Outcome::Unknown
            | Outcome::NotNow
            | Outcome::TooLarge
            | Outcome::OutOfOrder
            | Outcome::Unacceptable => {
                tracing::debug!(partition = %item.partition.name, region = %self.region.name, %code, "batch is refused");
                self.hub.metrics.refused(code.name().unwrap_or("UNKNOWN"));
                if outcome == Outcome::Unacceptable {
                    item.partition.was_set_aside(item.entry.end());
                } else {
                    item.partition.was_refused(item.entry.ordinal, code, item.bytes);
                }
                if outcome == Outcome::NotNow {
                    self.region.want_leaders();
                }
            }
        }
        outcome
    }

    fn give_up(&mut self) {
        let waiting = std::mem::take(&mut self.waiting);
        self.tell_all(waiting.into(), Outcome::NotSent);
    }

    fn tell_all(&self, items: Vec<Item>, outcome: Outcome) {
        for item in items {
            self.tell(&item, outcome);
        }
    }

    fn tell(&self, item: &Item, outcome: Outcome) {
        self.hub.tell(&item.partition, Event::Sent { ordinal: item.entry.ordinal, outcome });
    }
}

fn request_of(items: &[Item], batches: Vec<Bytes>) -> ProduceRequest {
    let mut topics: BTreeMap<&str, Vec<ProduceRequestPartition>> = BTreeMap::new();
    for (item, batch) in items.iter().zip(batches) {
        let index = item.partition.name.partition.to_wire();
        let partition = ProduceRequestPartition { index, records: Some(batch) };
        topics.entry(item.partition.name.topic.as_str()).or_default().push(partition);
    }
    let topic_data = topics
        .into_iter()
        .map(|(name, partition_data)| ProduceRequestTopic {
            name: name.to_owned(),
            partition_data,
            ..ProduceRequestTopic::default()
        })
        .collect();
    let timeout_ms = i32::try_from(PRODUCE_TIMEOUT.as_millis() / 2).unwrap_or(i32::MAX);
    ProduceRequest { transactional_id: None, acks: ALL_IN_SYNC, timeout_ms, topic_data }
}

fn outcome_of(code: ErrorCode, base_offset: i64) -> Outcome {
    match code {
        ErrorCode::NONE if base_offset >= 0 => Outcome::Acknowledged { base_offset },
        ErrorCode::NONE | ErrorCode::DUPLICATE_SEQUENCE_NUMBER => Outcome::AcknowledgedSomewhere,
        ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER
        | ErrorCode::UNKNOWN_PRODUCER_ID
        | ErrorCode::INVALID_PRODUCER_EPOCH => Outcome::OutOfOrder,
        ErrorCode::MESSAGE_TOO_LARGE | ErrorCode::RECORD_LIST_TOO_LARGE => Outcome::TooLarge,
        ErrorCode::INVALID_RECORD
        | ErrorCode::INVALID_TIMESTAMP
        | ErrorCode::UNSUPPORTED_COMPRESSION_TYPE
        | ErrorCode::UNSUPPORTED_FOR_MESSAGE_FORMAT => Outcome::Unacceptable,
        ErrorCode::NOT_ENOUGH_REPLICAS_AFTER_APPEND
        | ErrorCode::REQUEST_TIMED_OUT
        | ErrorCode::UNKNOWN_SERVER_ERROR => Outcome::Unknown,
        _ => Outcome::NotNow,
    }
}
