//! What the roles of one process share: the policy, the settings, and where those of them that run already are.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::PathBuf,
};

use anyhow::Context;
use leeward_failover::Tsig;
use leeward_model::RegionName;
use leeward_policies::{Kafka, Loaded, Region, Topology};
use leeward_proto::transport::Transport;
use prometheus::Registry;
use sha2::{Digest, Sha256};
use tokio::net::TcpListener;

use super::embedded_dns::embedded_records;
use crate::{
    args::{Role, ServeArguments},
    http::Series,
    settings::Settings,
};

/// Bytes of a policy's hash that people see, two digits each.
const POLICY_HASH_BYTES: usize = 6;

/// What the roles of one process share.
pub(in crate::commands) struct Site {
    pub(in crate::commands) topology: Topology,
    /// Which text the policy was read from: the first digits of its SHA-256.
    pub(super) policy_hash: String,
    pub(super) settings: Settings,
    /// How our other processes are reached.
    pub(super) transport: Transport,
    pub(super) data: PathBuf,
    pub(in crate::commands) roles: BTreeSet<Role>,
    /// The region in which the process stands; without it, it stands in all of them.
    pub(in crate::commands) region: Option<RegionName>,
    pub(super) registry: Registry,
    /// Embedded regions that run in this process: where they listen.
    pub(super) nodes: BTreeMap<RegionName, String>,
    /// The controller's gRPC, where it runs in this process.
    pub(super) control: Option<SocketAddr>,
    /// The links' gRPC, where mirrors run in this process: where it is, and the listener until the mirror takes it.
    pub(super) link: Option<(SocketAddr, Option<TcpListener>)>,
    /// What roles measure outside of the registry.
    pub(super) series: Vec<Series>,
    /// The embedded DNS server, where it runs in this process.
    pub(super) dns: Option<SocketAddr>,
    /// What signs changes to it, once it was looked up.
    pub(super) dns_key: Option<Tsig>,
}

impl Site {
    /// # Errors
    ///
    /// Where the topology has no such region.
    pub(in crate::commands) fn new(
        policy: Loaded<Topology>,
        settings: Settings,
        transport: Transport,
        arguments: &ServeArguments,
    ) -> anyhow::Result<Self> {
        let policy_hash = short_hash(policy.source().text());
        let topology = policy.document;
        let region = arguments.region.as_deref().map(|name| named_region(&topology, name)).transpose()?;
        let roles = if arguments.roles.is_empty() {
            every_role(&topology)
        } else {
            arguments.roles.iter().copied().collect()
        };
        Ok(Self {
            topology,
            policy_hash,
            settings,
            transport,
            data: arguments.data.clone(),
            roles,
            region,
            registry: Registry::new(),
            nodes: BTreeMap::new(),
            control: None,
            link: None,
            series: Vec::new(),
            dns: None,
            dns_key: None,
        })
    }

    /// The data regions in which this process stands, the primary first.
    pub(super) fn regions(&self) -> Vec<Region> {
        let stands_in = |region: &&Region| self.region.as_ref().is_none_or(|own| *own == region.name);
        self.topology.data_regions().into_iter().filter(stands_in).cloned().collect()
    }

    /// Takes the links' address before the roles start, so that those before the mirror know it.
    ///
    /// # Errors
    ///
    /// Where it cannot be listened on.
    pub(super) async fn listen_for_links(&mut self) -> anyhow::Result<()> {
        let listen = self.settings.listen.link;
        let listener = TcpListener::bind(listen)
            .await
            .with_context(|| format!("`listen.link` {listen} cannot be listened on"))?;
        self.link = Some((listener.local_addr()?, Some(listener)));
        Ok(())
    }

    /// `http://host:port` or `https://host:port` of the controller.
    pub(super) fn controller(&self) -> String {
        self.control.map_or_else(|| self.settings.controller(), |address| self.own(address))
    }

    /// A port of this process, as its own roles reach it.
    fn own(&self, listening: SocketAddr) -> String {
        let ip = match listening.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
            IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
            ip => ip,
        };
        format!("{}://{}", self.transport.scheme(), SocketAddr::new(ip, listening.port()))
    }

    /// The same of the agent that runs the links into `region`.
    ///
    /// # Errors
    ///
    /// Where it runs in another process and nobody says where.
    pub(super) fn mirror(&self, region: &RegionName) -> anyhow::Result<String> {
        if let Some(named) = self.settings.peers.mirrors.get(region.as_str()) {
            return Ok(named.clone());
        }
        let here = self.region.as_ref().is_none_or(|own| own == region);
        match &self.link {
            Some((address, _)) if here => Ok(self.own(*address)),
            _ => anyhow::bail!(
                "links into region {region} run in another process; `peers.mirrors.{region}` must say where"
            ),
        }
    }

    /// Brokers of a region to begin with, as seen from this process.
    ///
    /// # Errors
    ///
    /// Where an embedded region runs in another process and nobody says where.
    pub(super) fn bootstrap(&self, region: &Region) -> anyhow::Result<Vec<String>> {
        if let Some(bootstrap) = self.settings.bootstrap.get(region.name.as_str()) {
            return Ok(bootstrap.clone());
        }
        if let Some(node) = self.nodes.get(&region.name) {
            return Ok(vec![node.clone()]);
        }
        match &region.kafka {
            Some(Kafka::Cluster(cluster)) => Ok(cluster.bootstrap.iter().map(ToString::to_string).collect()),
            Some(Kafka::Embedded(embedded)) if embedded.listen.port() != 0 => {
                Ok(vec![embedded.listen.to_string()])
            }
            Some(Kafka::Embedded(_)) => anyhow::bail!(
                "region {name} runs in another process; `bootstrap.{name}` must say where",
                name = region.name
            ),
            None => anyhow::bail!("region {} has no Kafka", region.name),
        }
    }
}

fn named_region(topology: &Topology, name: &str) -> anyhow::Result<RegionName> {
    let regions = || {
        let names: Vec<_> = topology.spec.regions.iter().map(|region| region.name.to_string()).collect();
        names.join(", ")
    };
    let found = topology.spec.regions.iter().find(|region| region.name.as_str() == name);
    found
        .map(|region| region.name.clone())
        .with_context(|| format!("the topology has no region `{name}`; it has {}", regions()))
}

/// Every role that the topology has something to do for.
fn every_role(topology: &Topology) -> BTreeSet<Role> {
    let mut roles = BTreeSet::from([Role::Controller, Role::Agent, Role::Mirror]);
    if topology.data_regions().iter().any(|region| matches!(region.kafka, Some(Kafka::Embedded(_)))) {
        roles.insert(Role::Node);
    }
    if !embedded_records(topology).is_empty() {
        roles.insert(Role::Dns);
    }
    if topology.spec.buffer.enabled {
        roles.insert(Role::Gateway);
    }
    roles
}

fn short_hash(text: &str) -> String {
    let hash = Sha256::digest(text.as_bytes());
    let digits: Vec<_> = hash.iter().take(POLICY_HASH_BYTES).map(|byte| format!("{byte:02x}")).collect();
    digits.concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_is_known_by_the_first_digits_of_its_hash() {
        assert_eq!(short_hash("abc"), "ba7816bf8f01");
    }
}
