//! Starting and stopping a node.

use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use leeward_log::{Disk, PartitionOpenError, RealDisk, lock_file};
use leeward_model::ClusterId;
use leeward_wire::{AnswerRoom, Uuid};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

use crate::catalogue::{Catalogue, CatalogueError};
use crate::cluster::{Cluster, topics_directory};
use crate::config::{Endpoint, NodeConfig};
use crate::group::{GroupCoordinator, GroupService};
use crate::limits::{ANSWER_BYTES_LEAST, ANSWERS_BYTES_MAX, SHUTDOWN_WAIT};
use crate::offsets_log::OffsetsPartition;
use crate::shared::Shared;
use crate::{listener, retention};

const LOCK: &str = "lock";

/// Why a node did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("{} is in use by another process", path.display())]
    Locked { path: PathBuf },
    #[error("{} cannot be used", path.display())]
    Directory { path: PathBuf, source: io::Error },
    #[error("cannot listen on {address}")]
    Listen { address: SocketAddr, source: io::Error },
    #[error("the directory belongs to cluster {found}, not to {wanted}")]
    OtherCluster { found: ClusterId, wanted: ClusterId },
    #[error("{} holds topics, but {}, which names them, is missing: put it back, or move the directory away to begin anew",
        topics.display(), state.display())]
    StateMissing { topics: PathBuf, state: PathBuf },
    #[error("the node's state cannot be used")]
    Catalogue(#[from] CatalogueError),
    #[error("the groups' positions cannot be read: {message}")]
    Offsets { message: String },
    #[error("a partition cannot be opened")]
    Partition(#[from] PartitionOpenError),
}

/// The embedded regional cluster.
#[derive(Debug)]
pub struct Node;

/// A node that runs until it is shut down or dropped.
#[derive(Debug)]
pub struct RunningNode {
    addr: SocketAddr,
    second: Option<SocketAddr>,
    cluster: Arc<Cluster>,
    stop: CancellationToken,
    tasks: TaskTracker,
    _lock: File,
}

impl Node {
    /// Opens the node's directory and begins to serve. Must be called inside a tokio runtime.
    ///
    /// # Errors
    ///
    /// [`StartError`].
    pub async fn start(config: NodeConfig) -> Result<RunningNode, StartError> {
        let first = Door::open(config.listen, config.advertised.as_ref()).await?;
        let second = match &config.second {
            Some(entrance) => Some(Door::open(entrance.listen, entrance.advertised.as_ref()).await?),
            None => None,
        };
        let (addr, second_addr) = (first.addr, second.as_ref().map(|door| door.addr));
        let opened = tokio::task::spawn_blocking(move || open(config));
        let Opened { cluster, lock, offsets, coordinator } = opened.await.expect("opening does not panic")?;
        let cluster = Arc::new(cluster);
        let stop = CancellationToken::new();
        let tasks = TaskTracker::new();
        let (groups, coordinating) = GroupService::new(coordinator, offsets, stop.clone());
        tasks.spawn(coordinating);
        tasks.spawn(retention::run(cluster.clone(), stop.clone()));
        let answers = AnswerRoom::new(ANSWERS_BYTES_MAX, ANSWER_BYTES_LEAST);
        for Door { listener, endpoint, .. } in [Some(first), second].into_iter().flatten() {
            let shared = Shared {
                endpoint,
                cluster: cluster.clone(),
                groups: groups.clone(),
                answers: answers.clone(),
            };
            tasks.spawn(listener::run(listener, Arc::new(shared), stop.clone(), tasks.clone()));
        }
        info!(%addr, second = ?second_addr, cluster = cluster.id, "node started");
        Ok(RunningNode { addr, second: second_addr, cluster, stop, tasks, _lock: lock })
    }
}

impl RunningNode {
    /// Where the node listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Where its second way in is.
    pub fn second_addr(&self) -> Option<SocketAddr> {
        self.second
    }

    /// The id that clients are told.
    pub fn cluster_id(&self) -> ClusterId {
        ClusterId::new(self.cluster.id.clone())
    }

    /// Stops serving, and makes everything durable.
    pub async fn shutdown(self) {
        self.stop.cancel();
        self.tasks.close();
        if tokio::time::timeout(SHUTDOWN_WAIT, self.tasks.wait()).await.is_err() {
            warn!("connections did not end in time");
        }
        let cluster = self.cluster.clone();
        let flushed = tokio::task::spawn_blocking(move || flush(&cluster)).await;
        if flushed.is_err() {
            warn!("the last flush did not end");
        }
    }
}

impl Drop for RunningNode {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// An address that is taken, and what those are told who come to it.
struct Door {
    listener: TcpListener,
    addr: SocketAddr,
    endpoint: Endpoint,
}

impl Door {
    async fn open(listen: SocketAddr, advertised: Option<&Endpoint>) -> Result<Self, StartError> {
        let not_listening = |source| StartError::Listen { address: listen, source };
        let listener = TcpListener::bind(listen).await.map_err(not_listening)?;
        let addr = listener.local_addr().map_err(not_listening)?;
        Ok(Self { listener, addr, endpoint: Endpoint::told(advertised, addr) })
    }
}

struct Opened {
    cluster: Cluster,
    lock: File,
    offsets: OffsetsPartition,
    coordinator: GroupCoordinator,
}

fn open(config: NodeConfig) -> Result<Opened, StartError> {
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let directory = config.data_dir.clone();
    let unusable = |source| StartError::Directory { path: directory.clone(), source };
    disk.create_dir(&topics_directory(&directory)).map_err(unusable)?;
    let lock = lock(&directory)?;
    let wanted = config.cluster_id.clone();
    let new_id = || match &wanted {
        Some(id) => id.as_str().to_owned(),
        None => Uuid(uuid::Uuid::new_v4().into_bytes()).to_string(),
    };
    let (topics, state) = (topics_directory(&directory), Catalogue::path(&directory));
    let has_topics =
        std::fs::read_dir(&topics).and_then(|mut entries| entries.next().transpose()).map_err(unusable)?;
    if has_topics.is_some() && !state.exists() {
        return Err(StartError::StateMissing { topics, state });
    }
    let catalogue = Catalogue::open(disk.clone(), &directory, new_id)?;
    let found = ClusterId::new(catalogue.contents().cluster_id.clone());
    if let Some(wanted) = wanted.filter(|wanted| *wanted != found) {
        return Err(StartError::OtherCluster { found, wanted });
    }
    remove_orphans(&directory, &catalogue).map_err(unusable)?;
    let mut coordinator = GroupCoordinator::new(config.groups.clone());
    let cluster = Cluster::open(config, disk, catalogue)?;
    let offsets = OffsetsPartition::open(&cluster)
        .map_err(|refused| StartError::Offsets { message: refused.message })?;
    offsets.load(&mut coordinator).map_err(|error| StartError::Offsets { message: error.to_string() })?;
    Ok(Opened { cluster, lock, offsets, coordinator })
}

/// Removes what is left of topics whose creation or deletion was cut short.
fn remove_orphans(directory: &Path, catalogue: &Catalogue) -> io::Result<()> {
    let topics = &catalogue.contents().topics;
    for entry in std::fs::read_dir(topics_directory(directory))? {
        let entry = entry?;
        let name = entry.file_name();
        let is_known = topics.values().any(|topic| name.to_str() == Some(&topic.id));
        if !is_known && entry.file_type()?.is_dir() {
            info!(directory = %entry.path().display(), "removing what is left of a topic");
            std::fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

fn lock(directory: &Path) -> Result<File, StartError> {
    let path = directory.join(LOCK);
    let unusable = |source| StartError::Directory { path: path.clone(), source };
    let locked = lock_file(&path).map_err(unusable)?;
    locked.ok_or_else(|| StartError::Locked { path: directory.to_owned() })
}

fn flush(cluster: &Cluster) {
    for topic in cluster.topics() {
        for partition in topic.partitions() {
            partition.flush();
        }
    }
}
