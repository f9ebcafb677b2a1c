//! The `control` contract: status, plans, verbs, events, and the grants that gateways forward by.

use std::{pin::Pin, sync::Arc, time::Duration};

use leeward_failover_core::{
    HeldReason, IdempotencyKey, OperationId, OperationResult, Rejected, Request as CoreRequest, TailPolicy,
    Verb,
};
use leeward_model::{FencingEpoch, RegionName};
use leeward_proto::control::{
    Event, EventsRequest, GatewayReport, Grant, PlanReply, StatusReply, StatusRequest, VerbReply,
    VerbRequest, WatchRequest, control_server::Control,
};
use tokio::{
    sync::{broadcast::error::RecvError, mpsc, watch},
    time::interval,
};
use tokio_stream::{Stream, StreamExt, wrappers::ReceiverStream};
use tonic::{Request, Response, Status, Streaming};

use super::{Shared, describe};
use crate::{
    brain::{Gone, View},
    limits::{
        GATEWAY_HELD_BYTES_MAX, GATEWAY_HELD_MAX, GATEWAY_NAME_BYTES_MAX, RENEWALS_PER_LEASE, STREAM_BUFFER,
        SWITCHOVER_BEGINS_WAIT, VERB_TEXT_BYTES_MAX, VERB_WAIT,
    },
    timeline::Summary,
};

/// Answers the CLI, pages and gateways.
#[derive(Debug)]
pub(crate) struct Service {
    shared: Shared,
}

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

impl Service {
    pub(crate) fn new(shared: Shared) -> Self {
        Self { shared }
    }
}

/// Which verb was called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Called {
    Failover,
    Switchover,
    Failback,
    Approve,
    Retry,
    Abort,
    Pause,
    Resume,
}

/// Every verb.
pub(crate) const CALLED: [Called; 8] = [
    Called::Failover,
    Called::Switchover,
    Called::Failback,
    Called::Approve,
    Called::Retry,
    Called::Abort,
    Called::Pause,
    Called::Resume,
];

impl Called {
    /// Whether it is about an operation that is under way, or asked for.
    fn steers(self) -> bool {
        match self {
            Self::Approve | Self::Retry | Self::Abort | Self::Pause | Self::Resume => true,
            Self::Failover | Self::Switchover | Self::Failback => false,
        }
    }
}

/// The verb of that name.
pub(crate) fn called(verb: &str) -> Option<Called> {
    match verb {
        "failover" => Some(Called::Failover),
        "switchover" => Some(Called::Switchover),
        "failback" => Some(Called::Failback),
        "approve" => Some(Called::Approve),
        "retry" => Some(Called::Retry),
        "abort" => Some(Called::Abort),
        "pause" => Some(Called::Pause),
        "resume" => Some(Called::Resume),
        _ => None,
    }
}

fn no_such_verb(verb: &str) -> Status {
    Status::invalid_argument(format!("no verb `{verb}`"))
}

/// The core's request from the wire's.
pub(crate) fn core_request(called: Called, request: &VerbRequest) -> Result<CoreRequest, Status> {
    if request.reason.len().max(request.idempotency_key.len()) > VERB_TEXT_BYTES_MAX {
        return Err(Status::invalid_argument("the reason or the idempotency key is too long"));
    }
    let to = || RegionName::new(&request.to).map_err(|error| Status::invalid_argument(error.to_string()));
    let verb = match called {
        Called::Failover => Verb::Failover { to: to()?, accept_loss: accepted(request) },
        Called::Switchover => Verb::Switchover { to: to()? },
        Called::Failback => {
            Verb::Failback { to: to()?, tail: TailPolicy::Quarantine, then_switchover: !request.standby_only }
        }
        Called::Approve => Verb::Approve,
        Called::Retry => Verb::Retry,
        Called::Abort => Verb::Abort,
        Called::Pause => Verb::Pause,
        Called::Resume => Verb::Resume,
    };
    let key = Some(&request.idempotency_key).filter(|key| !key.is_empty());
    Ok(CoreRequest {
        verb,
        by: if request.reason.is_empty() { "operator".to_owned() } else { request.reason.clone() },
        expected_epoch: FencingEpoch::from_wire(request.expected_epoch),
        key: key.map(IdempotencyKey::new),
    })
}

fn accepted(request: &VerbRequest) -> Option<Duration> {
    if request.accept_unbounded_loss {
        return Some(Duration::MAX);
    }
    (request.accept_loss_millis > 0).then(|| Duration::from_millis(request.accept_loss_millis))
}

pub(crate) fn gone(gone: Gone) -> Status {
    Status::unavailable(gone.to_string())
}

/// Asks for a verb and waits until its operation is over or stands still.
pub(crate) async fn carry_out(
    shared: &Shared,
    called: Called,
    request: &VerbRequest,
) -> Result<VerbReply, Status> {
    let answer = shared.brain.request(core_request(called, request)?).await.map_err(gone)?;
    let mut view = shared.brain.view.clone();
    let epoch = |view: &Views| view.borrow().status.epoch.to_wire();
    let operation = match answer {
        Ok(Some(operation)) => operation,
        Ok(None) => {
            return Ok(VerbReply { epoch: epoch(&view), outcome: "finished".into(), ..VerbReply::default() });
        }
        Err(rejected) => {
            let reason = rejected.to_string();
            return Ok(VerbReply { epoch: epoch(&view), outcome: "refused".into(), reason, summary: None });
        }
    };
    let mut over = wait_until_over(shared, &mut view, operation).await?;
    let moves_back = matches!(called, Called::Failback) && !request.standby_only;
    if moves_back
        && over.is_completed()
        && let Some(switchover) = switchover_behind(&mut view, operation, &request.to).await
    {
        let resync = std::mem::replace(&mut over, wait_until_over(shared, &mut view, switchover).await?);
        over.comes_behind(resync);
    }
    let loss = shared.brain.view.borrow().status.loss.clone();
    let (mut outcome, mut reason) = over.outcome();
    if moves_back && over.is_completed() && view.borrow().status.primary.as_str() != request.to {
        outcome = "held";
        reason =
            format!("{} is a standby again, and the switchover to it has not begun; see status", request.to);
    }
    Ok(VerbReply {
        epoch: epoch(&view),
        outcome: outcome.to_owned(),
        reason,
        summary: over.summary.map(|summary| describe::summary(&summary, loss.as_ref())),
    })
}

type Views = watch::Receiver<Arc<View>>;

/// An operation that is over, or held.
struct Over {
    summary: Option<Summary>,
    held: Option<HeldReason>,
}

impl Over {
    fn is_completed(&self) -> bool {
        let result = self.summary.as_ref().and_then(|summary| summary.result.as_ref());
        self.held.is_none() && result == Some(&OperationResult::Completed)
    }

    fn outcome(&self) -> (&'static str, String) {
        let result = self.summary.as_ref().and_then(|summary| summary.result.as_ref());
        match (&self.held, result) {
            (Some(reason), _) => ("held", reason.to_string()),
            (None, Some(OperationResult::Aborted(reason))) => ("aborted", reason.to_string()),
            (None, _) => ("finished", String::new()),
        }
    }

    /// Puts the phases of what went before in front.
    fn comes_behind(&mut self, before: Self) {
        if let (Some(summary), Some(before)) = (&mut self.summary, before.summary) {
            let took = before.took();
            summary.phases.iter_mut().for_each(|phase| phase.started_after += took);
            summary.phases.splice(..0, before.phases);
        }
    }
}

async fn wait_until_over(shared: &Shared, view: &mut Views, operation: OperationId) -> Result<Over, Status> {
    let over = async {
        loop {
            let held = {
                let view = view.borrow_and_update();
                let running = view.status.operation.as_ref().filter(|running| running.id == operation);
                running.and_then(|running| running.held.clone())
            };
            let summary = shared.brain.timeline.lock().summary(operation);
            let finished = summary.as_ref().is_some_and(|summary| summary.finished_at.is_some());
            if finished || held.is_some() || view.changed().await.is_err() {
                return Over { summary, held };
            }
        }
    };
    let waited = tokio::time::timeout(VERB_WAIT, over).await;
    waited.map_err(|_| Status::deadline_exceeded(format!("operation {operation} goes on; see status")))
}

/// The switchover to `to` that follows a resync, once it has begun; `None` where there is none within a moment.
async fn switchover_behind(view: &mut Views, resync: OperationId, to: &str) -> Option<OperationId> {
    let begun = view.wait_for(|view| {
        let running = view.status.operation.as_ref();
        view.status.primary.as_str() == to || running.is_some_and(|running| running.id != resync)
    });
    let view = tokio::time::timeout(SWITCHOVER_BEGINS_WAIT, begun).await.ok()?.ok()?;
    view.status.operation.as_ref().map(|running| running.id)
}

/// What a verb would do, lose and meet.
pub(crate) async fn plan(
    shared: &Shared,
    called: Called,
    request: &VerbRequest,
) -> Result<PlanReply, Status> {
    let verb = core_request(called, request)?.verb;
    let expected = FencingEpoch::from_wire(request.expected_epoch);
    let worst_case = shared.budgets.rto_worst_case;
    let question = move |engine: &leeward_failover_core::Engine, now| {
        let actual = engine.state().epoch;
        let conflict = expected.filter(|expected| *expected != actual);
        let refusal = conflict.map_or_else(
            || engine.would_take(&verb, now).err(),
            |expected| Some(Rejected::Conflict { expected, actual }),
        );
        describe::plan(&engine.status(now), &verb, refusal, worst_case)
    };
    shared.brain.ask(question).await.map_err(gone)
}

#[tonic::async_trait]
impl Control for Service {
    type WatchStream = Answers<StatusReply>;
    type EventsStream = Answers<Event>;
    type GrantsStream = Answers<Grant>;

    async fn status(&self, _: Request<StatusRequest>) -> Result<Response<StatusReply>, Status> {
        Ok(Response::new(describe::status(&self.shared)))
    }

    async fn watch(&self, _: Request<WatchRequest>) -> Result<Response<Self::WatchStream>, Status> {
        let (replies, outbox) = mpsc::channel(1);
        let shared = self.shared.clone();
        tokio::spawn(async move {
            let mut rounds = interval(crate::limits::LINK_LOOK_EVERY);
            let mut last = None;
            loop {
                tokio::select! {
                    biased;
                    () = shared.shutdown.cancelled() => return,
                    () = replies.closed() => return,
                    _ = rounds.tick() => {}
                }
                let status = describe::status(&shared);
                if last.as_ref() != Some(&status) {
                    last = Some(status.clone());
                    if replies.send(Ok(status)).await.is_err() {
                        return;
                    }
                }
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(outbox))))
    }

    async fn plan(&self, request: Request<VerbRequest>) -> Result<Response<PlanReply>, Status> {
        let request = request.into_inner();
        let called = called(&request.verb).ok_or_else(|| no_such_verb(&request.verb))?;
        plan(&self.shared, called, &request).await.map(Response::new)
    }

    async fn failover(&self, request: Request<VerbRequest>) -> Result<Response<VerbReply>, Status> {
        carry_out(&self.shared, Called::Failover, request.get_ref()).await.map(Response::new)
    }

    async fn switchover(&self, request: Request<VerbRequest>) -> Result<Response<VerbReply>, Status> {
        carry_out(&self.shared, Called::Switchover, request.get_ref()).await.map(Response::new)
    }

    async fn failback(&self, request: Request<VerbRequest>) -> Result<Response<VerbReply>, Status> {
        carry_out(&self.shared, Called::Failback, request.get_ref()).await.map(Response::new)
    }

    async fn steer(&self, request: Request<VerbRequest>) -> Result<Response<VerbReply>, Status> {
        let request = request.into_inner();
        match called(&request.verb) {
            Some(called) if called.steers() => {
                carry_out(&self.shared, called, &request).await.map(Response::new)
            }
            Some(_) | None => Err(no_such_verb(&request.verb)),
        }
    }

    async fn events(&self, request: Request<EventsRequest>) -> Result<Response<Self::EventsStream>, Status> {
        let EventsRequest { after, follow } = request.into_inner();
        let (kept, mut followed) = self.shared.events.after(after);
        let (replies, outbox) = mpsc::channel(STREAM_BUFFER);
        let shutdown = self.shared.shutdown.clone();
        tokio::spawn(async move {
            let mut last = after;
            for event in kept {
                last = event.number;
                if replies.send(Ok(describe::event(event))).await.is_err() {
                    return;
                }
            }
            if !follow {
                return;
            }
            loop {
                let event = tokio::select! {
                    biased;
                    () = shutdown.cancelled() => return,
                    () = replies.closed() => return,
                    event = followed.recv() => event,
                };
                match event {
                    Ok(event) if event.number > last => {
                        if replies.send(Ok(describe::event(event))).await.is_err() {
                            return;
                        }
                    }
                    Ok(_) | Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => return,
                }
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(outbox))))
    }

    async fn grants(
        &self,
        request: Request<Streaming<GatewayReport>>,
    ) -> Result<Response<Self::GrantsStream>, Status> {
        let mut reports = request.into_inner();
        let (grants, outbox) = mpsc::channel(STREAM_BUFFER);
        let shared = self.shared.clone();
        let first = reports.next().await;
        let Some(Ok(first)) = first else {
            return Err(Status::invalid_argument("a gateway says first who it is"));
        };
        if !is_short(&first) {
            return Err(Status::invalid_argument("a gateway's name, its address and what it says are short"));
        }
        let gateway = first.gateway.clone();
        if !shared.gateways.connected(first) {
            return Err(Status::resource_exhausted("as many gateways as are remembered are connected"));
        }
        tokio::spawn(async move {
            attend(&shared, &gateway, reports, grants).await;
            shared.gateways.disconnected(&gateway);
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(outbox))))
    }
}

/// Whether a report is worth remembering for each of many gateways.
fn is_short(report: &GatewayReport) -> bool {
    report.gateway.len().max(report.address.len()) <= GATEWAY_NAME_BYTES_MAX
        && report.held.len() <= GATEWAY_HELD_MAX
        && report.held.iter().all(|held| held.len() <= GATEWAY_HELD_BYTES_MAX)
}

/// Sends a grant at once, at each change, and often enough that none runs out while it is meant to live.
async fn attend(
    shared: &Shared,
    gateway: &str,
    mut reports: Streaming<GatewayReport>,
    grants: mpsc::Sender<Result<Grant, Status>>,
) {
    let mut leaves = shared.gateways.leaves();
    let mut renewals = interval(shared.gateways.lease() / RENEWALS_PER_LEASE);
    loop {
        tokio::select! {
            biased;
            () = shared.shutdown.cancelled() => return,
            report = reports.next() => match report {
                Some(Ok(report)) if report.gateway == gateway && is_short(&report) => {
                    shared.gateways.reported(report);
                    continue;
                }
                Some(Ok(_) | Err(_)) | None => return,
            },
            changed = leaves.changed() => if changed.is_err() { return },
            _ = renewals.tick() => {}
        }
        // A gateway that does not read is cut off: its grant runs out.
        if grants.try_send(Ok(shared.gateways.grant(gateway))).is_err() {
            return;
        }
    }
}
