//! `Metadata` and `DescribeCluster`.

use std::sync::Arc;

use leeward_wire::ErrorCode;
use leeward_wire::api::{
    DescribeClusterRequest, DescribeClusterResponse, DescribeClusterResponseBroker, MetadataRequest,
    MetadataRequestTopic, MetadataResponse, MetadataResponseBroker, MetadataResponsePartition,
    MetadataResponseTopic,
};

use super::blocking;
use crate::cluster::{Cluster, NewTopic};
use crate::partition::LEADER_EPOCH;
use crate::shared::Shared;
use crate::topic::{Topic, check_name};

/// Endpoints of brokers, and of nothing else, can be described.
const BROKER_ENDPOINTS: i8 = 1;

/// Tells topics and the one broker; creates topics that are asked for where that is allowed.
pub(crate) async fn metadata(shared: &Shared, version: i16, request: MetadataRequest) -> MetadataResponse {
    let Shared { cluster, endpoint, .. } = shared;
    let may_create = cluster.config.auto_create_topics && request.allow_auto_topic_creation;
    let topics = match request.topics {
        // Version 0 has no null: there an empty list asks for all.
        Some(asked) if version > 0 || !asked.is_empty() => {
            let mut topics = Vec::with_capacity(asked.len());
            for topic in asked {
                topics.push(asked_topic(cluster, version, may_create, topic).await);
            }
            topics
        }
        _ => cluster.topics().iter().map(|topic| describe(cluster, topic)).collect(),
    };
    MetadataResponse {
        brokers: vec![MetadataResponseBroker {
            node_id: cluster.config.node_id,
            host: endpoint.host.clone(),
            port: i32::from(endpoint.port),
            rack: None,
        }],
        cluster_id: Some(cluster.id.clone()),
        controller_id: cluster.config.node_id,
        topics,
        ..MetadataResponse::default()
    }
}

async fn asked_topic(
    cluster: &Arc<Cluster>,
    version: i16,
    may_create: bool,
    asked: MetadataRequestTopic,
) -> MetadataResponseTopic {
    let no_name = if version < 12 { Some(String::new()) } else { None };
    let unknown = |error: ErrorCode, name: Option<String>| MetadataResponseTopic {
        error_code: error.code(),
        name,
        topic_id: asked.topic_id,
        ..MetadataResponseTopic::default()
    };
    if !asked.topic_id.is_zero() {
        return match cluster.topic_by_id(asked.topic_id) {
            Some(topic) => describe(cluster, &topic),
            None => unknown(ErrorCode::UNKNOWN_TOPIC_ID, no_name),
        };
    }
    let Some(name) = asked.name.clone() else {
        return unknown(ErrorCode::INVALID_REQUEST, no_name);
    };
    if let Some(topic) = cluster.topic(&name) {
        return describe(cluster, &topic);
    }
    if let Err(refused) = check_name(&name) {
        return unknown(refused.error, Some(name));
    }
    if !may_create {
        return unknown(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, Some(name));
    }
    let creator = cluster.clone();
    let new = NewTopic { name: name.clone(), partitions: -1, ..NewTopic::default() };
    match blocking(move || creator.create_topic(&new)).await {
        Ok(topic) => describe(cluster, &topic),
        // Another client was faster, which the next request shows.
        Err(refused) if refused.error == ErrorCode::TOPIC_ALREADY_EXISTS => {
            unknown(ErrorCode::LEADER_NOT_AVAILABLE, Some(name))
        }
        Err(refused) => unknown(refused.error, Some(name)),
    }
}

fn describe(cluster: &Cluster, topic: &Topic) -> MetadataResponseTopic {
    let node = cluster.config.node_id;
    let partition = |index| MetadataResponsePartition {
        partition_index: index,
        leader_id: node,
        leader_epoch: LEADER_EPOCH,
        replica_nodes: vec![node],
        isr_nodes: vec![node],
        ..MetadataResponsePartition::default()
    };
    MetadataResponseTopic {
        name: Some(topic.name.clone()),
        topic_id: topic.id,
        is_internal: topic.is_internal(),
        partitions: (0..topic.partition_count()).map(partition).collect(),
        ..MetadataResponseTopic::default()
    }
}

/// Tells the cluster's id and its one broker.
pub(crate) fn describe_cluster(shared: &Shared, request: &DescribeClusterRequest) -> DescribeClusterResponse {
    let Shared { cluster, endpoint, .. } = shared;
    if request.endpoint_type != BROKER_ENDPOINTS {
        return DescribeClusterResponse {
            error_code: ErrorCode::UNSUPPORTED_ENDPOINT_TYPE.code(),
            error_message: Some("only brokers can be described here".to_owned()),
            ..DescribeClusterResponse::default()
        };
    }
    DescribeClusterResponse {
        cluster_id: cluster.id.clone(),
        controller_id: cluster.config.node_id,
        brokers: vec![DescribeClusterResponseBroker {
            broker_id: cluster.config.node_id,
            host: endpoint.host.clone(),
            port: i32::from(endpoint.port),
            ..DescribeClusterResponseBroker::default()
        }],
        ..DescribeClusterResponse::default()
    }
}
