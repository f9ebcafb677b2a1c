//! Topics as the acting region last told them, for when no region answers; and what they demand of batches.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use leeward_wire::ErrorCode;
use leeward_wire::api::{DescribeConfigsResponseResult, MetadataResponse};
use parking_lot::RwLock;

use crate::door::TopicRules;
use crate::limits::TOPICS_MAX;
use crate::state::KnownTopic;

/// The entries of a topic's configuration that rules come from.
pub(crate) const RULES: [&str; 5] =
    [BATCH_BYTES_MAX, CLEANUP_POLICY, TIMESTAMP_TYPE, BEHIND_MAX_MS, AHEAD_MAX_MS];

const BATCH_BYTES_MAX: &str = "max.message.bytes";
const CLEANUP_POLICY: &str = "cleanup.policy";
const TIMESTAMP_TYPE: &str = "message.timestamp.type";
const BEHIND_MAX_MS: &str = "message.timestamp.before.max.ms";
const AHEAD_MAX_MS: &str = "message.timestamp.after.max.ms";

/// What is known of topics.
#[derive(Debug)]
pub(crate) struct Catalog {
    topics: RwLock<BTreeMap<String, KnownTopic>>,
    changed: AtomicBool,
}

impl Catalog {
    pub(crate) fn new(topics: Vec<KnownTopic>) -> Self {
        let topics = topics.into_iter().map(|topic| (topic.name.clone(), topic)).collect();
        Self { topics: RwLock::new(topics), changed: AtomicBool::new(false) }
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

    /// Takes over a region's answer. A topic that it does not have is known on only while something of it `is_buffered`: a
    /// survivor that is being promoted may not have it yet.
    pub(crate) fn learn(&self, answer: &MetadataResponse, is_buffered: impl Fn(&str) -> bool) {
        let mut topics = self.topics.write();
        for topic in &answer.topics {
            let Some(name) = topic.name.clone().filter(|name| !name.is_empty()) else { continue };
            let code = ErrorCode::new(topic.error_code);
            if code == ErrorCode::UNKNOWN_TOPIC_OR_PARTITION
                && !is_buffered(&name)
                && topics.remove(&name).is_some()
            {
                self.changed.store(true, Ordering::Relaxed);
            }
            if !code.is_none() || topic.partitions.is_empty() {
                continue;
            }
            let partitions = u32::try_from(topic.partitions.len()).unwrap_or(u32::MAX);
            let before = topics.get(&name);
            let rules = before.and_then(|known| known.rules);
            let known = KnownTopic { name: name.clone(), partitions, internal: topic.is_internal, rules };
            if before != Some(&known) && (before.is_some() || topics.len() < TOPICS_MAX) {
                topics.insert(name, known);
                self.changed.store(true, Ordering::Relaxed);
            }
        }
    }

    /// The topic is gone. `false` where it was not known.
    pub(crate) fn forget(&self, name: &str) -> bool {
        let was_known = self.topics.write().remove(name).is_some();
        self.changed.fetch_or(was_known, Ordering::Relaxed);
        was_known
    }

    /// What a topic demands; nothing where it is not known.
    pub(crate) fn rules(&self, name: &str) -> TopicRules {
        self.topics.read().get(name).and_then(|topic| topic.rules).unwrap_or_default()
    }

    pub(crate) fn has_rules(&self, name: &str) -> bool {
        self.topics.read().get(name).is_some_and(|topic| topic.rules.is_some())
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
        let batch_bytes_max = match number(BATCH_BYTES_MAX) {
            // A region is sealed with 0: that is no demand on batches.
            Some(bytes) if bytes > 0 => usize::try_from(bytes).ok(),
            Some(_) | None => before.batch_bytes_max,
        };
        let compacted = value(CLEANUP_POLICY).is_some_and(|policy| policy.contains("compact"));
        let stamps_itself = value(TIMESTAMP_TYPE).is_some_and(|kind| kind == "LogAppendTime");
        let time_limit = |key: &str| number(key).filter(|ms| *ms >= 0 && !stamps_itself);
        let rules = TopicRules {
            batch_bytes_max,
            compacted,
            behind_max_ms: time_limit(BEHIND_MAX_MS),
            ahead_max_ms: time_limit(AHEAD_MAX_MS),
        };
        if let Some(topic) = self.topics.write().get_mut(&answer.resource_name)
            && topic.rules != Some(rules)
        {
            topic.rules = Some(rules);
            self.changed.store(true, Ordering::Relaxed);
        }
    }
}
