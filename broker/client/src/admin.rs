//! Topics, configurations, records and producer ids: what an administrator asks a cluster to do.

use std::{collections::BTreeMap, time::Duration};

use leeward_model::{ProducerEpoch, ProducerId, ProducerIdentity, TopicName, TopicPartition};
use leeward_wire::{
    ApiKey, ErrorCode,
    api::{
        CreatePartitionsRequest, CreatePartitionsRequestTopic, CreateTopicsRequest,
        CreateTopicsRequestConfig, CreateTopicsRequestTopic, DeleteRecordsRequest,
        DeleteRecordsRequestPartition, DeleteRecordsRequestTopic, DeleteTopicsRequest,
        DeleteTopicsRequestTopic, DescribeConfigsRequest, DescribeConfigsRequestResource,
        DescribeConfigsResponseEntry, IncrementalAlterConfigsRequest, IncrementalAlterConfigsRequestConfig,
        IncrementalAlterConfigsRequestResource, InitProducerIdRequest,
    },
};

use crate::{
    Address, Cluster, ClusterError, Lane, PerPartition, RequestError, TopicSelection, cluster::newest,
    offsets::per_partition,
};

/// First version of `DeleteTopics` that takes a list of structures.
const DELETE_TOPICS_STRUCTURED: i16 = 6;

/// A topic to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewTopic {
    pub name: TopicName,
    pub partitions: i32,
    /// `None` for the cluster's default.
    pub replication_factor: Option<i16>,
    pub configs: BTreeMap<String, String>,
}

/// What a configuration belongs to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ConfigResource {
    Topic(TopicName),
    Broker(i32),
    /// The dynamic default of all brokers.
    AllBrokers,
}

impl ConfigResource {
    pub(crate) fn to_wire(&self) -> (i8, String) {
        match self {
            Self::Topic(name) => (2, name.as_str().to_owned()),
            Self::Broker(id) => (4, id.to_string()),
            Self::AllBrokers => (4, String::new()),
        }
    }
}

impl std::fmt::Display for ConfigResource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Topic(name) => write!(f, "topic {name}"),
            Self::Broker(id) => write!(f, "broker {id}"),
            Self::AllBrokers => f.write_str("all brokers"),
        }
    }
}

/// One configuration entry as it is in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigEntry {
    /// `None` for a secret.
    pub value: Option<String>,
    pub source: ConfigSource,
    pub is_sensitive: bool,
    pub is_read_only: bool,
}

/// Where a configuration entry's value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfigSource {
    Topic,
    Broker,
    AllBrokers,
    BrokerFile,
    Default,
    Other(i8),
}

/// A change of one configuration entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigChange {
    Set(String),
    /// Back to what it is without this resource's own value.
    Delete,
    Append(String),
    Subtract(String),
}

impl Cluster {
    /// Makes topics and learns about them. Each has an outcome.
    ///
    /// # Errors
    ///
    /// [`ClusterError`] where no broker took the request; the same is told for each topic inside.
    pub async fn create_topics(
        &self,
        topics: &[NewTopic],
        within: Duration,
    ) -> Result<BTreeMap<TopicName, Result<(), ClusterError>>, ClusterError> {
        let request = CreateTopicsRequest {
            topics: topics.iter().map(new_topic).collect(),
            timeout_ms: millis(within),
            validate_only: false,
        };
        let (address, answer) = self.ask_controller("create topics", &request).await?;
        let mut outcomes: BTreeMap<_, _> = answer
            .topics
            .into_iter()
            .filter_map(|topic| {
                let name = TopicName::new(&topic.name).ok()?;
                let outcome = (topic.error_code, topic.error_message);
                Some((name, outcome))
            })
            .collect();
        let outcomes = topics
            .iter()
            .map(|topic| {
                let outcome = outcomes.remove(&topic.name);
                (topic.name.clone(), said(ApiKey::CreateTopics, &address, topic.name.to_string(), outcome))
            })
            .collect();
        Ok(outcomes)
    }

    /// Makes one topic; one that is there already is an error with code `TOPIC_ALREADY_EXISTS`.
    ///
    /// # Errors
    ///
    /// [`ClusterError`].
    pub async fn create_topic(&self, topic: &NewTopic, within: Duration) -> Result<(), ClusterError> {
        let mut outcomes = self.create_topics(std::slice::from_ref(topic), within).await?;
        outcomes.remove(&topic.name).expect("each topic asked for has an outcome")
    }

    /// Deletes topics by name. Each has an outcome.
    ///
    /// # Errors
    ///
    /// [`ClusterError`] where no broker took the request.
    pub async fn delete_topics(
        &self,
        names: &[TopicName],
        within: Duration,
    ) -> Result<BTreeMap<TopicName, Result<(), ClusterError>>, ClusterError> {
        let (address, answer) = retrying!(self, "delete topics", async {
            let connection = self.controller_connection().await?;
            let version = connection.version_for::<DeleteTopicsRequest>().map_err(RequestError::from)?;
            let owned = names.iter().map(|name| name.as_str().to_owned());
            let mut request =
                DeleteTopicsRequest { timeout_ms: millis(within), ..DeleteTopicsRequest::default() };
            if version >= DELETE_TOPICS_STRUCTURED {
                request.topics = owned
                    .map(|name| DeleteTopicsRequestTopic { name: Some(name), ..Default::default() })
                    .collect();
            } else {
                request.topic_names = owned.collect();
            }
            let answer = connection.send(&request, version).await?;
            Ok((connection.address().clone(), answer))
        })?;
        let mut outcomes: BTreeMap<_, _> = answer
            .responses
            .into_iter()
            .filter_map(|topic| Some((topic.name?, (topic.error_code, topic.error_message))))
            .collect();
        let read = |name: &TopicName| {
            let outcome = outcomes.remove(name.as_str());
            (name.clone(), said(ApiKey::DeleteTopics, &address, name.to_string(), outcome))
        };
        let outcomes = names.iter().map(read).collect();
        if let Err(error) = self.metadata(TopicSelection::Named(names)).await {
            tracing::debug!(error = &error as &dyn std::error::Error, "no new metadata");
        }
        Ok(outcomes)
    }

    /// Raises a topic's partition count to `count`.
    ///
    /// # Errors
    ///
    /// [`ClusterError`].
    pub async fn create_partitions(
        &self,
        topic: &TopicName,
        count: i32,
        within: Duration,
    ) -> Result<(), ClusterError> {
        let request = CreatePartitionsRequest {
            topics: vec![CreatePartitionsRequestTopic {
                name: topic.as_str().to_owned(),
                count,
                assignments: None,
            }],
            timeout_ms: millis(within),
            validate_only: false,
        };
        let (address, answer) = self.ask_controller("create partitions", &request).await?;
        let outcome = answer.results.into_iter().next().map(|found| (found.error_code, found.error_message));
        said(ApiKey::CreatePartitions, &address, topic.to_string(), outcome)?;
        self.metadata(TopicSelection::Named(std::slice::from_ref(topic))).await?;
        Ok(())
    }

    /// The configuration entries in force for a resource; `keys` empty for all.
    ///
    /// # Errors
    ///
    /// [`ClusterError`].
    pub async fn describe_configs(
        &self,
        resource: &ConfigResource,
        keys: &[&str],
    ) -> Result<BTreeMap<String, ConfigEntry>, ClusterError> {
        let (resource_type, resource_name) = resource.to_wire();
        let keys = keys.iter().map(|key| (*key).to_owned()).collect::<Vec<_>>();
        let request = DescribeConfigsRequest {
            resources: vec![DescribeConfigsRequestResource {
                resource_type,
                resource_name,
                configuration_keys: (!keys.is_empty()).then_some(keys),
            }],
            ..DescribeConfigsRequest::default()
        };
        retrying!(self, "describe configs", async {
            let connection = match resource {
                ConfigResource::Broker(id) => self.connection(*id, Lane::Shared).await?,
                ConfigResource::Topic(_) | ConfigResource::AllBrokers => self.any_connection().await?,
            };
            let answer = newest(&connection, &request).await?;
            let result = answer.results.into_iter().next();
            let outcome = result.as_ref().map(|found| (found.error_code, found.error_message.clone()));
            said(ApiKey::DescribeConfigs, connection.address(), resource.to_string(), outcome)?;
            let entries = result.map(|found| found.configs).unwrap_or_default();
            Ok(entries.into_iter().map(|entry| (entry.name.clone(), config_entry(entry))).collect())
        })
    }

    /// Changes configuration entries of a resource and leaves all others as they are.
    ///
    /// # Errors
    ///
    /// [`ClusterError`].
    pub async fn incremental_alter_configs(
        &self,
        resource: &ConfigResource,
        changes: &[(&str, ConfigChange)],
    ) -> Result<(), ClusterError> {
        let (resource_type, resource_name) = resource.to_wire();
        let request = IncrementalAlterConfigsRequest {
            resources: vec![IncrementalAlterConfigsRequestResource {
                resource_type,
                resource_name,
                configs: changes.iter().map(|(name, change)| config_change(name, change)).collect(),
            }],
            validate_only: false,
        };
        retrying!(self, "alter configs", async {
            let connection = match resource {
                ConfigResource::Broker(id) => self.connection(*id, Lane::Shared).await?,
                ConfigResource::Topic(_) | ConfigResource::AllBrokers => self.controller_connection().await?,
            };
            let answer = newest(&connection, &request).await?;
            let outcome =
                answer.responses.into_iter().next().map(|found| (found.error_code, found.error_message));
            said(ApiKey::IncrementalAlterConfigs, connection.address(), resource.to_string(), outcome)
        })
    }

    /// Deletes the records before an offset in each partition, -1 for all; tells the new first offsets.
    pub async fn delete_records(
        &self,
        before: &[(TopicPartition, i64)],
        within: Duration,
    ) -> PerPartition<i64> {
        self.ask_leaders("delete records", before, |cluster, broker, part| async move {
            let connection = cluster.connection(broker, Lane::Shared).await?;
            let request = delete_records(&part, within);
            let answer = newest(&connection, &request).await?;
            let mut answered: BTreeMap<(String, i32), (ErrorCode, i64)> = answer
                .topics
                .into_iter()
                .flat_map(|topic| {
                    topic.partitions.into_iter().map(move |found| {
                        let outcome = (ErrorCode::new(found.error_code), found.low_watermark);
                        ((topic.name.clone(), found.partition_index), outcome)
                    })
                })
                .collect();
            Ok(per_partition(connection.address(), ApiKey::DeleteRecords, &part, |key| answered.remove(key)))
        })
        .await
    }

    /// Asks for a producer id of an idempotent, non-transactional producer.
    ///
    /// # Errors
    ///
    /// [`ClusterError`].
    pub async fn init_producer_id(&self) -> Result<ProducerIdentity, ClusterError> {
        let request = InitProducerIdRequest {
            transactional_id: None,
            transaction_timeout_ms: i32::MAX,
            ..Default::default()
        };
        retrying!(self, "init producer id", async {
            let connection = self.any_connection().await?;
            let answer = newest(&connection, &request).await?;
            let subject = || "an idempotent producer".to_owned();
            let outcome = Some((answer.error_code, None));
            said(ApiKey::InitProducerId, connection.address(), subject(), outcome)?;
            let id = ProducerId::from_wire(answer.producer_id);
            let epoch = ProducerEpoch::from_wire(answer.producer_epoch);
            id.zip(epoch).map(|(id, epoch)| ProducerIdentity { id, epoch }).ok_or_else(|| {
                ClusterError::Missing {
                    api: ApiKey::InitProducerId,
                    address: connection.address().clone(),
                    subject: subject(),
                }
            })
        })
    }

    async fn ask_controller<R: leeward_wire::Request>(
        &self,
        what: &str,
        request: &R,
    ) -> Result<(Address, R::Response), ClusterError> {
        retrying!(self, what, async {
            let connection = self.controller_connection().await?;
            let answer = newest(&connection, request).await?;
            Ok((connection.address().clone(), answer))
        })
    }
}

pub(crate) fn millis(duration: Duration) -> i32 {
    i32::try_from(duration.as_millis()).unwrap_or(i32::MAX)
}

/// Turns a broker's word about one subject into a result; `None` where it said nothing.
pub(crate) fn said(
    api: ApiKey,
    address: &Address,
    subject: String,
    outcome: Option<(i16, Option<String>)>,
) -> Result<(), ClusterError> {
    let address = address.clone();
    match outcome {
        None => Err(ClusterError::Missing { api, address, subject }),
        Some((0, _)) => Ok(()),
        Some((code, message)) => {
            Err(ClusterError::Refused { api, address, subject, code: ErrorCode::new(code), message })
        }
    }
}

fn new_topic(topic: &NewTopic) -> CreateTopicsRequestTopic {
    CreateTopicsRequestTopic {
        name: topic.name.as_str().to_owned(),
        num_partitions: topic.partitions,
        replication_factor: topic.replication_factor.unwrap_or(-1),
        assignments: Vec::new(),
        configs: topic
            .configs
            .iter()
            .map(|(name, value)| CreateTopicsRequestConfig { name: name.clone(), value: Some(value.clone()) })
            .collect(),
    }
}

fn config_entry(entry: DescribeConfigsResponseEntry) -> ConfigEntry {
    ConfigEntry {
        value: entry.value,
        source: match entry.config_source {
            1 => ConfigSource::Topic,
            2 => ConfigSource::Broker,
            3 => ConfigSource::AllBrokers,
            4 => ConfigSource::BrokerFile,
            5 => ConfigSource::Default,
            other => ConfigSource::Other(other),
        },
        is_sensitive: entry.is_sensitive,
        is_read_only: entry.read_only,
    }
}

fn config_change(name: &str, change: &ConfigChange) -> IncrementalAlterConfigsRequestConfig {
    let (config_operation, value) = match change {
        ConfigChange::Set(value) => (0, Some(value.clone())),
        ConfigChange::Delete => (1, None),
        ConfigChange::Append(value) => (2, Some(value.clone())),
        ConfigChange::Subtract(value) => (3, Some(value.clone())),
    };
    IncrementalAlterConfigsRequestConfig { name: name.to_owned(), config_operation, value }
}

fn delete_records(before: &[(TopicPartition, i64)], within: Duration) -> DeleteRecordsRequest {
    let mut topics: BTreeMap<&str, Vec<DeleteRecordsRequestPartition>> = BTreeMap::new();
    for (partition, offset) in before {
        topics.entry(partition.topic.as_str()).or_default().push(DeleteRecordsRequestPartition {
            partition_index: partition.partition.to_wire(),
            offset: *offset,
        });
    }
    DeleteRecordsRequest {
        topics: topics
            .into_iter()
            .map(|(name, partitions)| DeleteRecordsRequestTopic { name: name.to_owned(), partitions })
            .collect(),
        timeout_ms: millis(within),
    }
}
