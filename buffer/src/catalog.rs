//! Topics as the acting region last told them, for when no region answers; and what they demand of batches.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};

use leeward_wire::ErrorCode;
use leeward_wire::api::{DescribeConfigsResponseResult, MetadataResponse};
use parking_lot::RwLock;

use crate::door::TopicRules;
use crate::limits::TOPICS_MAX;
use crate::state::KnownTopic;

/// What is known of topics.
#[derive(Debug)]
pub(crate) struct Catalog {
    topics: RwLock<BTreeMap<String, KnownTopic>>,
    rules: RwLock<HashMap<String, TopicRules>>,
    changed: AtomicBool,
}

impl Catalog {
    pub(crate) fn new(topics: Vec<KnownTopic>) -> Self {
        let topics = topics.into_iter().map(|topic| (topic.name.clone(), topic)).collect();
        Self { topics: RwLock::new(topics), rules: RwLock::default(), changed: AtomicBool::new(false) }
    }

    pub(crate) fn known(&self) -> Vec<KnownTopic> {
        self.topics.read().values().cloned().collect()
    }

    pub(crate) fn topic(&self, name: &str) -> Option<KnownTopic> {
        self.topics.read().get(name).cloned()
    }

    /// Whether something changed since this was asked last.
    pub(crate) fn take_changed(&self) -> bool {
        self.changed.swap(false, Ordering::Relaxed)
    }

    /// Takes over a region's answer.
    pub(crate) fn learn(&self, answer: &MetadataResponse) {
        let mut topics = self.topics.write();
        for topic in &answer.topics {
            let Some(name) = topic.name.clone().filter(|name| !name.is_empty()) else { continue };
            let code = ErrorCode::new(topic.error_code);
            if code == ErrorCode::UNKNOWN_TOPIC_OR_PARTITION {
                // A survivor that is being promoted may not have it yet: forget it only where it has no batches.
                continue;
            }
            if !code.is_none() || topic.partitions.is_empty() {
                continue;
            }
            let partitions = u32::try_from(topic.partitions.len()).unwrap_or(u32::MAX);
            let known = KnownTopic { name: name.clone(), partitions, internal: topic.is_internal };
            if topics.get(&name) != Some(&known) && (topics.len() < TOPICS_MAX || topics.contains_key(&name))
            {
                topics.insert(name, known);
                self.changed.store(true, Ordering::Relaxed);
            }
        }
    }

    /// The topic was deleted by a client.
    pub(crate) fn forget(&self, name: &str) {
        if self.topics.write().remove(name).is_some() {
            self.changed.store(true, Ordering::Relaxed);
        }
        self.rules.write().remove(name);
    }

    /// What a topic demands; nothing where it is not known.
    pub(crate) fn rules(&self, name: &str) -> TopicRules {
        self.rules.read().get(name).copied().unwrap_or_default()
    }

    pub(crate) fn has_rules(&self, name: &str) -> bool {
        self.rules.read().contains_key(name)
    }

    /// Takes over a topic's configuration.
    pub(crate) fn learn_rules(&self, answer: &DescribeConfigsResponseResult) {
        if answer.error_code != 0 {
            return;
        }
        let value = |key: &str| {
            let entry = answer.configs.iter().find(|entry| entry.name == key)?;
            entry.value.clone()
        };
        let number = |key: &str| value(key).and_then(|text| text.parse::<i64>().ok());
        let before = self.rules(&answer.resource_name);
        let batch_bytes_max = match number("max.message.bytes") {
            // A region is sealed with 0: that is no demand on batches.
            Some(bytes) if bytes > 0 => usize::try_from(bytes).ok(),
            Some(_) | None => before.batch_bytes_max,
        };
        let compacted = value("cleanup.policy").is_some_and(|policy| policy.contains("compact"));
        let stamps_itself = value("message.timestamp.type").is_some_and(|kind| kind == "LogAppendTime");
        let time_limit = |key: &str| number(key).filter(|ms| *ms >= 0 && !stamps_itself);
        let rules = TopicRules {
            batch_bytes_max,
            compacted,
            behind_max_ms: time_limit("message.timestamp.before.max.ms"),
            ahead_max_ms: time_limit("message.timestamp.after.max.ms"),
        };
        let mut all = self.rules.write();
        if all.len() < TOPICS_MAX || all.contains_key(&answer.resource_name) {
            all.insert(answer.resource_name.clone(), rules);
        }
    }
}
