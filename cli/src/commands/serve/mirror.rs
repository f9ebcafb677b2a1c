//! The links of this process: all that end in the regions in which it stands.

use std::time::Duration;

use anyhow::Context;
use leeward_mirror::{
    Begin, Following, GapPolicy, LinkConfig, LinkHandle, LinkService, MirrorMetrics, Naming,
};
use leeward_model::LinkName;
use leeward_policies::{self as policies, PartitionSync, Region, StartFrom};
use leeward_proto::{Connections, grpc_server, link::link_server::LinkServer};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{error, info};

use super::{kafka, role::Running, site::Site};
use crate::http::ReadyCheck;

/// Wait for one answer from the other region, beyond what it was asked to wait. Reached: the connection is given up. A
/// network that swallows packets gives no other sign, and what is at risk grows until somebody notices.
const SOURCE_ANSWER_WAIT: Duration = Duration::from_secs(6);

/// Wait for one connection to the other region. Reached: another is tried.
const SOURCE_CONNECT_WAIT: Duration = Duration::from_secs(2);

/// Time for answers that are under way when the process stops. Reached: their connections are closed.
const LAST_ANSWERS_WAIT: Duration = Duration::from_millis(300);

/// Starts the links, and answers for them.
///
/// # Errors
///
/// Where a region cannot be reached from here, or a link's folder cannot be used.
pub(super) async fn start(site: &mut Site, running: &mut Vec<Running>) -> anyhow::Result<()> {
    let taken = site.link.as_mut().and_then(|(_, listener)| listener.take());
    let listener = taken.context("the links' address was not taken")?;
    let address = listener.local_addr()?;
    let metrics = MirrorMetrics::register(&site.registry).context("the links' metrics")?;
    let mut links = Vec::new();
    for target in site.regions() {
        let data = site.topology.data_regions();
        let Some(source) = data.into_iter().find(|region| region.name != target.name).cloned() else {
            continue;
        };
        let config = config(site, &source, &target).await?;
        let name = config.name.clone();
        let link = LinkHandle::start(config, &metrics)
            .await
            .with_context(|| format!("link {name} does not start"))?;
        info!(link = %name, %address, "link waits for leave");
        links.push(link);
    }
    if links.is_empty() {
        anyhow::bail!("a mirror stands in a region that holds data");
    }
    let connections = Connections::of_grpc(listener).with_tls(site.transport.for_peers());
    running.push(serve(connections, links));
    Ok(())
}

async fn config(site: &Site, source: &Region, target: &Region) -> anyhow::Result<LinkConfig> {
    let replication = &site.topology.spec.replication;
    let mut from = kafka::client(site, source, "mirror").await?;
    from.timeouts.request = from.timeouts.request.min(SOURCE_ANSWER_WAIT);
    from.timeouts.connect = from.timeouts.connect.min(SOURCE_CONNECT_WAIT);
    let to = kafka::client(site, target, "mirror").await?;
    let name = LinkName::between(&source.name, &target.name);
    let folder = site.data.join("link").join(name.as_str());
    let mut config = LinkConfig::between((source.name.clone(), from), (target.name.clone(), to), folder);
    config.topology = site.topology.metadata.name.to_string();
    config.topics = replication.topics.clone();
    config.naming = match &replication.naming {
        policies::Naming::Identity => Naming::Identity,
        policies::Naming::Prefix(prefix) => Naming::Prefix(prefix.replace("{source}", source.name.as_str())),
    };
    config.begin = match replication.start_from {
        StartFrom::Earliest => Begin::Earliest,
        StartFrom::Latest => Begin::Latest,
    };
    config.gap = GapPolicy::Stop;
    config.groups = Some(replication.offsets.groups.clone());
    config.groups_every = replication.offsets.every;
    config.configs_every = replication.sync.every;
    config.following = Following {
        configs: replication.sync.configs,
        partitions: replication.sync.partitions == PartitionSync::Grow,
    };
    Ok(config)
}

/// Answers for the links over gRPC.
fn serve(connections: Connections, links: Vec<LinkHandle>) -> Running {
    let stop = CancellationToken::new();
    let tasks = TaskTracker::new();
    let service = LinkServer::new(LinkService::new(links.clone()));
    let stopped = stop.clone().cancelled_owned();
    let served = tasks.spawn(async move {
        let incoming = connections.into_stream();
        let served = grpc_server().add_service(service).serve_with_incoming_shutdown(incoming, stopped).await;
        if let Err(error) = served {
            error!(%error, "links cannot be asked");
        }
    });
    tasks.close();
    let answering = served.abort_handle();
    let mut role = Running::new("mirror", async move {
        for link in &links {
            link.shutdown().await;
        }
        stop.cancel();
        // Who watches the links hears nothing more of them, and does not hang up by itself.
        if tokio::time::timeout(LAST_ANSWERS_WAIT, tasks.wait()).await.is_err() {
            answering.abort();
        }
    });
    let ended = CancellationToken::new();
    let over = ended.clone();
    tokio::spawn(async move {
        let _ = served.await;
        over.cancel();
    });
    let asked = ended.clone();
    role.ready.push(ReadyCheck::new("mirror", move || {
        let asked = asked.clone();
        async move { !asked.is_cancelled() }
    }));
    role.ended = Some(Box::pin(ended.cancelled_owned()));
    role
}
