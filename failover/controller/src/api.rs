//! What the controller answers: gRPC for our own processes, REST, metrics and health for people's tools.

mod control;
mod describe;
mod http;
mod region;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use leeward_proto::{control::control_server::ControlServer, region::region_server::RegionServer};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tokio_util::sync::CancellationToken;

use crate::{
    brain::BrainHandle, config::Budgets, events::Events, gateways::Gateways, metrics::Metrics,
    watcher::LinkBoard,
};

/// What the services share.
#[derive(Clone, Debug)]
pub(crate) struct Shared {
    pub(crate) topology: String,
    pub(crate) declared_primary: String,
    pub(crate) automation: String,
    pub(crate) budgets: Budgets,
    pub(crate) lease: Duration,
    pub(crate) brain: BrainHandle,
    pub(crate) gateways: Arc<Gateways>,
    pub(crate) links: Arc<LinkBoard>,
    pub(crate) events: Arc<Events>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) dns: Vec<String>,
    pub(crate) shutdown: CancellationToken,
}

/// Serves gRPC on this listener until shut down.
pub(crate) async fn serve_grpc(shared: Shared, listener: TcpListener) -> Result<(), tonic::transport::Error> {
    let shutdown = shared.shutdown.clone();
    tonic::transport::Server::builder()
        .add_service(ControlServer::new(control::Service::new(shared.clone())))
        .add_service(RegionServer::new(region::Service::new(shared)))
        .serve_with_incoming_shutdown(TcpListenerStream::new(listener), shutdown.cancelled_owned())
        .await
}

/// Serves REST, metrics and health on this listener until shut down.
pub(crate) async fn serve_http(shared: Shared, listener: TcpListener) -> std::io::Result<()> {
    let shutdown = shared.shutdown.clone();
    axum::serve(listener, http::router(shared)).with_graceful_shutdown(shutdown.cancelled_owned()).await
}

/// REST without metrics and health, for a server that others share.
pub(crate) fn rest(shared: Shared) -> axum::Router {
    http::rest(shared)
}

/// Binds a listener, and says where.
pub(crate) async fn bind(address: SocketAddr) -> std::io::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind(address).await?;
    let bound = listener.local_addr()?;
    Ok((listener, bound))
}
