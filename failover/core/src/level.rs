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

    /// As people and metrics call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::ApiVersions => "api-versions",
            Self::Metadata => "metadata",
            Self::ProduceCanary => "produce-canary",
            Self::FetchCanary => "fetch-canary",
        }
    }

    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|level| level.name() == name)
    }

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
