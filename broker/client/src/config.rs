//! What a client is told: where the cluster is, who we are, how long to wait.

use std::{fmt, sync::Arc, time::Duration};

use leeward_model::ClusterId;
use secrecy::SecretString;

use crate::{Resolve, SystemResolver};

/// How to reach a cluster.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// `host:port` of some brokers. All are tried, and names are resolved again on each attempt.
    pub bootstrap: Vec<String>,
    /// Shown in the broker's logs and quotas.
    pub client_id: String,
    pub security: Security,
    /// The only cluster to talk to. A broker of another one is an error. Without it the client follows its bootstrap
    /// addresses to whatever cluster answers there once its own brokers are gone.
    pub expected_cluster_id: Option<ClusterId>,
    pub timeouts: Timeouts,
    pub resolver: Arc<dyn Resolve>,
}

impl ClientConfig {
    /// Plain TCP to `bootstrap`, any cluster, the system's resolver.
    pub fn new(bootstrap: Vec<String>) -> Self {
        Self {
            bootstrap,
            client_id: "leeward".to_owned(),
            security: Security::default(),
            expected_cluster_id: None,
            timeouts: Timeouts::default(),
            resolver: Arc::new(SystemResolver),
        }
    }
}

/// How long to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// For one address: TCP, TLS, versions and login together.
    pub connect: Duration,
    /// For one answer, on top of what the request itself asks the broker to wait. The connection is closed when it ends.
    pub request: Duration,
    /// For one call with all its retries.
    pub operation: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            request: Duration::from_secs(20),
            operation: Duration::from_mins(1),
        }
    }
}

/// What protects a connection; by default nothing.
#[derive(Clone, Debug, Default)]
pub struct Security {
    pub tls: Option<TlsConfig>,
    pub sasl: Option<Sasl>,
}

/// TLS towards the brokers.
#[derive(Clone, Default)]
pub struct TlsConfig {
    /// Certificates, as PEM, that sign the brokers' own. There are no others: the system's are not used.
    pub ca_pem: String,
    /// Our certificate chain, where brokers ask for one.
    pub client: Option<TlsClientIdentity>,
    /// The name in the brokers' certificates, where it is not the host connected to.
    pub server_name: Option<String>,
}

impl fmt::Debug for TlsConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsConfig")
            .field("ca_pem_bytes", &self.ca_pem.len())
            .field("client", &self.client.is_some())
            .field("server_name", &self.server_name)
            .finish()
    }
}

/// Our own certificate chain and its key, as PEM.
#[derive(Clone)]
pub struct TlsClientIdentity {
    pub cert_pem: String,
    pub key_pem: SecretString,
}

impl fmt::Debug for TlsClientIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsClientIdentity").finish_non_exhaustive()
    }
}

/// A login.
#[derive(Clone, Debug)]
pub enum Sasl {
    Plain(Credentials),
    ScramSha256(Credentials),
    ScramSha512(Credentials),
}

impl Sasl {
    /// Kafka's name of the mechanism.
    pub fn mechanism(&self) -> &'static str {
        match self {
            Self::Plain(_) => "PLAIN",
            Self::ScramSha256(_) => "SCRAM-SHA-256",
            Self::ScramSha512(_) => "SCRAM-SHA-512",
        }
    }
}

/// User and password; the password is never printed.
#[derive(Clone, Debug)]
pub struct Credentials {
    pub username: String,
    pub password: SecretString,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_secret_is_ever_printed() {
        let mut config = ClientConfig::new(vec!["localhost:9092".to_owned()]);
        config.security.sasl = Some(Sasl::Plain(Credentials {
            username: "mirror".to_owned(),
            password: "hunter2".to_owned().into(),
        }));
        config.security.tls = Some(TlsConfig {
            client: Some(TlsClientIdentity {
                cert_pem: String::new(),
                key_pem: "-----BEGIN".to_owned().into(),
            }),
            ..TlsConfig::default()
        });

        let printed = format!("{config:?}");

        assert!(!printed.contains("hunter2") && !printed.contains("BEGIN"), "{printed}");
    }
}
