//! As which producer a partition writes a region's log.

use leeward_model::{FencingEpoch, ProducerEpoch, RegionName, Sequence, TopicId};

/// Records that are missing from the stream of what is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    pub ordinal: u64,
    pub records: u64,
}

impl Gap {
    pub fn end(self) -> u64 {
        self.ordinal + self.records
    }
}

/// The partition's writing of one region's log, from the region's promotion to the next one, or until the log is made anew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lineage {
    pub region: RegionName,
    /// The epoch under which the region was made the acting primary.
    pub epoch: FencingEpoch,
    /// How often the log was made anew under this epoch.
    pub turn: u32,
    /// As which of the partition's producers: the next one writes where the sequences of this one cannot go on.
    pub writer: u32,
    /// The topic that has the log; `None` where the region tells no ids.
    pub topic: Option<TopicId>,
    /// What is buffered from here up to `start_ordinal` stood in the region's log below `start_offset` already; the other
    /// region may lack it.
    pub kept_from: u64,
    /// The record that had sequence 0.
    pub start_ordinal: u64,
    /// Where the region's log ended before that record was sent.
    pub start_offset: i64,
    /// What was left out since, in order.
    pub gaps: Vec<Gap>,
}

impl Lineage {
    /// The producer epoch that stands for the fencing epoch. After 32 768 promotions they begin again, long after
    /// brokers have forgotten the first.
    pub fn producer_epoch(&self) -> ProducerEpoch {
        let epoch = i16::try_from(self.epoch.to_wire() % (1 << 15)).expect("below 2^15");
        ProducerEpoch::from_wire(epoch).expect("not negative")
    }

    /// How many records are sent before the one with this ordinal.
    pub(super) fn count_before(&self, ordinal: u64) -> u64 {
        ordinal.saturating_sub(self.start_ordinal).saturating_sub(self.left_out_before(ordinal))
    }

    fn left_out_before(&self, ordinal: u64) -> u64 {
        let before = self.gaps.iter().filter(|gap| gap.ordinal < ordinal);
        before.fold(0, |left_out: u64, gap| left_out.saturating_add(gap.records))
    }

    pub(super) fn sequence(&self, ordinal: u64) -> Sequence {
        Sequence::of_ordinal(self.count_before(ordinal))
    }

    /// Whether this is what became of `older`.
    pub fn replaces(&self, older: &Self) -> bool {
        let age = |lineage: &Self| (lineage.epoch, lineage.turn, lineage.left_out_before(u64::MAX));
        age(self) > age(older)
    }
}
