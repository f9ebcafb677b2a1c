//! The embedded DNS server of this process.

use std::fs;

use anyhow::Context;
use leeward_failover::{EmbeddedDns, EmbeddedDnsConfig};

use super::{embedded_dns, listen, names, role::Running, site::Site};
use crate::http::ReadyCheck;

/// Starts the server of the topology's embedded names.
///
/// # Errors
///
/// Where there is no such name, no key, or it cannot listen.
pub(super) async fn start(site: &mut Site, running: &mut Vec<Running>) -> anyhow::Result<()> {
    let zone = embedded_dns::embedded_zone(&site.topology)?;
    let key = names::embedded_key(site).await?;
    let from_policy =
        embedded_dns::embedded_records(&site.topology).first().map(|(_, server)| server.listen.clone());
    let listen = match (site.settings.listen.dns, from_policy) {
        (Some(address), _) => address,
        (None, Some(at)) => listen::resolve("dns.provider.embedded.listen", &at).await?,
        (None, None) => anyhow::bail!("nobody says where the embedded DNS server listens"),
    };
    let folder = site.data.join("dns");
    fs::create_dir_all(&folder).with_context(|| format!("{} cannot be used", folder.display()))?;
    let config = EmbeddedDnsConfig { listen, zone, key, file: folder.join("zone") };
    let server = EmbeddedDns::start(config).await.context("the embedded DNS server does not start")?;
    let address = server.address();
    site.dns = Some(address);
    let listens =
        ReadyCheck::new("dns", move || async move { tokio::net::TcpStream::connect(address).await.is_ok() });
    running.push(Running::new("dns", server.shut_down()).ready_when(listens));
    Ok(())
}
