//! Names at the target.

use leeward_model::{InvalidName, TopicName};

/// What a mirrored topic is called at the target.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Naming {
    #[default]
    Identity,
    Prefix(String),
}

impl Naming {
    /// # Errors
    ///
    /// [`InvalidName`] where the prefix makes a name that Kafka refuses.
    pub fn at_target(&self, topic: &TopicName) -> Result<TopicName, InvalidName> {
        match self {
            Self::Identity => Ok(topic.clone()),
            Self::Prefix(prefix) => TopicName::new(&format!("{prefix}{topic}")),
        }
    }
}
