//! What we may do at a cluster, by its own word: asked in ways that change nothing.

use std::collections::BTreeMap;

use leeward_model::{GroupName, TopicName};
use leeward_wire::{
    ApiKey, ErrorCode,
    api::{
        DescribeGroupsRequest, DescribeGroupsResponseGroup, IncrementalAlterConfigsRequest,
        IncrementalAlterConfigsRequestResource, MetadataRequest, MetadataRequestTopic,
    },
};

use crate::{Cluster, ClusterError, ConfigResource, RequestError};

/// Last version of `Metadata` that names topics only, and of `DescribeGroups` that answers for groups that are not there.
const METADATA_VERSION_MAX: i16 = 9;
const DESCRIBE_GROUPS_VERSION_MAX: i16 = 5;
/// First version of either that tells operations.
const METADATA_VERSION_MIN: i16 = 8;
const DESCRIBE_GROUPS_VERSION_MIN: i16 = 3;
/// What stands where a broker tells no operations.
const NOT_TOLD: i32 = i32::MIN;

/// What an access rule allows, by Kafka's names and numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(i8)]
pub enum Operation {
    Read = 3,
    Write = 4,
    Create = 5,
    Delete = 6,
    Alter = 7,
    Describe = 8,
    DescribeConfigs = 10,
    AlterConfigs = 11,
}

impl Operation {
    /// As Kafka's own tools write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Read => "Read",
            Self::Write => "Write",
            Self::Create => "Create",
            Self::Delete => "Delete",
            Self::Alter => "Alter",
            Self::Describe => "Describe",
            Self::DescribeConfigs => "DescribeConfigs",
            Self::AlterConfigs => "AlterConfigs",
        }
    }

    /// Whether a rule that allows it allows `Describe` as well (Kafka's `AclAuthorizer`, "implied operations").
    fn brings_describe(self) -> bool {
        matches!(self, Self::Read | Self::Write | Self::Delete | Self::Alter | Self::Describe)
    }
}

/// What we may do with one thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Allowed {
    /// These operations, and no others; a set bit for each operation's number.
    Told(i32),
    /// We may not see it, so no operation that brings `Describe` is allowed; what else is, the broker does not tell.
    Hidden,
    /// The broker does not tell: it is older than 2.3, or has nothing that allows and forbids.
    NotTold,
}

impl Allowed {
    fn of(code: i16, operations: i32) -> Self {
        match ErrorCode::new(code) {
            ErrorCode::TOPIC_AUTHORIZATION_FAILED
            | ErrorCode::GROUP_AUTHORIZATION_FAILED
            | ErrorCode::CLUSTER_AUTHORIZATION_FAILED => Self::Hidden,
            _ if operations == NOT_TOLD => Self::NotTold,
            _ => Self::Told(operations),
        }
    }

    /// `None` where it is not told.
    pub fn allows(self, operation: Operation) -> Option<bool> {
        match self {
            Self::Told(operations) => Some(operations & (1 << operation as i8) != 0),
            Self::Hidden => operation.brings_describe().then_some(false),
            Self::NotTold => None,
        }
    }
}

impl Cluster {
    /// What we may do with topics of these names, whether they exist or not. Names that the answer leaves out are not
    /// told.
    ///
    /// # Errors
    ///
    /// [`ClusterError`].
    pub async fn allowed_with_topics(
        &self,
        names: &[TopicName],
    ) -> Result<BTreeMap<TopicName, Allowed>, ClusterError> {
        let topic = |name: &TopicName| MetadataRequestTopic {
            name: Some(name.as_str().to_owned()),
            ..MetadataRequestTopic::default()
        };
        let request = MetadataRequest {
            topics: Some(names.iter().map(topic).collect()),
            allow_auto_topic_creation: false,
            include_topic_authorized_operations: true,
            ..MetadataRequest::default()
        };
        let connection = self.any_connection().await?;
        let version =
            connection.version_up_to::<MetadataRequest>(METADATA_VERSION_MAX).map_err(RequestError::from)?;
        if version < METADATA_VERSION_MIN {
            return Ok(BTreeMap::new());
        }
        let answer = connection.send(&request, version).await?;
        let allowed = |name: &TopicName| {
            let found = answer.topics.iter().find(|topic| topic.name.as_deref() == Some(name.as_str()))?;
            Some((name.clone(), Allowed::of(found.error_code, found.topic_authorized_operations)))
        };
        Ok(names.iter().filter_map(allowed).collect())
    }

    /// What we may do with a group of this name, whether it exists or not. A cluster that never had a group makes the
    /// topic of their positions for it, as for any question about groups.
    ///
    /// # Errors
    ///
    /// [`ClusterError`].
    pub async fn allowed_with_group(&self, group: &GroupName) -> Result<Allowed, ClusterError> {
        let request = DescribeGroupsRequest {
            groups: vec![group.as_str().to_owned()],
            include_authorized_operations: true,
        };
        let asked = self.with_coordinator(ApiKey::DescribeGroups, group, async |connection| {
            let version = connection
                .version_up_to::<DescribeGroupsRequest>(DESCRIBE_GROUPS_VERSION_MAX)
                .map_err(RequestError::from)?;
            if version < DESCRIBE_GROUPS_VERSION_MIN {
                return Ok(Allowed::NotTold);
            }
            let answer = connection.send(&request, version).await?;
            let found = answer.groups.first();
            let allowed = |found: &DescribeGroupsResponseGroup| {
                Allowed::of(found.error_code, found.authorized_operations)
            };
            Ok(found.map_or(Allowed::NotTold, allowed))
        });
        match asked.await {
            // Whoever may not see a group may not look up who keeps it, and any broker says so.
            Err(error) if error.code() == Some(ErrorCode::GROUP_AUTHORIZATION_FAILED) => Ok(Allowed::Hidden),
            outcome => outcome,
        }
    }

    /// Whether we may read the brokers' defaults.
    ///
    /// # Errors
    ///
    /// [`ClusterError`] other than being refused.
    pub async fn may_describe_broker_configs(&self, key: &str) -> Result<bool, ClusterError> {
        permitted(self.describe_configs(&ConfigResource::AllBrokers, &[key]).await.map(|_| ()))
    }

    /// Whether we may change the brokers' defaults: a change of nothing is looked at and not made.
    ///
    /// # Errors
    ///
    /// [`ClusterError`].
    pub async fn may_alter_broker_configs(&self) -> Result<bool, ClusterError> {
        let (resource_type, resource_name) = ConfigResource::AllBrokers.to_wire();
        let resource =
            IncrementalAlterConfigsRequestResource { resource_type, resource_name, configs: Vec::new() };
        let request = IncrementalAlterConfigsRequest { resources: vec![resource], validate_only: true };
        let answer = self.request_controller(&request).await?;
        let refused = |code: i16| ErrorCode::new(code) == ErrorCode::CLUSTER_AUTHORIZATION_FAILED;
        Ok(!answer.responses.iter().any(|found| refused(found.error_code)))
    }
}

fn permitted(outcome: Result<(), ClusterError>) -> Result<bool, ClusterError> {
    match outcome {
        Ok(()) => Ok(true),
        Err(error) if error.code() == Some(ErrorCode::CLUSTER_AUTHORIZATION_FAILED) => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_are_bits_by_kafkas_numbers() {
        let reads_and_describes = Allowed::of(0, 1 << 3 | 1 << 8);

        assert_eq!(reads_and_describes.allows(Operation::Read), Some(true));
        assert_eq!(reads_and_describes.allows(Operation::Write), Some(false));
    }

    #[test]
    fn a_topic_that_we_may_not_see_tells_only_what_would_have_shown_it() {
        let unseen = Allowed::of(ErrorCode::TOPIC_AUTHORIZATION_FAILED.code(), NOT_TOLD);

        assert_eq!(unseen.allows(Operation::Read), Some(false));
        assert_eq!(unseen.allows(Operation::AlterConfigs), None);
    }

    #[test]
    fn a_broker_without_rules_tells_nothing() {
        assert_eq!(Allowed::of(0, NOT_TOLD).allows(Operation::Read), None);
    }
}
