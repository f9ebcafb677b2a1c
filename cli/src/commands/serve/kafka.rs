//! How to reach a region's Kafka: the policy's words as the client's configuration.

use std::path::Path;

use anyhow::Context;
use leeward_client::{ClientConfig, Credentials, Sasl, Security, TlsClientIdentity, TlsConfig};
use leeward_policies::{Kafka, KafkaCluster, Region, SaslMechanism, SecretRef, Tls};
use secrecy::ExposeSecret;

use super::{secret, site::Site};

/// Where systems keep the authorities that they trust.
const SYSTEM_AUTHORITIES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// Reaches `region`'s Kafka from this process; `role` is what its brokers' logs call us.
///
/// # Errors
///
/// Where nobody says where it is, or a secret is not there.
pub(in crate::commands) async fn client(
    site: &Site,
    region: &Region,
    role: &str,
) -> anyhow::Result<ClientConfig> {
    let mut config = ClientConfig::new(site.bootstrap(region)?);
    config.client_id = format!("leeward-{role}");
    if let Some(Kafka::Cluster(cluster)) = &region.kafka {
        config.expected_cluster_id.clone_from(&cluster.cluster_id);
        config.security = security(cluster).await.with_context(|| format!("region {}", region.name))?;
    }
    Ok(config)
}

async fn security(cluster: &KafkaCluster) -> anyhow::Result<Security> {
    let tls = match &cluster.tls {
        Some(tls) => Some(tls_config(tls).await?),
        None => None,
    };
    let sasl = match &cluster.sasl {
        Some(sasl) => {
            let password = secret::resolve("kafka.sasl.password", &sasl.password).await?;
            let credentials = Credentials { username: sasl.username.clone(), password };
            Some(match sasl.mechanism {
                SaslMechanism::Plain => Sasl::Plain(credentials),
                SaslMechanism::ScramSha256 => Sasl::ScramSha256(credentials),
                SaslMechanism::ScramSha512 => Sasl::ScramSha512(credentials),
            })
        }
        None => None,
    };
    Ok(Security { tls, sasl })
}

async fn tls_config(tls: &Tls) -> anyhow::Result<TlsConfig> {
    let ca_pem = match &tls.ca {
        Some(ca) => secret::resolve("kafka.tls.ca", ca).await?,
        None => system_authorities().await?,
    };
    let client = match (&tls.cert, &tls.key) {
        (Some(cert), Some(key)) => Some(TlsClientIdentity {
            cert_pem: secret::resolve("kafka.tls.cert", cert).await?.expose_secret().to_owned(),
            key_pem: secret::resolve("kafka.tls.key", key).await?,
        }),
        (None, None) => None,
        (Some(_), None) => anyhow::bail!("`kafka.tls.cert` needs `kafka.tls.key` beside it"),
        (None, Some(_)) => anyhow::bail!("`kafka.tls.key` needs `kafka.tls.cert` beside it"),
    };
    Ok(TlsConfig { ca_pem: ca_pem.expose_secret().to_owned(), client, server_name: None })
}

async fn system_authorities() -> anyhow::Result<secrecy::SecretString> {
    let chosen = std::env::var("SSL_CERT_FILE").ok();
    let found = chosen.or_else(|| {
        SYSTEM_AUTHORITIES.iter().find(|path| Path::new(path).is_file()).map(|path| (*path).to_owned())
    });
    let path = found.with_context(|| {
        format!(
            "`kafka.tls.ca` is not given, and the system's authorities are in none of {}; `SSL_CERT_FILE` may name them",
            SYSTEM_AUTHORITIES.join(", ")
        )
    })?;
    secret::resolve("kafka.tls.ca", &SecretRef::FromFile(path)).await
}
