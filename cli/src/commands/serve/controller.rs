//! The controller of this process, and what it keeps true about the names that it moves.

use std::{fs, sync::Arc, time::Duration};

use anyhow::Context;
use leeward_failover::{
    Budgets, Controller, ControllerConfig, DnsMetrics, RedirectError, Redirector, RegionConfig,
    Rfc2136Redirector, watch_name,
};
use leeward_model::{FencingEpoch, RegionName, TopologyName};
use leeward_policies::{Topology, limits::DRAIN_MAX};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{info, warn};

use super::{failover, names, role::Running, site::Site};
use crate::http::ReadyCheck;

/// Between two tries to publish a name for the first time; its server may start after the controller.
const PUBLISH_RETRY: Duration = Duration::from_secs(1);

/// Between two looks at what a name answers.
const NAME_LOOK_EVERY: Duration = Duration::from_secs(5);

/// Starts the controller.
///
/// # Errors
///
/// Where a region or a name cannot be reached from here, or the controller does not start.
pub(super) async fn start(site: &mut Site, running: &mut Vec<Running>) -> anyhow::Result<()> {
    let names = names::redirectors(site).await?;
    let data = site.data.join("controller");
    fs::create_dir_all(&data).with_context(|| format!("{} cannot be used", data.display()))?;
    let mut regions = Vec::new();
    for (name, cluster) in failover::clusters(site, "controller").await? {
        let mirror = site.mirror(&name)?;
        regions.push(RegionConfig { name, cluster, mirror });
    }
    let topology = &site.topology;
    let config = ControllerConfig {
        topology: topology.metadata.name.clone(),
        core: failover::brain(topology)?,
        place: place(site),
        regions,
        protected: failover::protected(topology),
        seal_default: failover::seals_default(topology),
        redirectors: names.iter().map(|name| Arc::clone(name) as Arc<dyn Redirector>).collect(),
        drain_max: DRAIN_MAX,
        budgets: budgets(topology),
        data,
        grpc_listen: site.settings.listen.control,
        http_listen: None,
    };
    let controller = Controller::start(config).await.context("the controller does not start")?;
    let address = controller.grpc_address();
    site.control = Some(address);
    info!(%address, topology = %topology.metadata.name, "controller decides");

    let stop = CancellationToken::new();
    let tasks = TaskTracker::new();
    let status = controller.status();
    for name in &names {
        tasks.spawn(until(stop.clone(), publish(Arc::clone(name), status.primary.clone(), status.epoch)));
    }
    if !names.is_empty() {
        watch(&topology.metadata.name, &names, site, &stop, &tasks)?;
    }
    tasks.close();
    site.series.push(Box::new(controller.series()));
    let mut role = Running::new("controller", std::future::ready(()));
    role.ready.push(ReadyCheck::new("controller", controller.readiness()));
    role.routes = controller.routes();
    role.ended = Some(Box::pin(controller.stopped()));
    role.stop = Box::pin(async move {
        stop.cancel();
        controller.shutdown().await;
        tasks.wait().await;
    });
    running.push(role);
    Ok(())
}

/// Where the controller's own probes look from: its process's region, else the witness, else beside the survivor.
fn place(site: &Site) -> RegionName {
    let own = site.region.clone().or_else(|| site.topology.witness().map(|region| region.name.clone()));
    own.unwrap_or_else(|| site.topology.standby().name.clone())
}

fn budgets(topology: &Topology) -> Budgets {
    Budgets {
        rpo: topology.spec.budgets.rpo.max,
        rto: topology.spec.budgets.rto.max,
        rto_worst_case: topology.rto_arithmetic().total,
    }
}

async fn until(stop: CancellationToken, work: impl Future<Output = ()>) {
    tokio::select! {
        biased;
        () = stop.cancelled() => {}
        () = work => {}
    }
}

/// Publishes a name that was never published, under the epoch at which the controller started. A name that has an
/// epoch is left alone: it follows decisions only.
async fn publish(name: Arc<Rfc2136Redirector>, primary: RegionName, epoch: FencingEpoch) {
    let mut warned = false;
    loop {
        match publish_once(&name, &primary, epoch).await {
            Ok(()) => return,
            Err(error) if !error.may_retry() => {
                info!(name = name.name(), %error, "name is left as it is");
                return;
            }
            Err(error) if !warned => {
                warned = true;
                warn!(name = name.name(), %error, "name cannot be published yet");
            }
            Err(_) => {}
        }
        tokio::time::sleep(PUBLISH_RETRY).await;
    }
}

async fn publish_once(
    name: &Rfc2136Redirector,
    primary: &RegionName,
    epoch: FencingEpoch,
) -> Result<(), RedirectError> {
    if name.published().await?.epoch.is_some() {
        return Ok(());
    }
    name.redirect(primary, epoch).await?;
    info!(name = name.name(), region = %primary, "name published");
    Ok(())
}

/// Goes on looking at what the names answer: others can write to a zone too.
fn watch(
    topology: &TopologyName,
    names: &[Arc<Rfc2136Redirector>],
    site: &Site,
    stop: &CancellationToken,
    tasks: &TaskTracker,
) -> anyhow::Result<()> {
    let metrics = DnsMetrics::register(&site.registry, topology).context("the names' metrics")?;
    for name in names {
        let (name, metrics, stop) = (Arc::clone(name), metrics.clone(), stop.clone());
        tasks.spawn(async move { watch_name(&name, &metrics, NAME_LOOK_EVERY, &stop, |_| ()).await });
    }
    Ok(())
}
