//! How far a partition's mirror has come, in source offsets.

use leeward_model::SourceOffset;

/// Everything below each of these was fetched, sent, acknowledged, checkpointed.
///
/// Invariant: `fetched >= sent >= acknowledged >= checkpointed`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursors {
    pub fetched: SourceOffset,
    pub sent: SourceOffset,
    pub acknowledged: SourceOffset,
    pub checkpointed: SourceOffset,
}

impl Cursors {
    pub(super) fn at(position: SourceOffset) -> Self {
        Self { fetched: position, sent: position, acknowledged: position, checkpointed: position }
    }

    pub(super) fn check(self) {
        assert!(self.fetched >= self.sent, "{self:?}");
        assert!(self.sent >= self.acknowledged, "{self:?}");
        assert!(self.acknowledged >= self.checkpointed, "{self:?}");
    }
}
