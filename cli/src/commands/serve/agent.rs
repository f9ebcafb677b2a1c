//! The region agents of this process.

use std::fs;

use anyhow::Context;
use leeward_failover::{Agent, AgentConfig};
use tracing::info;

use super::{failover, role::Running, site::Site};

/// Starts the agent of the process's own region, or of every region.
///
/// # Errors
///
/// Where one does not start.
pub(super) async fn start(site: &mut Site, running: &mut Vec<Running>) -> anyhow::Result<()> {
    let regions = site.regions();
    if regions.is_empty() {
        anyhow::bail!("an agent stands in a region that holds data");
    }
    for region in regions {
        let data = site.data.join("agent").join(region.name.as_str());
        fs::create_dir_all(&data).with_context(|| format!("{} cannot be used", data.display()))?;
        let config = AgentConfig {
            region: region.name.clone(),
            clusters: failover::clusters(site, "agent").await?,
            controller: site.controller(),
            transport: site.transport.clone(),
            detect: failover::levels(&site.topology.spec.failover.detect),
            protected: failover::protected(&site.topology),
            seal_default: failover::seals_default(&site.topology),
            seals_itself: failover::seals_writes(&site.topology),
            lease: site.topology.spec.failover.fencing.lease,
            data,
        };
        let agent = Agent::start(&config)
            .with_context(|| format!("the agent of region {} does not start", region.name))?;
        info!(region = %region.name, controller = config.controller, "agent probes");
        running.push(Running::new(format!("agent {}", region.name), agent.shutdown()));
    }
    Ok(())
}
