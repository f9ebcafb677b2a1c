//! The controller of this process.

use std::{fs, sync::Arc};

use anyhow::Context;
use leeward_failover::{Budgets, Controller, ControllerConfig, Redirector, RegionConfig};
use leeward_model::RegionName;
use leeward_policies::{Topology, limits::DRAIN_MAX};
use prometheus::{IntGauge, Opts};
use tracing::info;

use super::{failover, names, role::Running, site::Site};
use crate::http::ReadyCheck;

/// How the regions share the work: one takes writes, the other follows.
const MODE: &str = "active-passive";

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
        transport: site.transport.clone(),
        grpc_listen: site.settings.listen.control,
        http_listen: None,
    };
    let controller = Controller::start(config).await.context("the controller does not start")?;
    let address = controller.grpc_address();
    site.control = Some(address);
    info!(%address, topology = %topology.metadata.name, "controller decides");

    let described = described(topology.metadata.name.as_str(), &site.policy_hash)?;
    site.registry.register(Box::new(described))?;
    site.series.push(Box::new(controller.series()));
    let mut role = Running::new("controller", std::future::ready(()));
    role.ready.push(ReadyCheck::new("controller", controller.readiness()));
    role.routes = controller.routes();
    role.ended = Some(Box::pin(controller.stopped()));
    role.stop = Box::pin(controller.shutdown());
    running.push(role);
    Ok(())
}

/// Where the controller's own probes look from: its process's region, else the witness, else beside the survivor.
fn place(site: &Site) -> RegionName {
    let own = site.region.clone().or_else(|| site.topology.witness().map(|region| region.name.clone()));
    own.unwrap_or_else(|| site.topology.standby().name.clone())
}

fn described(topology: &str, policy_hash: &str) -> anyhow::Result<IntGauge> {
    let options = Opts::new("leeward_topology_info", "The policy that is carried out; always 1.")
        .const_label("topology", topology)
        .const_label("mode", MODE)
        .const_label("policy_hash", policy_hash);
    let gauge = IntGauge::with_opts(options).context("the topology's metric")?;
    gauge.set(1);
    Ok(gauge)
}

fn budgets(topology: &Topology) -> Budgets {
    Budgets {
        rpo: topology.spec.budgets.rpo.max,
        rto: topology.spec.budgets.rto.max,
        rto_worst_case: topology.rto_arithmetic().total,
    }
}

#[cfg(test)]
mod tests {
    use prometheus::core::Collector;

    use super::*;

    #[test]
    fn a_topology_is_described_by_its_mode_and_its_policys_hash() {
        let families = described("payments", "ba7816bf8f01").expect("legal").collect();

        let labels: Vec<_> = families[0].get_metric()[0]
            .get_label()
            .iter()
            .map(|label| (label.name().to_owned(), label.value().to_owned()))
            .collect();
        for (name, value) in [("topology", "payments"), ("mode", MODE), ("policy_hash", "ba7816bf8f01")] {
            assert!(labels.contains(&(name.to_owned(), value.to_owned())), "{labels:?}");
        }
    }
}
