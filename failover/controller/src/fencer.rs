//! Seals a region over the wire, and looks whether the seal holds.
//!
//! The lever is `max.message.bytes=0` on each protected topic: it binds every acks value, live connections and super
//! users, and leaves reads alone. What a topic had before is noted durably first, so that lifting the seal restores it.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use leeward_failover_core::{LogEnd, SealEvidence};
use leeward_model::{RegionName, TopicName, TopicPartition};
use tokio::time::{Instant, sleep, timeout};
use tracing::warn;

use crate::{
    cluster::{Cluster, ClusterError, ClusterView, WriteProbe},
    config::Protected,
    limits::{EXEMPT_MESSAGE_BYTES, SEAL_LOOK_EVERY, SEAL_SPREAD_WAIT, SEAL_TIMEOUT, STILLNESS},
    log::{LogError, RedbLog},
};

/// Internal topics that go on taking writes while the cluster's default refuses: groups' commits, transactions' ends.
const EXEMPT: [&str; 2] = ["__consumer_offsets", "__transaction_state"];

/// Why a region was not sealed or opened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FenceError {
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    #[error(transparent)]
    Notes(#[from] LogError),
    #[error("sealing took longer than {0:?}")]
    TimedOut(Duration),
    #[error("opening took longer than {0:?}: topics still refuse writes, or brokers do not answer")]
    NotOpened(Duration),
    #[error("leave to open the region ended before it was used")]
    LeaveEnded,
}

/// Seals and opens one region.
#[derive(Clone, Debug)]
pub(crate) struct Fencer {
    region: RegionName,
    cluster: Arc<dyn Cluster>,
    protected: Protected,
    seal_default: bool,
    notes: RedbLog,
}

impl Fencer {
    pub(crate) fn new(
        region: RegionName,
        cluster: Arc<dyn Cluster>,
        protected: Protected,
        seal_default: bool,
        notes: RedbLog,
    ) -> Self {
        Self { region, cluster, protected, seal_default, notes }
    }

    /// Refuses every write on protected topics, and says what was seen. Safe to repeat.
    ///
    /// # Errors
    ///
    /// [`FenceError`] where the region was not reached or refused; nothing is known then.
    pub(crate) async fn seal(&self) -> Result<SealEvidence, FenceError> {
        timeout(SEAL_TIMEOUT, self.seal_unbounded()).await.map_err(|_| FenceError::TimedOut(SEAL_TIMEOUT))?
    }

    async fn seal_unbounded(&self) -> Result<SealEvidence, FenceError> {
        let view = self.cluster.view().await?;
        let topics = self.topics(&view);
        let before = self.cluster.message_bytes_max(&topics).await?;
        let open: Vec<(TopicName, Option<u64>)> =
            before.into_iter().filter(|(_, bytes)| *bytes != Some(0)).collect();
        if !open.is_empty() {
            self.notes.note_sealed(&self.region, &open)?;
            let sealed: Vec<_> = open.into_iter().map(|(topic, _)| (topic, Some(0))).collect();
            self.cluster.set_message_bytes_max(&sealed).await?;
        }
        if self.seal_default {
            self.seal_default(&view).await;
        }
        self.look(&view).await
    }

    /// Topics made later are refused too. The proof does not rest on it, so a refusal is only told.
    async fn seal_default(&self, view: &ClusterView) {
        let exempt = exempt(view);
        let attempt = async {
            let before = self.cluster.message_bytes_max(&exempt).await?;
            let bare: Vec<(TopicName, Option<u64>)> =
                before.into_iter().filter(|(_, bytes)| bytes.is_none()).collect();
            if !bare.is_empty() {
                self.notes.note_sealed(&self.region, &bare)?;
                let kept: Vec<_> =
                    bare.into_iter().map(|(topic, _)| (topic, Some(EXEMPT_MESSAGE_BYTES))).collect();
                self.cluster.set_message_bytes_max(&kept).await?;
            }
            let default = self.cluster.default_message_bytes_max().await?;
            if default != Some(0) {
                self.notes.note_sealed(&self.region, &[(default_note(), default)])?;
                self.cluster.set_default_message_bytes_max(Some(0)).await?;
            }
            Ok::<_, FenceError>(())
        };
        if let Err(error) = attempt.await {
            warn!(region = %self.region, %error, "the cluster's default was not sealed");
        }
    }

    /// Waits until every broker refuses a write, then reads twice where the logs end: first for readers, then with what followers
    /// lack. Where both are the same, nothing that was written can be acknowledged any more.
    async fn look(&self, view: &ClusterView) -> Result<SealEvidence, FenceError> {
        let led: Vec<_> =
            view.partitions.iter().filter(|led| self.protected.contains(&led.partition.topic)).collect();
        let partitions: Vec<TopicPartition> = led.iter().map(|led| led.partition.clone()).collect();
        let give_up_at = Instant::now() + SEAL_SPREAD_WAIT;
        let open = loop {
            let probes = self.cluster.probe_writes(&partitions).await?;
            let open: Vec<TopicPartition> = probes
                .into_iter()
                .filter(|(_, probe)| *probe != WriteProbe::Refused)
                .map(|(partition, _)| partition)
                .collect();
            if open.is_empty() || Instant::now() >= give_up_at {
                break open;
            }
            sleep(SEAL_LOOK_EVERY).await;
        };
        let log_ends = self.cluster.log_ends(&partitions).await?;
        sleep(STILLNESS).await;
        let written = self.cluster.written_ends(&partitions).await?;
        let refusing =
            |broker| !led.iter().any(|led| led.leader == Some(broker) && open.contains(&led.partition));
        let leaderless = led.iter().any(|led| led.leader.is_none());
        let brokers_refusing = view.brokers.iter().filter(|broker| refusing(**broker)).count();
        Ok(SealEvidence {
            brokers: u32::try_from(view.brokers.len()).unwrap_or(u32::MAX),
            // A partition without a leader may come back on any broker: nobody refused for it.
            brokers_refusing: if leaderless {
                0
            } else {
                u32::try_from(brokers_refusing).unwrap_or(u32::MAX)
            },
            still: log_ends == written,
            log_ends,
        })
    }

    /// Whether every protected topic still has its seal. Brokers are not asked for a write.
    ///
    /// # Errors
    ///
    /// [`FenceError`] where the region was not reached.
    pub(crate) async fn is_sealed(&self) -> Result<bool, FenceError> {
        let look = async {
            let topics = self.protected_topics().await?;
            let found = self.cluster.message_bytes_max(&topics).await?;
            Ok(found.iter().all(|(_, bytes)| *bytes == Some(0)))
        };
        timeout(SEAL_TIMEOUT, look).await.map_err(|_| FenceError::TimedOut(SEAL_TIMEOUT))?
    }

    /// Lifts the seal: what was noted is restored, and any other zero is taken away. Safe to repeat. `may_go_on` is asked
    /// before each change, for a process that was stopped meanwhile.
    ///
    /// # Errors
    ///
    /// [`FenceError`] where the region was not reached or refused; it may be open in part.
    pub(crate) async fn unseal(&self, may_go_on: impl Fn() -> bool) -> Result<u32, FenceError> {
        timeout(SEAL_TIMEOUT, self.unseal_unbounded(may_go_on))
            .await
            .map_err(|_| FenceError::NotOpened(SEAL_TIMEOUT))?
    }

    async fn unseal_unbounded(&self, may_go_on: impl Fn() -> bool) -> Result<u32, FenceError> {
        let leave = || if may_go_on() { Ok(()) } else { Err(FenceError::LeaveEnded) };
        let view = self.cluster.view().await?;
        let topics = self.topics(&view);
        let noted = self.notes.sealed(&self.region)?;
        let mut known = topics.clone();
        known.extend(exempt(&view));
        let mut restored: BTreeMap<TopicName, Option<u64>> =
            noted.iter().filter(|(topic, _)| known.contains(topic)).cloned().collect();
        let found = self.cluster.message_bytes_max(&topics).await?;
        for (topic, bytes) in found {
            match bytes {
                Some(0) => {
                    restored.entry(topic).or_default();
                }
                // Somebody else gave it a limit since: that of a topic that was made anew, for instance. The exempting one was
                // given by an opening that ended before it was complete.
                Some(bytes) if bytes != EXEMPT_MESSAGE_BYTES => {
                    if let Some(noted) = restored.get_mut(&topic) {
                        *noted = Some(bytes);
                    }
                }
                Some(_) | None => {}
            }
        }
        if self.seal_default {
            leave()?;
            self.unseal_default(&noted).await?;
        }
        if !restored.is_empty() {
            leave()?;
            self.restore(restored).await?;
        }
        let forgotten: Vec<TopicName> = noted.into_iter().map(|(topic, _)| topic).collect();
        self.notes.forget_sealed(&self.region, &forgotten)?;
        self.wait_open(&view).await?;
        Ok(u32::try_from(topics.len()).unwrap_or(u32::MAX))
    }

    /// A topic that gets no limit of its own has one for a moment: after a restart, brokers may hold a zero that a deleted topic
    /// of the same name had, and of which the cluster's metadata say nothing. Taking away what is not there changes nothing then
    /// (Apache Kafka 4.1; `kill -9`, no snapshot since).
    async fn restore(&self, restored: BTreeMap<TopicName, Option<u64>>) -> Result<(), ClusterError> {
        let limit = |bytes: &Option<u64>| bytes.unwrap_or(EXEMPT_MESSAGE_BYTES);
        let limited: Vec<_> =
            restored.iter().map(|(topic, bytes)| (topic.clone(), Some(limit(bytes)))).collect();
        self.cluster.set_message_bytes_max(&limited).await?;
        let bare: Vec<_> = restored.into_iter().filter(|(_, bytes)| bytes.is_none()).collect();
        if bare.is_empty() { Ok(()) } else { self.cluster.set_message_bytes_max(&bare).await }
    }

    async fn unseal_default(&self, noted: &[(TopicName, Option<u64>)]) -> Result<(), FenceError> {
        let before = noted.iter().find(|(note, _)| *note == default_note());
        match (before, self.cluster.default_message_bytes_max().await?) {
            (Some((_, before)), _) => self.cluster.set_default_message_bytes_max(*before).await?,
            (None, Some(0)) => self.cluster.set_default_message_bytes_max(None).await?,
            (None, Some(_) | None) => {}
        }
        Ok(())
    }

    /// A configuration reaches each broker on its own: clients are sent when all of them have it.
    async fn wait_open(&self, view: &ClusterView) -> Result<(), FenceError> {
        let partitions = self.partitions(view);
        loop {
            let probes = self.cluster.probe_writes(&partitions).await?;
            if probes.iter().all(|(_, probe)| *probe != WriteProbe::Refused) {
                return Ok(());
            }
            sleep(SEAL_LOOK_EVERY).await;
        }
    }

    /// The protected topics that the region has.
    pub(crate) async fn protected_topics(&self) -> Result<Vec<TopicName>, ClusterError> {
        Ok(self.topics(&self.cluster.view().await?))
    }

    /// Where the logs of the protected topics end.
    pub(crate) async fn log_ends(&self) -> Result<Vec<LogEnd>, ClusterError> {
        let partitions = self.partitions(&self.cluster.view().await?);
        self.cluster.log_ends(&partitions).await
    }

    /// These topics were deleted with their seal: those of their names have no limit once the region is opened.
    pub(crate) fn made_anew(&self, topics: &[TopicName]) -> Result<(), LogError> {
        self.notes.forget_sealed(&self.region, topics)?;
        let bare: Vec<_> = topics.iter().map(|topic| (topic.clone(), None)).collect();
        self.notes.note_sealed(&self.region, &bare)
    }

    fn partitions(&self, view: &ClusterView) -> Vec<TopicPartition> {
        let partitions = view.partitions.iter().map(|led| &led.partition);
        partitions.filter(|partition| self.protected.contains(&partition.topic)).cloned().collect()
    }

    fn topics(&self, view: &ClusterView) -> Vec<TopicName> {
        let mut topics: Vec<TopicName> =
            self.partitions(view).into_iter().map(|partition| partition.topic).collect();
        topics.sort();
        topics.dedup();
        topics
    }
}

/// Under which the cluster's default is noted, beside the topics.
fn default_note() -> TopicName {
    TopicName::new("__leeward_cluster_default").expect("the name is legal")
}

fn exempt(view: &ClusterView) -> Vec<TopicName> {
    let mut topics: Vec<TopicName> = view
        .partitions
        .iter()
        .map(|led| led.partition.topic.clone())
        .filter(|topic| EXEMPT.contains(&topic.as_str()) || topic.as_str().starts_with(TopicName::OWN_PREFIX))
        .collect();
    topics.sort();
    topics.dedup();
    topics
}

#[cfg(test)]
mod tests;
