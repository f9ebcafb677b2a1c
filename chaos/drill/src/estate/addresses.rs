//! Where the estate's processes listen: free ports on loopback, chosen once for a drill.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener},
};

use leeward_model::RegionName;
use leeward_policies::{DnsProvider, HostPort, Kafka, Topology};

/// How often a port is tried that must be free on several addresses.
const PORT_TRIES_MAX: usize = 64;

/// Where one region is.
#[derive(Clone, Debug)]
pub struct RegionAddresses {
    /// What clients point at, as the policy names it or as the embedded region listens.
    pub bootstrap: Vec<String>,
    /// The embedded region's own listener.
    pub listen: Option<SocketAddr>,
    /// The embedded region's listener for other regions.
    pub link_listen: Option<SocketAddr>,
    /// Where the drill's proxy in front of an embedded region listens, which can be cut.
    pub link_proxy: SocketAddr,
    /// What other regions go through to reach it.
    pub link_bootstrap: Vec<String>,
    /// The gRPC of the agent that runs links into it.
    pub mirror: SocketAddr,
}

/// Where everything is.
#[derive(Clone, Debug)]
pub struct Addresses {
    pub regions: BTreeMap<RegionName, RegionAddresses>,
    pub control: SocketAddr,
    pub gateway: SocketAddr,
    pub dns: Option<SocketAddr>,
    /// `/metrics` of each process, by name.
    pub http: BTreeMap<String, SocketAddr>,
    /// What clients resolve to find the acting primary, with the port.
    pub name: Option<String>,
}

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// Ports that stay taken until all are chosen, so that none is chosen twice.
#[derive(Default)]
struct Chosen(Vec<TcpListener>);

impl Chosen {
    fn free(&mut self) -> io::Result<SocketAddr> {
        let listener = TcpListener::bind((LOOPBACK, 0))?;
        let address = listener.local_addr()?;
        self.0.push(listener);
        Ok(address)
    }

    /// A port that is free on every one of `hosts`.
    fn free_on(&mut self, hosts: &[IpAddr]) -> io::Result<u16> {
        let mut refused = io::Error::from(io::ErrorKind::AddrInUse);
        for _ in 0..PORT_TRIES_MAX {
            let port = TcpListener::bind((LOOPBACK, 0))?.local_addr()?.port();
            match hosts.iter().map(|host| TcpListener::bind((*host, port))).collect::<io::Result<Vec<_>>>() {
                Ok(listeners) => {
                    self.0.extend(listeners);
                    return Ok(port);
                }
                Err(error) => refused = error,
            }
        }
        Err(refused)
    }

    /// Where each embedded region listens: all on one port where each has a host of its own, so that a name leads to any of them.
    fn listens(&mut self, topology: &Topology) -> io::Result<BTreeMap<RegionName, SocketAddr>> {
        let regions = topology.data_regions().into_iter();
        let embedded = regions.filter(|region| matches!(region.kafka, Some(Kafka::Embedded(_))));
        let hosts: BTreeMap<_, _> =
            embedded.map(|region| (region.name.clone(), host(topology, &region.name))).collect();
        let different: BTreeSet<_> = hosts.values().copied().collect();
        let common = if different.len() == hosts.len() {
            Some(self.free_on(&different.into_iter().collect::<Vec<_>>())?)
        } else {
            None
        };
        let listen = |(name, host)| {
            let port = common.map_or_else(|| self.free_on(&[host]), Ok)?;
            Ok((name, SocketAddr::new(host, port)))
        };
        hosts.into_iter().map(listen).collect()
    }
}

impl Addresses {
    /// Chooses a free address for every process of the topology.
    ///
    /// # Errors
    ///
    /// Where loopback has no free port.
    pub(super) fn choose(topology: &Topology) -> io::Result<Self> {
        let mut chosen = Chosen::default();
        let listens = chosen.listens(topology)?;
        let mut regions = BTreeMap::new();
        for region in topology.data_regions() {
            let listen = listens.get(&region.name).copied();
            let bootstrap: Vec<String> = match &region.kafka {
                Some(Kafka::Cluster(cluster)) => cluster.bootstrap.iter().map(ToString::to_string).collect(),
                Some(Kafka::Embedded(_)) | None => listen.iter().map(ToString::to_string).collect(),
            };
            let link_proxy = chosen.free()?;
            let link_bootstrap =
                if listen.is_some() { vec![link_proxy.to_string()] } else { bootstrap.clone() };
            let addresses = RegionAddresses {
                bootstrap,
                listen,
                link_listen: if listen.is_some() { Some(chosen.free()?) } else { None },
                link_proxy,
                link_bootstrap,
                mirror: chosen.free()?,
            };
            regions.insert(region.name.clone(), addresses);
        }
        let name = topology.spec.failover.dns.first().map(|record| record.name.clone());
        let primary = topology.primary();
        let name_port = match &primary.kafka {
            Some(Kafka::Cluster(cluster)) => cluster.bootstrap.first().map(HostPort::port),
            Some(Kafka::Embedded(_)) | None => listens.get(&primary.name).map(SocketAddr::port),
        };
        let mut http = BTreeMap::new();
        for member in super::members(topology).into_keys() {
            http.insert(member, chosen.free()?);
        }
        Ok(Self {
            control: chosen.free()?,
            gateway: chosen.free()?,
            dns: if Self::has_embedded_dns(topology) { Some(chosen.free()?) } else { None },
            name: name.zip(name_port).map(|(name, port)| format!("{name}:{port}")),
            regions,
            http,
        })
    }

    pub(super) fn has_embedded_dns(topology: &Topology) -> bool {
        topology.spec.failover.dns.iter().any(|record| matches!(record.provider, DnsProvider::Embedded(_)))
    }
}

/// The loopback address that the topology's name resolves to while `region` is primary.
fn host(topology: &Topology, region: &RegionName) -> IpAddr {
    topology
        .spec
        .failover
        .dns
        .iter()
        .filter_map(|record| record.targets.get(region))
        .filter_map(|targets| targets.as_slice().first()?.parse::<IpAddr>().ok())
        .find(IpAddr::is_loopback)
        .unwrap_or(LOOPBACK)
}
