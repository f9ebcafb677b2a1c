//! Positions in a log. Offsets of two logs are two types: only the mirror's map turns one into the other.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::TopicName;

/// A partition's index within its topic, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PartitionIndex(i32);

impl PartitionIndex {
    /// `None` where the wire carried a negative index.
    pub fn from_wire(index: i32) -> Option<Self> {
        (index >= 0).then_some(Self(index))
    }

    pub fn to_wire(self) -> i32 {
        self.0
    }
}

impl fmt::Display for PartitionIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One partition of one topic.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TopicPartition {
    pub topic: TopicName,
    pub partition: PartitionIndex,
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.topic, self.partition)
    }
}

macro_rules! offset {
    ($(#[$doc:meta])* $type:ident) => {
        $(#[$doc])*
        ///
        /// Invariant: never negative. It names the record at it, or the place where the next one will stand.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub struct $type(i64);

        impl $type {
            pub const FIRST: Self = Self(0);

            /// `None` where the wire carried a negative offset, which always means "unknown".
            pub fn from_wire(offset: i64) -> Option<Self> {
                (offset >= 0).then_some(Self(offset))
            }

            pub fn to_wire(self) -> i64 {
                self.0
            }

            /// The offset `records` further on; stays at the largest offset rather than wrap.
            #[must_use]
            pub fn after(self, records: u64) -> Self {
                Self(self.0.saturating_add_unsigned(records))
            }

            /// How many offsets lie from `earlier` up to this one; 0 where `earlier` is later.
            pub fn since(self, earlier: Self) -> u64 {
                u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0)
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

offset!(
    /// An offset in the log that is read.
    SourceOffset
);
offset!(
    /// An offset in the log that the mirror writes.
    TargetOffset
);
