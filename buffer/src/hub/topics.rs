//! Which topic has a name in a region, by id: asked for regularly, and whenever something hangs on it. An answer says something
//! of what was acknowledged before it was asked for, and of nothing later.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use leeward_client::{ClusterError, TopicSelection};
use leeward_model::{TopicId, TopicName};
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use super::look::LookError;
use super::{Hub, Partition, Region};
use crate::limits::{LOOK_TIMEOUT, METADATA_AGE, TOPICS_PAUSE};
use crate::partition::Event;

/// The ids of a region's topics, as they were after some time.
#[derive(Debug)]
pub(super) struct Topics {
    wanted: Notify,
    told: watch::Sender<Option<Told>>,
}

#[derive(Clone, Debug)]
struct Told {
    asked_at: Instant,
    /// A topic without id is of a region that tells none.
    ids: Arc<BTreeMap<TopicName, Option<TopicId>>>,
}

impl Topics {
    pub(super) fn new() -> Self {
        Self { wanted: Notify::new(), told: watch::Sender::new(None) }
    }

    /// Has the region asked soon.
    pub(super) fn want(&self) {
        self.wanted.notify_one();
    }

    /// The topic that has the name at some time after this was called.
    pub(super) async fn id_of(&self, name: &TopicName) -> Result<Option<TopicId>, LookError> {
        let (since, mut told) = (Instant::now(), self.told.subscribe());
        self.want();
        let fresh = told.wait_for(|told| told.as_ref().is_some_and(|told| told.asked_at >= since));
        let told = tokio::time::timeout(LOOK_TIMEOUT, fresh).await;
        let ids = told.ok().and_then(|told| Some(told.ok()?.as_ref()?.ids.clone()));
        ids.ok_or(LookError::Missing)?.get(name).copied().ok_or(LookError::Missing)
    }
}

impl Hub {
    /// Keeps what is known of a region's topics fresh enough for all that hangs on it.
    pub(crate) async fn watch_topics(self: Arc<Self>, region: Arc<Region>) {
        loop {
            let wanted = tokio::time::timeout(METADATA_AGE, region.topics.wanted.notified()).await.is_ok();
            if let Err(error) = self.ask_topics(&region, wanted).await {
                let error = &error as &dyn std::error::Error;
                tracing::debug!(region = %region.name, error, "topics are not told");
            }
            tokio::time::sleep(TOPICS_PAUSE).await;
        }
    }

    async fn ask_topics(self: &Arc<Self>, region: &Region, wanted: bool) -> Result<(), ClusterError> {
        let Some(cluster) = region.cluster() else { return Ok(()) };
        let partitions = self.all();
        let asked_at = Instant::now();
        let questions: Vec<_> = partitions
            .iter()
            .filter_map(|partition| Some((partition, partition.forward.lock().topic_question(&region.name)?)))
            .collect();
        if questions.is_empty() && !wanted {
            return Ok(());
        }
        let names: BTreeSet<&TopicName> = partitions.iter().map(|partition| &partition.name.topic).collect();
        let names: Vec<TopicName> = names.into_iter().cloned().collect();
        let map = cluster.metadata(TopicSelection::Named(&names)).await?;
        let ids = map.topics.iter().map(|(name, topic)| (name.clone(), topic.id)).collect();
        let ids: Arc<BTreeMap<_, _>> = Arc::new(ids);
        region.topics.told.send_replace(Some(Told { asked_at, ids: ids.clone() }));
        for (partition, question) in questions {
            if let Some(topic) = ids.get(&partition.name.topic).copied().flatten() {
                self.tell_credibly(partition, Event::TopicTold { question, topic });
            }
        }
        Ok(())
    }

    /// Tells what was found in a region. Who stood still may hear it before it looks at the clock: another region may have
    /// acted since, and this one's topics may have been made anew for it.
    pub(super) fn tell_credibly(self: &Arc<Self>, partition: &Arc<Partition>, event: Event) {
        if !self.lives() {
            self.tell(partition, Event::Lapsed);
        }
        self.tell(partition, event);
    }

    /// Says what a partition's log does not have any more.
    pub(super) fn log_is_lost(&self, partition: &Partition, forgotten: u64, sent_again: u64) {
        self.metrics.rejected("topic-deleted", forgotten);
        tracing::warn!(
            partition = %partition.name, forgotten, sent_again,
            "the log was made anew: what the deleted topic had acknowledged is forgotten, what the log lacks else is sent again"
        );
    }
}
