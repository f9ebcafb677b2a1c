//! A role that runs, as the daemon sees it.

use axum::Router;
use futures::future::BoxFuture;

use crate::http::ReadyCheck;

/// A role that runs.
pub(super) struct Running {
    /// As logs and `/readyz` call it.
    pub(super) name: String,
    pub(super) ready: Vec<ReadyCheck>,
    /// What it adds to the process's http.
    pub(super) routes: Router,
    /// Ends when the role ended by itself; `None` where it cannot.
    pub(super) ended: Option<BoxFuture<'static, ()>>,
    /// Stops it when it is polled.
    pub(super) stop: BoxFuture<'static, ()>,
}

impl Running {
    /// A role that has nothing to serve, is ready as soon as it runs, and does not end by itself.
    pub(super) fn new(name: impl Into<String>, stop: impl Future<Output = ()> + Send + 'static) -> Self {
        Self {
            name: name.into(),
            ready: Vec::new(),
            routes: Router::new(),
            ended: None,
            stop: Box::pin(stop),
        }
    }

    pub(super) fn ready_when(mut self, check: ReadyCheck) -> Self {
        self.ready.push(check);
        self
    }
}
