//! A regional cluster over Kafka's own protocol. The first connection is made when first needed: a region may be dark
//! when the controller starts.

mod groups;
mod levers;
mod quarantine;

use std::collections::BTreeMap;

use bytes::Bytes;
use futures::future::BoxFuture;
use leeward_client::{
    Acks, Address, ClientConfig, Cluster as Client, ClusterError as ClientError, Lane, NewTopic,
    TopicSelection,
};
use leeward_failover_core::{LogEnd, Tail};
use leeward_model::{
    ClusterId, GroupName, PartitionIndex, RegionName, SourceOffset, TargetOffset, TopicName, TopicPartition,
    with_causes,
};
use leeward_wire::{
    ErrorCode,
    api::{ApiVersionsRequest, FetchRequest, FetchRequestPartition, FetchRequestTopic},
    record::{BatchBuilder, Compression, RecordBatch, split_batches},
};
use tokio::{net::TcpStream, sync::Mutex};

use crate::{
    clock::wall,
    cluster::{
        BrokerId, Cluster, ClusterError, ClusterView, GroupCommit, LedPartition, QuarantineTopic,
        QuarantinedRecord, WriteProbe,
    },
    limits::{
        CLIENT_OPERATION_TIMEOUT, CLIENT_REQUEST_TIMEOUT, DECOMPRESSED_BYTES_MAX, EXEMPT_MESSAGE_BYTES,
        FETCH_BYTES_MAX,
    },
};

/// Newest versions that name topics; later ones take their ids.
const PRODUCE_BY_NAME: i16 = 12;
const FETCH_BY_NAME: i16 = 12;
const CANARY_RETENTION_MILLIS: &str = "600000";

/// One region's Kafka cluster.
#[derive(Debug)]
pub struct KafkaCluster {
    name: String,
    config: ClientConfig,
    client: Mutex<Option<Client>>,
    canary: TopicPartition,
}

type Answer<'a, T> = BoxFuture<'a, Result<T, ClusterError>>;

impl KafkaCluster {
    /// The cluster of this region. The client's own timeouts are cut down to what a failover can wait for.
    pub fn new(region: &RegionName, mut config: ClientConfig) -> Self {
        config.timeouts.connect = config.timeouts.connect.min(CLIENT_REQUEST_TIMEOUT);
        config.timeouts.request = config.timeouts.request.min(CLIENT_REQUEST_TIMEOUT);
        config.timeouts.operation = config.timeouts.operation.min(CLIENT_OPERATION_TIMEOUT);
        let topic = TopicName::new(&format!("{}_canary", TopicName::OWN_PREFIX)).expect("the name is legal");
        let partition = PartitionIndex::from_wire(0).expect("0 is not negative");
        Self {
            name: format!("cluster of {region}"),
            config,
            client: Mutex::new(None),
            canary: TopicPartition { topic, partition },
        }
    }

    async fn client(&self) -> Result<Client, ClusterError> {
        let mut client = self.client.lock().await;
        if let Some(client) = &*client {
            return Ok(client.clone());
        }
        let connected = Client::connect(self.config.clone()).await.map_err(|error| self.failed(&error))?;
        *client = Some(connected.clone());
        Ok(connected)
    }

    fn failed(&self, error: &ClientError) -> ClusterError {
        let cluster = self.name.clone();
        match error {
            ClientError::WrongCluster { expected, found, .. } => {
                ClusterError::Identity { cluster, expected: expected.clone(), found: found.clone() }
            }
            ClientError::Refused { .. }
            | ClientError::Missing { .. }
            | ClientError::UnknownTopic { .. }
            | ClientError::NoLeader { .. }
            | ClientError::IdentityLost { .. } => {
                ClusterError::Refused { cluster, reason: with_causes(error) }
            }
            ClientError::Unreachable { .. }
            | ClientError::Connect { .. }
            | ClientError::Request(_)
            | ClientError::NoSuchBroker { .. }
            | ClientError::Deadline { .. } => {
                ClusterError::Unreachable { cluster, reason: with_causes(error) }
            }
        }
    }

    fn refused(&self, reason: impl Into<String>) -> ClusterError {
        ClusterError::Refused { cluster: self.name.clone(), reason: reason.into() }
    }

    /// `Ok` where the code says that nothing is wrong.
    fn check(&self, code: i16, subject: &str) -> Result<(), ClusterError> {
        let code = ErrorCode::new(code);
        if code.is_none() { Ok(()) } else { Err(self.refused(format!("{subject}: {code}"))) }
    }

    async fn reach_any(&self) -> Result<(), ClusterError> {
        let mut reason = "no bootstrap address".to_owned();
        for text in &self.config.bootstrap {
            let address = match Address::parse(text) {
                Ok(address) => address,
                Err(error) => {
                    reason = error.to_string();
                    continue;
                }
            };
            match TcpStream::connect((address.host.as_str(), address.port)).await {
                Ok(_) => return Ok(()),
                Err(error) => reason = format!("{address}: {error}"),
            }
        }
        Err(ClusterError::Unreachable { cluster: self.name.clone(), reason })
    }

    async fn ask_versions(&self) -> Result<(), ClusterError> {
        let client = self.client().await?;
        let request = ApiVersionsRequest {
            client_software_name: "leeward".into(),
            client_software_version: env!("CARGO_PKG_VERSION").into(),
        };
        let mut unreached = self.refused("the cluster has no brokers");
        for broker in client.map().brokers.keys() {
            match client.request_to(*broker, &request).await {
                Ok(answer) => return self.check(answer.error_code, "ApiVersions"),
                Err(error) => unreached = self.failed(&error),
            }
        }
        Err(unreached)
    }

    async fn ask_identity(&self) -> Result<ClusterId, ClusterError> {
        let client = self.client().await?;
        let map = client.refresh().await.map_err(|error| self.failed(&error))?;
        Ok(map.cluster_id.clone())
    }

    async fn read_view(&self) -> Result<ClusterView, ClusterError> {
        let client = self.client().await?;
        let map = client.metadata(TopicSelection::All).await.map_err(|error| self.failed(&error))?;
        let partitions = map.topics.values().flat_map(|topic| {
            topic.partitions.iter().map(|found| LedPartition {
                partition: TopicPartition { topic: topic.name.clone(), partition: found.index },
                leader: found.leader.map(BrokerId),
            })
        });
        Ok(ClusterView {
            cluster_id: map.cluster_id.clone(),
            brokers: map.brokers.keys().copied().map(BrokerId).collect(),
            partitions: partitions.collect(),
        })
    }

    async fn write_canary(&self, payload: Bytes) -> Result<SourceOffset, ClusterError> {
        let client = self.client().await?;
        let batch = batch_of(&payload).map_err(|error| self.refused(with_causes(&error)))?;
        let within = self.config.timeouts.request;
        let attempt =
            async || client.submit_produce(&self.canary, &batch, Acks::All, within).await?.ack().await;
        let ack = match attempt().await {
            Err(error) if is_unknown_topic(&error) => {
                // Of its own, so that a sealed default leaves the canary alone.
                let bytes = EXEMPT_MESSAGE_BYTES.to_string();
                let configs = [("retention.ms", CANARY_RETENTION_MILLIS), ("max.message.bytes", &bytes)];
                self.make_topic(&client, &self.canary.topic, &configs).await?;
                attempt().await
            }
            // A leader that moved is learnt by asking again, not by the next round.
            Err(error) if error.wants_new_metadata() => {
                client.refresh().await.map_err(|error| self.failed(&error))?;
                attempt().await
            }
            ended => ended,
        };
        let ack = ack.map_err(|error| self.failed(&error))?;
        SourceOffset::from_wire(ack.base_offset).ok_or_else(|| self.refused("no offset for the canary"))
    }

    async fn make_topic(
        &self,
        client: &Client,
        topic: &TopicName,
        configs: &[(&str, &str)],
    ) -> Result<(), ClusterError> {
        let configs = configs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let topic = NewTopic { name: topic.clone(), partitions: 1, replication_factor: None, configs };
        match client.create_topic(&topic, self.config.timeouts.request).await {
            Err(error) if error.code() != Some(ErrorCode::TOPIC_ALREADY_EXISTS) => Err(self.failed(&error)),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// One fetch, outside any session, from the partition's leader.
    async fn fetch(
        &self,
        client: &Client,
        partition: &TopicPartition,
        at: SourceOffset,
    ) -> Result<Vec<RecordBatch>, ClusterError> {
        let connected = client.leader_connection(partition, Lane::Shared).await;
        let (_, connection) = connected.map_err(|error| self.failed(&error))?;
        let request = FetchRequest {
            min_bytes: 1,
            max_bytes: FETCH_BYTES_MAX,
            topics: vec![FetchRequestTopic {
                topic: partition.topic.as_str().to_owned(),
                partitions: vec![FetchRequestPartition {
                    partition: partition.partition.to_wire(),
                    fetch_offset: at.to_wire(),
                    partition_max_bytes: FETCH_BYTES_MAX,
                    ..FetchRequestPartition::default()
                }],
                ..FetchRequestTopic::default()
            }],
            ..FetchRequest::default()
        };
        let failed = |error: leeward_client::RequestError| self.failed(&error.into());
        let version = connection
            .version_up_to::<FetchRequest>(FETCH_BY_NAME)
            .map_err(|error| self.refused(error.to_string()))?;
        let answer = connection.send(&request, version).await.map_err(failed)?;
        self.check(answer.error_code, "Fetch")?;
        let found = answer.responses.into_iter().flat_map(|topic| topic.partitions).next();
        let found = found.ok_or_else(|| self.refused(format!("no word about {partition}")))?;
        self.check(found.error_code, &partition.to_string())?;
        // The last batch may be cut off: what is whole comes before it.
        Ok(split_batches(found.records.unwrap_or_default()).map_while(Result::ok).collect())
    }

    async fn read_canary(&self, at: SourceOffset, payload: Bytes) -> Result<bool, ClusterError> {
        let client = self.client().await?;
        for batch in self.fetch(&client, &self.canary, at).await? {
            let bytes = batch
                .decompress(DECOMPRESSED_BYTES_MAX)
                .map_err(|error| self.refused(with_causes(&error)))?;
            for record in bytes.records().flatten() {
                let offset = batch.base_offset() + i64::from(record.offset_delta);
                if offset == at.to_wire() {
                    return Ok(record.value == Some(payload.as_ref()));
                }
            }
        }
        Ok(false)
    }
}

fn is_unknown_topic(error: &ClientError) -> bool {
    matches!(error, ClientError::UnknownTopic { .. })
        || error.code() == Some(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)
}

fn batch_of(value: &[u8]) -> Result<RecordBatch, leeward_wire::record::BuildError> {
    let mut builder = BatchBuilder::new(Compression::None);
    builder.append(wall().as_millis(), None, Some(value), &[])?;
    builder.build()
}

impl Cluster for KafkaCluster {
    fn reach(&self) -> Answer<'_, ()> {
        Box::pin(self.reach_any())
    }

    fn api_versions(&self) -> Answer<'_, ()> {
        Box::pin(self.ask_versions())
    }

    fn identify(&self) -> Answer<'_, ClusterId> {
        Box::pin(self.ask_identity())
    }

    fn view(&self) -> Answer<'_, ClusterView> {
        Box::pin(self.read_view())
    }

    fn produce_canary(&self, payload: Bytes) -> Answer<'_, SourceOffset> {
        Box::pin(self.write_canary(payload))
    }

    fn fetch_canary(&self, at: SourceOffset, payload: Bytes) -> Answer<'_, bool> {
        Box::pin(self.read_canary(at, payload))
    }

    fn message_bytes_max<'a>(
        &'a self,
        topics: &'a [TopicName],
    ) -> Answer<'a, BTreeMap<TopicName, Option<u64>>> {
        Box::pin(self.read_message_bytes(topics))
    }

    fn set_message_bytes_max<'a>(&'a self, topics: &'a [(TopicName, Option<u64>)]) -> Answer<'a, ()> {
        Box::pin(self.write_message_bytes(topics))
    }

    fn default_message_bytes_max(&self) -> Answer<'_, Option<u64>> {
        Box::pin(self.read_default_message_bytes())
    }

    fn set_default_message_bytes_max(&self, bytes: Option<u64>) -> Answer<'_, ()> {
        Box::pin(self.write_default_message_bytes(bytes))
    }

    fn probe_writes<'a>(
        &'a self,
        partitions: &'a [TopicPartition],
    ) -> Answer<'a, Vec<(TopicPartition, WriteProbe)>> {
        Box::pin(self.probe(partitions))
    }

    fn log_ends<'a>(&'a self, partitions: &'a [TopicPartition]) -> Answer<'a, Vec<LogEnd>> {
        Box::pin(self.read_log_ends(partitions))
    }

    fn written_ends<'a>(&'a self, partitions: &'a [TopicPartition]) -> Answer<'a, Vec<LogEnd>> {
        Box::pin(self.read_written_ends(partitions))
    }

    fn commit_group<'a>(
        &'a self,
        group: &'a GroupName,
        positions: &'a [(TopicPartition, TargetOffset)],
    ) -> Answer<'a, GroupCommit> {
        Box::pin(self.commit(group, positions))
    }

    fn delete_topics<'a>(&'a self, topics: &'a [TopicName]) -> Answer<'a, ()> {
        Box::pin(self.delete(topics))
    }

    fn copy_tail<'a>(
        &'a self,
        tail: &'a Tail,
        survivor: &'a dyn Cluster,
        into: &'a QuarantineTopic,
    ) -> Answer<'a, u64> {
        Box::pin(self.copy(tail, survivor, into))
    }

    fn quarantined_to<'a>(
        &'a self,
        into: &'a QuarantineTopic,
        origin: &'a TopicPartition,
    ) -> Answer<'a, Option<SourceOffset>> {
        Box::pin(self.find_quarantined(into, origin))
    }

    fn append_quarantine<'a>(
        &'a self,
        into: &'a QuarantineTopic,
        records: Vec<QuarantinedRecord>,
    ) -> Answer<'a, ()> {
        Box::pin(self.append(into, records))
    }
}

#[cfg(test)]
mod tests;
