//! How a node is started.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use leeward_log::FlushPolicy;
use leeward_model::ClusterId;

use crate::group::GroupSettings;
use crate::limits;

/// Host and port that clients are told to connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    pub host: String,
    /// 0 stands for the port that the node listens on.
    pub port: u16,
}

/// Another address of the node, for clients that come another way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entrance {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// What to tell clients that come this way; `None` tells them where it listens.
    pub advertised: Option<Endpoint>,
}

impl Endpoint {
    /// What clients are told: this, with the port filled in, or else where the node listens.
    pub(crate) fn told(advertised: Option<&Self>, listens: SocketAddr) -> Self {
        match advertised {
            Some(Self { host, port: 0 }) => Self { host: host.clone(), port: listens.port() },
            Some(endpoint) => endpoint.clone(),
            None => Self { host: listens.ip().to_string(), port: listens.port() },
        }
    }
}

/// Everything a node needs to know to start.
#[derive(Clone, Debug)]
pub struct NodeConfig {
    /// The node's own directory; created where there is none, locked while the node runs.
    pub data_dir: PathBuf,
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// What to tell clients; `None` tells them where the node listens.
    pub advertised: Option<Endpoint>,
    /// A second way in, such as the one from other regions.
    pub second: Option<Entrance>,
    pub node_id: i32,
    /// The cluster's id. A new directory takes it on, or makes one up; one that has another refuses to start.
    pub cluster_id: Option<ClusterId>,
    /// Whether asking for a topic's metadata creates it.
    pub auto_create_topics: bool,
    /// Partitions of topics that are created without a number.
    pub default_partitions: i32,
    pub flush: FlushPolicy,
    pub groups: GroupSettings,
    /// How often retention is looked after.
    pub retention_interval: Duration,
    /// One connection more than this, on either way in, is closed at once.
    pub connections_max: usize,
    /// A larger request closes its connection.
    pub request_bytes_max: usize,
    /// A connection that is silent for longer is closed.
    pub idle_max: Duration,
}

impl NodeConfig {
    /// A node in `data_dir` on a free port of loopback, as Apache Kafka would be by default.
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        Self {
            data_dir: data_dir.into(),
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            advertised: None,
            second: None,
            node_id: 1,
            cluster_id: None,
            auto_create_topics: true,
            default_partitions: 1,
            flush: FlushPolicy::OsDecides,
            groups: GroupSettings::default(),
            retention_interval: Duration::from_secs(30),
            connections_max: limits::CONNECTIONS_MAX,
            request_bytes_max: limits::REQUEST_BYTES_MAX,
            idle_max: limits::IDLE_MAX,
        }
    }
}
