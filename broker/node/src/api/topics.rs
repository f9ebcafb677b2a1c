//! `CreateTopics`, `DeleteTopics` and `CreatePartitions`.

use std::collections::HashMap;
use std::sync::Arc;

use leeward_model::TopicName;
use leeward_wire::api::{
    CreatePartitionsRequest, CreatePartitionsRequestTopic, CreatePartitionsResponse,
    CreatePartitionsResponseTopic, CreateTopicsRequest, CreateTopicsRequestTopic, CreateTopicsResponse,
    CreateTopicsResponseConfig, CreateTopicsResponseTopic, DeleteTopicsRequest, DeleteTopicsRequestTopic,
    DeleteTopicsResponse, DeleteTopicsResponseTopic,
};
use leeward_wire::{ErrorCode, Uuid};

use super::{blocking, outcome};
use crate::cluster::{Cluster, NewTopic, unknown_topic};
use crate::settings::{Overrides, TOPIC_KEYS};
use crate::shared::Shared;
use crate::topic::Topic;
use crate::validate::Refused;

/// The version from which topics are deleted by name or id.
const DELETE_BY_ID_FROM: i16 = 6;

/// Creates topics, or says whether it would.
pub(crate) async fn create(cluster: &Arc<Cluster>, request: CreateTopicsRequest) -> CreateTopicsResponse {
    let cluster = cluster.clone();
    blocking(move || {
        let mut named: HashMap<String, usize> = HashMap::new();
        for topic in &request.topics {
            *named.entry(topic.name.clone()).or_default() += 1;
        }
        let topics = request.topics.into_iter().map(|topic| {
            let name = topic.name.clone();
            let created = if named[&name] > 1 {
                Err(Refused::new(ErrorCode::INVALID_REQUEST, "the request names the topic twice"))
            } else {
                create_one(&cluster, topic, request.validate_only)
            };
            created.unwrap_or_else(|refused| CreateTopicsResponseTopic {
                name,
                error_code: refused.error.code(),
                error_message: Some(refused.message),
                ..CreateTopicsResponseTopic::default()
            })
        });
        CreateTopicsResponse { throttle_time_ms: 0, topics: topics.collect() }
    })
    .await
}

fn create_one(
    cluster: &Cluster,
    asked: CreateTopicsRequestTopic,
    validate_only: bool,
) -> Result<CreateTopicsResponseTopic, Refused> {
    let partitions = asked_partitions(cluster, &asked)?;
    let mut settings = Overrides::new();
    for config in asked.configs {
        let Some(value) = config.value else {
            let message = format!("Null value not supported for topic configs: {}", config.name);
            return Err(Refused::new(ErrorCode::INVALID_CONFIG, message));
        };
        settings.insert(config.name, value);
    }
    let new = NewTopic { name: asked.name, partitions, settings };
    let (id, count) = if validate_only {
        (Uuid::ZERO, cluster.check_new(&new)?)
    } else {
        let topic = cluster.create_topic(&new)?;
        (topic.id, topic.partition_count())
    };
    let brokers = cluster.broker_settings();
    let configs = TOPIC_KEYS.iter().map(|key| {
        let (_, value, source) = brokers.levels(key, &new.settings)[0];
        CreateTopicsResponseConfig {
            name: key.name.to_owned(),
            value: Some(value.to_owned()),
            read_only: false,
            config_source: source as i8,
            is_sensitive: false,
        }
    });
    Ok(CreateTopicsResponseTopic {
        topic_id: id,
        error_message: None,
        num_partitions: count,
        replication_factor: 1,
        configs: Some(configs.collect()),
        name: new.name,
        ..CreateTopicsResponseTopic::default()
    })
}

fn asked_partitions(cluster: &Cluster, asked: &CreateTopicsRequestTopic) -> Result<i32, Refused> {
    if asked.assignments.is_empty() {
        return match asked.replication_factor {
            -1 | 1 => Ok(asked.num_partitions),
            0 | i16::MIN..-1 => Err(Refused::new(
                ErrorCode::INVALID_REPLICATION_FACTOR,
                "Replication factor must be larger than 0, or -1 to use the default value.",
            )),
            more => Err(Refused::new(
                ErrorCode::INVALID_REPLICATION_FACTOR,
                format!("Unable to replicate the partition {more} time(s): this cluster has one broker."),
            )),
        };
    }
    if asked.num_partitions != -1 || asked.replication_factor != -1 {
        let message = "with assignments, partition count and replication factor must be -1";
        return Err(Refused::new(ErrorCode::INVALID_REQUEST, message));
    }
    let mut indexes: Vec<i32> = asked.assignments.iter().map(|a| a.partition_index).collect();
    indexes.sort_unstable();
    let here = |ids: &[i32]| ids == [cluster.config.node_id];
    if indexes.iter().copied().ne(0..asked.assignments.len() as i32)
        || !asked.assignments.iter().all(|assignment| here(&assignment.broker_ids))
    {
        let message = "partitions must be assigned from 0 on, each to this cluster's one broker";
        return Err(Refused::new(ErrorCode::INVALID_REPLICA_ASSIGNMENT, message));
    }
    Ok(asked.assignments.len() as i32)
}

/// Deletes topics by name or id.
pub(crate) async fn delete(
    shared: &Shared,
    version: i16,
    request: DeleteTopicsRequest,
) -> DeleteTopicsResponse {
    let cluster = shared.cluster.clone();
    let response = delete_all(cluster, version, request).await;
    for deleted in response.responses.iter().filter(|topic| topic.error_code == ErrorCode::NONE.code()) {
        if let Some(Ok(name)) = deleted.name.as_deref().map(TopicName::new) {
            shared.groups.topic_deleted(name).await;
        }
    }
    response
}

async fn delete_all(
    cluster: Arc<Cluster>,
    version: i16,
    request: DeleteTopicsRequest,
) -> DeleteTopicsResponse {
    blocking(move || {
        let asked: Vec<DeleteTopicsRequestTopic> = if version >= DELETE_BY_ID_FROM {
            request.topics
        } else {
            let by_name = |name| DeleteTopicsRequestTopic { name: Some(name), topic_id: Uuid::ZERO };
            request.topic_names.into_iter().map(by_name).collect()
        };
        let responses = asked.into_iter().map(|asked| {
            let found = find(&cluster, &asked);
            let name = found.as_ref().map_or(asked.name, |topic| Some(topic.name.clone()));
            let topic_id = found.as_ref().map_or(asked.topic_id, |topic| topic.id);
            let (error_code, error_message) = outcome(found.and_then(|topic| delete_one(&cluster, &topic)));
            DeleteTopicsResponseTopic { name, topic_id, error_code, error_message }
        });
        DeleteTopicsResponse { throttle_time_ms: 0, responses: responses.collect() }
    })
    .await
}

fn find(cluster: &Cluster, asked: &DeleteTopicsRequestTopic) -> Result<Arc<Topic>, Refused> {
    match &asked.name {
        Some(name) => cluster.topic(name).ok_or_else(|| unknown_topic(name)),
        None => cluster
            .topic_by_id(asked.topic_id)
            .ok_or_else(|| Refused::new(ErrorCode::UNKNOWN_TOPIC_ID, "there is no topic of this id")),
    }
}

fn delete_one(cluster: &Cluster, topic: &Topic) -> Result<(), Refused> {
    if topic.is_internal() {
        return Err(Refused::new(ErrorCode::INVALID_REQUEST, "the topic is the cluster's own"));
    }
    cluster.delete_topic(topic)
}

/// Raises partition counts.
pub(crate) async fn create_partitions(
    cluster: &Arc<Cluster>,
    request: CreatePartitionsRequest,
) -> CreatePartitionsResponse {
    let cluster = cluster.clone();
    blocking(move || {
        let results = request.topics.into_iter().map(|asked| {
            let grown = grow(&cluster, &asked, request.validate_only);
            let (error_code, error_message) = outcome(grown);
            CreatePartitionsResponseTopic { name: asked.name, error_code, error_message }
        });
        CreatePartitionsResponse { throttle_time_ms: 0, results: results.collect() }
    })
    .await
}

fn grow(cluster: &Cluster, asked: &CreatePartitionsRequestTopic, validate_only: bool) -> Result<(), Refused> {
    let topic = cluster.topic(&asked.name).ok_or_else(|| unknown_topic(&asked.name))?;
    if topic.is_internal() {
        return Err(Refused::new(ErrorCode::INVALID_REQUEST, "the topic is the cluster's own"));
    }
    if let Some(assignments) = &asked.assignments {
        let wanted = asked.count - topic.partition_count();
        let here = |ids: &[i32]| ids == [cluster.config.node_id];
        if assignments.len() as i32 != wanted || !assignments.iter().all(|a| here(&a.broker_ids)) {
            let message = "each new partition must be assigned to this cluster's one broker";
            return Err(Refused::new(ErrorCode::INVALID_REPLICA_ASSIGNMENT, message));
        }
    }
    cluster.grow_topic(&asked.name, asked.count, validate_only)
}
