//! Changing a batch's identity and flags without reading its payload.

use super::RecordBatch;
use super::attributes::{DELETE_HORIZON, LOG_APPEND_TIME, TRANSACTIONAL};
use super::header;

/// What to change in a batch's header. The default takes its producer away and leaves the flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patch {
    pub producer_id: i64,
    pub producer_epoch: i16,
    pub base_sequence: i32,
    pub clear_transactional: bool,
    /// The base timestamp stays: record times count from it either way.
    pub clear_delete_horizon: bool,
    /// Record times become the producers' again, except at a topic that stamps its own.
    pub clear_log_append_time: bool,
}

impl Default for Patch {
    fn default() -> Self {
        Self {
            producer_id: -1,
            producer_epoch: -1,
            base_sequence: -1,
            clear_transactional: false,
            clear_delete_horizon: false,
            clear_log_append_time: false,
        }
    }
}

impl Patch {
    fn cleared(self) -> i16 {
        [
            (self.clear_transactional, TRANSACTIONAL),
            (self.clear_delete_horizon, DELETE_HORIZON),
            (self.clear_log_append_time, LOG_APPEND_TIME),
        ]
        .into_iter()
        .filter(|(clear, _)| *clear)
        .fold(0, |cleared, (_, bit)| cleared | bit)
    }
}

impl RecordBatch {
    /// The batch with `patch` applied and its CRC moved along; the payload is neither read nor copied.
    ///
    /// A batch whose CRC was wrong keeps a wrong one.
    #[must_use]
    pub fn patched(&self, patch: Patch) -> Self {
        let attributes = self.attributes() & !patch.cleared();
        self.with_changed_header(|bytes| {
            header::write(bytes, header::ATTRIBUTES, attributes.to_be_bytes());
            header::write(bytes, header::PRODUCER_ID, patch.producer_id.to_be_bytes());
            header::write(bytes, header::PRODUCER_EPOCH, patch.producer_epoch.to_be_bytes());
            header::write(bytes, header::BASE_SEQUENCE, patch.base_sequence.to_be_bytes());
        })
    }

    /// The batch as a topic that stamps its records stores it: all records have the time `append_time_ms`.
    #[must_use]
    pub fn with_append_time(&self, append_time_ms: i64) -> Self {
        let attributes = self.attributes() | LOG_APPEND_TIME;
        self.with_changed_header(|bytes| {
            header::write(bytes, header::ATTRIBUTES, attributes.to_be_bytes());
            header::write(bytes, header::MAX_TIMESTAMP, append_time_ms.to_be_bytes());
        })
    }
}
