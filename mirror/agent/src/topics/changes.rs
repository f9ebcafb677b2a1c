//! Changes the target's topics. A setting that the target refuses keeps back neither the topic nor the other settings.

use std::collections::BTreeMap;

use leeward_client::{ClusterError, ConfigChange, ConfigResource, NewTopic};
use leeward_mirror_core::topics::{Change, KEEPS_TIMES, TopicCommand};
use leeward_model::{TopicName, with_causes};
use leeward_wire::ErrorCode;
use tracing::{info, warn};

use super::{Configs, Follower};
use crate::limits::ADMIN_WAIT_MAX;

/// By key; `None` unsets.
type Changes = BTreeMap<String, Option<String>>;

impl Follower {
    pub(super) async fn carry_out(&mut self, command: TopicCommand) {
        match command {
            TopicCommand::Create { name, partitions, configs } => {
                self.create(&name, partitions, configs).await;
            }
            TopicCommand::Grow { name, partitions } => {
                let count = i32::try_from(partitions).unwrap_or(i32::MAX);
                let outcome = self.target.create_partitions(&name, count, ADMIN_WAIT_MAX).await;
                self.note(&name, Change::Partitions(partitions), outcome);
            }
            TopicCommand::Configure { name, set, unset } => {
                let set = set.into_iter().map(|(key, value)| (key, Some(value)));
                let unset = unset.into_iter().map(|key| (key, None));
                self.configure(&name, set.chain(unset).collect()).await;
            }
        }
    }

    /// Makes a topic. Where its settings are refused, it is made without those that are copied, and given each by itself.
    async fn create(&mut self, name: &TopicName, partitions: u32, configs: Configs) {
        let outcome = self.make(name, partitions, configs.clone()).await;
        let Some(error) = outcome.as_ref().err().filter(|error| refuses_settings(error)) else {
            self.note(name, Change::Creation, outcome);
            return;
        };
        let (bare, copied): (Configs, Configs) =
            configs.into_iter().partition(|(key, _)| key == KEEPS_TIMES.0);
        if copied.is_empty() || self.make(name, partitions, bare).await.is_err() {
            self.note(name, Change::Creation, outcome);
            return;
        }
        info!(link = %self.config.name, topic = %name, %error, "target has the topic made without settings");
        self.note(name, Change::Creation, Ok(()));
        for (key, value) in copied {
            self.configure(name, Changes::from([(key, Some(value))])).await;
        }
    }

    /// Changes settings, all at once; each by itself where one of them is refused.
    async fn configure(&mut self, name: &TopicName, changes: Changes) {
        let outcome = self.alter(name, &changes).await;
        match outcome {
            Err(error) if refuses_settings(&error) && changes.len() > 1 => {
                for (key, value) in changes {
                    let outcome = self.alter(name, &Changes::from([(key.clone(), value.clone())])).await;
                    self.note(name, Change::Setting { key, value }, outcome);
                }
            }
            outcome => {
                for (key, value) in changes {
                    self.note(name, Change::Setting { key, value }, outcome.clone());
                }
            }
        }
    }

    async fn make(&self, name: &TopicName, partitions: u32, configs: Configs) -> Result<(), ClusterError> {
        let new = NewTopic {
            name: name.clone(),
            partitions: i32::try_from(partitions).unwrap_or(i32::MAX),
            replication_factor: self.config.replication_factor,
            configs,
        };
        match self.target.create_topic(&new, ADMIN_WAIT_MAX).await {
            Err(error) if error.code() == Some(ErrorCode::TOPIC_ALREADY_EXISTS) => Ok(()),
            outcome => outcome,
        }
    }

    async fn alter(&self, name: &TopicName, changes: &Changes) -> Result<(), ClusterError> {
        let change = |value: &Option<String>| value.clone().map_or(ConfigChange::Delete, ConfigChange::Set);
        let changes: Vec<_> = changes.iter().map(|(key, value)| (key.as_str(), change(value))).collect();
        self.target.incremental_alter_configs(&ConfigResource::Topic(name.clone()), &changes).await
    }

    /// Notes what became of a change. One that was refused rests for a while; one that got no answer comes with the next look.
    fn note(&mut self, topic: &TopicName, change: Change, outcome: Result<(), ClusterError>) {
        let link = &self.config.name;
        match outcome {
            Ok(()) => {
                info!(%link, %topic, %change, "target changed");
                self.refusals.take(topic, change);
            }
            Err(error) if error.code().is_none() || error.may_retry() => {
                warn!(%link, %topic, %change, %error, "target does not answer to a change");
            }
            Err(error) => {
                let (now, reason) = (self.clock.now(), with_causes(&error));
                if self.refusals.refuse(topic, change.clone(), &reason, now) {
                    warn!(%link, %topic, %change, %error, "target refuses a change");
                }
            }
        }
    }
}

/// Whether it may be a setting that was refused, and not the change as a whole. Brokers that keep their settings in ZooKeeper call
/// a value that they do not take a bad request.
fn refuses_settings(error: &ClusterError) -> bool {
    let code = error.code();
    [ErrorCode::INVALID_CONFIG, ErrorCode::POLICY_VIOLATION, ErrorCode::INVALID_REQUEST]
        .into_iter()
        .any(|refusal| code == Some(refusal))
}

#[cfg(test)]
mod tests;
