//! `/metrics`, `/healthz` and `/readyz` of every process.

use std::{net::SocketAddr, sync::Arc};

use anyhow::Context;
use axum::{Router, extract::State, http::StatusCode, response::IntoResponse, routing::get};
use prometheus::{Encoder, Registry, TextEncoder};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// One condition that must hold for a process to be ready, and what to call it.
pub(crate) struct ReadyCheck {
    pub(crate) name: String,
    pub(crate) is_ready: Box<dyn Fn() -> bool + Send + Sync>,
}

#[derive(Clone)]
struct Served {
    registry: Registry,
    checks: Arc<Vec<ReadyCheck>>,
}

/// Serves until `stop`; `more` is what a role adds, such as the controller's REST.
///
/// # Errors
///
/// Where the address cannot be listened on.
pub(crate) async fn serve(
    listen: SocketAddr,
    registry: Registry,
    checks: Vec<ReadyCheck>,
    more: Router,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let served = Served { registry, checks: Arc::new(checks) };
    let router = Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(|| async { "alive\n" }))
        .route("/readyz", get(ready))
        .with_state(served)
        .merge(more);
    let listener =
        TcpListener::bind(listen).await.with_context(|| format!("http cannot listen on {listen}"))?;
    tokio::spawn(async move {
        let stopped = async move { stop.cancelled().await };
        if let Err(error) = axum::serve(listener, router).with_graceful_shutdown(stopped).await {
            tracing::error!(%error, "http server ended");
        }
    });
    Ok(())
}

async fn metrics(State(served): State<Served>) -> impl IntoResponse {
    let mut text = Vec::new();
    match TextEncoder::new().encode(&served.registry.gather(), &mut text) {
        Ok(()) => (StatusCode::OK, [("content-type", "text/plain; version=0.0.4")], text),
        Err(error) => (
            StatusCode::INTERNAL_SERVER_ERROR,
            [("content-type", "text/plain")],
            format!("metrics cannot be written: {error}\n").into_bytes(),
        ),
    }
}

async fn ready(State(served): State<Served>) -> impl IntoResponse {
    let lines: Vec<_> = served.checks.iter().map(|check| (check.name.as_str(), (check.is_ready)())).collect();
    let status =
        if lines.iter().all(|(_, ok)| *ok) { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let text: String = lines
        .iter()
        .map(|(name, ok)| format!("{name}: {}\n", if *ok { "ready" } else { "waiting" }))
        .collect();
    (status, text)
}
