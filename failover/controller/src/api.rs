//! What the controller answers: gRPC for our own processes, REST, metrics and health for people's tools.

mod control;
mod describe;
mod http;
mod region;

use std::{convert::Infallible, net::SocketAddr, sync::Arc};

use leeward_model::RegionName;
use leeward_proto::{
    Connections, control::control_server::ControlServer, grpc_server, region::region_server::RegionServer,
    serve_http as serve_http_on,
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::{
    brain::BrainHandle, config::Budgets, events::Events, gateways::Gateways, limits::MESSAGE_BYTES_MAX,
    metrics::Metrics, watcher::LinkBoard,
};

pub(crate) use control::{CALLED, core_request};
pub(crate) use http::router;
pub(crate) use region::{reports as region_reports, taken};

/// What the services share.
#[derive(Clone, Debug)]
pub(crate) struct Shared {
    pub(crate) topology: String,
    /// The regions that hold data, and the places that are observed from: nobody else is reported on, or reports.
    pub(crate) regions: [RegionName; 2],
    pub(crate) places: Vec<RegionName>,
    pub(crate) declared_primary: String,
    pub(crate) automation: String,
    pub(crate) budgets: Budgets,
    pub(crate) brain: BrainHandle,
    pub(crate) gateways: Arc<Gateways>,
    pub(crate) links: Arc<LinkBoard>,
    pub(crate) events: Arc<Events>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) dns: Vec<String>,
    pub(crate) shutdown: CancellationToken,
}

/// Serves gRPC on these connections until shut down.
pub(crate) async fn serve_grpc(
    shared: Shared,
    connections: Connections,
) -> Result<(), tonic::transport::Error> {
    let shutdown = shared.shutdown.clone();
    let control = ControlServer::new(control::Service::new(shared.clone()));
    let region = RegionServer::new(region::Service::new(shared));
    grpc_server()
        .add_service(control.max_decoding_message_size(MESSAGE_BYTES_MAX))
        .add_service(region.max_decoding_message_size(MESSAGE_BYTES_MAX))
        .serve_with_incoming_shutdown(connections.into_stream(), shutdown.cancelled_owned())
        .await
}

/// Serves REST, metrics and health on these connections until shut down.
pub(crate) async fn serve_http(shared: Shared, connections: Connections) -> Result<(), Infallible> {
    let shutdown = shared.shutdown.clone();
    serve_http_on(connections, http::router(shared), shutdown).await;
    Ok(())
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
