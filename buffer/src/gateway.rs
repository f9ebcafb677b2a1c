//! A gateway from its settings to its end.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use leeward_client::{Address, ClientConfig, InvalidAddress};
use leeward_log::{GroupWait, RealDisk};
use leeward_model::{ByteSize, RegionName, TopicName, TopicPartition};
use leeward_proto::transport::{Peer, PeerError, ServerTls, Transport};
use leeward_wire::AnswerRoom;
use prometheus::Registry;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::control::Reporter;
use crate::face::Face;
use crate::grants::Standing;
use crate::hub::{Acknowledge, GatewayStatus, Hub, HubParts, Region, TrimmingOf};
use crate::limits::{ANSWER_BYTES_LEAST, ANSWERS_BYTES_MAX, CONTROL_TIMEOUT};
use crate::metrics::Metrics;
use crate::partition::Trimming;
use crate::store::{self, Store, StoreError};
use crate::watermarks;

/// Whether a topic is mirrored to the other region.
pub type Mirrored = Arc<dyn Fn(&TopicName) -> bool + Send + Sync>;

/// What a gateway is told.
#[derive(Clone)]
pub struct GatewayConfig {
    /// Unique among the gateways of a topology.
    pub name: String,
    pub listen: SocketAddr,
    /// Encrypts what clients say, and decides who of them may connect; plain where there is none.
    pub tls: Option<ServerTls>,
    /// `host:port` that clients are told; by default where it listens.
    pub advertised: Option<String>,
    /// Acknowledged records live here.
    pub dir: PathBuf,
    /// At this size records are refused.
    pub capacity: ByteSize,
    /// How long records wait for company before they are synced together.
    pub group_wait: GroupWait,
    pub acknowledge: Acknowledge,
    pub regions: BTreeMap<RegionName, ClientConfig>,
    /// Where to forward without a controller. `None`: wait for a grant.
    pub acting: Option<RegionName>,
    /// How controllers and mirror agents are reached.
    pub transport: Transport,
    /// `http://host:port` or `https://host:port` of the controllers; none where there are none.
    pub controllers: Vec<String>,
    /// The same of the mirror agent in each region. Where there is none, a record is forgotten once the
    /// acting primary has it.
    pub agents: BTreeMap<RegionName, String>,
    /// Topics that are mirrored; records of others are forgotten once the acting primary has them.
    pub mirrored: Mirrored,
    pub registry: Registry,
    /// Put on every metric, as `topology`.
    pub labels: HashMap<String, String>,
}

impl std::fmt::Debug for GatewayConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GatewayConfig")
            .field("name", &self.name)
            .field("listen", &self.listen)
            .field("dir", &self.dir)
            .field("capacity", &self.capacity)
            .field("regions", &self.regions.keys())
            .finish_non_exhaustive()
    }
}

/// Why a gateway did not start.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    #[error("cannot listen on {address}")]
    Listen { address: SocketAddr, source: io::Error },
    #[error("advertised address is unusable")]
    Advertised(#[from] InvalidAddress),
    #[error("buffer directory is unusable")]
    Store(#[from] StoreError),
    #[error("metrics are registered already")]
    Metrics(#[from] prometheus::Error),
    #[error("a controller or an agent cannot be reached")]
    Peer(#[from] PeerError),
    #[error("acting region {region} is not configured")]
    UnknownRegion { region: RegionName },
    #[error("opening the buffer was interrupted")]
    Interrupted(#[from] tokio::task::JoinError),
}

/// A running gateway.
#[derive(Debug)]
pub struct Gateway {
    hub: Arc<Hub>,
    address: SocketAddr,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Gateway {
    /// Opens the directory, reads what is buffered, and serves clients.
    ///
    /// # Errors
    ///
    /// [`GatewayError`]; nothing runs then.
    pub async fn start(config: GatewayConfig) -> Result<Self, GatewayError> {
        let peer = |address: &String| -> Result<Peer, GatewayError> {
            Ok(config.transport.peer(address)?.connect_timeout(CONTROL_TIMEOUT))
        };
        let controllers = config.controllers.iter().map(peer).collect::<Result<Vec<_>, _>>()?;
        let mut agents = Vec::new();
        for (region, address) in &config.agents {
            agents.push((region.clone(), peer(address)?));
        }
        if let Some(region) = config.acting.clone().filter(|region| !config.regions.contains_key(region)) {
            return Err(GatewayError::UnknownRegion { region });
        }
        let metrics = Metrics::register(&config.registry, &config.labels)?;
        let trimming = trimming(config.mirrored.clone(), agents.is_empty() || config.regions.len() < 2);
        let opened = open(&config, trimming.clone()).await?;
        let listen_error = |source| GatewayError::Listen { address: config.listen, source };
        let listener = TcpListener::bind(config.listen).await.map_err(listen_error)?;
        let address = listener.local_addr().map_err(listen_error)?;
        let advertised = Address::parse(&config.advertised.clone().unwrap_or_else(|| address.to_string()))?;
        let stop = CancellationToken::new();
        let tasks = TaskTracker::new();
        let regions = config
            .regions
            .iter()
            .map(|(name, client)| (name.clone(), Arc::new(Region::new(name.clone(), client.clone()))))
            .collect();
        let hub = Hub::new(HubParts {
            opened,
            metrics,
            acknowledge: config.acknowledge,
            regions,
            trimming,
            stop: stop.clone(),
            tasks: tasks.clone(),
        });
        run(&hub, &config, controllers, agents, &advertised).await;
        let answers = AnswerRoom::new(ANSWERS_BYTES_MAX, ANSWER_BYTES_LEAST);
        let face = Face { hub: hub.clone(), advertised, tls: config.tls, answers };
        hub.spawn(face.listen(listener));
        tracing::info!(%address, name = config.name, "gateway takes clients");
        Ok(Self { hub, address, stop, tasks })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn status(&self) -> GatewayStatus {
        self.hub.status()
    }

    /// Stops, and saves what a restart would otherwise have to find out.
    pub async fn shutdown(self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        let hub = self.hub.clone();
        let saved = tokio::task::spawn_blocking(move || hub.save_and_trim()).await;
        if let Ok(Err(error)) = saved {
            tracing::warn!(%error, "state cannot be saved");
        }
    }
}

fn trimming(mirrored: Mirrored, alone: bool) -> TrimmingOf {
    Arc::new(move |partition: &TopicPartition| {
        if alone || !mirrored(&partition.topic) {
            Trimming::WhenAcknowledged
        } else {
            Trimming::WhenReplicated
        }
    })
}

async fn open(config: &GatewayConfig, trimming: TrimmingOf) -> Result<store::Opened, GatewayError> {
    let (directory, capacity, wait) = (config.dir.clone(), config.capacity.as_bytes(), config.group_wait);
    let opened = tokio::task::spawn_blocking(move || {
        let lock = store::lock(&directory)?;
        let disk = Arc::new(RealDisk);
        Store::open(disk, &directory, Some(lock), capacity, wait, |partition| trimming(partition))
    });
    Ok(opened.await??)
}

/// Starts everything but the face.
async fn run(
    hub: &Arc<Hub>,
    config: &GatewayConfig,
    controllers: Vec<Peer>,
    agents: Vec<(RegionName, Peer)>,
    advertised: &Address,
) {
    for region in hub.regions.values() {
        hub.spawn(region.clone().keep());
        hub.spawn(hub.clone().watch_topics(region.clone()));
    }
    hub.spawn(hub.clone().keep_state());
    hub.spawn(hub.clone().keep_gauges());
    hub.spawn(hub.clone().watch_lease());
    hub.spawn(hub.clone().watch_rules());
    hub.spawn(hub.clone().tell_held());
    for (target, agent) in agents {
        for source in hub.regions.keys().filter(|source| **source != target) {
            hub.spawn(watermarks::follow(hub.clone(), source.clone(), target.clone(), agent.clone()));
        }
    }
    if let Some(acting) = config.acting.clone() {
        hub.stand(Standing::without_controller(acting)).await;
    }
    if !controllers.is_empty() {
        let reporter = Reporter::new(hub.clone(), config.name.clone(), advertised.to_string());
        hub.spawn(reporter.attend(controllers));
    }
}
