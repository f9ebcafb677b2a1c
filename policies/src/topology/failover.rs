//! When and how a failover happens.

use std::{collections::BTreeSet, time::Duration};

use schemars::{Schema, SchemaGenerator, json_schema};

use super::dns::DnsRecord;
use crate::{
    code::Code,
    diagnostics::Diagnostic,
    limits::PROBE_ROUNDS_MAX,
    node::{Node, Shape},
    plain::Plain,
    read::{Count, Reader, Value, record, words},
};

words! {
    /// How much happens without a person.
    pub enum Automation in "automation" {
        /// Nothing; what would have been done is recorded.
        Observe = "observe",
        /// A failover is prepared and waits for approval.
        Approve = "approve",
        /// Nothing until a person starts a failover.
        Manual = "manual",
        /// Everything.
        Auto = "auto",
    }
}

record! {
    /// When and how a failover happens.
    pub struct Failover in "`failover`" with default {
        /// How much happens without a person.
        automation "automation": Automation = Automation::Observe,
        /// When a region counts as lost.
        detect "detect": Detect = Detect::default(),
        /// What must hold before a region is promoted.
        gates "gates": Vec<Gate> = default_gates(),
        /// Shortest time between two failovers that nobody asked for.
        cooldown "cooldown": Duration = DEFAULT_COOLDOWN,
        /// How the old primary is kept from taking writes.
        fencing "fencing": Fencing = Fencing::default(),
        /// Names that follow the primary.
        dns "dns": Vec<DnsRecord> = Vec::new(),
        /// How the old primary comes back.
        failback "failback": Failback = Failback::default(),
    }
    later ["approvers", "companions", "return"]
}

const DEFAULT_COOLDOWN: Duration = Duration::from_hours(1);

fn default_gates() -> Vec<Gate> {
    vec![Gate::StandbyWritable]
}

words! {
    /// One way to see whether a region works.
    pub enum Signal in "signal" {
        /// A connection opens.
        Tcp = "tcp",
        /// A broker says which requests it takes.
        ApiVersions = "api-versions",
        /// A broker names the cluster's id and leaders.
        Metadata = "metadata",
        /// A record is accepted.
        ProduceCanary = "produce-canary",
        /// A record is read back.
        FetchCanary = "fetch-canary",
    }
    later ["canary-p99"]
}

record! {
    /// When a region counts as lost.
    pub struct Detect in "`detect`" with default {
        /// Time between two probes.
        every "every": Duration = Duration::from_secs(2),
        /// Probes in a row that must fail.
        fail_after "failAfter": Count = Count::of(3),
        /// Observers that must agree.
        quorum "quorum": Count = Count::of(2),
        /// What is probed.
        signals "signals": Vec<Signal> = default_signals(),
    }
}

fn default_signals() -> Vec<Signal> {
    vec![Signal::Metadata, Signal::ProduceCanary, Signal::FetchCanary]
}

impl Detect {
    /// Silence after which a region counts as lost: `every` times `failAfter`.
    pub fn silence(&self) -> Duration {
        let probes = u32::try_from(self.fail_after.get()).unwrap_or(u32::MAX);
        self.every.saturating_mul(probes)
    }

    /// Time within which a region that is lost counts as lost: a round until the first probe, and each probe that
    /// must fail hangs for as long as it may.
    pub fn loss_seen_within(&self) -> Duration {
        self.every.saturating_mul(self.rounds_until_seen())
    }

    /// The same in rounds of `every`.
    pub(super) fn rounds_until_seen(&self) -> u32 {
        let probes = u32::try_from(self.fail_after.get()).unwrap_or(u32::MAX);
        probes.saturating_mul(PROBE_ROUNDS_MAX).saturating_add(1)
    }
}

/// What must hold before a region is promoted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gate {
    /// The loss lies within the recovery-point budget.
    RpoWithinBudget,
    /// The standby takes writes.
    StandbyWritable,
    /// The standby has as many partitions as the primary had.
    NoPartitionDrift,
    /// Group positions were carried over at most this long ago.
    OffsetsFresh(Duration),
}

const GATES: [&str; 4] = ["rpo-within-budget", "standby-writable", "no-partition-drift", "offsets-fresh"];

impl Value for Gate {
    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        if let Shape::Map(entries) = &node.shape {
            reader.entries(node, "a gate", &["offsets-fresh"], &[])?;
            let entry = entries.first().filter(|entry| entry.key == "offsets-fresh")?;
            return Duration::read(&entry.value, reader).map(Self::OffsetsFresh);
        }
        match node.scalar() {
            Some("rpo-within-budget") => Some(Self::RpoWithinBudget),
            Some("standby-writable") => Some(Self::StandbyWritable),
            Some("no-partition-drift") => Some(Self::NoPartitionDrift),
            Some("offsets-fresh") => {
                let finding =
                    Diagnostic::error(Code::MissingField, node.span, "`offsets-fresh` needs an age");
                reader.report(finding.help("write `offsets-fresh: 30s`"));
                None
            }
            other => {
                reader.unknown_word(node, other.unwrap_or_default(), "gate", &GATES, &[]);
                None
            }
        }
    }

    fn plain(&self) -> Plain {
        match self {
            Self::RpoWithinBudget => Plain::Scalar(GATES[0].to_owned()),
            Self::StandbyWritable => Plain::Scalar(GATES[1].to_owned()),
            Self::NoPartitionDrift => Plain::Scalar(GATES[2].to_owned()),
            Self::OffsetsFresh(age) => Plain::one(GATES[3], age.plain()),
        }
    }

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        let age = Duration::schema(generator);
        json_schema!({
            "anyOf": [
                { "enum": GATES[..3] },
                {
                    "type": "object",
                    "properties": { "offsets-fresh": age },
                    "required": ["offsets-fresh"],
                    "additionalProperties": false,
                },
            ],
        })
    }
}

words! {
    /// One way to keep a region from taking writes.
    pub enum FenceMethod in "fence method" {
        /// Gateways stop forwarding to it.
        CutGateways = "cut-gateways",
        /// Its brokers refuse every record (`message.max.bytes` 0, cluster-wide and on each topic).
        SealWrites = "seal-writes",
    }
    later ["acl-deny-write", "close-connections", "exec"]
}

words! {
    /// What happens when the old primary cannot be reached to be fenced.
    pub enum Unreachable in "unreachable" {
        /// Wait until its lease has run out; the fence counts as assumed.
        WaitLease = "wait-lease",
    }
    later ["require-approval"]
}

record! {
    /// How the old primary is kept from taking writes.
    pub struct Fencing in "`fencing`" with default {
        /// A region that cannot renew with the quorum for this long stops taking writes.
        lease "lease": Duration = DEFAULT_LEASE,
        /// What is done to it, in order.
        methods "methods": Vec<FenceMethod> = vec![FenceMethod::CutGateways, FenceMethod::SealWrites],
        /// What happens when it cannot be reached.
        unreachable "unreachable": Unreachable = Unreachable::WaitLease,
    }
    later ["detectBypass"]
}

const DEFAULT_LEASE: Duration = Duration::from_secs(10);

impl Fencing {
    /// The methods without repeats.
    pub fn method_set(&self) -> BTreeSet<FenceMethod> {
        self.methods.iter().copied().collect()
    }
}

words! {
    /// Who starts a failback.
    pub enum FailbackAutomation in "automation" {
        /// A person.
        Manual = "manual",
    }
    later ["auto"]
}

words! {
    /// What happens to records that never left the old primary.
    pub enum DivergentTail in "divergentTail" {
        /// Kept in a topic of their own.
        Quarantine = "quarantine",
        /// Appended to the new primary.
        Replay = "replay",
        /// Listed and dropped.
        Discard = "discard",
    }
}

record! {
    /// How the old primary comes back.
    pub struct Failback in "`failback`" with default {
        /// Who starts it.
        automation "automation": FailbackAutomation = FailbackAutomation::Manual,
        /// What happens to records that never left the old primary.
        divergent_tail "divergentTail": DivergentTail = DivergentTail::Quarantine,
    }
    later ["requireCaughtUpFor"]
}
