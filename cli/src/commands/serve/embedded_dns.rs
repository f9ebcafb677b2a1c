//! What a policy asks of Leeward's own DNS server.

use anyhow::Context;
use leeward_policies::{DnsProvider, DnsRecord, EmbeddedDns, Topology};

/// The records that Leeward's own server has.
pub(super) fn embedded_records(topology: &Topology) -> Vec<(&DnsRecord, &EmbeddedDns)> {
    let records = topology.spec.failover.dns.iter();
    records
        .filter_map(|record| match &record.provider {
            DnsProvider::Embedded(server) => Some((record, server)),
            DnsProvider::Rfc2136(_) => None,
        })
        .collect()
}

/// The zone of Leeward's own server: the longest that all of its names lie in.
///
/// # Errors
///
/// Where they have nothing in common.
pub(super) fn embedded_zone(topology: &Topology) -> anyhow::Result<String> {
    let names = embedded_records(topology);
    let mut zone: Option<Vec<&str>> = None;
    for (record, _) in &names {
        let labels: Vec<_> = record.name.trim_end_matches('.').split('.').rev().collect();
        let parent = &labels[..labels.len() - 1];
        let common = match &zone {
            None => parent.to_vec(),
            Some(before) => {
                before.iter().zip(parent).take_while(|(a, b)| a == b).map(|(label, _)| *label).collect()
            }
        };
        zone = Some(common);
    }
    let labels = zone.context("the topology has no name with the embedded provider")?;
    if labels.is_empty() {
        anyhow::bail!("`failover.dns`: the embedded server has one zone, and its names lie in no common one");
    }
    Ok(labels.into_iter().rev().collect::<Vec<_>>().join("."))
}
