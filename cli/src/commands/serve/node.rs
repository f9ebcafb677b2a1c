//! The embedded regions of this process.

use std::path::PathBuf;

use anyhow::Context;
use leeward_node::{Endpoint, Entrance, Node, NodeConfig};
use leeward_policies::{EmbeddedKafka, HostPort, Kafka, Region};
use tracing::info;

use super::{listen, role::Running, site::Site};
use crate::{http::ReadyCheck, settings::LinkListen};

/// Starts the embedded region of the process's own region, or of every region.
///
/// # Errors
///
/// Where there is none, or one does not start.
pub(super) async fn start(site: &mut Site, running: &mut Vec<Running>) -> anyhow::Result<()> {
    let mut started = 0;
    let regions = site.regions();
    let alone = regions.len() == 1;
    for region in regions {
        let Some(Kafka::Embedded(embedded)) = &region.kafka else { continue };
        let config = config(site, &region, embedded, alone).await?;
        let node = Node::start(config)
            .await
            .with_context(|| format!("embedded region {} does not start", region.name))?;
        let address = node.addr();
        info!(region = %region.name, %address, cluster = %node.cluster_id(), "embedded region serves");
        site.nodes.insert(region.name.clone(), address.to_string());
        let name = format!("node {}", region.name);
        let listens = ReadyCheck::new(name.clone(), move || async move {
            tokio::net::TcpStream::connect(address).await.is_ok()
        });
        running.push(Running::new(name, node.shutdown()).ready_when(listens));
        started += 1;
    }
    if started == 0 {
        anyhow::bail!("no region of this process is an embedded one");
    }
    Ok(())
}

/// `listen.region` and `listen.region_link` are one address each: they count for a process that stands in one region.
async fn config(
    site: &Site,
    region: &Region,
    embedded: &EmbeddedKafka,
    alone: bool,
) -> anyhow::Result<NodeConfig> {
    let listen = match site.settings.listen.region.filter(|_| alone) {
        Some(address) => address,
        None => listen::resolve("kafka.embedded.listen", &embedded.listen).await?,
    };
    let directory = match &embedded.dir {
        Some(directory) => PathBuf::from(directory),
        None => site.data.join("node").join(region.name.as_str()),
    };
    let second = site.settings.listen.region_link.as_ref().filter(|_| alone).map(entrance).transpose()?;
    Ok(NodeConfig { listen, second, ..NodeConfig::new(directory) })
}

fn entrance(link: &LinkListen) -> anyhow::Result<Entrance> {
    let told = HostPort::parse(&link.advertised).with_context(|| {
        format!("`listen.region_link.advertised`: `{}` is not host:port", link.advertised)
    })?;
    let advertised = Endpoint { host: told.host().to_owned(), port: told.port() };
    Ok(Entrance { listen: link.listen, advertised: Some(advertised) })
}
