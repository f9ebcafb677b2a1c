//! How our own gRPC and HTTP ports take connections: so many at a time, and none for long from a peer that is silent, sends
//! half of a request or never reads its answers.
//!
//! With TLS, a slow handshake holds up nobody else. It knows nothing of what is asked: whoever listens brings the service.

mod connection;
mod guarded;
mod http;

use std::{io, net::SocketAddr, sync::Arc};

use futures::Stream;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
    time::{Duration, sleep},
};
use tracing::{debug, warn};

pub use connection::{Certified, Connection};
pub use guarded::GuardedStream;
pub use http::serve_http;

use crate::{
    limits::{
        ACCEPT_PAUSE, BODY_WAIT_MAX, CONNECTIONS_MAX, HANDSHAKE_WAIT_MAX, HANDSHAKES_MAX, HEAD_WAIT_MAX,
        HEADER_LIST_BYTES_MAX, PING_EVERY, PING_WAIT, SILENCE_MAX, STREAMS_MAX, TAKE_WAIT_MAX, WINDOW_BYTES,
    },
    transport::ServerTls,
};

/// How long a peer is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// Silence of a gRPC peer.
    pub silence: Duration,
    /// For it to take some of what is written to it.
    pub take: Duration,
    /// For its TLS handshake.
    pub handshake: Duration,
    /// For the head and the body of its HTTP request.
    pub head: Duration,
    pub body: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            silence: SILENCE_MAX,
            take: TAKE_WAIT_MAX,
            handshake: HANDSHAKE_WAIT_MAX,
            head: HEAD_WAIT_MAX,
            body: BODY_WAIT_MAX,
        }
    }
}

/// The connections of one listener.
#[derive(Debug)]
pub struct Connections {
    listener: TcpListener,
    tls: Option<ServerTls>,
    handshakes: JoinSet<Option<(Connection, SocketAddr)>>,
    places: Arc<Semaphore>,
    patience: Patience,
    may_be_silent: bool,
}

impl Connections {
    /// For gRPC: pings keep a connection that is alive from being silent.
    pub fn of_grpc(listener: TcpListener) -> Self {
        Self::new(listener, false)
    }

    /// For HTTP: a peer may be silent while its request is worked on; what it may not is bounded by [`serve_http`].
    pub fn of_http(listener: TcpListener) -> Self {
        Self::new(listener, true)
    }

    fn new(listener: TcpListener, may_be_silent: bool) -> Self {
        let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        let (tls, handshakes, patience) = (None, JoinSet::new(), Patience::default());
        Self { listener, tls, handshakes, places, patience, may_be_silent }
    }

    /// With this TLS, where there is one: a connection whose handshake fails is left out.
    #[must_use]
    pub fn with_tls(self, tls: Option<ServerTls>) -> Self {
        Self { tls, ..self }
    }

    /// With another patience than the default.
    #[must_use]
    pub fn with_patience(self, patience: Patience) -> Self {
        Self { patience, ..self }
    }

    /// Takes so many at a time, instead of [`CONNECTIONS_MAX`].
    #[must_use]
    pub fn at_most(self, connections: usize) -> Self {
        Self { places: Arc::new(Semaphore::new(connections)), ..self }
    }

    /// The next connection, its handshake done. One more than are taken at a time is closed at once.
    pub async fn accept(&mut self) -> (Connection, SocketAddr) {
        loop {
            let may_accept = self.handshakes.len() < HANDSHAKES_MAX;
            let (stream, place, peer) = tokio::select! {
                biased;
                Some(ended) = self.handshakes.join_next() => match ended {
                    Ok(Some(met)) => return met,
                    Ok(None) | Err(_) => continue,
                },
                accepted = accept(&self.listener, &self.places), if may_accept => accepted,
            };
            let silence_max = (!self.may_be_silent).then_some(self.patience.silence);
            let stream = GuardedStream::new(stream, place, silence_max, self.patience.take);
            let Some(tls) = self.tls.clone() else { return (Connection::Plain(stream), peer) };
            self.handshakes.spawn(meet(tls, stream, peer, self.patience.handshake));
        }
    }

    /// All connections, as tonic takes them.
    pub fn into_stream(self) -> impl Stream<Item = io::Result<Connection>> {
        futures::stream::unfold(self, async |mut connections| {
            let (connection, _) = connections.accept().await;
            Some((Ok(connection), connections))
        })
    }
}

/// The next connection that there is a place for.
async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> (TcpStream, OwnedSemaphorePermit, SocketAddr) {
    loop {
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                warn!(%error, "no connection can be accepted");
                sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Ok(place) = Arc::clone(places).try_acquire_owned() else {
            warn!(%peer, "too many connections");
            continue;
        };
        // Not fatal: answers only take a little longer.
        let _ = stream.set_nodelay(true);
        return (stream, place, peer);
    }
}

async fn meet(
    tls: ServerTls,
    stream: GuardedStream,
    peer: SocketAddr,
    within: Duration,
) -> Option<(Connection, SocketAddr)> {
    match tls.accept(stream, within).await {
        Ok(stream) => Some((Connection::Tls(Box::new(stream)), peer)),
        Err(error) => {
            debug!(%peer, %error, "TLS handshake failed");
            None
        }
    }
}

/// A gRPC server with every bound that a connection has.
pub fn grpc_server() -> tonic::transport::Server {
    tonic::transport::Server::builder()
        .http2_keepalive_interval(Some(PING_EVERY))
        .http2_keepalive_timeout(Some(PING_WAIT))
        .http2_max_header_list_size(HEADER_LIST_BYTES_MAX)
        .max_concurrent_streams(STREAMS_MAX)
        .initial_connection_window_size(WINDOW_BYTES)
        .initial_stream_window_size(WINDOW_BYTES)
}
