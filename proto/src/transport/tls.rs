//! TLS by rustls: what a listener or a client shows and trusts, from PEM.

use std::{fmt, io, sync::Arc};

use arc_swap::ArcSwap;
use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    crypto::CryptoProvider,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::WebPkiClientVerifier,
};
use secrecy::{ExposeSecret, SecretString};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::{Duration, timeout},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use super::trust::ServerTrust;

/// Why certificates and keys cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("{what} holds no readable PEM")]
    Pem { what: &'static str, source: rustls::pki_types::pem::Error },
    #[error("{what} holds no certificate")]
    Empty { what: &'static str },
    #[error("certificate, key and authorities do not work together")]
    Rustls(#[from] rustls::Error),
    #[error("the authorities cannot be trusted")]
    Authorities(#[from] rustls::server::VerifierBuilderError),
}

/// A certificate chain and its key, PEM.
#[derive(Clone)]
pub struct Identity {
    pub certificate: String,
    pub key: SecretString,
}

impl PartialEq for Identity {
    fn eq(&self, other: &Self) -> bool {
        self.certificate == other.certificate && self.key.expose_secret() == other.key.expose_secret()
    }
}

impl Eq for Identity {}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").finish_non_exhaustive()
    }
}

/// What a listener wants of those who connect; authorities are PEM.
#[derive(Clone, Copy, Debug)]
pub enum Clients<'a> {
    Anybody,
    /// A certificate is looked at where one is shown, and a wrong one is refused.
    MayCertify(&'a str),
    MustCertify(&'a str),
}

/// What is spoken inside, for ALPN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    Grpc,
    Http1,
    Kafka,
}

impl Protocol {
    fn names(self) -> Vec<Vec<u8>> {
        match self {
            Self::Grpc => vec![b"h2".to_vec()],
            Self::Http1 => vec![b"http/1.1".to_vec()],
            Self::Kafka => Vec::new(),
        }
    }
}

/// The TLS of a listener. What it shows can be replaced while it listens; clones see the change.
#[derive(Clone, Debug)]
pub struct ServerTls(Arc<ArcSwap<ServerConfig>>);

impl ServerTls {
    pub(super) fn new(config: ServerConfig) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(config)))
    }

    /// For a listener that speaks Kafka.
    ///
    /// # Errors
    ///
    /// [`TlsError`] where certificate, key and authorities do not belong together.
    pub fn for_kafka(identity: &Identity, clients: Clients<'_>) -> Result<Self, TlsError> {
        Ok(Self::new(server_config(identity, &clients, Protocol::Kafka)?))
    }

    /// Shows and trusts what `other` does, from the next connection on.
    pub fn become_like(&self, other: &Self) {
        self.0.store(other.0.load_full());
    }

    pub(super) fn replace(&self, config: ServerConfig) {
        self.0.store(Arc::new(config));
    }

    /// Shakes hands, within this time.
    ///
    /// # Errors
    ///
    /// Where the other side does not, or shows what is not trusted.
    pub async fn accept<S>(&self, stream: S, within: Duration) -> io::Result<TlsStream<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let acceptor = TlsAcceptor::from(self.0.load_full());
        timeout(within, acceptor.accept(stream)).await.map_err(|_| io::ErrorKind::TimedOut)?
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn certificates(what: &'static str, pem: &str) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found: Vec<_> = CertificateDer::pem_slice_iter(pem.as_bytes())
        .collect::<Result<_, _>>()
        .map_err(|source| TlsError::Pem { what, source })?;
    if found.is_empty() { Err(TlsError::Empty { what }) } else { Ok(found) }
}

fn roots(pem: &str) -> Result<Arc<RootCertStore>, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates("the authorities' file", pem)? {
        roots.add(certificate)?;
    }
    Ok(Arc::new(roots))
}

type Shown = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

fn shown(identity: &Identity) -> Result<Shown, TlsError> {
    let chain = certificates("the certificate's file", &identity.certificate)?;
    let key = PrivateKeyDer::from_pem_slice(identity.key.expose_secret().as_bytes())
        .map_err(|source| TlsError::Pem { what: "the key's file", source })?;
    Ok((chain, key))
}

pub(super) fn server_config(
    identity: &Identity,
    clients: &Clients<'_>,
    protocol: Protocol,
) -> Result<ServerConfig, TlsError> {
    let provider = provider();
    let verifier = |pem: &str| {
        Ok::<_, TlsError>(WebPkiClientVerifier::builder_with_provider(roots(pem)?, Arc::clone(&provider)))
    };
    let builder =
        ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions()?;
    let builder = match clients {
        Clients::Anybody => builder.with_no_client_auth(),
        Clients::MayCertify(pem) => {
            builder.with_client_cert_verifier(verifier(pem)?.allow_unauthenticated().build()?)
        }
        Clients::MustCertify(pem) => builder.with_client_cert_verifier(verifier(pem)?.build()?),
    };
    let (chain, key) = shown(identity)?;
    let mut config = builder.with_single_cert(chain, key)?;
    config.alpn_protocols = protocol.names();
    Ok(config)
}

pub(super) fn client_config(identity: &Identity, authorities: &str) -> Result<ClientConfig, TlsError> {
    let provider = provider();
    let (chain, key) = shown(identity)?;
    let own = chain.first().ok_or(TlsError::Empty { what: "the certificate's file" })?.clone();
    let trust = ServerTrust::new(roots(authorities)?, Arc::clone(&provider), own)?;
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(trust))
        .with_client_auth_cert(chain, key)?;
    config.alpn_protocols = Protocol::Grpc.names();
    Ok(config)
}
