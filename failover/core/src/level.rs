//! What probes try, and how often each must fail to tell something.

use std::{num::NonZeroU32, time::Duration};

use serde::{Deserialize, Serialize};

/// One thing that a probe tries, from the cheapest to the most telling.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Level {
    Tcp,
    ApiVersions,
    Metadata,
    ProduceCanary,
    FetchCanary,
}

impl Level {
    pub const ALL: [Self; 5] =
        [Self::Tcp, Self::ApiVersions, Self::Metadata, Self::ProduceCanary, Self::FetchCanary];

    /// Whether failing it means that the region is gone, rather than up and failing its users (gray).
    pub fn tells_loss(self) -> bool {
        match self {
            Self::Tcp | Self::ApiVersions | Self::Metadata => true,
            Self::ProduceCanary | Self::FetchCanary => false,
        }
    }
}

/// How often a level is probed and how many failures in a row make it down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LevelRule {
    pub every: Duration,
    pub fail_after: NonZeroU32,
}

impl LevelRule {
    /// Age after which a sample says nothing: one round more than what makes a verdict.
    pub fn stale_after(&self) -> Duration {
        self.every.saturating_mul(self.fail_after.get().saturating_add(1))
    }
}
