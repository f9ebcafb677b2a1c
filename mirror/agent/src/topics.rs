//! Keeps the target's topics as the source's: made, grown, set up alike. Tells the link's task which ones both sides have.

mod changes;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use leeward_client::{Cluster, ClusterMap, ConfigEntry, ConfigResource, ConfigSource, TopicSelection};
use leeward_mirror_core::topics::{Change, LIMITS, Refusals, SourceTopic, TargetTopic, TopicCommand, diff};
use leeward_model::TopicName;
use tokio::{sync::mpsc, time::Instant};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::{
    LinkConfig, LinkError,
    clock::Clock,
    heartbeat::{ensure_topic, heartbeat_topic_of},
    input::{ComparedTopics, Input, MirroredTopic},
    limits::{DISCOVER_EVERY, MISSING_LOOKS_MAX, REFUSED_AGAIN_AFTER},
    status::{PartitionDrift, RefusedChange},
};

/// Looks after topics until stopped.
pub(crate) async fn follow(
    config: Arc<LinkConfig>,
    source: Cluster,
    target: Cluster,
    inputs: mpsc::Sender<Input>,
    stop: CancellationToken,
) {
    let mut follower = Follower::new(config, source, target);
    while !stop.is_cancelled() {
        match follower.look().await {
            Ok(found) => {
                for input in found {
                    if inputs.send(input).await.is_err() {
                        return;
                    }
                }
            }
            Err(error) => warn!(link = %follower.config.name, %error, "topics cannot be compared"),
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(DISCOVER_EVERY) => {}
        }
    }
}

type Configs = BTreeMap<String, String>;

/// The settings of a topic at the source, and of its copy, as they were last read.
#[derive(Clone, Default)]
struct Settings {
    /// Overrides.
    source: Configs,
    /// What of limits is in force at the source.
    limits: Configs,
    /// Overrides.
    target: Configs,
}

struct Follower {
    config: Arc<LinkConfig>,
    source: Cluster,
    target: Cluster,
    heartbeats: TopicName,
    /// By the topic's name at the source.
    configs: HashMap<TopicName, Settings>,
    configs_due: Instant,
    /// Mirrored topics that were not there lately, and how often.
    missing: HashMap<TopicName, u32>,
    refusals: Refusals,
    clock: Clock,
}

impl Follower {
    fn new(config: Arc<LinkConfig>, source: Cluster, target: Cluster) -> Self {
        Self {
            heartbeats: heartbeat_topic_of(&config.name).topic,
            config,
            source,
            target,
            configs: HashMap::new(),
            configs_due: Instant::now(),
            missing: HashMap::new(),
            refusals: Refusals::new(REFUSED_AGAIN_AFTER),
            clock: Clock::start(),
        }
    }

    async fn look(&mut self) -> Result<Vec<Input>, LinkError> {
        let mut at_source = self.source.metadata(TopicSelection::All).await?;
        if !at_source.topics.contains_key(&self.heartbeats) {
            ensure_topic(&self.source, &self.config.name, self.config.replication_factor).await?;
            at_source = self.source.metadata(TopicSelection::All).await?;
        }
        let mut at_target = self.target.metadata(TopicSelection::All).await?;
        let wanted = self.wanted(&at_source);
        if self.configs_due <= Instant::now() {
            self.configs.clear();
            self.configs_due = Instant::now() + self.config.configs_every;
        }
        let commands = self.compare(&wanted, &at_target).await?;
        let changed: BTreeSet<_> = commands.iter().map(|command| command.topic().clone()).collect();
        for command in commands {
            self.carry_out(command).await;
        }
        if !changed.is_empty() {
            let read_again = wanted.iter().filter(|topic| changed.contains(&topic.target_name));
            read_again.for_each(|topic| drop(self.configs.remove(&topic.name)));
            at_target = self.target.metadata(TopicSelection::All).await?;
        }
        let mut inputs = self.deleted(&at_source);
        let mirrored: Vec<_> = wanted.iter().filter_map(|topic| mirrored(topic, &at_target)).collect();
        for topic in &mirrored {
            self.missing.entry(topic.source.clone()).or_insert(0);
        }
        let drifts = wanted.iter().filter(|topic| topic.name != self.heartbeats);
        let drifts = drifts.filter_map(|topic| drift(topic, &at_target)).collect();
        inputs.push(Input::Topics(ComparedTopics { mirrored, drifts, refusals: self.refused() }));
        Ok(inputs)
    }

    fn refused(&self) -> Vec<RefusedChange> {
        let refused = |(topic, change, reason): (&TopicName, &Change, &str)| RefusedChange {
            topic: topic.clone(),
            change: change.clone(),
            reason: reason.to_owned(),
        };
        self.refusals.told().map(refused).collect()
    }

    fn wanted(&self, at_source: &ClusterMap) -> Vec<SourceTopic> {
        let selected = at_source
            .topics
            .values()
            .filter(|topic| topic.name == self.heartbeats || self.config.topics.matches(&topic.name));
        selected
            .filter_map(|topic| {
                let target_name = if topic.name == self.heartbeats {
                    topic.name.clone()
                } else {
                    self.config.naming.at_target(&topic.name).ok()?
                };
                Some(SourceTopic {
                    name: topic.name.clone(),
                    id: topic.id?,
                    partitions: u32::try_from(topic.partitions.len()).ok()?,
                    configs: Configs::new(),
                    limits: Configs::new(),
                    target_name,
                })
            })
            .collect()
    }

    async fn compare(
        &mut self,
        wanted: &[SourceTopic],
        at_target: &ClusterMap,
    ) -> Result<Vec<TopicCommand>, LinkError> {
        let mut sources = Vec::new();
        let mut targets = Vec::new();
        for topic in wanted {
            let present = at_target.topics.get(&topic.target_name);
            if !self.configs.contains_key(&topic.name) {
                let settings = self.read_settings(topic, present.is_some()).await?;
                self.configs.insert(topic.name.clone(), settings);
            }
            let Settings { source, limits, target } = self.configs[&topic.name].clone();
            sources.push(SourceTopic { configs: source, limits, ..topic.clone() });
            targets.extend(present.map(|present| TargetTopic {
                name: present.name.clone(),
                partitions: present.partitions.len() as u32,
                configs: target,
            }));
        }
        let (commands, drifts) = diff(&sources, &targets, self.config.following);
        for drift in drifts {
            info!(link = %self.config.name, ?drift, "target differs");
        }
        Ok(self.refusals.leave_out(commands, self.clock.now()))
    }

    async fn read_settings(&self, topic: &SourceTopic, is_present: bool) -> Result<Settings, LinkError> {
        let at_source = entries(&self.source, &topic.name).await?;
        let limit = |key: &&str| Some(((*key).to_owned(), at_source.get(*key)?.value.clone()?));
        let limits = LIMITS.iter().filter_map(limit).collect();
        let target = if is_present {
            overrides(entries(&self.target, &topic.target_name).await?)
        } else {
            Configs::new()
        };
        Ok(Settings { source: overrides(at_source), limits, target })
    }

    /// Topics that were mirrored and have not been there for several looks.
    fn deleted(&mut self, at_source: &ClusterMap) -> Vec<Input> {
        let mut deleted = Vec::new();
        self.missing.retain(|name, looks| {
            *looks = if at_source.topics.contains_key(name) { 0 } else { *looks + 1 };
            let gone = *looks >= MISSING_LOOKS_MAX;
            if gone {
                deleted.push(Input::TopicDeleted(name.clone()));
            }
            !gone
        });
        deleted
    }
}

fn mirrored(topic: &SourceTopic, at_target: &ClusterMap) -> Option<MirroredTopic> {
    let present = at_target.topics.get(&topic.target_name)?;
    Some(MirroredTopic {
        source: topic.name.clone(),
        source_id: topic.id,
        target: present.name.clone(),
        target_id: present.id?,
        partitions: topic.partitions.min(present.partitions.len() as u32),
    })
}

fn drift(topic: &SourceTopic, at_target: &ClusterMap) -> Option<PartitionDrift> {
    let present = at_target.topics.get(&topic.target_name);
    let target = present.map_or(0, |present| present.partitions.len() as u32);
    (target != topic.partitions).then(|| PartitionDrift {
        topic: topic.name.clone(),
        source: topic.partitions,
        target,
    })
}

async fn entries(cluster: &Cluster, topic: &TopicName) -> Result<BTreeMap<String, ConfigEntry>, LinkError> {
    Ok(cluster.describe_configs(&ConfigResource::Topic(topic.clone()), &[]).await?)
}

/// The settings that a topic has of its own.
fn overrides(entries: BTreeMap<String, ConfigEntry>) -> Configs {
    let own = entries.into_iter().filter(|(_, entry)| entry.source == ConfigSource::Topic);
    own.filter_map(|(key, entry)| entry.value.map(|value| (key, value))).collect()
}
