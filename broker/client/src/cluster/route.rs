//! Sends requests to the broker that can answer them, and again when it could not.

use leeward_model::{GroupName, TopicPartition};
use leeward_wire::{
    ApiKey, ErrorCode, Request,
    api::{FindCoordinatorRequest, FindCoordinatorResponse},
};

use super::{Cluster, Lane, Leader};
use crate::{ClusterError, Connection, RequestError, limits::COORDINATORS_REMEMBERED_MAX};

/// Version of `FindCoordinator` from which keys come as a list.
const COORDINATORS_AS_LIST: i16 = 4;
const GROUP_KEY: i8 = 0;

impl Cluster {
    /// Asks for new metadata where `error` hints at old.
    pub(crate) async fn learn_from(&self, error: &ClusterError) {
        if error.code() == Some(ErrorCode::REBOOTSTRAP_REQUIRED) {
            if let Err(error) = self.rebootstrap().await {
                tracing::debug!(error = &error as &dyn std::error::Error, "no bootstrap address answers");
            }
        } else if error.wants_new_metadata()
            && let Err(error) = self.refresh().await
        {
            tracing::debug!(error = &error as &dyn std::error::Error, "no new metadata");
        }
    }

    /// Sends `request` to one broker, in the newest common version. One attempt.
    ///
    /// # Errors
    ///
    /// [`ClusterError`].
    pub async fn request_to<R: Request>(
        &self,
        broker: i32,
        request: &R,
    ) -> Result<R::Response, ClusterError> {
        let connection = self.connection(broker, Lane::Shared).await?;
        Ok(newest(&connection, request).await?)
    }

    /// Sends `request` to any broker that answers, after retries.
    ///
    /// # Errors
    ///
    /// [`ClusterError`].
    pub async fn request_any<R: Request>(&self, request: &R) -> Result<R::Response, ClusterError> {
        retrying!(self, R::KEY.name(), async {
            let connection = self.any_connection().await?;
            Ok(newest(&connection, request).await?)
        })
    }

    /// Sends `request` to the controller, or to any broker where none is told. One attempt.
    ///
    /// # Errors
    ///
    /// [`ClusterError`].
    pub async fn request_controller<R: Request>(&self, request: &R) -> Result<R::Response, ClusterError> {
        let connection = self.controller_connection().await?;
        Ok(newest(&connection, request).await?)
    }

    /// Sends `request` to the broker that keeps `group`. One attempt; errors inside the answer are the caller's, who
    /// tells of a moved coordinator by [`Cluster::forget_coordinator`].
    ///
    /// # Errors
    ///
    /// [`ClusterError`].
    pub async fn request_coordinator<R: Request>(
        &self,
        group: &GroupName,
        request: &R,
    ) -> Result<R::Response, ClusterError> {
        let connection = self.coordinator_connection(group, Lane::Shared).await?;
        let answered = newest(&connection, request).await;
        if answered.as_ref().is_err_and(RequestError::may_retry) {
            self.forget_coordinator(group);
        }
        Ok(answered?)
    }

    /// A connection to the leader of a partition.
    ///
    /// # Errors
    ///
    /// [`ClusterError`] of this one attempt.
    pub async fn leader_connection(
        &self,
        partition: &TopicPartition,
        lane: Lane,
    ) -> Result<(Leader, Connection), ClusterError> {
        let leader = self.leader(partition).await?;
        let connection = self.connection(leader.broker, lane).await?;
        Ok((leader, connection))
    }

    /// The broker that keeps `group`, which is looked up where it is not known.
    ///
    /// # Errors
    ///
    /// [`ClusterError`] of this one attempt.
    pub async fn coordinator(&self, group: &GroupName) -> Result<i32, ClusterError> {
        let known = self.shared.coordinators.lock().get(group.as_str()).copied();
        match known {
            Some(broker) => Ok(broker),
            None => self.find_coordinator(group).await,
        }
    }

    /// A connection to the broker that keeps `group`.
    ///
    /// # Errors
    ///
    /// [`ClusterError`] of this one attempt.
    pub async fn coordinator_connection(
        &self,
        group: &GroupName,
        lane: Lane,
    ) -> Result<Connection, ClusterError> {
        let broker = self.coordinator(group).await?;
        let connected = self.connection(broker, lane).await;
        if connected.is_err() {
            self.forget_coordinator(group);
        }
        connected
    }

    /// Makes the next request look the group's broker up again.
    pub fn forget_coordinator(&self, group: &GroupName) {
        self.shared.coordinators.lock().remove(group.as_str());
    }

    async fn find_coordinator(&self, group: &GroupName) -> Result<i32, ClusterError> {
        let connection = self.any_connection().await?;
        let version = connection.version_for::<FindCoordinatorRequest>().map_err(RequestError::from)?;
        let key = group.as_str().to_owned();
        let request = if version >= COORDINATORS_AS_LIST {
            FindCoordinatorRequest { key_type: GROUP_KEY, coordinator_keys: vec![key], ..Default::default() }
        } else {
            FindCoordinatorRequest { key, key_type: GROUP_KEY, ..Default::default() }
        };
        let answer = connection.send(&request, version).await?;
        let (code, message, broker) = read_coordinator(answer);
        if !code.is_none() {
            return Err(ClusterError::Refused {
                api: ApiKey::FindCoordinator,
                address: connection.address().clone(),
                subject: format!("group {group}"),
                code,
                message,
            });
        }
        if !self.map().brokers.contains_key(&broker) {
            self.refresh().await?;
        }
        let mut coordinators = self.shared.coordinators.lock();
        if coordinators.len() >= COORDINATORS_REMEMBERED_MAX {
            coordinators.clear();
        }
        coordinators.insert(group.as_str().to_owned(), broker);
        Ok(broker)
    }

    /// A connection to some broker, a living one where there is one.
    pub(crate) async fn any_connection(&self) -> Result<Connection, ClusterError> {
        if let Some(connection) = self.shared.pool.any_live() {
            return Ok(connection);
        }
        let map = self.map();
        let mut last = None;
        for broker in map.brokers.keys() {
            match self.connection(*broker, Lane::Shared).await {
                Ok(connection) => return Ok(connection),
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or(ClusterError::Unreachable { tried: 0, source: None }))
    }

    pub(crate) async fn controller_connection(&self) -> Result<Connection, ClusterError> {
        match self.map().controller {
            Some(controller) if self.map().brokers.contains_key(&controller) => {
                self.connection(controller, Lane::Shared).await
            }
            _ => self.any_connection().await,
        }
    }
}

/// Sends in the newest version that both sides speak.
pub(crate) async fn newest<R: Request>(
    connection: &Connection,
    request: &R,
) -> Result<R::Response, RequestError> {
    connection.send(request, connection.version_for::<R>()?).await
}

fn read_coordinator(answer: FindCoordinatorResponse) -> (ErrorCode, Option<String>, i32) {
    match answer.coordinators.into_iter().next() {
        Some(found) => (ErrorCode::new(found.error_code), found.error_message, found.node_id),
        None => (ErrorCode::new(answer.error_code), answer.error_message, answer.node_id),
    }
}
