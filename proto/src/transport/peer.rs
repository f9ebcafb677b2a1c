//! Another process of ours, as one connects to it.

use std::{
    future::Future,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use arc_swap::ArcSwap;
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, pki_types::ServerName};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};
use tonic::{
    codegen::{Service, http::Uri},
    transport::{Channel, Endpoint, Error},
};

/// Why an address cannot be connected to.
#[derive(Debug, thiserror::Error)]
pub enum PeerError {
    #[error("`{address}` is no address of a process; write http://host:port or https://host:port")]
    Address { address: String, source: Error },
    #[error("`{address}` wants TLS, and this process has no certificates; give its settings `tls`")]
    NoCertificates { address: String },
}

/// Another process of ours. Each connection is made with the certificates of that moment.
#[derive(Clone, Debug)]
pub struct Peer {
    endpoint: Endpoint,
    connector: Option<Connector>,
}

impl Peer {
    pub(super) fn new(address: &str, tls: Option<Arc<ArcSwap<ClientConfig>>>) -> Result<Self, PeerError> {
        let unusable = |source| PeerError::Address { address: address.to_owned(), source };
        let Some(rest) = address.strip_prefix("https://") else {
            return Ok(Self {
                endpoint: Endpoint::from_shared(address.to_owned()).map_err(unusable)?,
                connector: None,
            });
        };
        let Some(tls) = tls else { return Err(PeerError::NoCertificates { address: address.to_owned() }) };
        // The connector encrypts; to what stands above it the connection is a plain one.
        let endpoint = Endpoint::from_shared(format!("http://{rest}")).map_err(unusable)?;
        Ok(Self { endpoint, connector: Some(Connector(tls)) })
    }

    /// Gives up a connection that is not made within this time.
    #[must_use]
    pub fn connect_timeout(self, within: Duration) -> Self {
        Self { endpoint: self.endpoint.connect_timeout(within), ..self }
    }

    /// Connects.
    ///
    /// # Errors
    ///
    /// Where nobody answers, or one that is not ours.
    pub async fn connect(&self) -> Result<Channel, Error> {
        match &self.connector {
            Some(connector) => self.endpoint.connect_with_connector(connector.clone()).await,
            None => self.endpoint.connect().await,
        }
    }

    /// Connects when first used, and again when the connection breaks.
    pub fn connect_lazy(&self) -> Channel {
        match &self.connector {
            Some(connector) => self.endpoint.connect_with_connector_lazy(connector.clone()),
            None => self.endpoint.connect_lazy(),
        }
    }

    /// Where it is, for logs.
    pub fn uri(&self) -> &Uri {
        self.endpoint.uri()
    }
}

/// TCP, then TLS.
#[derive(Clone, Debug)]
struct Connector(Arc<ArcSwap<ClientConfig>>);

impl Service<Uri> for Connector {
    type Response = TokioIo<TlsStream<TcpStream>>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let tls = TlsConnector::from(self.0.load_full());
        Box::pin(async move {
            let wrong = |what: &str| io::Error::new(io::ErrorKind::InvalidInput, format!("{uri} {what}"));
            let host = uri.host().ok_or_else(|| wrong("names no host"))?;
            let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
            let port = uri.port_u16().ok_or_else(|| wrong("names no port"))?;
            let stream = TcpStream::connect((host.as_str(), port)).await?;
            stream.set_nodelay(true)?;
            let name =
                ServerName::try_from(host).map_err(|_| wrong("has no name that a certificate can have"))?;
            Ok(TokioIo::new(tls.connect(name, stream).await?))
        })
    }
}
