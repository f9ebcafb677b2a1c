//! REST for people's tools, metrics for scrapers, health for whoever restarts processes.

use axum::{
    Json, Router,
    extract::{Path, Query, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use leeward_proto::control::VerbRequest;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Shared, control, describe};

pub(crate) fn router(shared: Shared) -> Router {
    Router::new()
        .route("/healthz", get(|| async { "ok" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(shared.clone())
        .merge(rest(shared))
}

/// Status, events, plans and verbs.
pub(crate) fn rest(shared: Shared) -> Router {
    Router::new()
        .route("/v1/status", get(status))
        .route("/v1/events", get(events))
        .route("/v1/plan/{verb}", post(plan))
        .route("/v1/{verb}", post(verb))
        .with_state(shared)
}

/// Ready means: a verb or a gateway's report would be answered.
async fn ready(State(shared): State<Shared>) -> Response {
    match shared.brain.ask(|_, _| ()).await {
        Ok(()) => (StatusCode::OK, "ready").into_response(),
        Err(gone) => (StatusCode::SERVICE_UNAVAILABLE, gone.to_string()).into_response(),
    }
}

async fn metrics(State(shared): State<Shared>) -> Response {
    let text = shared.metrics.text(&shared.links.replies(), &shared.gateways.reports());
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response()
}

async fn status(State(shared): State<Shared>) -> Json<Value> {
    let status = describe::status(&shared);
    let regions: Vec<Value> = status
        .regions
        .iter()
        .map(|region| {
            json!({
                "name": region.name, "declaredRole": region.declared_role, "actingRole": region.acting_role,
                "health": region.health, "writable": region.writable,
                "leaseRemainingMillis": region.lease_remaining_millis,
            })
        })
        .collect();
    let links: Vec<Value> = status
        .links
        .iter()
        .map(|link| {
            json!({
                "name": link.name, "source": link.source, "target": link.target, "state": link.state,
                "rpoMillis": link.rpo_millis, "lagRecords": link.lag_records,
            })
        })
        .collect();
    let gates: Vec<Value> =
        status.gates.iter().map(|gate| json!({"gate": gate.gate, "ok": gate.ok, "why": gate.why})).collect();
    Json(json!({
        "topology": status.topology, "declaredPrimary": status.declared_primary,
        "actingPrimary": status.acting_primary, "epoch": status.epoch, "phase": status.phase,
        "heldReason": status.held_reason, "automation": status.automation, "regions": regions, "links": links,
        "gates": gates, "worstCaseRtoMillis": status.worst_case_rto_millis, "dns": status.dns,
    }))
}

#[derive(Deserialize)]
struct After {
    #[serde(default)]
    after: u64,
}

async fn events(State(shared): State<Shared>, Query(After { after }): Query<After>) -> Response {
    let (events, _) = shared.events.after(after);
    let lines: Vec<String> = events.iter().filter_map(|event| serde_json::to_string(event).ok()).collect();
    ([(header::CONTENT_TYPE, "application/x-ndjson")], lines.join("\n")).into_response()
}

/// A verb as JSON.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Body {
    #[serde(default)]
    to: String,
    #[serde(default)]
    expected_epoch: u64,
    #[serde(default)]
    idempotency_key: String,
    #[serde(default)]
    accept_loss_millis: u64,
    #[serde(default)]
    accept_unbounded_loss: bool,
    #[serde(default)]
    reason: String,
    #[serde(default)]
    standby_only: bool,
}

impl Body {
    fn request(self) -> VerbRequest {
        VerbRequest {
            to: self.to,
            expected_epoch: self.expected_epoch,
            idempotency_key: self.idempotency_key,
            accept_loss_millis: self.accept_loss_millis,
            accept_unbounded_loss: self.accept_unbounded_loss,
            reason: self.reason,
            standby_only: self.standby_only,
            verb: String::new(),
        }
    }
}

fn no_such_verb(verb: &str) -> Response {
    (StatusCode::NOT_FOUND, Json(json!({"error": format!("no verb `{verb}`")}))).into_response()
}

fn refused(status: &tonic::Status) -> Response {
    let code = match status.code() {
        tonic::Code::InvalidArgument => StatusCode::BAD_REQUEST,
        tonic::Code::DeadlineExceeded => StatusCode::ACCEPTED,
        _ => StatusCode::SERVICE_UNAVAILABLE,
    };
    (code, Json(json!({"error": status.message()}))).into_response()
}

async fn verb(State(shared): State<Shared>, Path(verb): Path<String>, body: Option<Json<Body>>) -> Response {
    let Some(called) = control::called(&verb) else { return no_such_verb(&verb) };
    let request = body.map(|Json(body)| body).unwrap_or_default().request();
    match control::carry_out(&shared, called, &request).await {
        Ok(reply) => {
            let code = if reply.outcome == "refused" { StatusCode::CONFLICT } else { StatusCode::OK };
            let answer = json!({"epoch": reply.epoch, "outcome": reply.outcome, "reason": reply.reason});
            (code, Json(answer)).into_response()
        }
        Err(status) => refused(&status),
    }
}

async fn plan(State(shared): State<Shared>, Path(verb): Path<String>, body: Option<Json<Body>>) -> Response {
    let Some(called) = control::called(&verb) else { return no_such_verb(&verb) };
    let request = body.map(|Json(body)| body).unwrap_or_default().request();
    match control::plan(&shared, called, &request).await {
        Ok(plan) => {
            let gates: Vec<Value> = plan
                .gates
                .iter()
                .map(|gate| json!({"gate": gate.gate, "ok": gate.ok, "why": gate.why}))
                .collect();
            let answer = json!({
                "steps": plan.steps, "gates": gates, "refusal": plan.refusal,
                "worstCaseRtoMillis": plan.worst_case_rto_millis,
                "dataAtRiskMillis": plan.loss.map(|loss| loss.time_millis_max),
            });
            Json(answer).into_response()
        }
        Err(status) => refused(&status),
    }
}
