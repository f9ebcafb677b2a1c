//! One buffered batch: where it stands in the journal, and where in the lineage's log.

/// A buffered batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Ordinal of the batch's first record among all that the partition accepted.
    pub ordinal: u64,
    pub records: u32,
    /// Records at the front that the acting region has already, so that they are not sent.
    pub skip: u32,
    /// Where the journal's frame stands.
    pub position: u64,
    /// Milliseconds since 1970, on the gateway's clock.
    pub accepted_at_ms: i64,
    pub place: Place,
}

/// Where the first record that is not skipped stands in the lineage's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    Unknown,
    At(i64),
    /// Somewhere, with its last record below this offset.
    Below(i64),
}

impl Entry {
    /// Ordinal of the first record that is sent.
    pub fn first(&self) -> u64 {
        self.ordinal + u64::from(self.skip)
    }

    /// The ordinal behind the last record.
    pub fn end(&self) -> u64 {
        self.ordinal + u64::from(self.records)
    }

    /// Records that are sent.
    pub fn sent_records(&self) -> u32 {
        self.records - self.skip
    }

    pub fn exact_offset(&self) -> Option<i64> {
        match self.place {
            Place::At(offset) => Some(offset),
            Place::Unknown | Place::Below(_) => None,
        }
    }

    /// The highest offset that the last record can have; `None` where it may not be in the log at all.
    pub(super) fn last_offset(&self) -> Option<i64> {
        match self.place {
            Place::Unknown => None,
            Place::At(offset) => Some(offset + i64::from(self.sent_records()) - 1),
            Place::Below(end) => Some(end - 1),
        }
    }
}
