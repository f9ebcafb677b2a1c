//! What is mirrored, and how.

use std::time::Duration;

use schemars::{Schema, SchemaGenerator, json_schema};

use crate::{
    code::Code,
    diagnostics::Diagnostic,
    node::{Node, Shape},
    plain::Plain,
    read::{Reader, Value, record, words},
    selector::{Pattern, Selector},
};

record! {
    /// What is mirrored, and how.
    pub struct Replication in "`replication`" {
        /// Which topics. Exclude beats include; internal topics never match.
        topics "topics": Selector,
        /// What a topic is called on the target.
        naming "naming": Naming = Naming::Identity,
        /// Where a topic begins that the target does not have yet.
        start_from "startFrom": StartFrom = StartFrom::Earliest,
        /// What of a topic follows beside its records.
        sync "sync": TopicSync = TopicSync::default(),
        /// Consumer group positions.
        offsets "offsets": OffsetSync = OffsetSync::default(),
    }
    later ["delivery", "limits", "loops", "conflicts"]
}

/// What a topic is called on the target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Naming {
    /// As on the source: clients need no change after a failover.
    Identity,
    /// With a prefix; `{source}` stands for the source region's name.
    Prefix(String),
}

impl Value for Naming {
    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        if let Shape::Map(_) = node.shape {
            reader.entries(node, "`naming`", &["prefix"], &[])?;
            let prefix = reader.field::<String>(node, "`naming`", "prefix", None)?;
            return check_prefix(&prefix, node, reader).then_some(Self::Prefix(prefix));
        }
        if node.scalar() == Some("identity") {
            return Some(Self::Identity);
        }
        let finding = Diagnostic::error(Code::UnknownValue, node.span, "this is no naming");
        reader.report(finding.help("write `identity`, or `{prefix: \"{source}.\"}`"));
        None
    }

    fn plain(&self) -> Plain {
        match self {
            Self::Identity => Plain::Scalar("identity".to_owned()),
            Self::Prefix(prefix) => Plain::one("prefix", Plain::Text(prefix.clone())),
        }
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "anyOf": [
                { "const": "identity" },
                {
                    "type": "object",
                    "properties": { "prefix": { "type": "string", "minLength": 1 } },
                    "required": ["prefix"],
                    "additionalProperties": false,
                },
            ],
        })
    }
}

/// A prefix must leave topic names legal, and must not make them internal.
fn check_prefix(prefix: &str, node: &Node, reader: &mut Reader<'_>) -> bool {
    let rest = prefix.replace("{source}", "");
    let legal = rest.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'));
    if prefix.is_empty() || !legal || prefix.starts_with("__") {
        let message = format!("`{prefix}` cannot begin a topic's name");
        let finding = Diagnostic::error(Code::Name, node.span_at("prefix"), message);
        reader.report(
            finding.help("use letters, digits, `.`, `_`, `-` and `{source}`, for example `{source}.`"),
        );
        return false;
    }
    true
}

words! {
    /// Where a topic begins that the target does not have yet.
    pub enum StartFrom in "startFrom" {
        /// With the oldest record.
        Earliest = "earliest",
        /// With the next record.
        Latest = "latest",
    }
    later ["timestamp"]
}

words! {
    /// What happens on the target when the source has more partitions.
    pub enum PartitionSync in "partitions" {
        /// The target grows as well.
        Grow = "grow",
        /// The difference is reported and the new partitions are not mirrored.
        Report = "report",
    }
}

record! {
    /// What of a topic follows beside its records.
    pub struct TopicSync in "`sync`" with default {
        /// Topic configs.
        configs "configs": bool = true,
        /// What happens when the source has more partitions.
        partitions "partitions": PartitionSync = PartitionSync::Grow,
        /// How often the source is asked.
        every "every": Duration = Duration::from_secs(15),
    }
    later ["acls", "deletes"]
}

words! {
    /// What happens to a group's position when the group runs on the target as well.
    pub enum WhenTargetActive in "whenTargetActive" {
        /// The position is left alone and the group is reported.
        SkipAndReport = "skip-and-report",
    }
}

fn groups() -> Selector {
    Selector::everything_but(vec![Pattern::Prefix("console-consumer-".to_owned())])
}

record! {
    /// Consumer group positions.
    pub struct OffsetSync in "`offsets`" with default {
        /// Which groups follow.
        groups "groups": Selector = groups(),
        /// How often positions are read where they cannot be followed live.
        every "every": Duration = Duration::from_secs(5),
        /// What happens when the group runs on the target as well.
        when_target_active "whenTargetActive": WhenTargetActive = WhenTargetActive::SkipAndReport,
    }
    later ["internalTopics", "keepOn", "sharing"]
}
