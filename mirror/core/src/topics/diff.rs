//! What has to happen at the target for its topics to be the source's.

use std::collections::BTreeMap;

use leeward_model::{TopicId, TopicName};

/// Topic settings that are each cluster's own affair, or that fences use.
const NEVER_COPIED: &[&str] = &[
    "follower.replication.throttled.replicas",
    "leader.replication.throttled.replicas",
    "unclean.leader.election.enable",
    "min.insync.replicas",
    "message.timestamp.type",
    "remote.storage.enable",
    "local.retention.ms",
    "local.retention.bytes",
    // Kafka 4.0 has these no more, and refuses topics that have them (KIP-724, KIP-937).
    "message.format.version",
    "message.downconversion.enable",
    "message.timestamp.difference.max.ms",
];

/// A fence sets this to 0; neither the fence nor its removal is copied.
const FENCE: &str = "max.message.bytes";

/// What a topic's records may be. Where the source's brokers allow more than the target's, somebody has to raise these on the copy
/// for the mirror to go on.
pub const LIMITS: &[&str] = &[FENCE, "message.timestamp.after.max.ms", "message.timestamp.before.max.ms"];

/// Record times are kept as they are at the source, whoever stamped them there: each copy is made with this setting.
pub const KEEPS_TIMES: (&str, &str) = ("message.timestamp.type", "CreateTime");

/// A topic that the link mirrors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceTopic {
    pub name: TopicName,
    pub id: TopicId,
    pub partitions: u32,
    /// Settings that the topic overrides.
    pub configs: BTreeMap<String, String>,
    /// The values of its [`LIMITS`] that are in force, whoever set them.
    pub limits: BTreeMap<String, String>,
    /// What the topic is to be called at the target.
    pub target_name: TopicName,
}

/// A topic as it is at the target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetTopic {
    pub name: TopicName,
    pub partitions: u32,
    pub configs: BTreeMap<String, String>,
}

/// One change at the target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TopicCommand {
    Create { name: TopicName, partitions: u32, configs: BTreeMap<String, String> },
    Grow { name: TopicName, partitions: u32 },
    Configure { name: TopicName, set: BTreeMap<String, String>, unset: Vec<String> },
}

impl TopicCommand {
    /// The topic's name at the target.
    pub fn topic(&self) -> &TopicName {
        match self {
            Self::Create { name, .. } | Self::Grow { name, .. } | Self::Configure { name, .. } => name,
        }
    }
}

/// A difference that no command can mend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Drift {
    /// Kafka cannot take partitions away: keys go elsewhere at the target.
    MorePartitions { name: TopicName, source: u32, target: u32 },
    /// Two source topics would become one.
    SameName { name: TopicName, first: TopicName, second: TopicName },
}

/// What of topics follows the source; our own topics always do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Following {
    pub configs: bool,
    /// Whether the target's topics grow with the source's; otherwise the difference is told.
    pub partitions: bool,
}

impl Default for Following {
    fn default() -> Self {
        Self { configs: true, partitions: true }
    }
}

/// Compares the selected topics of the source with the topics of the target.
pub fn diff(
    source: &[SourceTopic],
    target: &[TargetTopic],
    following: Following,
) -> (Vec<TopicCommand>, Vec<Drift>) {
    let existing: BTreeMap<_, _> = target.iter().map(|topic| (&topic.name, topic)).collect();
    let mut taken: BTreeMap<&TopicName, &TopicName> = BTreeMap::new();
    let mut commands = Vec::new();
    let mut drifts = Vec::new();
    for topic in source {
        let name = topic.target_name.clone();
        if let Some(first) = taken.insert(&topic.target_name, &topic.name) {
            drifts.push(Drift::SameName { name, first: first.clone(), second: topic.name.clone() });
            continue;
        }
        let follows = if topic.name.is_internal() { Following::default() } else { following };
        let Some(present) = existing.get(&name) else {
            let configs = created_with(topic, follows.configs);
            commands.push(TopicCommand::Create { name, partitions: topic.partitions, configs });
            continue;
        };
        if present.partitions < topic.partitions && follows.partitions {
            commands.push(TopicCommand::Grow { name: name.clone(), partitions: topic.partitions });
        }
        if present.partitions > topic.partitions {
            let (source, target) = (topic.partitions, present.partitions);
            drifts.push(Drift::MorePartitions { name: name.clone(), source, target });
        }
        commands.extend(configure(topic, present).filter(|_| follows.configs));
    }
    (commands, drifts)
}

fn copied(configs: &BTreeMap<String, String>) -> impl Iterator<Item = (&String, &String)> {
    configs
        .iter()
        .filter(|(key, value)| !NEVER_COPIED.contains(&key.as_str()) && (*key != FENCE || *value != "0"))
}

fn created_with(topic: &SourceTopic, follows: bool) -> BTreeMap<String, String> {
    let copied = copied(&topic.configs).filter(|_| follows);
    let mut configs: BTreeMap<_, _> = copied.map(|(key, value)| (key.clone(), value.clone())).collect();
    configs.insert(KEEPS_TIMES.0.to_owned(), KEEPS_TIMES.1.to_owned());
    configs
}

fn configure(topic: &SourceTopic, present: &TargetTopic) -> Option<TopicCommand> {
    let fenced = [&topic.configs, &present.configs]
        .iter()
        .any(|configs| configs.get(FENCE).is_some_and(|value| value == "0"));
    let ours = |key: &String| !(fenced && key == FENCE);
    let set: BTreeMap<_, _> = copied(&topic.configs)
        .filter(|(key, value)| ours(key) && present.configs.get(*key) != Some(*value))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    let unset: Vec<_> = copied(&present.configs)
        .filter(|(key, value)| {
            ours(key) && !topic.configs.contains_key(*key) && !is_raised(topic, key, value)
        })
        .map(|(key, _)| key.clone())
        .collect();
    let changed = !set.is_empty() || !unset.is_empty();
    changed.then(|| TopicCommand::Configure { name: topic.target_name.clone(), set, unset })
}

/// Whether a limit of the copy's own lets everything pass that the source takes. Our own topics nobody raises by hand.
fn is_raised(topic: &SourceTopic, key: &str, value: &str) -> bool {
    if topic.name.is_internal() || !LIMITS.contains(&key) {
        return false;
    }
    let number = |value: &str| value.parse::<i64>().ok();
    let Some(at_source) = topic.limits.get(key) else { return true };
    number(value).zip(number(at_source)).is_some_and(|(copy, source)| copy >= source)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compare(source: &[SourceTopic], target: &[TargetTopic]) -> (Vec<TopicCommand>, Vec<Drift>) {
        diff(source, target, Following::default())
    }

    fn name(text: &str) -> TopicName {
        TopicName::new(text).unwrap()
    }

    fn configs(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    fn source(partitions: u32, pairs: &[(&str, &str)]) -> SourceTopic {
        SourceTopic {
            name: name("orders"),
            id: TopicId::from_wire([1; 16]).unwrap(),
            partitions,
            configs: configs(pairs),
            limits: configs(&[("max.message.bytes", "1048588")]),
            target_name: name("orders"),
        }
    }

    fn target(partitions: u32, pairs: &[(&str, &str)]) -> TargetTopic {
        TargetTopic { name: name("orders"), partitions, configs: configs(pairs) }
    }

    #[test]
    fn a_missing_topic_is_created_with_the_sources_partitions_and_settings() {
        let (commands, drifts) = compare(&[source(3, &[("retention.ms", "5")])], &[]);

        let configs = configs(&[("message.timestamp.type", "CreateTime"), ("retention.ms", "5")]);
        assert_eq!(commands, [TopicCommand::Create { name: name("orders"), partitions: 3, configs }]);
        assert!(drifts.is_empty());
    }

    #[test]
    fn a_fence_is_neither_copied_nor_lifted() {
        let fenced = ("max.message.bytes", "0");

        let (at_source, _) = compare(&[source(1, &[fenced])], &[target(1, &[])]);
        let (at_target, _) =
            compare(&[source(1, &[("max.message.bytes", "2000000")])], &[target(1, &[fenced])]);

        assert!(at_source.is_empty() && at_target.is_empty());
    }

    #[test]
    fn partitions_grow_and_settings_follow() {
        let (commands, _) =
            compare(&[source(4, &[("retention.ms", "5")])], &[target(2, &[("segment.ms", "9")])]);

        let grow = TopicCommand::Grow { name: name("orders"), partitions: 4 };
        let (set, unset) = (configs(&[("retention.ms", "5")]), vec!["segment.ms".to_owned()]);
        assert_eq!(commands, [grow, TopicCommand::Configure { name: name("orders"), set, unset }]);
    }

    #[test]
    fn more_partitions_at_the_target_are_drift() {
        let (commands, drifts) = compare(&[source(1, &[])], &[target(2, &[])]);

        assert!(commands.is_empty());
        assert_eq!(drifts, [Drift::MorePartitions { name: name("orders"), source: 1, target: 2 }]);
    }

    #[test]
    fn settings_that_newer_clusters_refuse_are_not_copied() {
        let old = [("message.downconversion.enable", "true"), ("message.timestamp.difference.max.ms", "5")];

        let (commands, _) = compare(&[source(1, &old)], &[]);

        let configs = configs(&[("message.timestamp.type", "CreateTime")]);
        assert_eq!(commands, [TopicCommand::Create { name: name("orders"), partitions: 1, configs }]);
    }

    #[test]
    fn a_limit_that_was_raised_on_the_copy_stays() {
        let raised =
            [("max.message.bytes", "5000000"), ("message.timestamp.after.max.ms", "9223372036854775807")];

        let (commands, _) = compare(&[source(1, &[])], &[target(1, &raised)]);

        assert_eq!(commands, []);
    }

    #[test]
    fn a_limit_of_the_copy_that_the_source_may_exceed_is_unset() {
        let (commands, _) = compare(&[source(1, &[])], &[target(1, &[("max.message.bytes", "1000")])]);

        let (set, unset) = (BTreeMap::new(), vec!["max.message.bytes".to_owned()]);
        assert_eq!(commands, [TopicCommand::Configure { name: name("orders"), set, unset }]);
    }

    #[test]
    fn a_limit_that_is_the_sources_own_is_copied_over_a_raised_one() {
        let at_source = source(1, &[("max.message.bytes", "2000000")]);

        let (commands, _) = compare(&[at_source], &[target(1, &[("max.message.bytes", "5000000")])]);

        let (set, unset) = (configs(&[("max.message.bytes", "2000000")]), Vec::new());
        assert_eq!(commands, [TopicCommand::Configure { name: name("orders"), set, unset }]);
    }

    #[test]
    fn what_a_fence_exempted_our_own_topic_with_is_unset_after_it() {
        let own = name("__leeward_heartbeat.a-to-b");
        let at_source = SourceTopic { name: own.clone(), target_name: own.clone(), ..source(1, &[]) };
        let copy = TargetTopic { name: own.clone(), ..target(1, &[("max.message.bytes", "1048588")]) };

        let (commands, _) = compare(&[at_source], &[copy]);

        let (set, unset) = (BTreeMap::new(), vec!["max.message.bytes".to_owned()]);
        assert_eq!(commands, [TopicCommand::Configure { name: own, set, unset }]);
    }

    #[test]
    fn settings_that_do_not_follow_are_neither_copied_nor_unset() {
        let following = Following { configs: false, ..Following::default() };
        let at_source = source(1, &[("retention.ms", "5")]);

        let (made, _) = diff(std::slice::from_ref(&at_source), &[], following);
        let (changed, _) = diff(&[at_source], &[target(1, &[("segment.ms", "9")])], following);

        let [TopicCommand::Create { configs, .. }] = &made[..] else { panic!("{made:?}") };
        assert_eq!(configs.keys().collect::<Vec<_>>(), [KEEPS_TIMES.0]);
        assert_eq!(changed, []);
    }

    #[test]
    fn partitions_that_are_only_told_are_not_made() {
        let following = Following { partitions: false, ..Following::default() };

        let (commands, _) = diff(&[source(4, &[])], &[target(2, &[])], following);

        assert_eq!(commands, []);
    }
}
