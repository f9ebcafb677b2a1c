//! Names that follow the primary: the policy's records as the redirectors that move them.

use std::{net::SocketAddr, path::Path, sync::Arc};

use anyhow::Context;
use leeward_failover::{ManagedName, NameServers, Rfc2136Redirector, Tsig};
use leeward_policies::{DnsProvider, DnsRecord, EmbeddedDns, SecretRef, TsigAlgorithm};

use super::{embedded_dns::embedded_zone, secret, site::Site};
use crate::args::Role;

/// What the embedded server's key is called.
const EMBEDDED_KEY_NAME: &str = "leeward";

/// Where resolvers listen.
const RESOLVER_PORT: u16 = 53;

/// The key that signs changes to Leeward's own server: the settings' file, or one made up where server and controller
/// are one process.
///
/// # Errors
///
/// Where neither holds, or the file has no key.
pub(super) async fn embedded_key(site: &mut Site) -> anyhow::Result<Tsig> {
    if let Some(key) = &site.dns_key {
        return Ok(key.clone());
    }
    let key = match &site.settings.peers.dns_key_file {
        Some(file) => key_of_file(file).await?,
        None if site.roles.contains(&Role::Dns) && site.roles.contains(&Role::Controller) => {
            Tsig::generate(EMBEDDED_KEY_NAME)?
        }
        None => anyhow::bail!(
            "the embedded DNS server runs in another process than the controller; \
             `peers.dns_key_file` of both must name the file with their key, in base64"
        ),
    };
    site.dns_key = Some(key.clone());
    Ok(key)
}

async fn key_of_file(file: &Path) -> anyhow::Result<Tsig> {
    let place = SecretRef::FromFile(file.to_string_lossy().into_owned());
    let secret = secret::resolve("peers.dns_key_file", &place).await?;
    Ok(Tsig::new(EMBEDDED_KEY_NAME, TsigAlgorithm::HmacSha256, &secret)?)
}

/// One redirector for each name of the policy.
///
/// # Errors
///
/// Where a name does not hold together, or a key is not there.
pub(super) async fn redirectors(site: &mut Site) -> anyhow::Result<Vec<Arc<Rfc2136Redirector>>> {
    let records = site.topology.spec.failover.dns.clone();
    let mut redirectors = Vec::new();
    for record in &records {
        let (zone, servers) = match &record.provider {
            DnsProvider::Rfc2136(server) => {
                let key = match &server.tsig {
                    Some(tsig) => {
                        let secret = secret::resolve("rfc2136.tsig.secret", &tsig.secret).await?;
                        Some(Tsig::new(&tsig.name, tsig.algorithm, &secret)?)
                    }
                    None => None,
                };
                (server.zone.clone(), servers(record, "rfc2136", server.server.to_string(), key))
            }
            DnsProvider::Embedded(server) => {
                let primary = embedded_server(site, server)?;
                let key = embedded_key(site).await?;
                (embedded_zone(&site.topology)?, servers(record, "embedded", primary, Some(key)))
            }
        };
        let name = ManagedName::of_policy(record, &zone)
            .with_context(|| format!("`failover.dns`: {} cannot be managed", record.name))?;
        redirectors.push(Arc::new(Rfc2136Redirector::new(name, servers)));
    }
    Ok(redirectors)
}

/// Where Leeward's own server is, as seen from this process.
fn embedded_server(site: &Site, server: &EmbeddedDns) -> anyhow::Result<String> {
    let here = site.dns.or(site.settings.peers.dns);
    match here {
        Some(address) => Ok(address.to_string()),
        None if server.listen.port() != 0 => Ok(server.listen.to_string()),
        None => anyhow::bail!("the embedded DNS server runs in another process; `peers.dns` must say where"),
    }
}

fn servers(record: &DnsRecord, provider: &'static str, primary: String, key: Option<Tsig>) -> NameServers {
    let resolvers = record.confirm.resolvers.iter();
    NameServers {
        provider,
        primary,
        secondaries: Vec::new(),
        resolvers: resolvers.map(|address| SocketAddr::new(*address, RESOLVER_PORT)).collect(),
        key,
        confirm_within: record.confirm.timeout,
    }
}
