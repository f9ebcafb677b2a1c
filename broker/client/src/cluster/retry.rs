//! Tries again what may succeed, with pauses, until its time is over.

use std::time::Duration;

use tokio::time::Instant;

use super::Cluster;
use crate::{ClusterError, backoff};

/// Evaluates `attempt`, a future, again and again until it succeeds, fails for good, or time is over:
/// `retrying!(cluster, what, attempt)` within the configured time, `retrying!(cluster, within, what, attempt)` else.
///
/// A macro and not a function of a closure: futures from closures that borrow are not known to be `Send`.
macro_rules! retrying {
    ($cluster:expr, $what:expr, $attempt:expr) => {{
        let within = $cluster.config().timeouts.operation;
        retrying!($cluster, within, $what, $attempt)
    }};
    ($cluster:expr, $within:expr, $what:expr, $attempt:expr) => {{
        let mut retry = $crate::cluster::Retry::new($cluster, $within, $what);
        loop {
            if let Some(ended) = retry.step($attempt).await {
                break ended;
            }
        }
    }};
}

/// A call with its attempts so far.
#[derive(Debug)]
pub(crate) struct Retry<'a> {
    cluster: &'a Cluster,
    what: &'a str,
    at: Instant,
    after: Duration,
    attempts: u32,
}

impl<'a> Retry<'a> {
    pub(crate) fn new(cluster: &'a Cluster, within: Duration, what: &'a str) -> Self {
        Self { cluster, what, at: Instant::now() + within, after: within, attempts: 0 }
    }

    /// Makes one attempt. `None` when another should follow: the pause is over and metadata is fresh then.
    pub(crate) async fn step<T>(
        &mut self,
        attempt: impl Future<Output = Result<T, ClusterError>>,
    ) -> Option<Result<T, ClusterError>> {
        let error = match tokio::time::timeout_at(self.at, attempt).await {
            Ok(Err(error)) if error.may_retry() => error,
            Ok(ended) => return Some(ended),
            Err(_) => return Some(Err(self.missed(None))),
        };
        tracing::debug!(what = self.what, error = &error as &dyn std::error::Error, "trying again");
        let pause = backoff(self.attempts, &mut rand::rng());
        self.attempts = self.attempts.saturating_add(1);
        if Instant::now() + pause >= self.at {
            return Some(Err(self.missed(Some(error))));
        }
        tokio::time::sleep(pause).await;
        // Learning is bounded by the time of the whole call, too; the next attempt finds out whether it is over.
        let _ = tokio::time::timeout_at(self.at, self.cluster.learn_from(&error)).await;
        None
    }

    fn missed(&self, source: Option<ClusterError>) -> ClusterError {
        ClusterError::Deadline { what: self.what.to_owned(), after: self.after, source: source.map(Box::new) }
    }
}
