//! `/metrics`, `/healthz` and `/readyz` of every process.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context;
use axum::{Router, extract::State, http::StatusCode, response::IntoResponse, routing::get};
use futures::future::{BoxFuture, join_all};
use leeward_proto::Connections;
use prometheus::{Encoder, Registry, TextEncoder, proto::MetricFamily};
use tokio::{net::TcpListener, time::timeout};
use tokio_util::sync::CancellationToken;

/// How long one condition may take to say whether it holds; past it the process is not ready.
const READY_WAIT_MAX: Duration = Duration::from_secs(2);

/// One condition that must hold for a process to be ready, and what to call it.
pub(crate) struct ReadyCheck {
    name: String,
    is_ready: Box<dyn Fn() -> BoxFuture<'static, bool> + Send + Sync>,
}

impl ReadyCheck {
    pub(crate) fn new<F>(name: impl Into<String>, is_ready: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = bool> + Send + 'static,
    {
        Self { name: name.into(), is_ready: Box::new(move || Box::pin(is_ready())) }
    }
}

/// Series that are not in the process's registry.
pub(crate) type Series = Box<dyn Fn() -> Vec<MetricFamily> + Send + Sync>;

/// What is told of a process.
pub(crate) struct Told {
    pub(crate) registry: Registry,
    pub(crate) series: Vec<Series>,
    pub(crate) checks: Vec<ReadyCheck>,
}

impl Told {
    /// Every family once: what the registry has wins.
    fn families(&self) -> Vec<MetricFamily> {
        let mut families = self.registry.gather();
        for family in self.series.iter().flat_map(|series| series()) {
            if families.iter().all(|known| known.name() != family.name()) {
                families.push(family);
            }
        }
        families
    }
}

/// Takes the address; what connects before [`serve`] waits.
///
/// # Errors
///
/// Where the address cannot be listened on.
pub(crate) async fn bind(listen: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(listen).await.with_context(|| format!("`listen.http` {listen} cannot be listened on"))
}

/// Serves until `stop`; `more` is what a role adds, such as the controller's REST.
pub(crate) fn serve(connections: Connections, told: Told, more: Router, stop: CancellationToken) {
    let router = Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(|| async { "alive\n" }))
        .route("/readyz", get(ready))
        .with_state(Arc::new(told))
        .merge(more);
    tokio::spawn(async move {
        leeward_proto::serve_http(connections, router, stop).await;
    });
}

async fn metrics(State(told): State<Arc<Told>>) -> impl IntoResponse {
    let mut text = Vec::new();
    match TextEncoder::new().encode(&told.families(), &mut text) {
        Ok(()) => (StatusCode::OK, [("content-type", "text/plain; version=0.0.4")], text),
        Err(error) => (
            StatusCode::INTERNAL_SERVER_ERROR,
            [("content-type", "text/plain")],
            format!("metrics cannot be written: {error}\n").into_bytes(),
        ),
    }
}

async fn ready(State(told): State<Arc<Told>>) -> impl IntoResponse {
    let lines = join_all(told.checks.iter().map(|check| async {
        let holds = timeout(READY_WAIT_MAX, (check.is_ready)()).await.unwrap_or(false);
        (check.name.as_str(), holds)
    }))
    .await;
    let all = lines.iter().all(|(_, holds)| *holds);
    let mut text = String::new();
    for (name, holds) in &lines {
        text += &format!("{name}: {}\n", if *holds { "ready" } else { "waiting" });
    }
    (if all { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, text)
}
