//! Consumer groups that write down what they read, in the order in which they read it.

use std::{collections::HashSet, sync::Arc, time::Duration};

use leeward_client::{Cluster, GroupConfig, GroupConsumer};
use leeward_model::{GroupName, TopicName};
use parking_lot::Mutex;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::ledger::{Found, StreamName};

/// How long one poll waits for records.
const POLL_WAIT: Duration = Duration::from_millis(200);
/// How long one poll may take with everything that it has to do before, joining the group included.
const POLL_WAIT_MAX: Duration = Duration::from_secs(30);
/// Pause after a failed poll.
const AGAIN_AFTER: Duration = Duration::from_millis(100);

/// What one group read.
#[derive(Clone, Debug)]
pub(crate) struct GroupNotes {
    name: String,
    read: Arc<Mutex<Vec<Found>>>,
}

impl GroupNotes {
    pub(crate) fn new(name: String) -> Self {
        Self { name, read: Arc::default() }
    }

    /// Looks at the group's name and what it read.
    pub(crate) fn with<T>(&self, look: impl FnOnce(&str, &[Found]) -> T) -> T {
        look(&self.name, &self.read.lock())
    }

    /// Whether everything in `found` was read at least once.
    pub(crate) fn has_read(&self, found: &[Found]) -> bool {
        let read = self.read.lock();
        let read: HashSet<(&StreamName, u64)> =
            read.iter().map(|record| (&record.stream, record.number)).collect();
        found.iter().all(|record| read.contains(&(&record.stream, record.number)))
    }
}

/// Consumes as one member of a group until `stop`, committing what it has read.
pub(crate) async fn consume(
    cluster: Cluster,
    notes: GroupNotes,
    topics: Vec<TopicName>,
    stop: CancellationToken,
) {
    let config = GroupConfig::new(GroupName::new(&notes.name), topics);
    let mut member = GroupConsumer::new(&cluster, config);
    while !stop.is_cancelled() {
        let polled = match timeout(POLL_WAIT_MAX, member.poll(POLL_WAIT)).await {
            Ok(Ok(records)) => records,
            Ok(Err(error)) => {
                tracing::debug!(%error, group = notes.name, "group cannot read");
                sleep(AGAIN_AFTER).await;
                continue;
            }
            Err(_) => continue,
        };
        if polled.is_empty() {
            continue;
        }
        let found = polled.iter().filter_map(|record| {
            let topic = record.partition.topic.as_str();
            let partition = record.partition.partition.to_wire();
            Found::parse(topic, partition, record.offset, record.value.as_deref()?)
        });
        notes.read.lock().extend(found);
        if let Err(error) = member.commit().await {
            tracing::debug!(%error, group = notes.name, "positions are not committed");
        }
    }
}
