//! The cluster that a route reaches, for all its streams: they meet the same trouble at the same time, and one of them
//! finds out for all.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use leeward_client::Cluster;
use tokio::sync::Mutex;

/// A route's cluster. Clones are the same.
#[derive(Clone, Debug)]
pub(crate) struct Reached {
    cluster: Cluster,
    looks: Arc<Looks>,
}

#[derive(Debug, Default)]
struct Looks {
    ended: AtomicU64,
    turn: Mutex<()>,
}

impl Reached {
    pub(crate) fn new(cluster: Cluster) -> Self {
        Self { cluster, looks: Arc::default() }
    }

    pub(crate) fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// Learns where the cluster is, unless somebody did so while this call waited for its turn: whoever answered last
    /// may be gone, or may no longer be the one that the name means.
    pub(crate) async fn learn_anew(&self) {
        let before = self.looks.ended.load(Ordering::Acquire);
        let _turn = self.looks.turn.lock().await;
        if self.looks.ended.load(Ordering::Acquire) != before {
            return;
        }
        if self.cluster.refresh().await.is_err() {
            // The next attempt finds out whether there is anybody at all.
            let _ = self.cluster.rebootstrap().await;
        }
        self.looks.ended.fetch_add(1, Ordering::Release);
    }
}
