//! One region: its cluster, found again whenever it is lost, and a sender for each of its brokers.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use leeward_client::{ClientConfig, Cluster, Lane};
use leeward_model::{RegionName, TopicPartition};
use leeward_wire::ApiKey;
use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;

use super::Hub;
use super::sender::{self, Item};
use super::topics::Topics;
use crate::limits::{METADATA_AGE, RECONNECT_PAUSE};
use crate::partition::{Event, Outcome};

/// Shortest time between two questions for new leaders.
const REFRESH_PAUSE: Duration = Duration::from_millis(50);

/// A region and the way there.
#[derive(Debug)]
pub(crate) struct Region {
    pub(crate) name: RegionName,
    config: ClientConfig,
    cluster: ArcSwapOption<Cluster>,
    senders: Mutex<Senders>,
    pub(super) open_requests: AtomicUsize,
    leaders_wanted: Notify,
    pub(super) topics: Topics,
    versions: Mutex<Option<BTreeMap<ApiKey, (i16, i16)>>>,
}

#[derive(Debug, Default)]
struct Senders {
    /// Items are bounded by the batches in flight of each partition.
    by_broker: HashMap<i32, mpsc::UnboundedSender<Item>>,
    /// Ends the senders that there are.
    stop: CancellationToken,
}

impl Region {
    pub(crate) fn new(name: RegionName, config: ClientConfig) -> Self {
        Self {
            name,
            config,
            cluster: ArcSwapOption::empty(),
            senders: Mutex::default(),
            open_requests: AtomicUsize::new(0),
            leaders_wanted: Notify::new(),
            topics: Topics::new(),
            versions: Mutex::default(),
        }
    }

    /// The cluster, where it was reached.
    pub(crate) fn cluster(&self) -> Option<Arc<Cluster>> {
        self.cluster.load_full()
    }

    /// Versions that one of the region's brokers speaks; none before the region was reached.
    pub(crate) fn versions(&self) -> Option<BTreeMap<ApiKey, (i16, i16)>> {
        self.versions.lock().clone()
    }

    async fn learn_versions(&self, cluster: &Cluster) {
        for broker in cluster.map().brokers.keys() {
            if let Ok(connection) = cluster.connection(*broker, Lane::Shared).await {
                let speaks = |api: &ApiKey| Some((*api, connection.broker_versions(*api)?));
                *self.versions.lock() = Some(ApiKey::ALL.iter().filter_map(speaks).collect());
                return;
            }
        }
    }

    /// Says that what is known of leaders is wrong.
    pub(crate) fn want_leaders(&self) {
        self.leaders_wanted.notify_one();
    }

    /// Connects, and keeps leaders fresh.
    pub(crate) async fn keep(self: Arc<Self>) {
        let cluster = loop {
            match Cluster::connect(self.config.clone()).await {
                Ok(cluster) => break Arc::new(cluster),
                Err(error) => {
                    tracing::debug!(region = %self.name, error = &error as &dyn std::error::Error, "region is not reached");
                    tokio::time::sleep(RECONNECT_PAUSE).await;
                }
            }
        };
        self.learn_versions(&cluster).await;
        self.cluster.store(Some(cluster.clone()));
        loop {
            // Too early or too late does no harm: who wants leaders asks again.
            let _ = tokio::time::timeout(METADATA_AGE, self.leaders_wanted.notified()).await;
            if let Err(error) = cluster.refresh().await {
                tracing::debug!(region = %self.name, error = &error as &dyn std::error::Error, "no new metadata");
                tokio::time::sleep(RECONNECT_PAUSE).await;
            }
            tokio::time::sleep(REFRESH_PAUSE).await;
        }
    }

    /// Hands a batch to the sender of its leader. Where there is none, the batch comes back as not sent.
    pub(super) fn send(self: &Arc<Self>, hub: &Arc<Hub>, item: Item) {
        let Some(cluster) = self.cluster() else {
            not_sent(hub, &item);
            return;
        };
        let Some(leader) = cluster.map().leader(&item.partition.name) else {
            learn(hub, cluster, item);
            return;
        };
        let mut senders = self.senders.lock();
        let stop = senders.stop.clone();
        let sender = senders.by_broker.entry(leader.broker).or_insert_with(|| {
            let (sender, items) = mpsc::unbounded_channel();
            let running = sender::run(hub.clone(), self.clone(), cluster, leader.broker, items, stop);
            hub.spawn(running);
            sender
        });
        if let Err(mpsc::error::SendError(item)) = sender.send(item) {
            senders.by_broker.remove(&leader.broker);
            drop(senders);
            not_sent(hub, &item);
        }
    }

    /// Lets what is out be answered for a moment, then ends all senders: what is still open is unknown.
    pub(super) async fn leave(&self, patience: Duration) {
        let deadline = tokio::time::Instant::now() + patience;
        while self.open_requests.load(Ordering::Relaxed) > 0 && tokio::time::Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let senders = std::mem::take(&mut *self.senders.lock());
        senders.stop.cancel();
        if let Some(cluster) = self.cluster() {
            cluster.forget_lane(Lane::Produce);
        }
    }
}

/// Asks who leads the item's partition, for when it is tried again.
fn learn(hub: &Arc<Hub>, cluster: Arc<Cluster>, item: Item) {
    let hub_of_task = hub.clone();
    hub.spawn(async move {
        let name: TopicPartition = item.partition.name.clone();
        if let Err(error) = cluster.leader(&name).await {
            tracing::debug!(partition = %name, error = &error as &dyn std::error::Error, "no leader");
        }
        not_sent(&hub_of_task, &item);
    });
}

fn not_sent(hub: &Arc<Hub>, item: &Item) {
    let ordinal = item.entry.ordinal;
    hub.tell_later(&item.partition, Event::Sent { ordinal, outcome: Outcome::NotSent });
}
