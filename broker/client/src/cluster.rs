//! A cluster as one handle: knows its brokers and leaders, keeps connections, routes requests, tries again.

mod map;
mod pool;
#[macro_use]
mod retry;
mod route;
mod search;

use std::{collections::HashMap, fmt, sync::Arc};

use arc_swap::ArcSwap;
use leeward_model::{ClusterId, TopicId, TopicName, TopicPartition};
use leeward_wire::{
    ErrorCode, Uuid,
    api::{MetadataRequest, MetadataRequestTopic, MetadataResponse},
};
use parking_lot::Mutex;
use tokio::sync::Semaphore;

pub use map::{Broker, ClusterMap, Leader, Partition, Topic};
pub(crate) use map::{LeaderHint, TopicTrouble};
pub use pool::Lane;
pub(crate) use retry::Retry;
pub(crate) use route::newest;

use crate::{
    Address, ClientConfig, ClusterError, ConnectError, Connection, RequestError, connection::Dialer,
    limits::METADATA_PATIENCE,
};

/// First version of `Metadata` that is asked by topic id.
const METADATA_BY_ID: i16 = 12;

/// A handle on a cluster; clones share connections and what is known.
#[derive(Clone)]
pub struct Cluster {
    shared: Arc<Shared>,
}

struct Shared {
    dialer: Dialer,
    bootstrap: Vec<Address>,
    map: ArcSwap<ClusterMap>,
    pool: pool::Pool,
    /// Groups and the brokers that keep them.
    coordinators: Mutex<HashMap<String, i32>>,
    /// One refreshes, the others take what came of it.
    refreshing: Semaphore,
}

/// Which topics to ask for.
#[derive(Clone, Copy, Debug)]
pub enum TopicSelection<'a> {
    All,
    Named(&'a [TopicName]),
    /// By id; needs brokers of 3.1 or newer.
    Ids(&'a [TopicId]),
}

impl Cluster {
    /// Connects to the first broker of the bootstrap list that answers. One attempt.
    ///
    /// # Errors
    ///
    /// [`ClusterError::WrongCluster`] where the pin does not hold, [`ClusterError::Unreachable`] where none answers.
    pub async fn connect(config: ClientConfig) -> Result<Self, ClusterError> {
        let unusable =
            |error: ConnectError| ClusterError::Unreachable { tried: 0, source: Some(Box::new(error)) };
        let bootstrap = config
            .bootstrap
            .iter()
            .map(|text| Address::parse(text).map_err(|error| unusable(error.into())))
            .collect::<Result<Vec<_>, _>>()?;
        let dialer = Dialer::new(config).map_err(unusable)?;
        let expected = dialer.config().expected_cluster_id.clone();
        let opened = search::search(&dialer, bootstrap.clone(), expected.as_ref()).await?;
        let (map, _) = ClusterMap::read(opened.metadata);
        let shared = Shared {
            dialer,
            bootstrap,
            map: ArcSwap::from_pointee(map),
            pool: pool::Pool::default(),
            coordinators: Mutex::default(),
            refreshing: Semaphore::new(1),
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// The cluster that this handle talks to. Without a pin it changes when the bootstrap addresses lead elsewhere.
    pub fn cluster_id(&self) -> ClusterId {
        self.map().cluster_id.clone()
    }

    /// What is known, without asking.
    pub fn map(&self) -> Arc<ClusterMap> {
        self.shared.map.load_full()
    }

    /// The configuration that the handle was made with.
    pub fn config(&self) -> &ClientConfig {
        self.shared.dialer.config()
    }

    /// Asks a broker for topics and all brokers, and remembers the answer. Topics that do not exist are missing in it.
    ///
    /// # Errors
    ///
    /// [`ClusterError`], after retries.
    pub async fn metadata(&self, topics: TopicSelection<'_>) -> Result<ClusterMap, ClusterError> {
        retrying!(self, "metadata", async {
            let answer = self.ask_metadata(topics).await?;
            Ok(self.take_over(answer)?.0)
        })
    }

    /// The topic, asked for where it is not known yet.
    ///
    /// # Errors
    ///
    /// [`ClusterError::UnknownTopic`] where the cluster has none of that name.
    pub async fn topic(&self, name: &TopicName) -> Result<Topic, ClusterError> {
        if let Some(topic) = self.map().topics.get(name) {
            return Ok(topic.clone());
        }
        let fresh = self.metadata(TopicSelection::Named(std::slice::from_ref(name))).await?;
        fresh.topics.get(name).cloned().ok_or_else(|| ClusterError::UnknownTopic { topic: name.to_string() })
    }

    /// The partition's leader, asked for where it is not known.
    ///
    /// # Errors
    ///
    /// [`ClusterError::UnknownTopic`] or [`ClusterError::NoLeader`], both worth another try.
    pub async fn leader(&self, partition: &TopicPartition) -> Result<Leader, ClusterError> {
        if let Some(leader) = self.map().leader(partition) {
            return Ok(leader);
        }
        let topics = [partition.topic.clone()];
        let (fresh, trouble) = self.take_over(self.ask_metadata(TopicSelection::Named(&topics)).await?)?;
        if let Some(leader) = fresh.leader(partition) {
            return Ok(leader);
        }
        let unknown = trouble.first().is_some_and(|t| t.code == ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
        if unknown {
            return Err(ClusterError::UnknownTopic { topic: partition.topic.to_string() });
        }
        Err(ClusterError::NoLeader { partition: partition.to_string() })
    }

    /// Asks again for everything known. Where no known broker answers, the bootstrap list is resolved and tried again.
    ///
    /// # Errors
    ///
    /// [`ClusterError`] of this one attempt.
    pub async fn refresh(&self) -> Result<Arc<ClusterMap>, ClusterError> {
        let before = self.map();
        let _turn = self.shared.refreshing.acquire().await.expect("the semaphore is never closed");
        let known = self.map();
        if !Arc::ptr_eq(&before, &known) {
            return Ok(known);
        }
        let names: Vec<_> = known.topics.keys().cloned().collect();
        let answer = self.ask_metadata(TopicSelection::Named(&names)).await?;
        self.take_over(answer)?;
        Ok(self.map())
    }

    /// Forgets connections and brokers and starts again from the bootstrap list, as after a failover by DNS.
    ///
    /// # Errors
    ///
    /// [`ClusterError`] where none of the list answers; what was known stays then.
    pub async fn rebootstrap(&self) -> Result<Arc<ClusterMap>, ClusterError> {
        let expected = self.config().expected_cluster_id.as_ref();
        let opened = search::search(&self.shared.dialer, self.shared.bootstrap.clone(), expected).await?;
        let names: Vec<_> = self.map().topics.keys().cloned().collect();
        let answer = ask(&opened.connection, TopicSelection::Named(&names)).await?;
        self.forget_connections();
        self.take_over(answer)?;
        Ok(self.map())
    }

    /// A connection to a broker, opened where there is none.
    ///
    /// # Errors
    ///
    /// [`ClusterError::NoSuchBroker`] or [`ClusterError::Connect`].
    pub async fn connection(&self, broker: i32, lane: Lane) -> Result<Connection, ClusterError> {
        let map = self.map();
        let known = map.brokers.get(&broker).ok_or(ClusterError::NoSuchBroker { broker })?;
        let opening = async {
            let opened = self.shared.dialer.open(&known.address, Some(&map.cluster_id)).await?;
            Ok(opened.connection)
        };
        self.shared.pool.get(broker, lane, opening).await.map_err(|source| {
            match (source, &self.config().expected_cluster_id) {
                (ConnectError::WrongCluster { address, expected, found }, Some(_)) => {
                    ClusterError::WrongCluster { address, expected, found }
                }
                (source, _) => ClusterError::Connect { broker, source },
            }
        })
    }

    /// Closes the connections of a lane once nobody holds them.
    pub fn forget_lane(&self, lane: Lane) {
        self.shared.pool.forget_lane(lane);
    }

    fn forget_connections(&self) {
        self.shared.pool.forget_all();
        self.shared.coordinators.lock().clear();
    }

    /// One attempt: a living connection first, then any broker that can be found.
    async fn ask_metadata(&self, topics: TopicSelection<'_>) -> Result<MetadataResponse, ClusterError> {
        if let Some(connection) = self.shared.pool.any_live() {
            match ask(&connection, topics).await {
                Err(error) if error.may_retry() => {}
                answered => return Ok(answered?),
            }
        }
        let map = self.map();
        let known = map.brokers.values().map(|broker| broker.address.clone());
        let candidates = known.chain(self.shared.bootstrap.iter().cloned()).collect();
        let expected = self.config().expected_cluster_id.as_ref();
        let opened = search::search(&self.shared.dialer, candidates, expected).await?;
        Ok(ask(&opened.connection, topics).await?)
    }

    fn take_over(&self, answer: MetadataResponse) -> Result<(ClusterMap, Vec<TopicTrouble>), ClusterError> {
        if answer.brokers.is_empty() {
            return Err(ClusterError::Unreachable { tried: 0, source: None });
        }
        let (fresh, trouble) = ClusterMap::read(answer);
        let moved = self.map().cluster_id != fresh.cluster_id;
        self.shared.map.rcu(|known| Arc::new(known.merge(fresh.clone(), &trouble)));
        if moved {
            tracing::info!(cluster = %fresh.cluster_id, "bootstrap addresses lead to another cluster");
            self.forget_connections();
        }
        Ok((fresh, trouble))
    }

    /// The name of a topic that an answer calls by name or, where that is empty, by id.
    pub(crate) fn topic_name(&self, name: &str, id: Uuid) -> Option<TopicName> {
        if name.is_empty() {
            let id = TopicId::from_wire(id.0)?;
            self.map().topic_by_id(id).map(|topic| topic.name.clone())
        } else {
            TopicName::new(name).ok()
        }
    }

    /// Takes over leaders and brokers that an answer named in passing.
    pub(crate) fn take_hints(&self, hints: &[LeaderHint], brokers: &[Broker]) {
        if !hints.is_empty() {
            self.shared.map.rcu(|known| Arc::new(known.with_hints(hints, brokers.to_vec())));
        }
    }
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster")
            .field("cluster_id", &self.map().cluster_id)
            .field("bootstrap", &self.shared.bootstrap)
            .finish_non_exhaustive()
    }
}

async fn ask(connection: &Connection, topics: TopicSelection<'_>) -> Result<MetadataResponse, RequestError> {
    let topic = |topic_id, name| MetadataRequestTopic { topic_id, name };
    let selected = match topics {
        TopicSelection::All => None,
        TopicSelection::Named(names) => {
            Some(names.iter().map(|name| topic(Uuid::ZERO, Some(name.as_str().to_owned()))).collect())
        }
        TopicSelection::Ids(ids) => Some(ids.iter().map(|id| topic(Uuid(id.to_wire()), None)).collect()),
    };
    let request =
        MetadataRequest { topics: selected, allow_auto_topic_creation: false, ..MetadataRequest::default() };
    let version = connection.version_for::<MetadataRequest>()?;
    if matches!(topics, TopicSelection::Ids(_)) && version < METADATA_BY_ID {
        let unsupported = crate::Unsupported {
            address: connection.address().clone(),
            api: leeward_wire::ApiKey::Metadata,
            broker: connection.broker_versions(leeward_wire::ApiKey::Metadata),
            ours: (METADATA_BY_ID, METADATA_BY_ID),
        };
        return Err(unsupported.into());
    }
    // A broker that is gone without a word must not hold up the search for one that lives.
    let patience = connection.request_timeout().min(METADATA_PATIENCE);
    connection.send_within(&request, version, patience).await
}
