//! The cluster of one node: its topics, kept in step with the catalogue on disk.
//!
//! Changes go through the catalogue's lock, one after another, and are durable before they are in force; looking up
//! a topic takes no part in that.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use leeward_log::{Disk, PartitionOpenError};
use leeward_wire::{ErrorCode, Uuid};
use parking_lot::{Mutex, RwLock};
use tracing::{error, info};

use crate::catalogue::{Catalogue, CatalogueError, Contents, TopicEntry};
use crate::config::NodeConfig;
use crate::limits::{PARTITIONS_MAX, PARTITIONS_PER_TOPIC_MAX};
use crate::partition::Partition;
use crate::settings::{BrokerSettings, Overrides, TopicSettings, topic_key};
use crate::topic::{Topic, check_name};
use crate::validate::Refused;

/// A topic to be created.
#[derive(Clone, Debug, Default)]
pub(crate) struct NewTopic {
    pub(crate) name: String,
    /// -1 for the node's default.
    pub(crate) partitions: i32,
    pub(crate) settings: Overrides,
}

#[derive(Debug, Default)]
struct Topics {
    by_name: BTreeMap<String, Arc<Topic>>,
    by_id: HashMap<Uuid, Arc<Topic>>,
}

/// Everything that connections share.
#[derive(Debug)]
pub(crate) struct Cluster {
    pub(crate) config: NodeConfig,
    pub(crate) id: String,
    disk: Arc<dyn Disk>,
    catalogue: Mutex<Catalogue>,
    topics: RwLock<Topics>,
}

impl Cluster {
    /// Opens every topic of the catalogue.
    ///
    /// # Errors
    ///
    /// [`PartitionOpenError`]; nothing is served from a region with a partition missing.
    pub(crate) fn open(
        config: NodeConfig,
        disk: Arc<dyn Disk>,
        catalogue: Catalogue,
    ) -> Result<Self, PartitionOpenError> {
        let contents = catalogue.contents().clone();
        let cluster = Self {
            id: contents.cluster_id.clone(),
            config,
            disk,
            catalogue: Mutex::new(catalogue),
            topics: RwLock::default(),
        };
        for (name, entry) in &contents.topics {
            let Some(id) = entry.uuid() else {
                error!(topic = name, id = entry.id, "the topic's id is not one; it is left out");
                continue;
            };
            let settings = TopicSettings::new(&contents.brokers, &entry.settings);
            let settings = Arc::new(RwLock::new(Arc::new(settings)));
            for index in 0..entry.partitions {
                cluster.name_missing(name, id, index);
            }
            let partitions = cluster.open_partitions(name, id, 0..entry.partitions, &settings)?;
            cluster.enlist(Topic::new(name.clone(), id, settings, partitions));
        }
        Ok(cluster)
    }

    pub(crate) fn topic(&self, name: &str) -> Option<Arc<Topic>> {
        self.topics.read().by_name.get(name).cloned()
    }

    pub(crate) fn topic_by_id(&self, id: Uuid) -> Option<Arc<Topic>> {
        self.topics.read().by_id.get(&id).cloned()
    }

    /// All topics, sorted by name.
    pub(crate) fn topics(&self) -> Vec<Arc<Topic>> {
        self.topics.read().by_name.values().cloned().collect()
    }

    /// What was set for a topic.
    pub(crate) fn topic_overrides(&self, name: &str) -> Option<Overrides> {
        self.catalogue.lock().contents().topics.get(name).map(|entry| entry.settings.clone())
    }

    /// Everything that is kept.
    pub(crate) fn contents(&self) -> Contents {
        self.catalogue.lock().contents().clone()
    }

    /// What was set for the brokers.
    pub(crate) fn broker_settings(&self) -> BrokerSettings {
        self.catalogue.lock().contents().brokers.clone()
    }

    /// A producer id that was never given out before.
    pub(crate) fn new_producer_id(&self) -> Result<i64, Refused> {
        self.catalogue.lock().new_producer_id().map_err(|error| storage(&error))
    }

    /// Checks a topic to be created, as far as that goes without creating it; returns its partition count.
    pub(crate) fn check_new(&self, new: &NewTopic) -> Result<i32, Refused> {
        check_name(&new.name)?;
        if self.topic(&new.name).is_some() {
            let message = format!("Topic '{}' already exists.", new.name);
            return Err(Refused::new(ErrorCode::TOPIC_ALREADY_EXISTS, message));
        }
        for (name, value) in &new.settings {
            check_topic_setting(name, value)?;
        }
        let count = if new.partitions == -1 { self.config.default_partitions } else { new.partitions };
        self.check_partitions(count, 0)?;
        Ok(count)
    }

    /// Creates a topic.
    pub(crate) fn create_topic(&self, new: &NewTopic) -> Result<Arc<Topic>, Refused> {
        let mut catalogue = self.catalogue.lock();
        let count = self.check_new(new)?;
        let id = Uuid(uuid::Uuid::new_v4().into_bytes());
        let settings = TopicSettings::new(&catalogue.contents().brokers, &new.settings);
        let settings = Arc::new(RwLock::new(Arc::new(settings)));
        let partitions =
            self.open_partitions(&new.name, id, 0..count, &settings).map_err(|error| opening(&error))?;
        let entry = TopicEntry { id: id.to_string(), partitions: count, settings: new.settings.clone() };
        catalogue
            .change(|contents| {
                contents.topics.insert(new.name.clone(), entry);
            })
            .map_err(|error| storage(&error))?;
        info!(topic = new.name, %id, partitions = count, "topic created");
        Ok(self.enlist(Topic::new(new.name.clone(), id, settings, partitions)))
    }

    /// Deletes a topic and its records.
    pub(crate) fn delete_topic(&self, topic: &Topic) -> Result<(), Refused> {
        let mut catalogue = self.catalogue.lock();
        catalogue
            .change(|contents| {
                contents.topics.remove(&topic.name);
            })
            .map_err(|error| storage(&error))?;
        let mut topics = self.topics.write();
        topics.by_id.remove(&topic.id);
        topics.by_name.remove(&topic.name);
        drop(topics);
        for partition in topic.partitions() {
            partition.delete(&*self.disk);
        }
        if let Err(error) = self.disk.remove_dir(&self.topic_directory(topic.id)) {
            error!(topic = topic.name, %error, "the deleted topic's directory is still there");
        }
        info!(topic = topic.name, id = %topic.id, "topic deleted");
        Ok(())
    }

    /// Raises a topic's partition count to `count`.
    pub(crate) fn grow_topic(&self, name: &str, count: i32, validate_only: bool) -> Result<(), Refused> {
        let mut catalogue = self.catalogue.lock();
        let topic = self.topic(name).ok_or_else(|| unknown_topic(name))?;
        let before = topic.partition_count();
        if count <= before {
            let message = format!("Topic currently has {before} partitions, which is not less than {count}.");
            return Err(Refused::new(ErrorCode::INVALID_PARTITIONS, message));
        }
        self.check_partitions(count, before)?;
        if validate_only {
            return Ok(());
        }
        let more = self
            .open_partitions(name, topic.id, before..count, &topic.settings)
            .map_err(|error| opening(&error))?;
        catalogue
            .change(|contents| {
                if let Some(entry) = contents.topics.get_mut(name) {
                    entry.partitions = count;
                }
            })
            .map_err(|error| storage(&error))?;
        topic.add_partitions(more);
        Ok(())
    }

    /// Changes what is set, and puts it in force for every topic before it returns.
    ///
    /// `change` may refuse; then nothing has changed.
    pub(crate) fn change_settings(
        &self,
        change: impl FnOnce(&mut Contents) -> Result<(), Refused>,
    ) -> Result<(), Refused> {
        let mut catalogue = self.catalogue.lock();
        let mut changed = catalogue.contents().clone();
        change(&mut changed)?;
        catalogue.change(|contents| *contents = changed).map_err(|error| storage(&error))?;
        let contents = catalogue.contents();
        for topic in self.topics() {
            if let Some(entry) = contents.topics.get(&topic.name) {
                let settings = TopicSettings::new(&contents.brokers, &entry.settings);
                if **topic.settings.read() != settings {
                    topic.apply(settings);
                }
            }
        }
        Ok(())
    }

    fn check_partitions(&self, count: i32, before: i32) -> Result<(), Refused> {
        let all: usize = self.topics().iter().map(|topic| topic.partition_count() as usize).sum();
        if !(1..=PARTITIONS_PER_TOPIC_MAX).contains(&count) {
            let message = format!(
                "Number of partitions was set to {count}; 1 to {PARTITIONS_PER_TOPIC_MAX} are allowed."
            );
            return Err(Refused::new(ErrorCode::INVALID_PARTITIONS, message));
        }
        if all + (count - before) as usize > PARTITIONS_MAX {
            let message = format!("the cluster would have more than {PARTITIONS_MAX} partitions");
            return Err(Refused::new(ErrorCode::INVALID_PARTITIONS, message));
        }
        Ok(())
    }

    /// A partition has files from its creation on.
    fn name_missing(&self, topic: &str, id: Uuid, partition: i32) {
        let directory = self.topic_directory(id).join(partition.to_string());
        if self.disk.list(&directory).is_ok_and(|names| !names.is_empty()) {
            return;
        }
        let directory = directory.display();
        error!(topic, partition, %directory, "the partition's files are missing; it begins again without records");
    }

    fn open_partitions(
        &self,
        topic: &str,
        id: Uuid,
        indexes: std::ops::Range<i32>,
        settings: &Arc<RwLock<Arc<TopicSettings>>>,
    ) -> Result<Vec<Arc<Partition>>, PartitionOpenError> {
        let directory = self.topic_directory(id);
        self.disk
            .create_dir(&directory)
            .and_then(|()| self.disk.sync_dir(&self.config.data_dir.join(TOPICS)))
            .map_err(|source| PartitionOpenError::Io { path: directory.clone(), source })?;
        indexes
            .map(|index| {
                Partition::open(
                    format!("{topic}-{index}"),
                    self.disk.clone(),
                    &directory.join(index.to_string()),
                    self.config.flush,
                    settings.clone(),
                )
                .map(Arc::new)
            })
            .collect()
    }

    fn enlist(&self, topic: Topic) -> Arc<Topic> {
        let topic = Arc::new(topic);
        let mut topics = self.topics.write();
        topics.by_id.insert(topic.id, topic.clone());
        topics.by_name.insert(topic.name.clone(), topic.clone());
        topic
    }

    fn topic_directory(&self, id: Uuid) -> PathBuf {
        topics_directory(&self.config.data_dir).join(id.to_string())
    }
}

const TOPICS: &str = "topics";

/// Where the topics' logs are.
pub(crate) fn topics_directory(data_dir: &Path) -> PathBuf {
    data_dir.join(TOPICS)
}

/// Refuses a topic setting that there is not, or a value that it does not take.
pub(crate) fn check_topic_setting(name: &str, value: &str) -> Result<(), Refused> {
    let Some(key) = topic_key(name) else {
        return Err(Refused::new(ErrorCode::INVALID_CONFIG, format!("Unknown topic config name: {name}")));
    };
    key.check(value).map_err(|message| Refused::new(ErrorCode::INVALID_CONFIG, message))
}

/// What to say of a topic that is not there.
pub(crate) fn unknown_topic(name: &str) -> Refused {
    Refused::new(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, format!("The topic '{name}' does not exist."))
}

fn storage(failed: &CatalogueError) -> Refused {
    error!(error = %failed, cause = ?std::error::Error::source(failed), "the node's state was not written");
    Refused::new(ErrorCode::KAFKA_STORAGE_ERROR, failed.to_string())
}

fn opening(failed: &PartitionOpenError) -> Refused {
    error!(error = %failed, cause = ?std::error::Error::source(failed), "a new partition's log was not opened");
    Refused::new(ErrorCode::KAFKA_STORAGE_ERROR, failed.to_string())
}
