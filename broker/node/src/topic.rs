//! A topic: its id, what it goes by, its partitions.

use std::sync::Arc;

use leeward_wire::{ErrorCode, Uuid};
use parking_lot::RwLock;

use crate::limits::TOPIC_NAME_CHARS_MAX;
use crate::partition::Partition;
use crate::settings::TopicSettings;
use crate::validate::Refused;

/// The topic that groups and their positions are stored in.
pub(crate) const OFFSETS_TOPIC: &str = "__consumer_offsets";

/// One topic.
#[derive(Debug)]
pub(crate) struct Topic {
    pub(crate) name: String,
    pub(crate) id: Uuid,
    pub(crate) settings: Arc<RwLock<Arc<TopicSettings>>>,
    partitions: RwLock<Vec<Arc<Partition>>>,
}

impl Topic {
    pub(crate) fn new(
        name: String,
        id: Uuid,
        settings: Arc<RwLock<Arc<TopicSettings>>>,
        partitions: Vec<Arc<Partition>>,
    ) -> Self {
        Self { name, id, settings, partitions: RwLock::new(partitions) }
    }

    pub(crate) fn is_internal(&self) -> bool {
        self.name == OFFSETS_TOPIC
    }

    pub(crate) fn partition(&self, index: i32) -> Option<Arc<Partition>> {
        self.partitions.read().get(usize::try_from(index).ok()?).cloned()
    }

    pub(crate) fn partitions(&self) -> Vec<Arc<Partition>> {
        self.partitions.read().clone()
    }

    pub(crate) fn partition_count(&self) -> i32 {
        i32::try_from(self.partitions.read().len()).unwrap_or(i32::MAX)
    }

    pub(crate) fn add_partitions(&self, more: Vec<Arc<Partition>>) {
        self.partitions.write().extend(more);
    }

    /// Puts settings in force: once this returns, nothing is appended under the ones before.
    pub(crate) fn apply(&self, settings: TopicSettings) {
        *self.settings.write() = Arc::new(settings);
        for partition in self.partitions() {
            partition.settings_changed();
        }
    }
}

/// Refuses names that Apache Kafka refuses.
pub(crate) fn check_name(name: &str) -> Result<(), Refused> {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let problem = if name.is_empty() {
        "the empty string is not allowed"
    } else if name == "." || name == ".." {
        "'.' or '..' is not allowed"
    } else if name.len() > TOPIC_NAME_CHARS_MAX {
        "the length is longer than the max allowed length 249"
    } else if !name.chars().all(legal) {
        "it contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'"
    } else {
        return Ok(());
    };
    Err(Refused::new(ErrorCode::INVALID_TOPIC_EXCEPTION, format!("Topic name is invalid: {problem}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_kafka_refuses_are_refused() {
        for name in ["", ".", "..", "a b", "a/b", "ä", &"x".repeat(250)] {
            assert!(check_name(name).is_err(), "{name}");
        }
        for name in ["a", "A-1_b.c", "__consumer_offsets", &"x".repeat(249)] {
            assert!(check_name(name).is_ok(), "{name}");
        }
    }
}
