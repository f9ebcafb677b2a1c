//! How Leeward's processes reach each other: plain on loopback, or TLS in which both sides show a certificate of one
//! authority. Knows nothing of what is said.

mod peer;
mod tls;
mod trust;

pub use peer::{Peer, PeerError};
pub use tls::{Clients, Identity, ServerTls, TlsError};

use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::ClientConfig;

use self::tls::{Protocol, client_config, server_config};

/// How this process reaches others of ours, and is reached by them; plain by default. Clones share the certificates.
#[derive(Clone, Debug, Default)]
pub struct Transport {
    tls: Option<Tls>,
}

#[derive(Clone, Debug)]
struct Tls {
    client: Arc<ArcSwap<ClientConfig>>,
    peers: ServerTls,
    people: ServerTls,
}

/// What a process shows to others of ours, and whom it takes for one of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    pub identity: Identity,
    /// Authorities whose certificates the others must show, PEM.
    pub authorities: String,
    /// Whether people's tools must show a certificate too: scrapers of metrics, readers of status.
    pub everybody_certifies: bool,
}

impl Credentials {
    fn server(&self, protocol: Protocol) -> Result<rustls::ServerConfig, TlsError> {
        let clients = match protocol {
            Protocol::Http1 if !self.everybody_certifies => Clients::MayCertify(&self.authorities),
            Protocol::Http1 | Protocol::Grpc | Protocol::Kafka => Clients::MustCertify(&self.authorities),
        };
        server_config(&self.identity, &clients, protocol)
    }
}

impl Transport {
    /// TLS with these credentials.
    ///
    /// # Errors
    ///
    /// [`TlsError`] where they do not belong together.
    pub fn secured(credentials: &Credentials) -> Result<Self, TlsError> {
        let client = client_config(&credentials.identity, &credentials.authorities)?;
        let tls = Tls {
            client: Arc::new(ArcSwap::from_pointee(client)),
            peers: ServerTls::new(credentials.server(Protocol::Grpc)?),
            people: ServerTls::new(credentials.server(Protocol::Http1)?),
        };
        Ok(Self { tls: Some(tls) })
    }

    /// Shows and trusts others from the next connection on. Nothing changes where the process has no TLS.
    ///
    /// # Errors
    ///
    /// [`TlsError`]; everything stays as it was then.
    pub fn replace(&self, credentials: &Credentials) -> Result<(), TlsError> {
        let Some(tls) = &self.tls else { return Ok(()) };
        let client = client_config(&credentials.identity, &credentials.authorities)?;
        let (peers, people) = (credentials.server(Protocol::Grpc)?, credentials.server(Protocol::Http1)?);
        tls.client.store(Arc::new(client));
        tls.peers.replace(peers);
        tls.people.replace(people);
        Ok(())
    }

    /// The TLS of a port for our own processes: all of them must show a certificate.
    pub fn for_peers(&self) -> Option<ServerTls> {
        self.tls.as_ref().map(|tls| tls.peers.clone())
    }

    /// The TLS of a port for people's tools.
    pub fn for_people(&self) -> Option<ServerTls> {
        self.tls.as_ref().map(|tls| tls.people.clone())
    }

    /// `https` or `http`: how the addresses of this process's own ports begin.
    pub fn scheme(&self) -> &'static str {
        if self.tls.is_some() { "https" } else { "http" }
    }

    /// Another process of ours, at `http://host:port` or `https://host:port`.
    ///
    /// # Errors
    ///
    /// [`PeerError`] where the text is no address, or asks for TLS that this process has no certificates for.
    pub fn peer(&self, address: &str) -> Result<Peer, PeerError> {
        Peer::new(address, self.tls.as_ref().map(|tls| Arc::clone(&tls.client)))
    }
}

#[cfg(test)]
mod tests;
