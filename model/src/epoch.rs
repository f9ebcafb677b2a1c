//! The fencing epoch: which promotion a write belongs to.

use std::{fmt, num::NonZeroU64};

use serde::{Deserialize, Serialize};

/// Which promotion a write belongs to.
///
/// Invariant: issued only by a committed decision and never reused; a region refuses every write whose
/// epoch is lower than the highest it has seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct FencingEpoch(NonZeroU64);

impl FencingEpoch {
    pub const FIRST: Self = Self(NonZeroU64::MIN);

    /// `None` for 0, which names no epoch.
    pub fn from_wire(epoch: u64) -> Option<Self> {
        NonZeroU64::new(epoch).map(Self)
    }

    pub fn to_wire(self) -> u64 {
        self.0.get()
    }

    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.checked_add(1).expect("fewer than 2^64 promotions"))
    }
}

impl fmt::Display for FencingEpoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
