//! Topic and broker settings by Kafka's names: which there are, what they may be, what a topic goes by.

use std::collections::BTreeMap;

use leeward_wire::record::Compression;

/// Settings that were set, by name.
pub(crate) type Overrides = BTreeMap<String, String>;

/// What a setting's value may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Boolean,
    Int { min: i32 },
    Long { min: i64 },
    Ratio,
    OneOf(&'static [&'static str]),
    ListOf(&'static [&'static str]),
    Anything,
}

/// A topic setting.
#[derive(Debug)]
pub(crate) struct Key {
    pub(crate) name: &'static str,
    /// The broker setting that is its default.
    pub(crate) broker_name: Option<&'static str>,
    pub(crate) default: &'static str,
    pub(crate) kind: Kind,
}

const fn key(name: &'static str, broker_name: &'static str, default: &'static str, kind: Kind) -> Key {
    let broker_name = if broker_name.is_empty() { None } else { Some(broker_name) };
    Key { name, broker_name, default, kind }
}

const NEVER: &str = "9223372036854775807";
const CODECS: &[&str] = &["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"];
const POLICIES: &[&str] = &["delete", "compact"];
const TIMESTAMP_TYPES: &[&str] = &["CreateTime", "LogAppendTime"];

/// Every topic setting, sorted by name.
pub(crate) const TOPIC_KEYS: &[Key] = &[
    key("cleanup.policy", "log.cleanup.policy", "delete", Kind::ListOf(POLICIES)),
    key("compression.gzip.level", "compression.gzip.level", "-1", Kind::Int { min: -1 }),
    key("compression.lz4.level", "compression.lz4.level", "9", Kind::Int { min: 1 }),
    key("compression.type", "compression.type", "producer", Kind::OneOf(CODECS)),
    key("compression.zstd.level", "compression.zstd.level", "3", Kind::Int { min: -131_072 }),
    key("delete.retention.ms", "log.cleaner.delete.retention.ms", "86400000", Kind::Long { min: 0 }),
    key("file.delete.delay.ms", "log.segment.delete.delay.ms", "60000", Kind::Long { min: 0 }),
    key("flush.messages", "log.flush.interval.messages", NEVER, Kind::Long { min: 1 }),
    key("flush.ms", "log.flush.interval.ms", NEVER, Kind::Long { min: 0 }),
    key("follower.replication.throttled.replicas", "", "", Kind::Anything),
    key("index.interval.bytes", "log.index.interval.bytes", "4096", Kind::Int { min: 0 }),
    key("leader.replication.throttled.replicas", "", "", Kind::Anything),
    key("local.retention.bytes", "log.local.retention.bytes", "-2", Kind::Long { min: -2 }),
    key("local.retention.ms", "log.local.retention.ms", "-2", Kind::Long { min: -2 }),
    key("max.compaction.lag.ms", "log.cleaner.max.compaction.lag.ms", NEVER, Kind::Long { min: 1 }),
    key("max.message.bytes", "message.max.bytes", "1048588", Kind::Int { min: 0 }),
    key(
        "message.timestamp.after.max.ms",
        "log.message.timestamp.after.max.ms",
        "3600000",
        Kind::Long { min: 0 },
    ),
    key(
        "message.timestamp.before.max.ms",
        "log.message.timestamp.before.max.ms",
        NEVER,
        Kind::Long { min: 0 },
    ),
    key("message.timestamp.type", "log.message.timestamp.type", "CreateTime", Kind::OneOf(TIMESTAMP_TYPES)),
    key("min.cleanable.dirty.ratio", "log.cleaner.min.cleanable.ratio", "0.5", Kind::Ratio),
    key("min.compaction.lag.ms", "log.cleaner.min.compaction.lag.ms", "0", Kind::Long { min: 0 }),
    key("min.insync.replicas", "min.insync.replicas", "1", Kind::Int { min: 1 }),
    key("preallocate", "log.preallocate", "false", Kind::Boolean),
    key("remote.log.copy.disable", "", "false", Kind::Boolean),
    key("remote.log.delete.on.disable", "", "false", Kind::Boolean),
    key("remote.storage.enable", "", "false", Kind::Boolean),
    key("retention.bytes", "log.retention.bytes", "-1", Kind::Long { min: -1 }),
    key("retention.ms", "log.retention.ms", "604800000", Kind::Long { min: -1 }),
    key("segment.bytes", "log.segment.bytes", "1073741824", Kind::Int { min: 14 }),
    key("segment.index.bytes", "log.index.size.max.bytes", "10485760", Kind::Int { min: 4 }),
    key("segment.jitter.ms", "log.roll.jitter.ms", "0", Kind::Long { min: 0 }),
    key("segment.ms", "log.roll.ms", "604800000", Kind::Long { min: 1 }),
    key("unclean.leader.election.enable", "unclean.leader.election.enable", "false", Kind::Boolean),
];

/// The topic setting of that name.
pub(crate) fn topic_key(name: &str) -> Option<&'static Key> {
    TOPIC_KEYS.iter().find(|key| key.name == name)
}

/// The topic setting whose default is the broker setting of that name.
pub(crate) fn broker_key(name: &str) -> Option<&'static Key> {
    TOPIC_KEYS.iter().find(|key| key.broker_name == Some(name))
}

impl Key {
    /// Says what is wrong with a value.
    pub(crate) fn check(&self, value: &str) -> Result<(), String> {
        let fits = match self.kind {
            Kind::Boolean => matches!(value, "true" | "false"),
            Kind::Anything => true,
            Kind::Int { min } => value.parse::<i32>().is_ok_and(|number| number >= min),
            Kind::Long { min } => value.parse::<i64>().is_ok_and(|number| number >= min),
            Kind::Ratio => value.parse::<f64>().is_ok_and(|ratio| (0.0..=1.0).contains(&ratio)),
            Kind::OneOf(choices) => choices.contains(&value),
            Kind::ListOf(choices) => list(value).all(|item| choices.contains(&item)),
        };
        if fits {
            return Ok(());
        }
        let name = self.name;
        Err(match self.kind {
            Kind::OneOf(choices) | Kind::ListOf(choices) => {
                format!("Invalid value {value} for configuration {name}: must be of {}", choices.join(", "))
            }
            Kind::Int { min } => {
                format!(
                    "Invalid value {value} for configuration {name}: must be an integer of at least {min}"
                )
            }
            Kind::Long { min } => {
                format!("Invalid value {value} for configuration {name}: must be a number of at least {min}")
            }
            Kind::Boolean | Kind::Ratio | Kind::Anything => {
                format!("Invalid value {value} for configuration {name}")
            }
        })
    }

    /// The number by which Kafka names the value's type.
    pub(crate) fn wire_type(&self) -> i8 {
        match self.kind {
            Kind::Boolean => 1,
            Kind::OneOf(_) => 2,
            Kind::Int { .. } => 3,
            Kind::Long { .. } => 5,
            Kind::Ratio => 6,
            Kind::ListOf(_) | Kind::Anything => 7,
        }
    }

    pub(crate) fn is_list(&self) -> bool {
        matches!(self.kind, Kind::ListOf(_) | Kind::Anything)
    }
}

/// The items of a list value.
pub(crate) fn list(value: &str) -> impl Iterator<Item = &str> {
    value.split(',').map(str::trim).filter(|item| !item.is_empty())
}

/// Where a setting's value comes from, by Kafka's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    Topic = 1,
    Broker = 2,
    Cluster = 3,
    Default = 5,
}

/// The settings of the brokers: of this one, and of all.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct BrokerSettings {
    pub(crate) own: Overrides,
    pub(crate) cluster: Overrides,
}

impl BrokerSettings {
    /// Every level at which a topic setting has a value, the one in force first.
    pub(crate) fn levels<'a>(
        &'a self,
        key: &'static Key,
        topic: &'a Overrides,
    ) -> Vec<(&'static str, &'a str, Source)> {
        let mut levels = Vec::new();
        if let Some(value) = topic.get(key.name) {
            levels.push((key.name, value.as_str(), Source::Topic));
        }
        if let Some(name) = key.broker_name {
            if let Some(value) = self.own.get(name) {
                levels.push((name, value.as_str(), Source::Broker));
            }
            if let Some(value) = self.cluster.get(name) {
                levels.push((name, value.as_str(), Source::Cluster));
            }
        }
        levels.push((key.broker_name.unwrap_or(key.name), key.default, Source::Default));
        levels
    }

    fn value<'a>(&'a self, name: &str, topic: &'a Overrides) -> &'a str {
        let key = topic_key(name).expect("asked for by its name in the table");
        self.levels(key, topic)[0].1
    }
}

/// What a topic goes by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TopicSettings {
    /// Largest batch in bytes that is taken; 0 takes none.
    pub(crate) max_message_bytes: usize,
    /// Whether records get the time of their append.
    pub(crate) append_time: bool,
    pub(crate) timestamp_before_max_ms: i64,
    pub(crate) timestamp_after_max_ms: i64,
    /// Whether records need keys; nothing is compacted.
    pub(crate) compacted: bool,
    pub(crate) deleted: bool,
    /// -1 keeps records whatever their age.
    pub(crate) retention_ms: i64,
    /// -1 keeps records whatever their size.
    pub(crate) retention_bytes: i64,
    pub(crate) segment_bytes: u64,
    /// The codec that batches are stored in; `None` leaves each as it was sent.
    pub(crate) compression: Option<Compression>,
}

impl TopicSettings {
    pub(crate) fn new(brokers: &BrokerSettings, topic: &Overrides) -> Self {
        let number = |name| brokers.value(name, topic).parse::<i64>().unwrap_or(i64::MAX);
        let policy = brokers.value("cleanup.policy", topic);
        Self {
            max_message_bytes: usize::try_from(number("max.message.bytes")).unwrap_or(0),
            append_time: brokers.value("message.timestamp.type", topic) == "LogAppendTime",
            timestamp_before_max_ms: number("message.timestamp.before.max.ms"),
            timestamp_after_max_ms: number("message.timestamp.after.max.ms"),
            compacted: list(policy).any(|item| item == "compact"),
            deleted: list(policy).any(|item| item == "delete"),
            retention_ms: number("retention.ms"),
            retention_bytes: number("retention.bytes"),
            segment_bytes: number("segment.bytes").unsigned_abs(),
            compression: match brokers.value("compression.type", topic) {
                "uncompressed" => Some(Compression::None),
                "gzip" => Some(Compression::Gzip),
                "snappy" => Some(Compression::Snappy),
                "lz4" => Some(Compression::Lz4),
                "zstd" => Some(Compression::Zstd),
                _ => None,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(name: &str, value: &str) -> Overrides {
        Overrides::from([(name.to_owned(), value.to_owned())])
    }

    #[test]
    fn a_topics_own_value_beats_the_brokers_which_beats_the_clusters() {
        let brokers =
            BrokerSettings { own: set("message.max.bytes", "2"), cluster: set("message.max.bytes", "3") };
        let limit = |brokers: &BrokerSettings, topic: &Overrides| {
            TopicSettings::new(brokers, topic).max_message_bytes
        };

        assert_eq!(limit(&brokers, &set("max.message.bytes", "1")), 1);
        assert_eq!(limit(&brokers, &Overrides::new()), 2);
        assert_eq!(limit(&BrokerSettings { own: Overrides::new(), ..brokers }, &Overrides::new()), 3);
        assert_eq!(limit(&BrokerSettings::default(), &Overrides::new()), 1_048_588);
    }

    #[test]
    fn every_default_is_a_value_that_its_setting_takes() {
        for key in TOPIC_KEYS {
            assert_eq!(key.check(key.default), Ok(()), "{}", key.name);
        }
    }

    #[test]
    fn values_outside_their_kind_are_refused() {
        for (name, value) in [
            ("retention.ms", "soon"),
            ("retention.ms", "-2"),
            ("max.message.bytes", "-1"),
            ("cleanup.policy", "compact,shred"),
            ("compression.type", "rar"),
            ("preallocate", "yes"),
        ] {
            assert!(topic_key(name).unwrap().check(value).is_err(), "{name}={value}");
        }
    }
}
