//! Keeps the target's topics as the source's: made, grown, set up alike. Tells the link's task which ones both sides have.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use leeward_client::{
    Cluster, ClusterMap, ConfigChange, ConfigResource, ConfigSource, NewTopic, TopicSelection,
};
use leeward_mirror_core::topics::{SourceTopic, TargetTopic, TopicCommand, diff};
use leeward_model::TopicName;
use leeward_wire::ErrorCode;
use tokio::{sync::mpsc, time::Instant};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::{
    LinkConfig, LinkError,
    heartbeat::{ensure_topic, heartbeat_topic_of},
    input::{Input, MirroredTopic},
    limits::{ADMIN_WAIT_MAX, DISCOVER_EVERY, MISSING_LOOKS_MAX},
    status::PartitionDrift,
};

/// Looks after topics until stopped.
pub(crate) async fn follow(
    config: Arc<LinkConfig>,
    source: Cluster,
    target: Cluster,
    inputs: mpsc::Sender<Input>,
    stop: CancellationToken,
) {
    let mut follower = Follower {
        heartbeats: heartbeat_topic_of(&config.name).topic,
        config,
        source,
        target,
        configs: HashMap::new(),
        configs_due: Instant::now(),
        missing: HashMap::new(),
    };
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

struct Follower {
    config: Arc<LinkConfig>,
    source: Cluster,
    target: Cluster,
    heartbeats: TopicName,
    /// Overrides of source topics, and of their copies, as they were last read.
    configs: HashMap<TopicName, (Configs, Configs)>,
    configs_due: Instant,
    /// Mirrored topics that were not there lately, and how often.
    missing: HashMap<TopicName, u32>,
}

impl Follower {
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
        let changed = !commands.is_empty();
        for command in commands {
            self.carry_out(command).await;
        }
        if changed {
            self.configs.clear();
            at_target = self.target.metadata(TopicSelection::All).await?;
        }
        let mut inputs = self.deleted(&at_source);
        let mirrored: Vec<_> = wanted.iter().filter_map(|topic| mirrored(topic, &at_target)).collect();
        for topic in &mirrored {
            self.missing.entry(topic.source.clone()).or_insert(0);
        }
        let drifts = wanted.iter().filter(|topic| topic.name != self.heartbeats);
        let drifts = drifts.filter_map(|topic| drift(topic, &at_target)).collect();
        inputs.push(Input::Topics(mirrored, drifts));
        Ok(inputs)
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
                let at_source = overrides(&self.source, &topic.name).await?;
                let there = match present {
                    Some(_) => overrides(&self.target, &topic.target_name).await?,
                    None => Configs::new(),
                };
                self.configs.insert(topic.name.clone(), (at_source, there));
            }
            let (at_source, there) = self.configs[&topic.name].clone();
            sources.push(SourceTopic { configs: at_source, ..topic.clone() });
            targets.extend(present.map(|present| TargetTopic {
                name: present.name.clone(),
                partitions: present.partitions.len() as u32,
                configs: there,
            }));
        }
        let (commands, drifts) = diff(&sources, &targets);
        for drift in drifts {
            info!(link = %self.config.name, ?drift, "target differs");
        }
        Ok(commands)
    }

    async fn carry_out(&self, command: TopicCommand) {
        let outcome = match &command {
            TopicCommand::Create { name, partitions, configs } => {
                let new = NewTopic {
                    name: name.clone(),
                    partitions: i32::try_from(*partitions).unwrap_or(i32::MAX),
                    replication_factor: self.config.replication_factor,
                    configs: configs.clone(),
                };
                self.target.create_topic(&new, ADMIN_WAIT_MAX).await
            }
            TopicCommand::Grow { name, partitions } => {
                let count = i32::try_from(*partitions).unwrap_or(i32::MAX);
                self.target.create_partitions(name, count, ADMIN_WAIT_MAX).await
            }
            TopicCommand::Configure { name, set, unset } => {
                let set = set.iter().map(|(key, value)| (key.as_str(), ConfigChange::Set(value.clone())));
                let unset = unset.iter().map(|key| (key.as_str(), ConfigChange::Delete));
                let changes: Vec<_> = set.chain(unset).collect();
                self.target.incremental_alter_configs(&ConfigResource::Topic(name.clone()), &changes).await
            }
        };
        match outcome {
            Ok(()) => info!(link = %self.config.name, ?command, "target changed"),
            Err(error) if error.code() == Some(ErrorCode::TOPIC_ALREADY_EXISTS) => {}
            Err(error) => warn!(link = %self.config.name, ?command, %error, "target refuses a change"),
        }
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

/// The settings that a topic has of its own.
async fn overrides(cluster: &Cluster, topic: &TopicName) -> Result<Configs, LinkError> {
    let entries = cluster.describe_configs(&ConfigResource::Topic(topic.clone()), &[]).await?;
    let own = entries.into_iter().filter(|(_, entry)| entry.source == ConfigSource::Topic);
    Ok(own.filter_map(|(key, entry)| entry.value.map(|value| (key, value))).collect())
}
