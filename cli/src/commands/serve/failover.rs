//! The policy's words about failing over, as controller and agents need them.

use std::{collections::BTreeMap, num::NonZeroU32, sync::Arc, time::Duration};

use anyhow::Context;
use leeward_failover::{Cluster, KafkaCluster, Protected};
use leeward_failover_core as core;
use leeward_model::RegionName;
use leeward_policies::{
    Automation, Detect, DivergentTail, Failover, FenceMethod, Gate, Pattern, Signal, Topology,
};

use super::{kafka, site::Site};

/// A clock drifts by less than this part of a lease, and a region stops its writers within it.
const LEASE_MARGIN_PART: u32 = 10;

/// Shortest margin: a short lease leaves too little for stopping the writers otherwise.
const LEASE_MARGIN_MIN: Duration = Duration::from_millis(100);

/// Youngest age at which evidence is too old to decide on, however often it is renewed.
const EVIDENCE_AGE_MIN: Duration = Duration::from_secs(5);

/// How often each level is probed, and how many failures in a row make it down. Reaching a broker at all is always
/// probed: it tells a loss soonest.
pub(super) fn levels(detect: &Detect) -> BTreeMap<core::Level, core::LevelRule> {
    let fail_after = u32::try_from(detect.fail_after.get()).unwrap_or(u32::MAX);
    let fail_after = NonZeroU32::new(fail_after).unwrap_or(NonZeroU32::MIN);
    let rule = core::LevelRule { every: detect.every, fail_after };
    let named = detect.signals.iter().map(|signal| level(*signal));
    named.chain([core::Level::Tcp, core::Level::ApiVersions]).map(|level| (level, rule)).collect()
}

fn level(signal: Signal) -> core::Level {
    match signal {
        Signal::Tcp => core::Level::Tcp,
        Signal::ApiVersions => core::Level::ApiVersions,
        Signal::Metadata => core::Level::Metadata,
        Signal::ProduceCanary => core::Level::ProduceCanary,
        Signal::FetchCanary => core::Level::FetchCanary,
    }
}

/// What the brain decides by.
///
/// # Errors
///
/// Where the policy asks for what nobody carries out.
pub(super) fn brain(topology: &Topology) -> anyhow::Result<core::Config> {
    let failover = &topology.spec.failover;
    let [primary, standby] = topology.data_regions().map(|region| region.name.clone());
    let mut places = vec![primary.clone(), standby.clone()];
    places.extend(topology.witness().map(|region| region.name.clone()));
    let mut gates = core::Gates {
        rpo_max: None,
        standby_writable: false,
        no_partition_drift: false,
        offsets_max_age: None,
        evidence_max_age: failover.detect.silence().saturating_mul(2).max(EVIDENCE_AGE_MIN),
    };
    for gate in &failover.gates {
        match gate {
            Gate::RpoWithinBudget => gates.rpo_max = Some(topology.spec.budgets.rpo.max),
            Gate::StandbyWritable => gates.standby_writable = true,
            Gate::OffsetsFresh(age) => gates.offsets_max_age = Some(*age),
            Gate::NoPartitionDrift => gates.no_partition_drift = true,
        }
    }
    let lease = failover.fencing.lease;
    Ok(core::Config {
        regions: [primary, standby],
        places,
        detect: levels(&failover.detect),
        quorum: usize::try_from(failover.detect.quorum.get()).unwrap_or(usize::MAX),
        automation: match failover.automation {
            Automation::Observe => core::Automation::Observe,
            Automation::Approve => core::Automation::Approve,
            Automation::Manual => core::Automation::Manual,
            Automation::Auto => core::Automation::Auto,
        },
        gates,
        cooldown: failover.cooldown,
        lease: core::LeaseRule { duration: lease, margin: (lease / LEASE_MARGIN_PART).max(LEASE_MARGIN_MIN) },
        resync: resync(failover)?,
    })
}

/// What becomes of a returned primary's tail; it is asked for where automation only looks, or leaves all to people.
fn resync(failover: &Failover) -> anyhow::Result<Option<core::TailPolicy>> {
    let policy = match failover.failback.divergent_tail {
        DivergentTail::Quarantine => core::TailPolicy::Quarantine,
        DivergentTail::Discard => core::TailPolicy::Discard,
        DivergentTail::Replay => anyhow::bail!(
            "`failback.divergentTail: replay` cannot be carried out yet; `quarantine` keeps the records"
        ),
    };
    Ok(match failover.automation {
        Automation::Auto | Automation::Approve => Some(policy),
        Automation::Observe | Automation::Manual => None,
    })
}

/// The topics that are mirrored, and so fenced and promoted.
pub(super) fn protected(topology: &Topology) -> Protected {
    let topics = topology.spec.replication.topics.clone();
    Protected::new(move |topic| topics.matches(topic))
}

/// Whether a seal may take the cluster's default too: only where every topic is ours to seal.
pub(in crate::commands) fn seals_default(topology: &Topology) -> bool {
    let topics = &topology.spec.replication.topics;
    topics.exclude().is_empty() && topics.include().contains(&Pattern::everything())
}

/// Whether brokers are made to refuse writes.
pub(in crate::commands) fn seals_writes(topology: &Topology) -> bool {
    topology.spec.failover.fencing.methods.contains(&FenceMethod::SealWrites)
}

/// The data regions' clusters, as seen from this process.
///
/// # Errors
///
/// Where nobody says where one is, or a secret is not there.
pub(super) async fn clusters(site: &Site, role: &str) -> anyhow::Result<Vec<(RegionName, Arc<dyn Cluster>)>> {
    let mut clusters: Vec<(RegionName, Arc<dyn Cluster>)> = Vec::new();
    for region in site.topology.data_regions() {
        let config = kafka::client(site, region, role)
            .await
            .with_context(|| format!("{role} cannot reach region {}", region.name))?;
        clusters.push((region.name.clone(), Arc::new(KafkaCluster::new(&region.name, config))));
    }
    Ok(clusters)
}

#[cfg(test)]
mod tests {
    use leeward_policies::{Source, load};

    use super::*;

    #[test]
    fn every_gate_of_the_policy_is_looked_at() {
        let text = include_str!("../../../../policies/examples/payments.yaml");
        let text = text.replace("gates: [", "gates: [no-partition-drift, ");
        let variable = |_: &str| Some("use.example.com:9093".to_owned());
        let policies = load(vec![Source::new("payments.yaml", text)], &variable);
        let topology = &policies.topologies.first().expect("it is a policy").document;

        let gates = brain(topology).expect("it can be carried out").gates;

        assert!(gates.no_partition_drift && gates.standby_writable && gates.rpo_max.is_some());
        assert!(gates.offsets_max_age.is_some());
    }
}
