//! The `Topology` document: regions, what is mirrored, when and how a failover happens.

mod address;
mod arithmetic;
mod budget;
mod buffer;
mod check;
mod dns;
mod failover;
mod region;
mod replication;

use leeward_model::{LinkName, RegionName};

use crate::{
    loaded::Metadata,
    node::Node,
    read::{Reader, record, words},
};
pub use address::{Endpoint, HostPort};
pub use arithmetic::{RtoArithmetic, RtoTerm};
pub use budget::{Budgets, Duplicates, RpoBudget, RtoBudget};
pub use buffer::{AckWhen, Buffer, Fsync, ListenerTls, WhenFull};
pub use dns::{
    Confirm, DnsProvider, DnsRecord, DnsRecordType, DnsTargets, EmbeddedDns, Rfc2136, Tsig, TsigAlgorithm,
};
pub use failover::{
    Automation, Detect, DivergentTail, Failback, FailbackAutomation, Failover, FenceMethod, Fencing, Gate,
    Signal, Unreachable,
};
pub use region::{EmbeddedKafka, Kafka, KafkaCluster, Region, Role, Sasl, SaslMechanism, Tls};
pub use replication::{
    Naming, OffsetSync, PartitionSync, Replication, StartFrom, TopicSync, WhenTargetActive,
};

/// A checked topology.
///
/// Invariant: exactly one primary and one standby, each with a Kafka; at most one witness; names are unique;
/// automatic failover has a third vote; the worst case fits the recovery-time budget.
#[derive(Clone, Debug, PartialEq)]
pub struct Topology {
    pub metadata: Metadata,
    pub interpolate: bool,
    pub spec: TopologySpec,
}

words! {
    /// How regions share the work.
    pub enum Mode in "mode" {
        /// One region serves, the other stands by.
        ActivePassive = "active-passive",
    }
    later ["active-active", "single-region"]
}

record! {
    /// What the estate is, and what may happen to it.
    pub struct TopologySpec in "`spec`" {
        /// How regions share the work.
        mode "mode": Mode = Mode::ActivePassive,
        /// What may be lost, and for how long.
        budgets "budgets": Budgets,
        /// The places with a Kafka cluster, and those that only vote.
        regions "regions": Vec<Region>,
        /// What is mirrored, and how.
        replication "replication": Replication,
        /// When and how a failover happens.
        failover "failover": Failover = Failover::default(),
        /// The durable buffer between applications and Kafka.
        buffer "buffer": Buffer = Buffer::default(),
    }
    later ["links", "alerts"]
}

/// Reads and checks a topology; `None` when an error was reported.
pub(crate) fn read(metadata: Option<Metadata>, node: &Node, reader: &mut Reader<'_>) -> Option<Topology> {
    let spec = reader.field::<TopologySpec>(node, "a document", "spec", None);
    let topology = Topology { metadata: metadata?, interpolate: reader.interpolate, spec: spec? };
    check::check(&topology, node, reader).then_some(topology)
}

impl Topology {
    fn with_role(&self, role: Role) -> Option<&Region> {
        self.spec.regions.iter().find(|region| region.role == role)
    }

    /// The region that serves while nothing has happened.
    pub fn primary(&self) -> &Region {
        self.with_role(Role::Primary).expect("a checked topology has a primary")
    }

    /// The region that a failover promotes.
    pub fn standby(&self) -> &Region {
        self.with_role(Role::Standby).expect("a checked topology has a standby")
    }

    pub fn witness(&self) -> Option<&Region> {
        self.with_role(Role::Witness)
    }

    pub fn region(&self, name: &RegionName) -> Option<&Region> {
        self.spec.regions.iter().find(|region| region.name == *name)
    }

    /// The regions that hold data, the primary first.
    pub fn data_regions(&self) -> [&Region; 2] {
        [self.primary(), self.standby()]
    }

    /// The declared direction of mirroring.
    pub fn link(&self) -> LinkName {
        LinkName::between(&self.primary().name, &self.standby().name)
    }

    /// The link that runs once the standby has become primary.
    pub fn reverse_link(&self) -> LinkName {
        LinkName::between(&self.standby().name, &self.primary().name)
    }

    /// The worst case from the last good acknowledgement to the first new one.
    pub fn rto_arithmetic(&self) -> RtoArithmetic {
        RtoArithmetic::of(&self.spec.failover)
    }
}
