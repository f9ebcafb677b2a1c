//! Appends record batches: to the leader of a partition, one attempt or with retries, one batch or many.

use std::{collections::BTreeMap, time::Duration};

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
    Address, Broker, Cluster, ClusterError, Connection, Lane, Leader, Pending, RequestError,
    cluster::LeaderHint,
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
pub struct PendingProduce {
    cluster: Cluster,
    partition: TopicPartition,
    topic_id: Option<TopicId>,
    address: Address,
    /// `None` for a batch that no broker answers for.
    pending: Option<Pending<ProduceRequest>>,
}

impl PendingProduce {
    /// Waits for the acknowledgement. A leader that the answer names is remembered.
    ///
    /// # Errors
    ///
    /// [`ClusterError`]: [`ClusterError::Refused`] where the broker answered. After [`ClusterError::Request`] it is open
    /// whether the batch was appended.
    pub async fn ack(self) -> Result<ProduceAck, ClusterError> {
        let Some(pending) = self.pending else {
            return Ok(ProduceAck::UNKNOWN);
        };
        let answer = pending.answer().await?;
        let mut outcomes = outcomes(&self.cluster, &self.address, answer);
        let found = outcomes.iter().position(|(topic, partition, _)| {
            topic.is(&self.partition, self.topic_id) && *partition == self.partition.partition.to_wire()
        });
        match found {
            Some(at) => outcomes.swap_remove(at).2,
            None => Err(missing(&self.address, &self.partition)),
        }
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
        let address = connection.address().clone();
        let (request, version) =
            request(&connection, acks, within, [(partition, leader.topic_id, batch)].as_slice())?;
        let pending = if acks == Acks::None {
            connection.send_no_response(&request, version).await?;
            None
        } else {
            Some(connection.submit(&request, version, answer_time(&connection, within)).await?)
        };
        Ok(PendingProduce {
            cluster: self.clone(),
            partition: partition.clone(),
            topic_id: leader.topic_id,
            address,
            pending,
        })
    }

    /// Appends batches of different partitions, one request for each leader, all at the same time; one attempt.
    /// Each partition has an outcome; a second batch for the same partition replaces the first.
    pub async fn produce_many(
        &self,
        batches: Vec<(TopicPartition, RecordBatch)>,
        acks: Acks,
        within: Duration,
    ) -> BTreeMap<TopicPartition, Result<ProduceAck, ClusterError>> {
        let mut outcomes = BTreeMap::new();
        let mut by_broker: BTreeMap<i32, Vec<Part>> = BTreeMap::new();
        for (partition, batch) in batches {
            match self.leader(&partition).await {
                Ok(leader) => by_broker.entry(leader.broker).or_default().push((partition, leader, batch)),
                Err(error) => {
                    outcomes.insert(partition, Err(error));
                }
            }
        }
        let requests = by_broker.into_iter().map(|(broker, parts)| self.to_one(broker, parts, acks, within));
        for answered in futures::future::join_all(requests).await {
            outcomes.extend(answered);
        }
        outcomes
    }

    async fn to_one(
        &self,
        broker: i32,
        parts: Vec<Part>,
        acks: Acks,
        within: Duration,
    ) -> Vec<(TopicPartition, Result<ProduceAck, ClusterError>)> {
        let answered = self.exchange(broker, &parts, acks, within).await;
        let mut answered = match answered {
            Ok(answered) => answered,
            Err(error) => {
                return parts.into_iter().map(|(tp, ..)| (tp, Err(error.clone()))).collect();
            }
        };
        let address = answered.1;
        parts
            .into_iter()
            .map(|(partition, leader, _)| {
                let found = answered.0.iter().position(|(topic, index, _)| {
                    topic.is(&partition, leader.topic_id) && *index == partition.partition.to_wire()
                });
                let outcome = match found {
                    _ if acks == Acks::None => Ok(ProduceAck::UNKNOWN),
                    Some(at) => answered.0.swap_remove(at).2,
                    None => Err(missing(&address, &partition)),
                };
                (partition, outcome)
            })
            .collect()
    }

    async fn exchange(
        &self,
        broker: i32,
        parts: &[Part],
        acks: Acks,
        within: Duration,
    ) -> Result<(Vec<Outcome>, Address), ClusterError> {
        let connection = self.connection(broker, Lane::Produce).await?;
        let address = connection.address().clone();
        let batches: Vec<_> = parts.iter().map(|(tp, leader, batch)| (tp, leader.topic_id, batch)).collect();
        let (request, version) = request(&connection, acks, within, &batches)?;
        if acks == Acks::None {
            connection.send_no_response(&request, version).await?;
            return Ok((Vec::new(), address));
        }
        let time = answer_time(&connection, within);
        let answer = connection.send_within(&request, version, time).await?;
        Ok((outcomes(self, &address, answer), address))
    }
}

type Part = (TopicPartition, Leader, RecordBatch);
type Outcome = (TopicKey, i32, Result<ProduceAck, ClusterError>);

/// By what an answer names a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
struct TopicKey {
    name: String,
    id: Uuid,
}

impl TopicKey {
    fn is(&self, partition: &TopicPartition, id: Option<TopicId>) -> bool {
        if self.name.is_empty() {
            id.is_some_and(|id| id.to_wire() == self.id.0)
        } else {
            self.name == partition.topic.as_str()
        }
    }
}

/// The broker may use up all of `within`; the answer then still has to travel.
fn answer_time(connection: &Connection, within: Duration) -> Duration {
    within.min(connection.request_timeout())
}

fn missing(address: &Address, partition: &TopicPartition) -> ClusterError {
    ClusterError::Missing { api: ApiKey::Produce, address: address.clone(), subject: partition.to_string() }
}

fn request(
    connection: &Connection,
    acks: Acks,
    within: Duration,
    batches: &[(&TopicPartition, Option<TopicId>, &RecordBatch)],
) -> Result<(ProduceRequest, i16), RequestError> {
    let ids_known = batches.iter().all(|(_, id, _)| id.is_some());
    let cap = if ids_known { i16::MAX } else { PRODUCE_BY_NAME };
    let version = connection.version_up_to::<ProduceRequest>(cap)?;
    let mut topics: BTreeMap<&str, ProduceRequestTopic> = BTreeMap::new();
    for (partition, id, batch) in batches {
        let topic = topics.entry(partition.topic.as_str()).or_insert_with(|| ProduceRequestTopic {
            name: partition.topic.as_str().to_owned(),
            topic_id: id.map_or(Uuid::ZERO, |id| Uuid(id.to_wire())),
            partition_data: Vec::new(),
        });
        let index = partition.partition.to_wire();
        topic.partition_data.retain(|earlier| earlier.index != index);
        topic.partition_data.push(ProduceRequestPartition { index, records: Some(batch.to_bytes()) });
    }
    let wait = answer_time(connection, within);
    let request = ProduceRequest {
        transactional_id: None,
        acks: acks.to_wire(),
        timeout_ms: i32::try_from(wait.as_millis()).unwrap_or(i32::MAX),
        topic_data: topics.into_values().collect(),
    };
    Ok((request, version))
}

/// Reads an answer; leaders that it names are taken over on the way.
fn outcomes(cluster: &Cluster, address: &Address, answer: ProduceResponse) -> Vec<Outcome> {
    let mut hints = Vec::new();
    let mut read = Vec::new();
    for topic in answer.responses {
        let key = TopicKey { name: topic.name.clone(), id: topic.topic_id };
        hints.extend(hints_of(cluster, &topic));
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
    let name = cluster
        .topic_name(&topic.name, topic.id)
        .map_or_else(|| topic.id.to_string(), |name| name.to_string());
    Err(ClusterError::Refused {
        api: ApiKey::Produce,
        address: address.clone(),
        subject: format!("{name}-{}", partition.index),
        code,
        message: partition.error_message,
    })
}
