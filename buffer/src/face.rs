//! The side that applications see: a Kafka cluster of one broker.

mod asked;
mod connection;
mod fetch;
mod groups;
mod metadata;
mod produce;
mod refusal;
mod relay;
mod upstream;
mod versions;

use std::net::SocketAddr;
use std::sync::Arc;

use leeward_client::Address;
use leeward_proto::{limits::HANDSHAKE_WAIT_MAX, transport::ServerTls};
use leeward_wire::AnswerRoom;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use crate::hub::Hub;
use crate::limits::{CONNECTIONS_MAX, RECONNECT_PAUSE};

/// The id of the one broker.
const NODE_ID: i32 = 1;

/// What all client connections share.
#[derive(Clone, Debug)]
pub(crate) struct Face {
    pub(crate) hub: Arc<Hub>,
    /// The address that clients are told.
    pub(crate) advertised: Address,
    pub(crate) tls: Option<ServerTls>,
    pub(crate) answers: AnswerRoom,
}

impl Face {
    /// Serves clients until the gateway stops.
    pub(crate) async fn listen(self, listener: TcpListener) {
        let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        loop {
            match listener.accept().await {
                Ok((stream, peer)) => {
                    let Ok(permit) = room.clone().try_acquire_owned() else {
                        tracing::warn!(%peer, "too many connections: closed");
                        continue;
                    };
                    let face = self.clone();
                    self.hub.spawn(async move {
                        face.meet(stream, peer).await;
                        drop(permit);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "no connection can be accepted");
                    tokio::time::sleep(RECONNECT_PAUSE).await;
                }
            }
        }
    }

    /// Serves one client, in clear or once the TLS handshake is done.
    async fn meet(self, stream: TcpStream, peer: SocketAddr) {
        // Not fatal: answers only take a little longer.
        let _ = stream.set_nodelay(true);
        let Some(tls) = self.tls.clone() else {
            let (reading, writing) = stream.into_split();
            return connection::serve(self, reading, writing).await;
        };
        match tls.accept(stream, HANDSHAKE_WAIT_MAX).await {
            Ok(stream) => {
                let (reading, writing) = tokio::io::split(stream);
                connection::serve(self, reading, writing).await;
            }
            Err(error) => tracing::debug!(%peer, %error, "client's TLS handshake failed"),
        }
    }
}
