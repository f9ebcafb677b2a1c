//! Which rights each role needs at a region's cluster. What stands here is what `docs/security.md` lists, found by
//! trying against a broker that refuses everything else.

use leeward_client::Operation::{
    self, Alter, AlterConfigs, Create, Delete, Describe, DescribeConfigs, Read, Write,
};
use leeward_model::TopicName;
use leeward_policies::{Naming, Pattern, Topology};
use serde::Serialize;

use crate::args::Role;

/// What a right is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Kind {
    Topic,
    Group,
    Cluster,
}

/// Things of one kind, as an access rule names them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Resource {
    pub(super) kind: Kind,
    /// `*` is all of them.
    pub(super) name: String,
    /// Whether `name` is only how their names begin.
    pub(super) prefixed: bool,
}

impl Resource {
    fn named(kind: Kind, name: &str) -> Self {
        Self { kind, name: name.to_owned(), prefixed: false }
    }

    fn beginning(kind: Kind, name: &str) -> Self {
        Self { kind, name: name.to_owned(), prefixed: true }
    }

    fn cluster() -> Self {
        Self::named(Kind::Cluster, "cluster")
    }

    /// The topics that Leeward keeps for itself.
    fn own_topics() -> Self {
        Self::beginning(Kind::Topic, &format!("{}_", TopicName::OWN_PREFIX))
    }

    /// Where brokers keep positions.
    fn commits() -> Self {
        Self::named(Kind::Topic, "__consumer_offsets")
    }

    /// As `kafka-acls` takes it.
    pub(super) fn words(&self) -> String {
        match (self.kind, self.prefixed) {
            (Kind::Cluster, _) => "--cluster".to_owned(),
            (Kind::Topic, false) => format!("--topic '{}'", self.name),
            (Kind::Group, false) => format!("--group '{}'", self.name),
            (Kind::Topic, true) => format!("--topic '{}' --resource-pattern-type prefixed", self.name),
            (Kind::Group, true) => format!("--group '{}' --resource-pattern-type prefixed", self.name),
        }
    }

    /// For people.
    pub(super) fn told(&self) -> String {
        match (self.kind, self.prefixed) {
            (Kind::Cluster, _) => "the cluster".to_owned(),
            (Kind::Topic, false) => format!("topic {}", self.name),
            (Kind::Topic, true) => format!("topics {}*", self.name),
            (Kind::Group, false) => format!("group {}", self.name),
            (Kind::Group, true) => format!("groups {}*", self.name),
        }
    }
}

/// Rights at one resource, and what for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Need {
    pub(super) resource: Resource,
    pub(super) operations: &'static [Operation],
    pub(super) why: &'static str,
}

/// Which side of a role's work a region is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    /// The process stands in this region.
    Own,
    Other,
    /// One process, or one set of rights, for all regions.
    Both,
}

impl Side {
    fn is_own(self) -> bool {
        matches!(self, Self::Own | Self::Both)
    }

    fn is_other(self) -> bool {
        matches!(self, Self::Other | Self::Both)
    }
}

/// What a role needs of a region's cluster. `all_sealed`: the brokers' default is sealed too.
pub(super) fn needs(role: Role, side: Side, topology: &Topology, all_sealed: bool) -> Vec<Need> {
    let replication = &topology.spec.replication;
    let mirrored = resources(Kind::Topic, replication.topics.include());
    let groups = resources(Kind::Group, replication.offsets.groups.include());
    let mut needs = Vec::new();
    let mut add = |resources: &[Resource], operations: &'static [Operation], why: &'static str| {
        needs.extend(resources.iter().cloned().map(|resource| Need { resource, operations, why }));
    };
    let own_topics = [Resource::own_topics()];
    match role {
        Role::Mirror => {
            if side.is_other() {
                add(&mirrored, &[Read, DescribeConfigs], "records and settings are read");
                add(&groups, &[Describe], "positions are read");
                add(&[Resource::commits()], &[Read], "positions are followed; without it they are polled");
                add(&own_topics, &[Create, Read, Write, DescribeConfigs], "heartbeats are written and read");
            }
            if side.is_own() {
                let copies = copies(&replication.naming, &mirrored);
                add(&copies, &[Create, Read, Write, Alter], "topics are made, grown and written");
                add(&copies, &[AlterConfigs], "settings follow the source's");
                add(&groups, &[Read], "positions are committed");
                add(&own_topics, &[Create, Read, Write], "maps and heartbeats are written");
                add(&own_topics, &[AlterConfigs], "settings follow the source's");
            }
        }
        Role::Agent | Role::Controller => {
            add(&own_topics, &[Create, Read, Write], "the canary is written and read");
            if side.is_own() || role == Role::Controller {
                add(&mirrored, &[AlterConfigs], "a region is fenced by its topics' settings");
                add(&mirrored, &[Write], "the write probe shows that the fence holds; it appends nothing");
                if all_sealed {
                    add(
                        &[Resource::cluster()],
                        &[DescribeConfigs, AlterConfigs],
                        "the brokers' default is fenced",
                    );
                }
            }
            if role == Role::Controller {
                add(&groups, &[Read], "final positions are committed");
                add(
                    &mirrored,
                    &[Read, Delete],
                    "a returned region's tail is kept and its topics are made anew",
                );
            }
        }
        Role::Gateway => {
            add(&mirrored, &[Read, Write, DescribeConfigs], "applications' records go through it");
            add(&groups, &[Read], "applications' groups go through it");
        }
        Role::Node | Role::Dns => {}
    }
    needs
}

/// What patterns mean as access rules. Suffixes, wildcards inside and expressions have no such form: everything is.
fn resources(kind: Kind, patterns: &[Pattern]) -> Vec<Resource> {
    let mut resources: Vec<Resource> = Vec::new();
    for pattern in patterns {
        let resource = match pattern {
            Pattern::Literal(name) => Resource::named(kind, name),
            Pattern::Prefix(prefix) => Resource::beginning(kind, prefix),
            Pattern::Glob(glob) => match glob.strip_suffix('*') {
                Some(prefix) if !prefix.is_empty() && !prefix.contains(['*', '?']) => {
                    Resource::beginning(kind, prefix)
                }
                Some(_) | None => Resource::named(kind, "*"),
            },
            Pattern::Suffix(_) | Pattern::Regex(..) => Resource::named(kind, "*"),
        };
        if !resources.contains(&resource) {
            resources.push(resource);
        }
    }
    resources
}

/// What the copies of topics are called.
fn copies(naming: &Naming, sources: &[Resource]) -> Vec<Resource> {
    match naming {
        Naming::Identity => sources.to_vec(),
        Naming::Prefix(prefix) => match prefix.split_once('{') {
            None => vec![Resource::beginning(Kind::Topic, prefix)],
            Some(("", _)) => vec![Resource::named(Kind::Topic, "*")],
            Some((fixed, _)) => vec![Resource::beginning(Kind::Topic, fixed)],
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_become_the_narrowest_access_rules_that_hold_them() {
        let patterns = [
            Pattern::Literal("payments".to_owned()),
            Pattern::Prefix("orders.".to_owned()),
            Pattern::glob("ledger-*"),
            Pattern::Suffix(".log".to_owned()),
            Pattern::glob("*"),
        ];

        let told: Vec<_> = resources(Kind::Topic, &patterns).iter().map(Resource::words).collect();

        let expected = [
            "--topic 'payments'",
            "--topic 'orders.' --resource-pattern-type prefixed",
            "--topic 'ledger-' --resource-pattern-type prefixed",
            "--topic '*'",
        ];
        assert_eq!(told, expected);
    }
}
