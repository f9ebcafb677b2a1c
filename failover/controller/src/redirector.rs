//! Moving the names that clients resolve: what the controller asks of a provider, and nothing about any provider.

mod drift;
mod managed;
mod resolvers;
mod rfc2136;

use std::{fmt, time::Duration};

use futures::future::BoxFuture;
use leeward_model::{FencingEpoch, RegionName};
use tokio_util::sync::CancellationToken;

pub use drift::{DnsMetrics, Sighting, watch as watch_name};
pub use managed::{InvalidManagedName, ManagedName};
pub use resolvers::ResolverView;
pub(crate) use rfc2136::read_answer;
pub use rfc2136::{Move, MoveError, NameServers, Refusal, Rfc2136Redirector};

/// What a name answers at its authoritative servers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// `None` where the answer is not one of the policy's targets: somebody else changed it.
    pub region: Option<RegionName>,
    /// `None` before the first update of ours.
    pub epoch: Option<FencingEpoch>,
}

/// Where and how far an update got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redirected {
    /// Resolvers that answer the new region, and how many are asked.
    pub resolvers_agreeing: u32,
    pub resolvers: u32,
}

/// Why a name was not moved.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RedirectError {
    /// A later decision was there first: the server refused by its prerequisite. Never to be tried again.
    #[error("`{name}` is at epoch {published}, and this update is of epoch {ours}")]
    Stale { name: String, published: FencingEpoch, ours: FencingEpoch },
    #[error("no target of `{name}` is in region {region}")]
    NoTarget { name: String, region: RegionName },
    #[error("`{name}` was not moved: {reason}")]
    Failed { name: String, reason: String },
}

impl RedirectError {
    /// Whether the same update may succeed later.
    pub fn may_retry(&self) -> bool {
        match self {
            Self::Stale { .. } | Self::NoTarget { .. } => false,
            Self::Failed { .. } => true,
        }
    }
}

/// One managed name.
///
/// An implementation changes the name by compare-and-set on its epoch, never leaves it empty, and is safe to repeat:
/// moving to the same region under the same epoch again succeeds.
pub trait Redirector: fmt::Debug + Send + Sync {
    /// The managed name, as clients write it.
    fn name(&self) -> &str;

    /// The provider's name in metrics.
    fn provider(&self) -> &str;

    /// What a move may wait for servers and resolvers to follow, beside its own exchanges.
    fn confirm_within(&self) -> Duration;

    /// Moves the name, and returns when the authoritative servers answer the new region.
    fn redirect<'a>(
        &'a self,
        to: &'a RegionName,
        epoch: FencingEpoch,
    ) -> BoxFuture<'a, Result<Redirected, RedirectError>>;

    /// What the name answers.
    fn published(&self) -> BoxFuture<'_, Result<Published, RedirectError>>;

    /// Looks at the name again and again until `stop`, and tells `on` of each change of what is seen.
    fn watch<'a>(
        &'a self,
        metrics: &'a DnsMetrics,
        stop: &'a CancellationToken,
        on: &'a mut (dyn FnMut(&Result<Sighting, RedirectError>) + Send),
    ) -> BoxFuture<'a, ()>;
}
