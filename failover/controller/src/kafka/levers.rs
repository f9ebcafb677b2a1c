//! The size lever, the write probe that appends nothing, and log ends.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use leeward_client::{
    ConfigChange, ConfigResource, ConfigSource, Isolation, Lane, ListedOffset, OffsetSpec, PerPartition,
    TopicSelection,
};
use leeward_failover_core::LogEnd;
use leeward_model::{SourceOffset, TopicName, TopicPartition};
use leeward_wire::{
    ErrorCode,
    api::{
        DescribeConfigsRequest, DescribeConfigsRequestResource, DescribeConfigsResponseResult,
        IncrementalAlterConfigsRequest, IncrementalAlterConfigsRequestConfig,
        IncrementalAlterConfigsRequestResource, ProduceRequest, ProduceRequestPartition, ProduceRequestTopic,
    },
};
use tokio::time::{Instant, sleep};

use super::{KafkaCluster, PRODUCE_BY_NAME, batch_of};
use crate::{
    cluster::{ClusterError, WriteProbe},
    limits::{DELETE_WAIT_MAX, POLL_EVERY},
};

const TOPIC_RESOURCE: i8 = 2;
/// `config_source` of a topic's own entry.
const TOPIC_SOURCE: i8 = 1;
const SET: i8 = 0;
const DELETE: i8 = 1;
const LEVER: &str = "max.message.bytes";
const DEFAULT_LEVER: &str = "message.max.bytes";

/// What a broker answers to a batch whose checksum is wrong. It looks at the size first: a sealed topic refuses the
/// size, an open one the checksum, and neither appends anything. That *we* may not write says nothing about others.
fn read_probe(code: ErrorCode) -> WriteProbe {
    match code {
        ErrorCode::MESSAGE_TOO_LARGE | ErrorCode::POLICY_VIOLATION => WriteProbe::Refused,
        ErrorCode::CORRUPT_MESSAGE | ErrorCode::INVALID_RECORD | ErrorCode::NONE => WriteProbe::Open,
        _ => WriteProbe::Unknown,
    }
}

/// The checksum's place in a record batch.
const CRC: std::ops::Range<usize> = 17..21;

fn broken_batch() -> Option<Bytes> {
    let batch = batch_of(b"leeward write probe").ok()?;
    let mut bytes = batch.to_bytes().to_vec();
    for byte in bytes.get_mut(CRC)? {
        *byte ^= 0xff;
    }
    Some(bytes.into())
}

fn own_bytes(result: DescribeConfigsResponseResult) -> Option<u64> {
    let mut own =
        result.configs.into_iter().filter(|entry| entry.name == LEVER && entry.config_source == TOPIC_SOURCE);
    own.next()?.value?.parse().ok()
}

impl KafkaCluster {
    pub(super) async fn read_message_bytes(
        &self,
        topics: &[TopicName],
    ) -> Result<BTreeMap<TopicName, Option<u64>>, ClusterError> {
        if topics.is_empty() {
            return Ok(BTreeMap::new());
        }
        let resource = |topic: &TopicName| DescribeConfigsRequestResource {
            resource_type: TOPIC_RESOURCE,
            resource_name: topic.as_str().to_owned(),
            configuration_keys: Some(vec![LEVER.to_owned()]),
        };
        let request = DescribeConfigsRequest {
            resources: topics.iter().map(resource).collect(),
            ..DescribeConfigsRequest::default()
        };
        let client = self.client().await?;
        let answer = client.request_any(&request).await.map_err(|error| self.failed(&error))?;
        let mut found = BTreeMap::new();
        for result in answer.results {
            self.check(result.error_code, &result.resource_name)?;
            let topic = topics.iter().find(|topic| topic.as_str() == result.resource_name);
            if let Some(topic) = topic {
                found.insert(topic.clone(), own_bytes(result));
            }
        }
        Ok(found)
    }

    pub(super) async fn write_message_bytes(
        &self,
        topics: &[(TopicName, Option<u64>)],
    ) -> Result<(), ClusterError> {
        let resource = |(topic, bytes): &(TopicName, Option<u64>)| IncrementalAlterConfigsRequestResource {
            resource_type: TOPIC_RESOURCE,
            resource_name: topic.as_str().to_owned(),
            configs: vec![IncrementalAlterConfigsRequestConfig {
                name: LEVER.to_owned(),
                config_operation: if bytes.is_some() { SET } else { DELETE },
                value: bytes.map(|bytes| bytes.to_string()),
            }],
        };
        let request = IncrementalAlterConfigsRequest {
            resources: topics.iter().map(resource).collect(),
            validate_only: false,
        };
        let client = self.client().await?;
        let answer = match client.request_controller(&request).await {
            Err(error) if error.may_retry() => {
                client.refresh().await.map_err(|error| self.failed(&error))?;
                client.request_controller(&request).await
            }
            ended => ended,
        };
        let answer = answer.map_err(|error| self.failed(&error))?;
        answer.responses.iter().try_for_each(|found| self.check(found.error_code, &found.resource_name))
    }

    pub(super) async fn read_default_message_bytes(&self) -> Result<Option<u64>, ClusterError> {
        let client = self.client().await?;
        let found = client.describe_configs(&ConfigResource::AllBrokers, &[DEFAULT_LEVER]).await;
        let found = found.map_err(|error| self.failed(&error))?;
        let own = found.get(DEFAULT_LEVER).filter(|entry| entry.source == ConfigSource::AllBrokers);
        Ok(own.and_then(|entry| entry.value.as_deref()?.parse().ok()))
    }

    pub(super) async fn write_default_message_bytes(&self, bytes: Option<u64>) -> Result<(), ClusterError> {
        let change = bytes.map_or(ConfigChange::Delete, |bytes| ConfigChange::Set(bytes.to_string()));
        let client = self.client().await?;
        let altered =
            client.incremental_alter_configs(&ConfigResource::AllBrokers, &[(DEFAULT_LEVER, change)]).await;
        altered.map_err(|error| self.failed(&error))
    }

    /// One request for each leader, with a broken batch for each of its partitions.
    pub(super) async fn probe(
        &self,
        partitions: &[TopicPartition],
    ) -> Result<Vec<(TopicPartition, WriteProbe)>, ClusterError> {
        let client = self.client().await?;
        client.refresh().await.map_err(|error| self.failed(&error))?;
        let map = client.map();
        let mut by_leader: BTreeMap<i32, Vec<&TopicPartition>> = BTreeMap::new();
        let mut probes: BTreeMap<TopicPartition, WriteProbe> =
            partitions.iter().map(|partition| (partition.clone(), WriteProbe::Unknown)).collect();
        for partition in partitions {
            if let Some(leader) = map.leader(partition) {
                by_leader.entry(leader.broker).or_default().push(partition);
            }
        }
        for (broker, led) in by_leader {
            for (partition, code) in self.probe_broker(&client, broker, &led).await? {
                probes.insert(partition, read_probe(code));
            }
        }
        Ok(probes.into_iter().collect())
    }

    async fn probe_broker(
        &self,
        client: &leeward_client::Cluster,
        broker: i32,
        led: &[&TopicPartition],
    ) -> Result<Vec<(TopicPartition, ErrorCode)>, ClusterError> {
        let broken = broken_batch().ok_or_else(|| self.refused("no probe batch"))?;
        let mut topics: BTreeMap<&str, Vec<ProduceRequestPartition>> = BTreeMap::new();
        for partition in led {
            let probe = ProduceRequestPartition {
                index: partition.partition.to_wire(),
                records: Some(broken.clone()),
            };
            topics.entry(partition.topic.as_str()).or_default().push(probe);
        }
        let topic = |(name, partition_data): (&str, Vec<ProduceRequestPartition>)| ProduceRequestTopic {
            name: name.to_owned(),
            partition_data,
            ..ProduceRequestTopic::default()
        };
        let timeout_ms = i32::try_from(self.config.timeouts.request.as_millis()).unwrap_or(i32::MAX);
        let request = ProduceRequest {
            acks: 1,
            timeout_ms,
            topic_data: topics.into_iter().map(topic).collect(),
            ..ProduceRequest::default()
        };
        let connection =
            client.connection(broker, Lane::Shared).await.map_err(|error| self.failed(&error))?;
        let version = connection
            .version_up_to::<ProduceRequest>(PRODUCE_BY_NAME)
            .map_err(|error| self.refused(error.to_string()))?;
        let answer = connection.send(&request, version).await.map_err(|error| self.failed(&error.into()))?;
        let found = answer.responses.into_iter().flat_map(|topic| {
            topic.partition_responses.into_iter().map(move |found| (topic.name.clone(), found))
        });
        Ok(found
            .filter_map(|(topic, found)| {
                let partition = led.iter().find(|partition| {
                    partition.topic.as_str() == topic && partition.partition.to_wire() == found.index
                })?;
                Some(((*partition).clone(), ErrorCode::new(found.error_code)))
            })
            .collect())
    }

    pub(super) async fn read_log_ends(
        &self,
        partitions: &[TopicPartition],
    ) -> Result<Vec<LogEnd>, ClusterError> {
        let client = self.client().await?;
        let wanted: Vec<_> =
            partitions.iter().map(|partition| (partition.clone(), OffsetSpec::Latest)).collect();
        self.ends(client.list_offsets(&wanted, Isolation::ReadUncommitted).await)
    }

    pub(super) async fn read_written_ends(
        &self,
        partitions: &[TopicPartition],
    ) -> Result<Vec<LogEnd>, ClusterError> {
        self.ends(self.client().await?.written_ends(partitions).await)
    }

    fn ends(&self, listed: PerPartition<ListedOffset>) -> Result<Vec<LogEnd>, ClusterError> {
        let end = |(partition, listed): (TopicPartition, Result<ListedOffset, _>)| {
            let listed = listed.map_err(|error| self.failed(&error))?;
            let end = SourceOffset::from_wire(listed.offset);
            Ok(LogEnd { end: end.ok_or_else(|| self.refused(format!("no end of {partition}")))?, partition })
        };
        listed.into_iter().map(end).collect()
    }

    pub(super) async fn delete(&self, topics: &[TopicName]) -> Result<(), ClusterError> {
        if topics.is_empty() {
            return Ok(());
        }
        let client = self.client().await?;
        let known =
            client.metadata(TopicSelection::Named(topics)).await.map_err(|error| self.failed(&error))?;
        let meant: BTreeSet<_> = known.topics.values().filter_map(|topic| topic.id).collect();
        let deleted = client.delete_topics(topics, self.config.timeouts.request).await;
        for (topic, outcome) in deleted.map_err(|error| self.failed(&error))? {
            match outcome {
                Err(error) if !super::is_unknown_topic(&error) => return Err(self.failed(&error)),
                Ok(()) | Err(_) => tracing::info!(%topic, cluster = %self.name, "topic deleted"),
            }
        }
        let deadline = Instant::now() + DELETE_WAIT_MAX;
        loop {
            let now =
                client.metadata(TopicSelection::Named(topics)).await.map_err(|error| self.failed(&error))?;
            // A mirror may have made one of the name anew already. Brokers before 3.1 give no ids.
            let left = now.topics.values().find(|topic| topic.id.is_none_or(|id| meant.contains(&id)));
            let Some(left) = left else { return Ok(()) };
            if Instant::now() >= deadline {
                let waited = DELETE_WAIT_MAX.as_secs();
                return Err(
                    self.refused(format!("{} is there still, {waited} s after its deletion", left.name))
                );
            }
            sleep(POLL_EVERY).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use leeward_wire::record::{RecordBatch, split_batches};

    use super::*;

    #[test]
    fn the_probe_is_a_whole_batch_that_no_broker_appends() {
        let bytes = broken_batch().expect("built");

        let batches: Vec<RecordBatch> = split_batches(bytes).map(|batch| batch.expect("whole")).collect();

        assert!(batches.len() == 1 && batches[0].verify_crc().is_err());
    }

    #[test]
    fn a_wrong_checksum_means_that_the_size_was_taken() {
        assert_eq!(read_probe(ErrorCode::CORRUPT_MESSAGE), WriteProbe::Open);
        assert_eq!(read_probe(ErrorCode::MESSAGE_TOO_LARGE), WriteProbe::Refused);
        assert_eq!(read_probe(ErrorCode::NOT_LEADER_OR_FOLLOWER), WriteProbe::Unknown);
    }

    #[test]
    fn a_probe_that_we_may_not_make_says_nothing_about_others() {
        assert_eq!(read_probe(ErrorCode::TOPIC_AUTHORIZATION_FAILED), WriteProbe::Unknown);
        assert_eq!(read_probe(ErrorCode::CLUSTER_AUTHORIZATION_FAILED), WriteProbe::Unknown);
    }
}
