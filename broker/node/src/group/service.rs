//! The task that owns the coordinator, and the handle by which connections ask it.
//!
//! Start-up, by the owner of `__consumer_offsets`:
//!
//! 1. read the log to its end: [`GroupRecord::from_bytes`] and [`GroupCoordinator::load`] for each record, with
//!    the producer id where its batch is transactional; [`GroupCoordinator::transaction_ended`] for each marker;
//! 2. [`GroupService::new`] gives the handle and the task's future: spawn that; it runs until the token is
//!    cancelled or the last handle is gone, and then answers what waits with `NOT_COORDINATOR`;
//! 3. call one method per API with the decoded request and its version. Each returns the whole response and
//!    may take as long as a rebalance; a connection answers its requests in order, so it just awaits them.
//!
//! OffsetCommit and OffsetFetch must not be announced above [`wire::OFFSETS_VERSION_MAX`]. FindCoordinator needs no
//! coordinator: [`wire::find_coordinator`].
//!
//! The log is asked for one batch at a time, in order; what waits meanwhile shares the next batch.

use bytes::Bytes;
use leeward_model::{GroupName, ProducerId, ProducerIdentity, TopicName, TopicPartition};
use leeward_wire::{
    ErrorCode,
    api::{
        DeleteGroupsRequest, DeleteGroupsResponse, DeleteGroupsResponseGroup, DescribeGroupsRequest,
        DescribeGroupsResponse, HeartbeatRequest, HeartbeatResponse, JoinGroupRequest, JoinGroupResponse,
        LeaveGroupRequest, LeaveGroupResponse, ListGroupsRequest, ListGroupsResponse, OffsetCommitRequest,
        OffsetCommitResponse, OffsetDeleteRequest, OffsetDeleteResponse, OffsetFetchRequest,
        OffsetFetchResponse, SyncGroupRequest, SyncGroupResponse, TxnOffsetCommitRequest,
        TxnOffsetCommitResponse,
    },
};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::{Caller, Commit, CommitReply, GroupCoordinator, Request, Response, limits, wire};
use crate::clock::wall_time;

mod task;

use task::{Ask, Task};

/// Where groups and positions become durable: a partition of `__consumer_offsets`.
pub trait OffsetsLog: Send + Sync + 'static {
    /// Appends one batch and returns when it is as durable as a produce with `acks=all`.
    ///
    /// # Errors
    ///
    /// The code that a produce would be answered with; the batch must not show up in the log later.
    fn append(&self, batch: OffsetsBatch) -> impl Future<Output = Result<(), ErrorCode>> + Send;
}

/// Records that become one batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OffsetsBatch {
    /// Set for a transactional batch; without sequence (-1), as its coordinator is its only writer.
    pub producer: Option<ProducerIdentity>,
    /// Key and value; no value is a tombstone.
    pub records: Vec<(Bytes, Option<Bytes>)>,
}

/// By which connections ask the coordinator.
#[derive(Clone, Debug)]
pub struct GroupService {
    mailbox: mpsc::Sender<Ask>,
}

impl GroupService {
    /// The handle, and the task's future for the caller to spawn. Members out of the log have their session
    /// timeout from here on to show up.
    pub fn new<L: OffsetsLog>(
        coordinator: GroupCoordinator,
        log: L,
        stop: CancellationToken,
    ) -> (Self, impl Future<Output = ()> + Send) {
        let (mailbox, asked) = mpsc::channel(limits::MAILBOX_REQUESTS_MAX);
        (Self { mailbox }, Task::new(coordinator, log, asked, stop).run())
    }

    pub async fn join_group(
        &self,
        request: JoinGroupRequest,
        version: i16,
        caller: Caller,
    ) -> JoinGroupResponse {
        let suffix = uuid::Uuid::new_v4().to_string();
        let join = wire::join(request, version, caller, suffix);
        let Response::Join(reply) = self.ask(Request::Join(Box::new(join))).await else { mismatch() };
        wire::join_response(reply, version)
    }

    pub async fn sync_group(&self, request: SyncGroupRequest) -> SyncGroupResponse {
        let Response::Sync(reply) = self.ask(Request::Sync(wire::sync(request))).await else { mismatch() };
        wire::sync_response(reply)
    }

    pub async fn heartbeat(&self, request: HeartbeatRequest) -> HeartbeatResponse {
        let request = Request::Heartbeat(wire::heartbeat(request));
        let Response::Heartbeat(error) = self.ask(request).await else { mismatch() };
        wire::heartbeat_response(error)
    }

    pub async fn leave_group(&self, request: LeaveGroupRequest, version: i16) -> LeaveGroupResponse {
        let request = Request::Leave(wire::leave(request, version));
        let Response::Leave(reply) = self.ask(request).await else { mismatch() };
        wire::leave_response(reply, version)
    }

    /// Stores positions; `exists` tells the partitions of the cluster.
    pub async fn offset_commit(
        &self,
        request: OffsetCommitRequest,
        exists: impl Fn(&TopicPartition) -> bool,
    ) -> OffsetCommitResponse {
        let (commit, response) = wire::commit(request, wall_time(), exists);
        wire::commit_response(response, self.commit(commit).await)
    }

    /// Stores positions for when the producer's transaction commits: the caller has checked that the partition
    /// of the log is part of that transaction. An unset producer is answered with `INVALID_REQUEST`.
    pub async fn txn_offset_commit(
        &self,
        request: TxnOffsetCommitRequest,
        exists: impl Fn(&TopicPartition) -> bool,
    ) -> TxnOffsetCommitResponse {
        match wire::txn_commit(request, wall_time(), exists) {
            (Some(commit), response) => wire::txn_commit_response(response, self.commit(commit).await),
            (None, response) => wire::txn_commit_refused(response, ErrorCode::INVALID_REQUEST),
        }
    }

    async fn commit(&self, commit: Commit) -> CommitReply {
        let Response::Commit(reply) = self.ask(Request::Commit(commit)).await else { mismatch() };
        reply
    }

    pub async fn offset_fetch(&self, request: OffsetFetchRequest, version: i16) -> OffsetFetchResponse {
        let asked = request.clone();
        let found = self.look(move |coordinator| wire::fetch(&asked, version, coordinator.offsets())).await;
        found.unwrap_or_else(|| wire::fetch_refused(&request, version, ErrorCode::NOT_COORDINATOR))
    }

    pub async fn offset_delete(&self, request: OffsetDeleteRequest) -> OffsetDeleteResponse {
        let (delete, response) = wire::delete_offsets(request);
        let Response::DeleteOffsets(reply) = self.ask(Request::DeleteOffsets(delete)).await else {
            mismatch()
        };
        wire::delete_offsets_response(response, reply)
    }

    pub async fn describe_groups(
        &self,
        request: DescribeGroupsRequest,
        version: i16,
    ) -> DescribeGroupsResponse {
        let asked = request.clone();
        let found = self.look(move |coordinator| wire::describe_groups(&asked, version, coordinator)).await;
        found.unwrap_or_else(|| wire::describe_refused(&request, ErrorCode::NOT_COORDINATOR))
    }

    pub async fn list_groups(&self, request: ListGroupsRequest) -> ListGroupsResponse {
        let found = self.look(move |coordinator| wire::list_groups(&request, coordinator)).await;
        found.unwrap_or_else(|| ListGroupsResponse {
            error_code: ErrorCode::COORDINATOR_NOT_AVAILABLE.code(),
            ..ListGroupsResponse::default()
        })
    }

    pub async fn delete_groups(&self, request: DeleteGroupsRequest) -> DeleteGroupsResponse {
        let mut results = Vec::with_capacity(request.groups_names.len());
        for group_id in request.groups_names {
            let request = Request::DeleteGroup(GroupName::new(&group_id));
            let Response::DeleteGroup(error) = self.ask(request).await else { mismatch() };
            results.push(DeleteGroupsResponseGroup { group_id, error_code: error.code() });
        }
        DeleteGroupsResponse { throttle_time_ms: 0, results }
    }

    /// Call when the marker of a transaction stands in the log of positions.
    pub async fn transaction_ended(&self, producer: ProducerId, committed: bool) {
        // A task that is gone has no positions either: the next one reads the marker.
        let _ = self.mailbox.send(Ask::TransactionEnded { producer, committed }).await;
    }

    /// Call when a topic is deleted: its positions go with it.
    pub async fn topic_deleted(&self, topic: TopicName) {
        // Without the task the positions stay until their retention ends.
        let _ = self.mailbox.send(Ask::TopicDeleted(topic)).await;
    }

    async fn ask(&self, request: Request) -> Response {
        let refused = request.refused(ErrorCode::NOT_COORDINATOR);
        let (reply, replied) = oneshot::channel();
        if self.mailbox.send(Ask::Request { request, reply }).await.is_err() {
            return refused;
        }
        replied.await.unwrap_or(refused)
    }

    /// Reads the coordinator; `None` where its task is gone.
    async fn look<T: Send + 'static>(
        &self,
        look: impl FnOnce(&GroupCoordinator) -> T + Send + 'static,
    ) -> Option<T> {
        let (reply, replied) = oneshot::channel();
        let look = move |coordinator: &GroupCoordinator| {
            // Who asked may have hung up.
            let _ = reply.send(look(coordinator));
        };
        self.mailbox.send(Ask::Look(Box::new(look))).await.ok()?;
        replied.await.ok()
    }
}

fn mismatch() -> ! {
    unreachable!("a request is answered by the response of the same name")
}
