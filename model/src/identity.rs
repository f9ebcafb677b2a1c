//! Kafka's idempotent producer identity (KIP-98): id, epoch, sequence.

use serde::{Deserialize, Serialize};

/// A producer id. Ids that Leeward derives have bit 62 set; brokers count theirs up from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ProducerId(i64);

impl ProducerId {
    const DERIVED: i64 = 1 << 62;

    /// `None` for negative ids, which mean "no producer".
    pub fn from_wire(id: i64) -> Option<Self> {
        (id >= 0).then_some(Self(id))
    }

    /// An id of our own from a hash of what it stands for.
    pub fn derived(hash: u64) -> Self {
        let low = i64::try_from(hash >> 2).expect("62 bits fit");
        Self(Self::DERIVED | low)
    }

    pub fn is_derived(self) -> bool {
        self.0 & Self::DERIVED != 0
    }

    pub fn to_wire(self) -> i64 {
        self.0
    }
}

/// Which life of a producer id a batch belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ProducerEpoch(i16);

impl ProducerEpoch {
    pub const FIRST: Self = Self(0);

    /// `None` for negative epochs.
    pub fn from_wire(epoch: i16) -> Option<Self> {
        (epoch >= 0).then_some(Self(epoch))
    }

    pub fn to_wire(self) -> i16 {
        self.0
    }
}

/// A batch's first sequence number. Counts records from 0 and wraps to 0 after 2^31 - 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Sequence(i32);

impl Sequence {
    pub const FIRST: Self = Self(0);

    /// The sequence of the record with this ordinal in its stream.
    pub fn of_ordinal(ordinal: u64) -> Self {
        Self(i32::try_from(ordinal % (1 << 31)).expect("below 2^31"))
    }

    /// `None` for negative sequences.
    pub fn from_wire(sequence: i32) -> Option<Self> {
        (sequence >= 0).then_some(Self(sequence))
    }

    pub fn to_wire(self) -> i32 {
        self.0
    }

    #[must_use]
    pub fn after(self, records: u32) -> Self {
        Self::of_ordinal(u64::from(self.0.unsigned_abs()) + u64::from(records))
    }
}

/// Id and epoch together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ProducerIdentity {
    pub id: ProducerId,
    pub epoch: ProducerEpoch,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sequence_wraps_to_zero_after_its_largest_value() {
        let last = Sequence::from_wire(i32::MAX).expect("not negative");

        assert_eq!(last.after(1), Sequence::FIRST);
    }

    #[test]
    fn derived_ids_never_meet_ids_that_brokers_issue() {
        let id = ProducerId::derived(u64::MAX);

        assert!(id.is_derived() && id.to_wire() > 0);
    }
}
