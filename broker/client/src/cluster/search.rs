//! Finds a living broker among known ones and the bootstrap list: all addresses, each with a head start over the next.

use futures::{StreamExt, future::BoxFuture, stream::FuturesUnordered};
use leeward_model::ClusterId;
use tokio::time::sleep;

use crate::{
    Address, ClusterError, ConnectError,
    connection::{Dialer, Opened},
    limits::{CANDIDATE_STAGGER, CANDIDATES_MAX},
};

/// Connects to the first candidate that answers and belongs to the right cluster.
///
/// # Errors
///
/// [`ClusterError::WrongCluster`] where nobody but a wrong cluster answered, else [`ClusterError::Unreachable`].
pub(super) async fn search(
    dialer: &Dialer,
    candidates: Vec<Address>,
    expected: Option<&ClusterId>,
) -> Result<Opened, ClusterError> {
    let mut waiting: Vec<Address> = Vec::new();
    for candidate in candidates {
        if !waiting.contains(&candidate) && waiting.len() < CANDIDATES_MAX {
            waiting.push(candidate);
        }
    }
    let tried = waiting.len();
    let mut waiting = waiting.into_iter();
    let mut attempts: FuturesUnordered<BoxFuture<'_, Result<Opened, ConnectError>>> = FuturesUnordered::new();
    let mut failures = Failures::default();
    let start = |address: Address| -> BoxFuture<'_, _> {
        Box::pin(async move { dialer.open(&address, expected).await })
    };
    attempts.extend(waiting.next().map(start));
    loop {
        tokio::select! {
            biased;
            ended = attempts.next() => match ended {
                Some(Ok(opened)) => return Ok(opened),
                Some(Err(error)) => {
                    failures.add(error);
                    attempts.extend(waiting.next().map(start));
                }
                None => return Err(failures.into_error(tried)),
            },
            () = sleep(CANDIDATE_STAGGER), if waiting.len() > 0 => {
                attempts.extend(waiting.next().map(start));
            }
        }
    }
}

/// What the failed attempts say together.
#[derive(Default)]
struct Failures {
    wrong_cluster: Option<ClusterError>,
    last: Option<ConnectError>,
}

impl Failures {
    fn add(&mut self, error: ConnectError) {
        tracing::debug!(error = &error as &dyn std::error::Error, "broker not usable");
        if let ConnectError::WrongCluster { address, expected, found } = error {
            self.wrong_cluster = Some(ClusterError::WrongCluster { address, expected, found });
        } else if self.last.as_ref().is_none_or(ConnectError::may_retry) {
            self.last = Some(error);
        }
    }

    fn into_error(self, tried: usize) -> ClusterError {
        self.wrong_cluster.unwrap_or(ClusterError::Unreachable { tried, source: self.last.map(Box::new) })
    }
}
