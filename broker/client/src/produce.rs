//! Appends record batches: to the leader of a partition, one attempt or with retries, one batch or many of different partitions.

use std::{collections::HashMap, time::Duration};

use leeward_model::{TopicId, TopicPartition};
use leeward_wire::{
    ApiKey, ErrorCode, Uuid,
    api::{
        ProduceRequest, ProduceRequestPartition, ProduceRequestTopic, ProduceResponse,
        ProduceResponsePartition, ProduceResponseTopic,
    },
    record::RecordBatch,
};

use crate::{
    Address, Broker, Cluster, ClusterError, Connection, Lane, Pending, RequestError, cluster::LeaderHint,
};

/// Newest version of `Produce` that names topics; later ones take their ids.
const PRODUCE_BY_NAME: i16 = 12;

/// Which replicas must have a batch before it is acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acks {
    /// None: the broker does not answer, and a refused batch is lost without a word.
    None,
    Leader,
    /// All that are in sync.
    All,
}

impl Acks {
    fn to_wire(self) -> i16 {
        match self {
            Self::None => 0,
            Self::Leader => 1,
            Self::All => -1,
        }
    }
}

/// What a broker says about an appended batch. With [`Acks::None`] nothing is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProduceAck {
    /// The first record's offset; -1 where the broker tells none, as gateways that acknowledge early do.
    pub base_offset: i64,
    /// The broker's time in milliseconds, where the topic is stamped by it.
    pub log_append_time: Option<i64>,
    /// The partition's first offset; -1 where it is unknown.
    pub log_start: i64,
}

impl ProduceAck {
    pub(crate) const UNKNOWN: Self = Self { base_offset: -1, log_append_time: None, log_start: -1 };
}

/// A batch on its way.
#[must_use = "the outcome is lost unless it is awaited"]
#[derive(Debug)]
pub struct PendingProduce(PendingBatches);

impl PendingProduce {
    /// Waits for the acknowledgement. A leader that the answer names is remembered.
    ///
    /// # Errors
    ///
    /// [`ClusterError`]: [`ClusterError::Refused`] where the broker answered. After [`ClusterError::Request`] it is open
    /// whether the batch was appended.
    pub async fn ack(self) -> Result<ProduceAck, ClusterError> {
        self.0.acks().await?.pop().expect("one batch has one outcome")
    }
}

/// Batches of one request on their way.
#[must_use = "the outcomes are lost unless they are awaited"]
#[derive(Debug)]
pub struct PendingBatches {
    cluster: Cluster,
    parts: Vec<(TopicPartition, Option<TopicId>)>,
    address: Address,
    /// `None` for batches that no broker answers for.
    pending: Option<Pending<ProduceRequest>>,
}

impl PendingBatches {
    /// Waits for the acknowledgements, in the order in which the batches were given. Leaders that the answer names are
    /// remembered.
    ///
    /// # Errors
    ///
    /// [`ClusterError`] where nothing is known of any of them; else each batch has an outcome of its own, as
    /// [`PendingProduce::ack`] tells it.
    pub async fn acks(self) -> Result<Vec<Result<ProduceAck, ClusterError>>, ClusterError> {
        let Some(pending) = self.pending else {
            return Ok(self.parts.iter().map(|_| Ok(ProduceAck::UNKNOWN)).collect());
        };
        let answer = pending.answer().await?;
        let mut outcomes: HashMap<_, _> = outcomes(&self.cluster, &self.address, answer)
            .into_iter()
            .map(|(topic, partition, outcome)| ((topic, partition), outcome))
            .collect();
        let mut of = |(partition, id): &(TopicPartition, Option<TopicId>)| {
            let index = partition.partition.to_wire();
            let by_id = id.and_then(|id| outcomes.remove(&(TopicKey::Id(Uuid(id.to_wire())), index)));
            by_id
                .or_else(|| outcomes.remove(&(TopicKey::Name(partition.topic.to_string()), index)))
                .unwrap_or_else(|| Err(missing(&self.address, partition)))
        };
        Ok(self.parts.iter().map(&mut of).collect())
    }
}

impl Cluster {
    /// Appends a batch and waits for the acknowledgement; tries again until `within` is over where that may help.
    ///
    /// A retry after a lost answer can append the batch twice, unless it carries producer id and sequence.
    ///
    /// # Errors
    ///
    /// [`ClusterError`].
    pub async fn produce(
        &self,
        partition: &TopicPartition,
        batch: &RecordBatch,
        acks: Acks,
        within: Duration,
    ) -> Result<ProduceAck, ClusterError> {
        let what = format!("produce to {partition}");
        retrying!(self, within, &what, async {
            self.submit_produce(partition, batch, acks, within).await?.ack().await
        })
    }

    /// Puts a batch in line to its partition's leader and returns; one attempt. Batches of a caller who awaits each call
    /// before the next reach the leader in that order, many of them in flight.
    ///
    /// # Errors
    ///
    /// [`ClusterError`] where there is no leader or no connection to it.
    pub async fn submit_produce(
        &self,
        partition: &TopicPartition,
        batch: &RecordBatch,
        acks: Acks,
        within: Duration,
    ) -> Result<PendingProduce, ClusterError> {
        self.submit_produce_on(Lane::Produce, partition, batch, acks, within).await
    }

    /// [`Cluster::submit_produce`] on a lane of the caller's choice.
    ///
    /// # Errors
    ///
    /// As [`Cluster::submit_produce`].
    pub async fn submit_produce_on(
        &self,
        lane: Lane,
        partition: &TopicPartition,
        batch: &RecordBatch,
        acks: Acks,
        within: Duration,
    ) -> Result<PendingProduce, ClusterError> {
        let (leader, connection) = self.leader_connection(partition, lane).await?;
        let parts = vec![(partition.clone(), leader.topic_id)];
        Ok(PendingProduce(self.submit(&connection, parts, &[batch], acks, within).await?))
    }

    /// Puts batches of different partitions in line to one broker, in one request; one attempt. A broker refuses a second batch
    /// of one partition. Requests of a caller who awaits each call before the next reach the broker in that order.
    ///
    /// # Errors
    ///
    /// [`ClusterError`] where there is no connection to the broker.
    pub async fn submit_batches(
        &self,
        (broker, lane): (i32, Lane),
        batches: &[(&TopicPartition, &RecordBatch)],
        acks: Acks,
        within: Duration,
    ) -> Result<PendingBatches, ClusterError> {
        let connection = self.connection(broker, lane).await?;
        let map = self.map();
        let id_of = |topic| map.topics.get(topic).and_then(|topic| topic.id);
        let parts = batches.iter().map(|(partition, _)| ((*partition).clone(), id_of(&partition.topic)));
        let records: Vec<_> = batches.iter().map(|(_, batch)| *batch).collect();
        self.submit(&connection, parts.collect(), &records, acks, within).await
    }

    async fn submit(
        &self,
        connection: &Connection,
        parts: Vec<(TopicPartition, Option<TopicId>)>,
        batches: &[&RecordBatch],
        acks: Acks,
        within: Duration,
    ) -> Result<PendingBatches, ClusterError> {
        let time = answer_time(connection, within);
        let (request, batches, version) = request(connection, acks, time, &parts, batches)?;
        let pending = if acks == Acks::None {
            connection.send_batches_no_response(&request, &batches, version).await?;
            None
        } else {
            Some(connection.submit_batches(&request, &batches, version, time).await?)
        };
        Ok(PendingBatches { cluster: self.clone(), parts, address: connection.address().clone(), pending })
    }
}

type Outcome = (TopicKey, i32, Result<ProduceAck, ClusterError>);

/// By what an answer names a topic.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum TopicKey {
    Name(String),
    Id(Uuid),
}

/// The broker may use up all of `within`; the answer then still has to travel.
fn answer_time(connection: &Connection, within: Duration) -> Duration {
    within.min(connection.request_timeout())
}

fn missing(address: &Address, partition: &TopicPartition) -> ClusterError {
    ClusterError::Missing { api: ApiKey::Produce, address: address.clone(), subject: partition.to_string() }
}

/// The request, its batches in the request's order, and the version to send it in. The request holds the batches' bytes as they
/// were parsed: they go out under their present headers.
fn request<'a>(
    connection: &Connection,
    acks: Acks,
    wait: Duration,
    parts: &[(TopicPartition, Option<TopicId>)],
    batches: &[&'a RecordBatch],
) -> Result<(ProduceRequest, Vec<&'a RecordBatch>, i16), RequestError> {
    let ids_known = parts.iter().all(|(_, id)| id.is_some());
    let cap = if ids_known { i16::MAX } else { PRODUCE_BY_NAME };
    let version = connection.version_up_to::<ProduceRequest>(cap)?;
    let mut order: Vec<_> = parts.iter().zip(batches).collect();
    order.sort_by_key(|((partition, _), _)| &partition.topic);
    let topic_data =
        order.chunk_by(|((left, _), _), ((right, _), _)| left.topic == right.topic).map(|chunk| {
            let ((partition, id), _) = chunk[0];
            let records = |batch: &RecordBatch| Some(batch.source_bytes());
            ProduceRequestTopic {
                name: partition.topic.as_str().to_owned(),
                topic_id: id.map_or(Uuid::ZERO, |id| Uuid(id.to_wire())),
                partition_data: chunk
                    .iter()
                    .map(|((partition, _), batch)| ProduceRequestPartition {
                        index: partition.partition.to_wire(),
                        records: records(batch),
                    })
                    .collect(),
            }
        });
    let request = ProduceRequest {
        transactional_id: None,
        acks: acks.to_wire(),
        timeout_ms: i32::try_from(wait.as_millis()).unwrap_or(i32::MAX),
        topic_data: topic_data.collect(),
    };
    Ok((request, order.into_iter().map(|(_, batch)| *batch).collect(), version))
}

/// Reads an answer; leaders that it names are taken over on the way.
fn outcomes(cluster: &Cluster, address: &Address, answer: ProduceResponse) -> Vec<Outcome> {
    let mut hints = Vec::new();
    let mut read = Vec::new();
    for topic in answer.responses {
        hints.extend(hints_of(cluster, &topic));
        let key = match topic.name {
            name if name.is_empty() => TopicKey::Id(topic.topic_id),
            name => TopicKey::Name(name),
        };
        for partition in topic.partition_responses {
            read.push((key.clone(), partition.index, outcome(cluster, address, &key, partition)));
        }
    }
    let brokers: Vec<_> = answer
        .node_endpoints
        .into_iter()
        .filter_map(|node| {
            let address = Address::new(node.host, u16::try_from(node.port).ok()?);
            Some(Broker { id: node.node_id, address, rack: node.rack })
        })
        .collect();
    cluster.take_hints(&hints, &brokers);
    read
}

fn hints_of(cluster: &Cluster, topic: &ProduceResponseTopic) -> Vec<LeaderHint> {
    let Some(name) = cluster.topic_name(&topic.name, topic.topic_id) else {
        return Vec::new();
    };
    topic
        .partition_responses
        .iter()
        .filter(|partition| partition.current_leader.leader_id >= 0)
        .filter_map(|partition| {
            let index = leeward_model::PartitionIndex::from_wire(partition.index)?;
            Some(LeaderHint {
                partition: TopicPartition { topic: name.clone(), partition: index },
                leader: partition.current_leader.leader_id,
                epoch: partition.current_leader.leader_epoch,
            })
        })
        .collect()
}

fn outcome(
    cluster: &Cluster,
    address: &Address,
    topic: &TopicKey,
    partition: ProduceResponsePartition,
) -> Result<ProduceAck, ClusterError> {
    let code = ErrorCode::new(partition.error_code);
    if code.is_none() {
        return Ok(ProduceAck {
            base_offset: partition.base_offset,
            log_append_time: (partition.log_append_time_ms >= 0).then_some(partition.log_append_time_ms),
            log_start: partition.log_start_offset,
        });
    }
    let name = match topic {
        TopicKey::Name(name) => name.clone(),
        TopicKey::Id(id) => {
            cluster.topic_name("", *id).map_or_else(|| id.to_string(), |name| name.to_string())
        }
    };
    Err(ClusterError::Refused {
        api: ApiKey::Produce,
        address: address.clone(),
        subject: format!("{name}-{}", partition.index),
        code,
        message: partition.error_message,
    })
}
