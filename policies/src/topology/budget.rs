//! Budgets: what may be lost, and for how long. In time; records stand beside, never instead.

use std::time::Duration;

use schemars::{Schema, SchemaGenerator, json_schema};

use crate::{
    node::{Node, Shape},
    plain::Plain,
    read::{Count, Reader, Value, record},
};

record! {
    /// What may be lost, and for how long.
    pub struct Budgets in "`budgets`" {
        /// Most data at risk at any time: `10s`, or `{max: 10s}`.
        rpo "rpo": RpoBudget,
        /// Longest time from the last good acknowledgement to the first new one: `2m`, or `{max: 2m}`.
        rto "rto": RtoBudget,
        /// How much may be delivered twice.
        duplicates "duplicates": Duplicates = Duplicates { per_partition_max: Count::of(1000) },
    }
    later ["drillMaxAge", "outage"]
}

record! {
    /// How much may be delivered twice.
    pub struct Duplicates in "`duplicates`" {
        /// Most records of one partition that a failover may deliver twice.
        per_partition_max "maxPerPartition": Count = Count::of(1000),
    }
}

macro_rules! budget {
    ($(#[doc = $doc:literal])* $name:ident, $full:ident, $what:literal) => {
        $(#[doc = $doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct $name {
            pub max: Duration,
        }

        record! {
            /// A budget written out.
            pub(crate) struct $full in $what {
                /// The budget.
                max "max": Duration,
            }
            later ["objective", "window"]
        }

        impl Value for $name {
            fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
                let max = match &node.shape {
                    Shape::Map(_) => $full::read(node, reader)?.max,
                    Shape::Scalar { .. } | Shape::List(_) => Duration::read(node, reader)?,
                };
                Some(Self { max })
            }

            fn plain(&self) -> Plain {
                Plain::one("max", self.max.plain())
            }

            fn schema(generator: &mut SchemaGenerator) -> Schema {
                let (short, full) = (Duration::schema(generator), $full::schema(generator));
                json_schema!({ "anyOf": [short, full] })
            }
        }
    };
}

budget!(
    /// Recovery point: most data at risk, in time.
    RpoBudget, RpoBudgetInFull, "`rpo`"
);
budget!(
    /// Recovery time: longest time without a good acknowledgement.
    RtoBudget, RtoBudgetInFull, "`rto`"
);
