//! What a drill breaks, and how a step says it.

use std::time::Duration;

use leeward_model::{ByteSize, LinkName, RegionName};
use schemars::{Schema, SchemaGenerator, json_schema};

use super::step::{Step, StepKind, refuse_others, required};
use crate::{
    code::Code,
    diagnostics::Diagnostic,
    node::Node,
    plain::Plain,
    read::{Reader, Value, read_text, record, words},
};

/// Something that is broken. Each must prove that it bit, else the drill is inconclusive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Every process of a region is killed.
    RegionDown { region: RegionName, how: RegionDownHow },
    /// Packets between two regions are dropped.
    Partition { link: LinkEnds, direction: LinkDirection },
    /// Packets between two regions come late, few at a time, or both; in both directions.
    Slow { link: LinkEnds, latency: Duration, bytes_per_second: Option<ByteSize> },
    /// One process is killed.
    Kill { target: ProcessTarget },
    /// One process is stopped, and goes on after the step's `for`.
    Pause { target: ProcessTarget },
}

words! {
    /// How a region goes down.
    pub enum RegionDownHow in "how" {
        /// At once, with no word of farewell.
        Kill9 = "kill -9",
    }
    later ["power-off", "kill -15"]
}

words! {
    /// Which way packets are dropped.
    pub enum LinkDirection in "direction" {
        Both = "both",
        /// From the first region of the link to the second.
        Forward = "forward",
        /// From the second region of the link to the first.
        Backward = "backward",
    }
}

words! {
    /// A process of Leeward's.
    pub enum ProcessTarget in "target" {
        /// The controller that decides.
        ControllerLeader = "controller-leader",
        /// The mirror agent of the acting link.
        Mirror = "mirror",
        /// The gateway of the load's clients.
        Gateway = "gateway",
    }
    later ["broker", "region-agent", "dns"]
}

words! {
    /// A fault's kind.
    pub(crate) enum FaultKind in "fault" {
        RegionDown = "region-down",
        Partition = "partition",
        Slow = "slow",
        Kill = "kill",
        Pause = "pause",
    }
    later ["slow-broker", "dns-provider", "disk-fill", "clock-jump"]
}

/// Two regions, written `eu-west>us-east`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkEnds {
    pub from: RegionName,
    pub to: RegionName,
}

impl LinkEnds {
    /// The mirror's name for this direction.
    pub fn name(&self) -> LinkName {
        LinkName::between(&self.from, &self.to)
    }
}

impl Value for LinkEnds {
    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let text = read_text(node, reader, "a link")?;
        let ends = text.split_once('>').and_then(|(from, to)| {
            let (from, to) = (RegionName::new(from.trim()).ok()?, RegionName::new(to.trim()).ok()?);
            (from != to).then_some(Self { from, to })
        });
        if ends.is_none() {
            let finding = Diagnostic::error(Code::Name, node.span, format!("`{text}` is no link"));
            reader.report(finding.help("write two regions: `\"eu-west>us-east\"`"));
        }
        ends
    }

    fn plain(&self) -> Plain {
        Plain::Text(format!("{}>{}", self.from, self.to))
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": ">", "examples": ["eu-west>us-east"] })
    }
}

record! {
    /// Breaks something.
    pub(crate) struct FaultStep in "a fault step" {
        /// Time since the load began.
        at "at": Option<Duration> = None,
        /// What is broken.
        fault "fault": FaultKind,
        /// The region that goes down.
        region "region": Option<RegionName> = None,
        /// How it goes down.
        how "how": Option<RegionDownHow> = None,
        /// The link whose packets are dropped or slowed.
        link "link": Option<LinkEnds> = None,
        /// Which way they are dropped; both where not given.
        direction "direction": Option<LinkDirection> = None,
        /// How late each piece comes on a slow link, each way.
        latency "latency": Option<Duration> = None,
        /// Bytes that one connection carries on a slow link in a second, each way.
        bytes_per_second "bytesPerSecond": Option<ByteSize> = None,
        /// The process that is killed or stopped.
        target "target": Option<ProcessTarget> = None,
        /// How long it stays broken; until healed where not given.
        held_for "for": Option<Duration> = None,
    }
}

pub(super) fn read_fault(node: &Node, reader: &mut Reader<'_>) -> Option<Step> {
    let step = FaultStep::read(node, reader)?;
    let allowed: &[&str] = match step.fault {
        FaultKind::RegionDown => &["region", "how"],
        FaultKind::Partition => &["link", "direction"],
        FaultKind::Slow => &["link", "latency", "bytesPerSecond"],
        FaultKind::Kill | FaultKind::Pause => &["target"],
    };
    refuse_others(
        node,
        reader,
        step.fault.as_str(),
        &["region", "how", "link", "direction", "latency", "bytesPerSecond", "target"],
        allowed,
    )?;
    let what = step.fault.as_str();
    let fault = match step.fault {
        FaultKind::RegionDown => Fault::RegionDown {
            region: required(step.region, "region", what, node, reader)?,
            how: step.how.unwrap_or(RegionDownHow::Kill9),
        },
        FaultKind::Partition => Fault::Partition {
            link: required(step.link, "link", what, node, reader)?,
            direction: step.direction.unwrap_or(LinkDirection::Both),
        },
        FaultKind::Slow => {
            if step.latency.is_none() && step.bytes_per_second.is_none() {
                required::<Duration>(None, "latency", what, node, reader)?;
            }
            Fault::Slow {
                link: required(step.link, "link", what, node, reader)?,
                latency: step.latency.unwrap_or_default(),
                bytes_per_second: step.bytes_per_second,
            }
        }
        FaultKind::Kill => Fault::Kill { target: required(step.target, "target", what, node, reader)? },
        FaultKind::Pause => Fault::Pause { target: required(step.target, "target", what, node, reader)? },
    };
    Some(Step { at: step.at, kind: StepKind::Fault { fault, held_for: step.held_for } })
}

pub(super) fn fault_plain(fault: &Fault, held_for: Option<Duration>) -> Vec<(String, Plain)> {
    let mut entries = match fault {
        Fault::RegionDown { region, how } => vec![
            ("fault".to_owned(), FaultKind::RegionDown.plain()),
            ("region".to_owned(), region.plain()),
            ("how".to_owned(), how.plain()),
        ],
        Fault::Partition { link, direction } => vec![
            ("fault".to_owned(), FaultKind::Partition.plain()),
            ("link".to_owned(), link.plain()),
            ("direction".to_owned(), direction.plain()),
        ],
        Fault::Slow { link, latency, bytes_per_second } => vec![
            ("fault".to_owned(), FaultKind::Slow.plain()),
            ("link".to_owned(), link.plain()),
            ("latency".to_owned(), latency.plain()),
            ("bytesPerSecond".to_owned(), bytes_per_second.plain()),
        ],
        Fault::Kill { target } => {
            vec![("fault".to_owned(), FaultKind::Kill.plain()), ("target".to_owned(), target.plain())]
        }
        Fault::Pause { target } => {
            vec![("fault".to_owned(), FaultKind::Pause.plain()), ("target".to_owned(), target.plain())]
        }
    };
    entries.push(("for".to_owned(), held_for.plain()));
    entries
}
