//! Traffic that a drill drives and measures.

use std::fmt;

use leeward_model::ByteSize;
use schemars::{Schema, SchemaGenerator, json_schema};

use crate::{
    code::Code,
    diagnostics::Diagnostic,
    node::Node,
    plain::Plain,
    read::{Count, Reader, Value, read_text, record, unit_finding, words},
};

record! {
    /// Traffic that is measured.
    pub struct Load in "`load`" with default {
        /// What is written.
        produce "produce": ProduceLoad = ProduceLoad::default(),
        /// What is read.
        consume "consume": ConsumeLoad = ConsumeLoad::default(),
        /// Which way clients take.
        clients "clients": Vec<ClientKind> = vec![ClientKind::Buffered],
    }
}

words! {
    /// Which way clients take.
    pub enum ClientKind in "client kind" {
        /// Through the gateway.
        Buffered = "buffered",
        /// To the region itself, found by name.
        Direct = "direct",
    }
}

words! {
    /// What a producer waits for.
    pub enum Acks in "acks" {
        /// All replicas in sync.
        All = "all",
        /// The leader.
        Leader = "1",
        /// Nothing.
        Nothing = "0",
    }
}

/// Records per second.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rate(Count);

impl Rate {
    pub const fn per_second(self) -> u64 {
        self.0.get()
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/s", self.0)
    }
}

impl Value for Rate {
    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let text = read_text(node, reader, "a rate")?;
        let rate = text.strip_suffix("/s").and_then(Count::parse);
        match rate {
            Some(rate) if rate.get() > 0 => return Some(Self(rate)),
            Some(_) => {
                let finding = Diagnostic::error(Code::Number, node.span, "a rate of 0 measures nothing");
                reader.report(finding.help("write for example `500/s`"));
            }
            None => reader.report(unit_finding(node, &text, "rate", &["/s"], "`500/s`, `5k/s`")),
        }
        None
    }

    fn plain(&self) -> Plain {
        Plain::Scalar(self.to_string())
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^[0-9]+[kM]?/s$", "examples": ["5k/s"] })
    }
}

record! {
    /// What is written, by each kind of client.
    pub struct ProduceLoad in "`produce`" with default {
        /// Records per second over all topics.
        rate "rate": Rate = Rate(Count::of(500)),
        /// Size of a record's value.
        size "size": ByteSize = ByteSize::kib(1),
        /// Number of topics.
        topics "topics": u32 = 1,
        /// Partitions of each topic.
        partitions "partitions": u32 = 3,
        /// Number of distinct keys.
        keys "keys": Count = Count::of(1000),
        /// What a producer waits for.
        acks "acks": Acks = Acks::All,
    }
}

record! {
    /// What is read.
    pub struct ConsumeLoad in "`consume`" with default {
        /// Consumer groups, each over all topics.
        groups "groups": u32 = 1,
    }
}
