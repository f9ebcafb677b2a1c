//! What is stored about a link's partitions at the time of asking, whoever wrote it.

use std::sync::atomic::{AtomicU64, Ordering};

use leeward_model::{PartitionIndex, TopicId};
use tokio::sync::Mutex;

use super::{MapTopic, SharedStored, StoredPartition};
use crate::LinkError;

/// Follows the map topic as far as somebody asks for.
#[derive(Debug)]
pub(crate) struct MapReader {
    topic: Mutex<MapTopic>,
    stored: SharedStored,
    /// Counts the readings that began.
    begun: AtomicU64,
    /// The newest reading that got to its end.
    ended: AtomicU64,
}

impl MapReader {
    /// Goes on where `topic` was read into `stored`.
    pub(crate) fn new(topic: MapTopic, stored: SharedStored) -> Self {
        Self { topic: Mutex::new(topic), stored, begun: AtomicU64::new(0), ended: AtomicU64::new(0) }
    }

    /// A partition with everything that was durable when this was called.
    pub(crate) async fn partition(
        &self,
        key: (TopicId, PartitionIndex),
    ) -> Result<StoredPartition, LinkError> {
        self.catch_up().await?;
        Ok(self.stored.lock().partitions.get(&key).cloned().unwrap_or_default())
    }

    /// Many ask at once when a link begins: a reading that began after the question answers it.
    async fn catch_up(&self) -> Result<(), LinkError> {
        let asked = self.begun.load(Ordering::SeqCst);
        let mut topic = self.topic.lock().await;
        if self.ended.load(Ordering::SeqCst) > asked {
            return Ok(());
        }
        let number = self.begun.fetch_add(1, Ordering::SeqCst) + 1;
        topic.read(&self.stored).await?;
        self.ended.store(number, Ordering::SeqCst);
        Ok(())
    }
}
