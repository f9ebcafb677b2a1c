//! The durable gateway of this process.

use std::{collections::BTreeMap, fs, path::PathBuf, sync::Arc};

use anyhow::Context;
use leeward_buffer::{Acknowledge, Gateway, GatewayConfig, GroupWait};
use leeward_policies::AckWhen;
use tracing::info;

use super::{kafka, listen, listener_tls, role::Running, site::Site};
use crate::http::ReadyCheck;

/// Where Linux says what the host is called.
const HOST_NAME_FILES: [&str; 2] = ["/proc/sys/kernel/hostname", "/etc/hostname"];

/// Starts the gateway.
///
/// # Errors
///
/// Where a region cannot be reached from here, or the gateway does not start.
pub(super) async fn start(site: &mut Site, running: &mut Vec<Running>) -> anyhow::Result<()> {
    let buffer = &site.topology.spec.buffer;
    if !buffer.enabled {
        anyhow::bail!("`buffer.enabled` is false: the topology has no gateway");
    }
    let listen = match site.settings.listen.gateway {
        Some(address) => address,
        None => listen::resolve("buffer.listen", &buffer.listen).await?,
    };
    let advertised = site.settings.listen.gateway_advertised.clone();
    listen::check_gateway(listen, buffer, advertised.as_deref())?;
    let tls = match &buffer.tls {
        Some(tls) => Some(listener_tls::start(tls).await?),
        None => None,
    };
    let mut regions = BTreeMap::new();
    let mut agents = BTreeMap::new();
    for region in site.topology.data_regions() {
        regions.insert(region.name.clone(), kafka::client(site, region, "gateway").await?);
        agents.insert(region.name.clone(), site.mirror(&region.name)?);
    }
    let topics = site.topology.spec.replication.topics.clone();
    let config = GatewayConfig {
        name: name(site, listen.port()),
        listen,
        tls,
        advertised,
        dir: buffer.dir.as_ref().map_or_else(|| site.data.join("buffer"), PathBuf::from),
        capacity: buffer.capacity,
        group_wait: GroupWait {
            at_most: buffer.fsync.every,
            or_bytes: usize::try_from(buffer.fsync.or_bytes.as_bytes()).unwrap_or(usize::MAX),
        },
        acknowledge: match buffer.ack {
            AckWhen::AfterFsync => Acknowledge::AfterFsync,
            AckWhen::AfterKafka => Acknowledge::AfterKafka,
        },
        regions,
        acting: None,
        transport: site.transport.clone(),
        controllers: vec![site.controller()],
        agents,
        mirrored: Arc::new(move |topic| topics.matches(topic)),
        registry: site.registry.clone(),
        labels: [("topology".to_owned(), site.topology.metadata.name.to_string())].into(),
    };
    let gateway = Gateway::start(config).await.context("the gateway does not start")?;
    let address = gateway.address();
    info!(%address, "gateway serves");
    let listens =
        ReadyCheck::new(
            "gateway",
            move || async move { tokio::net::TcpStream::connect(address).await.is_ok() },
        );
    running.push(Running::new("gateway", gateway.shutdown()).ready_when(listens));
    Ok(())
}

/// Unique among the gateways of a topology: the settings' name, or the host's with the port.
fn name(site: &Site, port: u16) -> String {
    let host = || HOST_NAME_FILES.iter().find_map(|file| fs::read_to_string(file).ok());
    match &site.settings.name {
        Some(name) => name.clone(),
        None => format!("{}:{port}", host().as_deref().unwrap_or("gateway").trim()),
    }
}
