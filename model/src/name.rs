//! Names that people give: regions, links, topics, groups. A name is checked once, where it enters.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Longest topic name that Kafka allows.
const TOPIC_NAME_BYTES_MAX: usize = 249;
/// Longest region, link or topology name: they become file names, metric labels and topic suffixes.
const SHORT_NAME_BYTES_MAX: usize = 64;

/// Why a text is no name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidName {
    #[error("{kind} name is empty")]
    Empty { kind: &'static str },
    #[error("{kind} name `{name}` is longer than {bytes_max} bytes")]
    TooLong { kind: &'static str, name: String, bytes_max: usize },
    #[error("{kind} name `{name}` has `{character}`; allowed are letters, digits, `.`, `_` and `-`")]
    Character { kind: &'static str, name: String, character: char },
    #[error("{kind} name `{name}` is reserved")]
    Reserved { kind: &'static str, name: String },
}

fn checked(kind: &'static str, name: &str, bytes_max: usize) -> Result<(), InvalidName> {
    if name.is_empty() {
        return Err(InvalidName::Empty { kind });
    }
    if name.len() > bytes_max {
        return Err(InvalidName::TooLong { kind, name: name.to_owned(), bytes_max });
    }
    if name == "." || name == ".." {
        return Err(InvalidName::Reserved { kind, name: name.to_owned() });
    }
    match name.chars().find(|c| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'))) {
        Some(character) => Err(InvalidName::Character { kind, name: name.to_owned(), character }),
        None => Ok(()),
    }
}

macro_rules! name {
    ($(#[$doc:meta])* $type:ident, $kind:literal, $bytes_max:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $type(std::sync::Arc<str>);

        impl $type {
            /// Checks and takes a name.
            ///
            /// # Errors
            ///
            /// [`InvalidName`] where it is empty, too long or has characters that Kafka refuses.
            pub fn new(name: &str) -> Result<Self, InvalidName> {
                checked($kind, name, $bytes_max)?;
                Ok(Self(name.into()))
            }

            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl TryFrom<String> for $type {
            type Error = InvalidName;

            fn try_from(name: String) -> Result<Self, InvalidName> {
                Self::new(&name)
            }
        }

        impl From<$type> for String {
            fn from(name: $type) -> Self {
                name.0.as_ref().to_owned()
            }
        }
    };
}

name!(
    /// A place with one Kafka cluster in it, as the policy names it.
    RegionName, "region", SHORT_NAME_BYTES_MAX
);
name!(
    /// A mirror's one-way path between two regions, `source-to-target`.
    LinkName, "link", 2 * SHORT_NAME_BYTES_MAX
);
name!(
    /// A topology, as the policy names it.
    TopologyName, "topology", SHORT_NAME_BYTES_MAX
);
name!(
    /// A Kafka topic.
    TopicName, "topic", TOPIC_NAME_BYTES_MAX
);

impl LinkName {
    /// The name of the link from `source` to `target`.
    pub fn between(source: &RegionName, target: &RegionName) -> Self {
        Self(format!("{source}-to-{target}").into())
    }
}

impl TopicName {
    /// Prefix of every topic that Leeward keeps for itself.
    pub const OWN_PREFIX: &'static str = "__leeward";

    /// Topics that no selector ever matches: Kafka's own and ours.
    pub fn is_internal(&self) -> bool {
        self.0.starts_with("__")
    }
}

/// A consumer group. Kafka puts no limit on its characters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct GroupName(std::sync::Arc<str>);

impl From<String> for GroupName {
    fn from(name: String) -> Self {
        Self(name.into())
    }
}

impl From<GroupName> for String {
    fn from(name: GroupName) -> Self {
        name.0.as_ref().to_owned()
    }
}

impl GroupName {
    pub fn new(name: &str) -> Self {
        Self(name.into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for GroupName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_with_a_slash_is_refused_by_name() {
        let refused = TopicName::new("orders/eu");

        assert_eq!(
            refused.expect_err("slash").to_string(),
            "topic name `orders/eu` has `/`; allowed are letters, digits, `.`, `_` and `-`"
        );
    }

    #[test]
    fn our_own_topics_are_internal() {
        let topic = TopicName::new("__leeward_map.a-to-b").expect("legal");

        assert!(topic.is_internal());
    }
}
