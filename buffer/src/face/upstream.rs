//! A client connection's own way to the acting region: joining a group blocks, so no two clients share a connection.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use leeward_client::{Cluster, Connection, Lane};
use leeward_model::{GroupName, RegionName, TopicPartition};
use leeward_wire::api::{FindCoordinatorRequest, FindCoordinatorResponse, ResponseBody};
use leeward_wire::{ApiKey, ErrorCode, Reader, Request, RequestHeader};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::hub::{Hub, Region};
use crate::limits::{REJOIN_WAIT_MAX, RELAY_TIMEOUT};

/// Whose coordinator `FindCoordinator` asks for: a transactional id's.
pub(super) const TRANSACTION_KEY: i8 = 1;

/// The region did not answer: it is gone, or another one is the acting one.
#[derive(Clone, Copy, Debug)]
pub(super) struct NoAnswer;

/// The way to the acting region.
pub(super) struct Upstream {
    hub: Arc<Hub>,
    lane: Lane,
    acting: watch::Receiver<Option<RegionName>>,
    used: Option<Arc<Region>>,
    /// When this client's requests began to go to another region than those before.
    moved_at: Option<Instant>,
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.forget();
    }
}

impl Upstream {
    pub(super) fn new(hub: &Arc<Hub>) -> Self {
        Self { hub: hub.clone(), lane: Lane::own(), acting: hub.watch_acting(), used: None, moved_at: None }
    }

    fn forget(&mut self) {
        if let Some(cluster) = self.used.take().and_then(|region| region.cluster()) {
            cluster.forget_lane(self.lane);
        }
    }

    /// The acting region's cluster.
    pub(super) fn cluster(&mut self) -> Result<Arc<Cluster>, NoAnswer> {
        let acting = self.hub.acting().ok_or(NoAnswer)?;
        if self.used.as_ref().is_some_and(|used| used.name != acting.name) {
            self.moved_at = Some(Instant::now());
            self.forget();
        }
        self.used = Some(acting.clone());
        acting.cluster().ok_or(NoAnswer)
    }

    /// Does something with the acting region; gives up the moment another region becomes it.
    pub(super) async fn within<T>(
        &mut self,
        what: impl AsyncFnOnce(&Self, Arc<Cluster>) -> Result<T, NoAnswer>,
    ) -> Result<T, NoAnswer> {
        let mut acting = self.acting.clone();
        acting.mark_unchanged();
        let cluster = self.cluster()?;
        let region = self.used.clone();
        let moved = async {
            loop {
                if acting.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
                if acting.borrow().as_ref() != region.as_ref().map(|region| &region.name) {
                    return;
                }
            }
        };
        tokio::select! {
            biased;
            () = moved => Err(NoAnswer),
            done = what(self, cluster) => done,
        }
    }

    /// Whether the client may still go by what another region told it: on this connection, or on one that broke before.
    pub(super) fn has_just_moved(&self) -> bool {
        let moves = [self.moved_at, self.hub.moved_at()];
        moves.into_iter().flatten().any(|at| at.elapsed() < REJOIN_WAIT_MAX)
    }

    pub(super) fn want_leaders(&self) {
        if let Some(region) = &self.used {
            region.want_leaders();
        }
    }

    pub(super) async fn broker(&self, cluster: &Cluster, broker: i32) -> Result<Connection, NoAnswer> {
        cluster.connection(broker, self.lane).await.map_err(|error| {
            tracing::debug!(broker, error = &error as &dyn std::error::Error, "broker is not reached");
            self.want_leaders();
            NoAnswer
        })
    }

    pub(super) async fn controller(&self, cluster: &Cluster) -> Result<Connection, NoAnswer> {
        let map = cluster.map();
        let broker = map.controller.filter(|id| map.brokers.contains_key(id));
        let broker = broker.or_else(|| map.brokers.keys().next().copied()).ok_or(NoAnswer)?;
        self.broker(cluster, broker).await
    }

    pub(super) async fn group(&self, cluster: &Cluster, group: &str) -> Result<Connection, NoAnswer> {
        cluster.coordinator_connection(&GroupName::new(group), self.lane).await.map_err(|error| {
            tracing::debug!(group, error = &error as &dyn std::error::Error, "no coordinator");
            NoAnswer
        })
    }

    /// The broker that keeps a group, or the error that its clients are told.
    pub(super) async fn coordinator(&self, cluster: &Cluster, group: &str) -> Result<i32, ErrorCode> {
        cluster.coordinator(&GroupName::new(group)).await.map_err(|error| {
            tracing::debug!(group, error = &error as &dyn std::error::Error, "no coordinator");
            error.code().unwrap_or(ErrorCode::COORDINATOR_NOT_AVAILABLE)
        })
    }

    /// What the region says about who keeps a transactional id.
    pub(super) async fn find_transaction(
        &self,
        cluster: &Cluster,
        id: &str,
    ) -> Result<FindCoordinatorResponse, NoAnswer> {
        let any = self.controller(cluster).await?;
        let request = FindCoordinatorRequest {
            key: id.to_owned(),
            key_type: TRANSACTION_KEY,
            ..FindCoordinatorRequest::default()
        };
        let version = any.version_up_to::<FindCoordinatorRequest>(3).map_err(|_| NoAnswer)?;
        any.send_within(&request, version, RELAY_TIMEOUT).await.map_err(|_| NoAnswer)
    }

    /// The broker that keeps a transactional id.
    pub(super) async fn transaction(&self, cluster: &Cluster, id: &str) -> Result<Connection, NoAnswer> {
        let found = self.find_transaction(cluster, id).await?;
        if found.error_code != 0 {
            return Err(NoAnswer);
        }
        self.broker(cluster, found.node_id).await
    }

    pub(super) async fn leader(
        &self,
        cluster: &Cluster,
        partition: &TopicPartition,
    ) -> Result<i32, NoAnswer> {
        match cluster.map().leader(partition) {
            Some(leader) => Ok(leader.broker),
            None => cluster.leader(partition).await.map(|leader| leader.broker).map_err(|_| NoAnswer),
        }
    }
}

/// Sends a request on as it came.
pub(super) async fn pass_on(
    connection: &Connection,
    header: &RequestHeader,
    body: &[u8],
    timeout: Duration,
) -> Result<Bytes, NoAnswer> {
    connection.send_raw(header, body, timeout).await.map_err(|error| {
        tracing::debug!(%error, "request is not relayed");
        NoAnswer
    })
}

/// Sends a request on in a client's version.
pub(super) async fn send<R: Request>(
    connection: &Connection,
    request: &R,
    version: i16,
    timeout: Duration,
) -> Result<R::Response, NoAnswer> {
    connection.send_within(request, version, timeout).await.map_err(|error| {
        tracing::debug!(%error, "request is not relayed");
        NoAnswer
    })
}

/// Reads a response's body.
pub(super) fn read(api: ApiKey, version: i16, body: Bytes) -> Result<ResponseBody, NoAnswer> {
    ResponseBody::decode(api, version, &mut Reader::new(body)).map_err(|_| NoAnswer)
}
