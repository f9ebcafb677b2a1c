//! Metadata in which the gateway is the one broker and leads everything.

use leeward_wire::ErrorCode;
use leeward_wire::api::{
    DescribeClusterResponse, DescribeClusterResponseBroker, FindCoordinatorRequest, FindCoordinatorResponse,
    FindCoordinatorResponseCoordinator, MetadataRequest, MetadataResponse, MetadataResponseBroker,
    MetadataResponsePartition, MetadataResponseTopic,
};

use super::upstream::{NoAnswer, TRANSACTION_KEY, Upstream, send};
use super::{Face, NODE_ID};
use crate::limits::METADATA_TIMEOUT;
use crate::state::KnownTopic;

/// Newest version without topic ids.
const METADATA_VERSION_MAX: i16 = 9;
/// Version of `FindCoordinator` from which keys come as a list.
const COORDINATORS_AS_LIST: i16 = 4;
/// Clients take a region's change for the same cluster: they never learn an id of one.
const CLUSTER_ID: &str = "leeward-gateway";

/// The answer to a client: the acting region's where it comes in time, else what was known last.
pub(super) async fn metadata(
    face: &Face,
    upstream: &mut Upstream,
    request: &MetadataRequest,
) -> Result<MetadataResponse, NoAnswer> {
    let asking = ask(face, upstream, request);
    let asked = tokio::time::timeout(METADATA_TIMEOUT, asking).await.unwrap_or(Err(NoAnswer));
    let topics = match asked {
        Ok(answer) => answer.topics.into_iter().map(|topic| retold(face, topic)).collect(),
        Err(NoAnswer) => remembered(face, request),
    };
    Ok(MetadataResponse {
        brokers: vec![broker(face)],
        cluster_id: Some(CLUSTER_ID.to_owned()),
        controller_id: NODE_ID,
        topics,
        ..MetadataResponse::default()
    })
}

fn broker(face: &Face) -> MetadataResponseBroker {
    MetadataResponseBroker {
        node_id: NODE_ID,
        host: face.advertised.host.clone(),
        port: i32::from(face.advertised.port),
        rack: None,
    }
}

async fn ask(
    face: &Face,
    upstream: &mut Upstream,
    request: &MetadataRequest,
) -> Result<MetadataResponse, NoAnswer> {
    upstream
        .within(async |upstream, cluster| {
            let connection = upstream.controller(&cluster).await?;
            let version =
                connection.version_up_to::<MetadataRequest>(METADATA_VERSION_MAX).map_err(|_| NoAnswer)?;
            let request = MetadataRequest {
                topics: request.topics.clone(),
                allow_auto_topic_creation: request.allow_auto_topic_creation,
                ..MetadataRequest::default()
            };
            let answer = send(&connection, &request, version, METADATA_TIMEOUT).await?;
            face.hub.catalog.learn(&answer, |topic| face.hub.buffers(topic));
            let unknown: Vec<String> = answer
                .topics
                .iter()
                .filter(|topic| topic.error_code == 0 && !topic.is_internal)
                .filter_map(|topic| topic.name.clone())
                .filter(|name| !face.hub.catalog.has_rules(name))
                .collect();
            face.hub.learn_rules(&cluster, &unknown).await;
            Ok(answer)
        })
        .await
}

/// A region's topic as ours. One that is missing there for the moment is told as it was known.
fn retold(face: &Face, topic: MetadataResponseTopic) -> MetadataResponseTopic {
    let name = topic.name.clone().unwrap_or_default();
    let missing = ErrorCode::new(topic.error_code) == ErrorCode::UNKNOWN_TOPIC_OR_PARTITION;
    let waiting = ErrorCode::new(topic.error_code) == ErrorCode::LEADER_NOT_AVAILABLE;
    match face.hub.catalog.topic(&name) {
        Some(known) if missing || waiting || topic.error_code == 0 => told(&known),
        Some(_) | None => MetadataResponseTopic { partitions: Vec::new(), ..topic },
    }
}

fn remembered(face: &Face, request: &MetadataRequest) -> Vec<MetadataResponseTopic> {
    let Some(topics) = &request.topics else {
        return face.hub.catalog.known().iter().map(told).collect();
    };
    topics
        .iter()
        .filter_map(|topic| topic.name.clone())
        .map(|name| match face.hub.catalog.topic(&name) {
            Some(known) => told(&known),
            None => MetadataResponseTopic {
                error_code: ErrorCode::LEADER_NOT_AVAILABLE.code(),
                name: Some(name),
                ..MetadataResponseTopic::default()
            },
        })
        .collect()
}

fn told(topic: &KnownTopic) -> MetadataResponseTopic {
    let partitions = (0..topic.partitions)
        .filter_map(|index| i32::try_from(index).ok())
        .map(|partition_index| MetadataResponsePartition {
            partition_index,
            leader_id: NODE_ID,
            leader_epoch: -1,
            replica_nodes: vec![NODE_ID],
            isr_nodes: vec![NODE_ID],
            ..MetadataResponsePartition::default()
        })
        .collect();
    MetadataResponseTopic {
        name: Some(topic.name.clone()),
        is_internal: topic.internal,
        partitions,
        ..MetadataResponseTopic::default()
    }
}

/// The gateway itself keeps every group and transactional id for its clients; an id that the region would refuse is refused.
pub(super) async fn find_coordinator(
    face: &Face,
    upstream: &mut Upstream,
    request: &FindCoordinatorRequest,
    version: i16,
) -> FindCoordinatorResponse {
    let keys = if version < COORDINATORS_AS_LIST {
        std::slice::from_ref(&request.key)
    } else {
        request.coordinator_keys.as_slice()
    };
    let mut coordinators = Vec::with_capacity(keys.len());
    for key in keys {
        let refusal = if request.key_type == TRANSACTION_KEY { refusal(upstream, key).await } else { None };
        coordinators.push(coordinator(face, key, refusal));
    }
    if version >= COORDINATORS_AS_LIST {
        return FindCoordinatorResponse { coordinators, ..FindCoordinatorResponse::default() };
    }
    let only = coordinators.remove(0);
    FindCoordinatorResponse {
        error_code: only.error_code,
        error_message: only.error_message,
        node_id: only.node_id,
        host: only.host,
        port: only.port,
        ..FindCoordinatorResponse::default()
    }
}

/// Why nobody keeps a transactional id, where the region says so: code and message.
async fn refusal(upstream: &mut Upstream, id: &str) -> Option<(i16, Option<String>)> {
    let found =
        upstream.within(async |upstream, cluster| upstream.find_transaction(&cluster, id).await).await;
    match found {
        Ok(found) => (found.error_code != 0).then_some((found.error_code, found.error_message)),
        Err(NoAnswer) => Some((ErrorCode::COORDINATOR_NOT_AVAILABLE.code(), None)),
    }
}

fn coordinator(
    face: &Face,
    key: &str,
    refusal: Option<(i16, Option<String>)>,
) -> FindCoordinatorResponseCoordinator {
    let key = key.to_owned();
    match refusal {
        None => FindCoordinatorResponseCoordinator {
            key,
            node_id: NODE_ID,
            host: face.advertised.host.clone(),
            port: i32::from(face.advertised.port),
            ..FindCoordinatorResponseCoordinator::default()
        },
        Some((error_code, error_message)) => FindCoordinatorResponseCoordinator {
            key,
            node_id: -1,
            host: String::new(),
            port: -1,
            error_code,
            error_message,
        },
    }
}

pub(super) fn describe_cluster(face: &Face) -> DescribeClusterResponse {
    let broker = DescribeClusterResponseBroker {
        broker_id: NODE_ID,
        host: face.advertised.host.clone(),
        port: i32::from(face.advertised.port),
        ..DescribeClusterResponseBroker::default()
    };
    DescribeClusterResponse {
        cluster_id: CLUSTER_ID.to_owned(),
        controller_id: NODE_ID,
        brokers: vec![broker],
        ..DescribeClusterResponse::default()
    }
}
