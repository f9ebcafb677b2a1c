//! A small producer: one batch a call, exactly once and in order per partition within one cluster.

use std::{collections::HashMap, fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use leeward_model::{ProducerIdentity, Sequence, TopicPartition};
use leeward_wire::{
    ErrorCode,
    record::{BatchBuilder, BuildError, Compression, Header, RecordBatch},
};
use parking_lot::Mutex;
use tokio::sync::Semaphore;

use crate::{Acks, Cluster, ClusterError, Lane, ProduceAck, limits::PRODUCER_PARTITIONS_MAX};

/// How a producer works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProducerConfig {
    /// Number batches, so that a retry appends nothing twice. Needs [`Acks::All`].
    pub idempotent: bool,
    pub acks: Acks,
    pub compression: Compression,
    /// For one batch with all its retries.
    pub delivery_timeout: Duration,
    /// For one attempt.
    pub attempt_timeout: Duration,
}

impl Default for ProducerConfig {
    fn default() -> Self {
        Self {
            idempotent: true,
            acks: Acks::All,
            compression: Compression::None,
            delivery_timeout: Duration::from_mins(2),
            attempt_timeout: Duration::from_secs(10),
        }
    }
}

/// A record to be written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewRecord {
    /// Milliseconds since 1970.
    pub timestamp_ms: i64,
    pub key: Option<Bytes>,
    pub value: Option<Bytes>,
    pub headers: Vec<(Bytes, Option<Bytes>)>,
}

/// Why a batch was not acknowledged.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ProducerError {
    #[error("records for {partition} make no batch")]
    Build { partition: TopicPartition, source: BuildError },
    #[error("one producer writes to at most {PRODUCER_PARTITIONS_MAX} partitions")]
    TooManyPartitions,
    /// Whether the batch was appended is open when `appended` is [`Appended::Unknown`].
    #[error("batch for {partition} was not acknowledged")]
    Cluster { partition: TopicPartition, appended: Appended, source: Box<ClusterError> },
}

/// What is known of a batch that was not acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Appended {
    /// Each attempt was refused, or never left.
    No,
    /// An attempt left and was not answered.
    Unknown,
}

/// Writes batches. Clones share sequences; calls for one partition go out in call order, one at a time.
#[derive(Clone)]
pub struct Producer {
    shared: Arc<Shared>,
}

struct Shared {
    cluster: Cluster,
    config: ProducerConfig,
    lane: Lane,
    partitions: Mutex<HashMap<TopicPartition, Arc<PartitionLine>>>,
}

/// What stands between the batches of one partition.
struct PartitionLine {
    turn: Semaphore,
    /// Identity and the sequence of the next batch; `None` until the first.
    next: Mutex<Option<(ProducerIdentity, Sequence)>>,
}

impl Producer {
    /// A producer on `cluster`. Producer ids are asked for when they are needed.
    pub fn new(cluster: &Cluster, config: ProducerConfig) -> Self {
        let shared =
            Shared { cluster: cluster.clone(), config, lane: Lane::own(), partitions: Mutex::default() };
        Self { shared: Arc::new(shared) }
    }

    /// Writes `records` as one batch and waits for its acknowledgement, through retries and moved leaders.
    ///
    /// When a failover moves the cluster handle elsewhere, the batch goes to the other cluster, which cannot know whether
    /// the first one had it.
    ///
    /// # Errors
    ///
    /// [`ProducerError`]. The sequence then stands as if the batch had never been, unless it may have been appended: in
    /// that case the next batch starts under a new producer id.
    pub async fn send(
        &self,
        partition: &TopicPartition,
        records: &[NewRecord],
    ) -> Result<ProduceAck, ProducerError> {
        let line = self.line(partition)?;
        let _turn = line.turn.acquire().await.expect("the semaphore is never closed");
        let mut appended = Appended::No;
        let mut identity_lost = false;
        let cluster = &self.shared.cluster;
        let what = format!("produce to {partition}");
        let sent = retrying!(cluster, self.shared.config.delivery_timeout, &what, async {
            let identity = self.identity(&line, std::mem::take(&mut identity_lost)).await?;
            let batch = match self.batch(records, identity) {
                Ok(batch) => batch,
                Err(error) => return Ok(Err(error)),
            };
            let outcome = self.attempt(partition, &batch).await;
            match &outcome {
                Err(ClusterError::Request(_)) => appended = Appended::Unknown,
                Err(error) if is_identity_lost(error) => identity_lost = true,
                _ => {}
            }
            outcome.map(Ok)
        });
        let source = match sent {
            Ok(Ok(ack)) => {
                line.advance(records.len());
                return Ok(ack);
            }
            Ok(Err(source)) => {
                return Err(ProducerError::Build { partition: partition.clone(), source });
            }
            Err(source) => source,
        };
        if matches!(source, ClusterError::Deadline { source: None, .. }) {
            appended = Appended::Unknown;
        }
        if appended == Appended::Unknown {
            *line.next.lock() = None;
        }
        Err(ProducerError::Cluster { partition: partition.clone(), appended, source: Box::new(source) })
    }

    async fn attempt(
        &self,
        partition: &TopicPartition,
        batch: &RecordBatch,
    ) -> Result<ProduceAck, ClusterError> {
        let Shared { cluster, config, lane, .. } = &*self.shared;
        let pending =
            cluster.submit_produce_on(*lane, partition, batch, config.acks, config.attempt_timeout).await?;
        match pending.ack().await {
            // The broker has it: only the answer to an earlier attempt was lost.
            Err(error) if error.code() == Some(ErrorCode::DUPLICATE_SEQUENCE_NUMBER) => {
                Ok(ProduceAck::UNKNOWN)
            }
            Err(error) if is_identity_lost(&error) => {
                Err(ClusterError::IdentityLost { partition: partition.to_string(), source: Box::new(error) })
            }
            outcome => outcome,
        }
    }

    fn line(&self, partition: &TopicPartition) -> Result<Arc<PartitionLine>, ProducerError> {
        let mut partitions = self.shared.partitions.lock();
        if let Some(line) = partitions.get(partition) {
            return Ok(line.clone());
        }
        if partitions.len() >= PRODUCER_PARTITIONS_MAX {
            return Err(ProducerError::TooManyPartitions);
        }
        let line = Arc::new(PartitionLine { turn: Semaphore::new(1), next: Mutex::new(None) });
        partitions.insert(partition.clone(), line.clone());
        Ok(line)
    }

    async fn identity(
        &self,
        line: &PartitionLine,
        renew: bool,
    ) -> Result<Option<(ProducerIdentity, Sequence)>, ClusterError> {
        if !self.shared.config.idempotent {
            return Ok(None);
        }
        let known = *line.next.lock();
        if let Some(known) = known
            && !renew
        {
            return Ok(Some(known));
        }
        let fresh = (self.shared.cluster.init_producer_id().await?, Sequence::FIRST);
        *line.next.lock() = Some(fresh);
        Ok(Some(fresh))
    }

    fn batch(
        &self,
        records: &[NewRecord],
        identity: Option<(ProducerIdentity, Sequence)>,
    ) -> Result<RecordBatch, BuildError> {
        let mut builder = BatchBuilder::new(self.shared.config.compression);
        if let Some((identity, sequence)) = identity {
            builder = builder.producer(identity.id.to_wire(), identity.epoch.to_wire(), sequence.to_wire());
        }
        for record in records {
            let headers: Vec<_> =
                record.headers.iter().map(|(key, value)| Header { key, value: value.as_deref() }).collect();
            builder.append(record.timestamp_ms, record.key.as_deref(), record.value.as_deref(), &headers)?;
        }
        builder.build()
    }
}

impl PartitionLine {
    fn advance(&self, records: usize) {
        let count = u32::try_from(records).expect("a batch has at most 2^31 records");
        if let Some((_, next)) = &mut *self.next.lock() {
            *next = next.after(count);
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.cluster.forget_lane(self.lane);
    }
}

impl fmt::Debug for Producer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Producer").field("config", &self.shared.config).finish_non_exhaustive()
    }
}

/// Whether the broker no longer knows our id and sequence; the batch was not appended then.
fn is_identity_lost(error: &ClusterError) -> bool {
    matches!(
        error.code(),
        Some(
            ErrorCode::UNKNOWN_PRODUCER_ID
                | ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER
                | ErrorCode::INVALID_PRODUCER_EPOCH
                | ErrorCode::INVALID_PRODUCER_ID_MAPPING
        )
    )
}
