//! TLS by rustls: builds the connector once, finds the name to check for each host.

use std::sync::Arc;

use rustls::{
    ClientConfig as RustlsConfig, RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
};
use secrecy::ExposeSecret;
use tokio_rustls::TlsConnector;

use crate::TlsConfig;

/// Why TLS could not be set up from its configuration.
#[derive(Clone, Debug, thiserror::Error)]
pub enum TlsConfigError {
    #[error("{what} holds no readable PEM")]
    Pem { what: &'static str, source: Arc<rustls::pki_types::pem::Error> },
    #[error("{what} holds no certificate")]
    Empty { what: &'static str },
    #[error("TLS settings do not work together")]
    Rustls(#[from] rustls::Error),
    #[error("`{name}` is no name that a certificate can have; set the server name")]
    ServerName { name: String },
}

/// Makes TLS connections to the brokers of one cluster.
#[derive(Clone)]
pub(crate) struct Tls {
    connector: TlsConnector,
    server_name: Option<String>,
}

impl Tls {
    pub(crate) fn new(config: &TlsConfig) -> Result<Self, TlsConfigError> {
        let mut roots = RootCertStore::empty();
        for certificate in certificates("ca_pem", &config.ca_pem)? {
            roots.add(certificate)?;
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = RustlsConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots);
        let rustls_config = match &config.client {
            None => builder.with_no_client_auth(),
            Some(identity) => {
                let chain = certificates("client certificate", &identity.cert_pem)?;
                let key = PrivateKeyDer::from_pem_slice(identity.key_pem.expose_secret().as_bytes())
                    .map_err(|error| TlsConfigError::Pem { what: "client key", source: Arc::new(error) })?;
                builder.with_client_auth_cert(chain, key)?
            }
        };
        Ok(Self {
            connector: TlsConnector::from(Arc::new(rustls_config)),
            server_name: config.server_name.clone(),
        })
    }

    pub(crate) fn connector(&self) -> &TlsConnector {
        &self.connector
    }

    /// The name that the certificate of `host` must have.
    pub(crate) fn server_name(&self, host: &str) -> Result<ServerName<'static>, TlsConfigError> {
        let name = self.server_name.as_deref().unwrap_or(host);
        ServerName::try_from(name.to_owned())
            .map_err(|_| TlsConfigError::ServerName { name: name.to_owned() })
    }
}

fn certificates(what: &'static str, pem: &str) -> Result<Vec<CertificateDer<'static>>, TlsConfigError> {
    let found: Vec<_> = CertificateDer::pem_slice_iter(pem.as_bytes())
        .collect::<Result<_, _>>()
        .map_err(|error| TlsConfigError::Pem { what, source: Arc::new(error) })?;
    if found.is_empty() { Err(TlsConfigError::Empty { what }) } else { Ok(found) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn authorities_without_a_certificate_are_refused() {
        let refused = Tls::new(&TlsConfig::default()).err().expect("nothing to trust");

        assert_eq!(refused.to_string(), "ca_pem holds no certificate");
    }
}
