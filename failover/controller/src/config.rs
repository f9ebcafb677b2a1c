//! What a controller is started with. The policy's words are mapped onto it by its caller.

use std::{fmt, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use leeward_failover_core::Config;
use leeward_model::{RegionName, TopicName, TopologyName};
use leeward_proto::transport::Transport;

use crate::{cluster::Cluster, redirector::Redirector};

/// Which topics are mirrored, and so fenced and promoted.
#[derive(Clone)]
pub struct Protected(Arc<dyn Fn(&TopicName) -> bool + Send + Sync>);

impl Protected {
    /// Internal topics are never protected, whatever `selects` says.
    pub fn new(selects: impl Fn(&TopicName) -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(move |topic| !topic.is_internal() && selects(topic)))
    }

    pub fn contains(&self, topic: &TopicName) -> bool {
        (self.0)(topic)
    }
}

impl fmt::Debug for Protected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Protected")
    }
}

/// One region that holds data.
#[derive(Clone, Debug)]
pub struct RegionConfig {
    pub name: RegionName,
    pub cluster: Arc<dyn Cluster>,
    /// `http://host:port` or `https://host:port` of the mirror agent that runs links into this region.
    pub mirror: String,
}

/// The policy's budgets, for metrics and plans.
#[derive(Clone, Copy, Debug)]
pub struct Budgets {
    pub rpo: Duration,
    pub rto: Duration,
    pub rto_worst_case: Duration,
}

/// How a controller runs.
#[derive(Clone, Debug)]
pub struct ControllerConfig {
    pub topology: TopologyName,
    pub core: Config,
    /// Where this controller's own probes look from: the witness site's name.
    pub place: RegionName,
    pub regions: Vec<RegionConfig>,
    pub protected: Protected,
    /// Whether a seal takes the cluster's default too, so that topics made later are refused as well.
    pub seal_default: bool,
    pub redirectors: Vec<Arc<dyn Redirector>>,
    /// What a switchover may wait for the link to be empty, writers stopped meanwhile.
    pub drain_max: Duration,
    pub budgets: Budgets,
    /// Folder of the decision log and the events' file.
    pub data: PathBuf,
    /// How mirror agents are reached, and how gRPC is listened for.
    pub transport: Transport,
    pub grpc_listen: SocketAddr,
    /// `None` where somebody else serves [`routes`](crate::Controller::routes) and metrics.
    pub http_listen: Option<SocketAddr>,
}

/// How a region's agent runs.
#[derive(Clone, Debug)]
pub struct AgentConfig {
    /// The region in which the agent stands.
    pub region: RegionName,
    /// Every region that it probes, its own among them.
    pub clusters: Vec<(RegionName, Arc<dyn Cluster>)>,
    /// `http://host:port` or `https://host:port` of the controller.
    pub controller: String,
    pub transport: Transport,
    pub detect: std::collections::BTreeMap<leeward_failover_core::Level, leeward_failover_core::LevelRule>,
    pub protected: Protected,
    pub seal_default: bool,
    /// Whether the agent seals its own region when its lease runs out.
    pub seals_itself: bool,
    /// How long a region may write without being heard; the policy's, as the controller has it.
    pub lease: Duration,
    /// Folder of the agent's notes on seals.
    pub data: PathBuf,
}
