//! Small batches that wait behind each other become one: a broker's work is by the batch, so a target that is behind catches up.

use leeward_model::SourceOffset;
use leeward_wire::ErrorCode;
use leeward_wire::record::{RecordBatch, Reencode, Reencoder};

use super::queue::Queued;
use crate::limits::{
    MERGED_BELOW_BYTES, MERGED_BYTES_MAX, MERGED_UNCOMPRESSED_BYTES_MAX, REENCODED_BYTES_MAX,
};

/// Which batches may be merged, and how far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MergePolicy {
    /// Batches of as many bytes or more go as they are; 0 merges none.
    pub below_bytes: usize,
    /// Bytes of the batches that become one.
    pub bytes_max: usize,
}

impl Default for MergePolicy {
    fn default() -> Self {
        Self { below_bytes: MERGED_BELOW_BYTES, bytes_max: MERGED_BYTES_MAX }
    }
}

/// What may be merged, as far as the target's refusals tell.
#[derive(Clone, Debug)]
pub(super) struct Merging {
    policy: MergePolicy,
    limit_bytes: usize,
    /// Batches below are sent one by one, to see which of them the target refuses.
    singly_below: SourceOffset,
}

impl Merging {
    pub(super) fn new(policy: MergePolicy) -> Self {
        Self { policy, limit_bytes: policy.bytes_max, singly_below: SourceOffset::FIRST }
    }

    /// Whether all that waits is less than a batch that goes as it is: what comes next may go with it.
    pub(super) fn waits_for_company<'a>(&self, waiting: impl Iterator<Item = &'a Queued>) -> bool {
        let mut bytes = 0;
        for queued in waiting {
            bytes += queued.batch.size_bytes();
            if bytes >= self.policy.below_bytes {
                return false;
            }
        }
        true
    }

    /// The first batches of a queue as one, and how many they are; `None` where the first goes alone.
    pub(super) fn merge<'a>(
        &self,
        waiting: impl Iterator<Item = &'a Queued>,
    ) -> Option<(RecordBatch, usize)> {
        let small = self.small(waiting);
        if small.len() < 2 {
            return None;
        }
        let expected_bytes = small.iter().map(|queued| queued.batch.size_bytes()).sum();
        let how = Reencode { limit_bytes: REENCODED_BYTES_MAX, expected_bytes, ..Reencode::default() };
        let mut gathered = Reencoder::new(how);
        let mut count = 0;
        for queued in small {
            if gathered.uncompressed_bytes() > MERGED_UNCOMPRESSED_BYTES_MAX {
                break;
            }
            gathered.push(&queued.batch, |_| true).ok()?;
            count += 1;
        }
        let made = gathered.finish().ok()??;
        (count > 1).then_some((made.batch, count))
    }

    /// The first batches that belong together.
    fn small<'a>(&self, waiting: impl Iterator<Item = &'a Queued>) -> Vec<&'a Queued> {
        let mut small = Vec::<&Queued>::new();
        let mut bytes = 0;
        for queued in waiting {
            bytes += queued.batch.size_bytes();
            let fits = queued.batch.size_bytes() < self.policy.below_bytes
                && bytes <= self.limit_bytes
                && queued.first >= self.singly_below;
            let follows = small.last().is_none_or(|last| {
                last.target_end() == queued.target && last.batch.compression() == queued.batch.compression()
            });
            if !fits || !follows {
                break;
            }
            small.push(queued);
        }
        small
    }

    /// The target has refused a batch.
    pub(super) fn refused(&mut self, queued: &Queued, code: ErrorCode) {
        match (queued.is_merged(), code) {
            (true, ErrorCode::MESSAGE_TOO_LARGE) => self.limit_bytes = queued.batch.size_bytes() / 2,
            (true, _) => self.singly_below = self.singly_below.max(queued.next),
            // Such a target refuses every size: a region that is fenced.
            (false, ErrorCode::MESSAGE_TOO_LARGE) => self.limit_bytes = self.policy.bytes_max,
            (false, _) => {}
        }
    }
}
