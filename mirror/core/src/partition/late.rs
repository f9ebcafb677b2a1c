//! How long batches of connections that are gone are waited for.

use std::time::Duration;

use leeward_model::Instant;

/// Batches that another process sent, or that were given up, and that may still arrive.
///
/// As long as the source has their records, the sequences tell them from their repeats. Once it has deleted them nothing else
/// can be put in their place before it is known whether they are there.
#[derive(Clone, Copy, Debug)]
pub(super) struct Late {
    now: Instant,
    /// `None` before the start.
    until: Option<Instant>,
    /// Whether the target's end was asked for since.
    asked: bool,
    /// The source cannot be read on before that is answered.
    awaited: bool,
}

impl Late {
    pub(super) fn new() -> Self {
        Self { now: Instant::ZERO, until: None, asked: false, awaited: false }
    }

    /// It is now this late.
    pub(super) fn at(&mut self, now: Instant) {
        self.now = now;
    }

    /// Something may be late from now on.
    pub(super) fn begin(&mut self, late_within: Duration) {
        *self =
            Self { now: self.now, until: Some(self.now.after(late_within)), asked: false, awaited: false };
    }

    pub(super) fn has_begun(&self) -> bool {
        self.until.is_some()
    }

    /// Whether nothing can be late any more; waits for it where it can.
    pub(super) fn none(&mut self) -> bool {
        self.awaited |= !self.asked;
        !self.awaited
    }

    pub(super) fn is_awaited(&self) -> bool {
        self.awaited
    }

    /// It is known where the target ends.
    pub(super) fn settled(&mut self) {
        self.awaited &= !self.asked;
    }

    /// Whether the time is over, and the target is to be asked what came.
    pub(super) fn is_over(&mut self) -> bool {
        let over = self.awaited && !self.asked && self.until.is_none_or(|until| until <= self.now);
        self.asked |= over;
        over
    }
}
