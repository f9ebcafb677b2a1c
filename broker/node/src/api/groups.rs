//! `FindCoordinator`, and what of the group APIs needs the cluster.

use std::net::SocketAddr;

use leeward_model::TopicPartition;
use leeward_wire::ErrorCode;
use leeward_wire::api::{FindCoordinatorRequest, FindCoordinatorResponse};

use crate::cluster::Cluster;
use crate::group::Caller;
use crate::group::wire::{Located, find_coordinator};
use crate::shared::Shared;

const GROUP: i8 = 0;
const TRANSACTION: i8 = 1;

/// Says that this node coordinates every group, and that nobody coordinates transactions.
pub(crate) fn locate(
    shared: &Shared,
    version: i16,
    request: &FindCoordinatorRequest,
) -> FindCoordinatorResponse {
    let Shared { cluster, endpoint, .. } = shared;
    find_coordinator(request, version, |_, kind| match kind {
        GROUP => Ok(Located {
            node_id: cluster.config.node_id,
            host: endpoint.host.clone(),
            port: i32::from(endpoint.port),
        }),
        TRANSACTION => Err(ErrorCode::TRANSACTIONAL_ID_AUTHORIZATION_FAILED),
        _ => Err(ErrorCode::INVALID_REQUEST),
    })
}

/// Whether the cluster has a partition.
pub(crate) fn exists(cluster: &Cluster, partition: &TopicPartition) -> bool {
    cluster
        .topic(partition.topic.as_str())
        .is_some_and(|topic| topic.partition(partition.partition.to_wire()).is_some())
}

/// A group member's client as Kafka tells it.
pub(crate) fn caller(client_id: Option<&str>, peer: SocketAddr) -> Caller {
    Caller { client_id: client_id.unwrap_or_default().to_owned(), client_host: format!("/{}", peer.ip()) }
}
