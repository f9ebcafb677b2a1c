//! Where decisions are durable. One voter keeps them in a file; several will keep them in agreement, behind this trait.

pub(crate) mod format;
mod redb;

use std::fmt;

use futures::future::BoxFuture;
use leeward_failover_core::Entry;

pub use self::{format::FormatError, redb::RedbLog};

/// Why an entry was not made durable, or not read back.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    #[error("decision log at {path}: {reason}")]
    Storage { path: String, reason: String },
    #[error("decision log at {path} lacks entry {index}, and has later ones")]
    Missing { path: String, index: u64 },
    #[error("entry {index} of the decision log is damaged")]
    Format { index: u64, source: FormatError },
}

/// The journal of one topology.
pub trait DecisionLog: fmt::Debug + Send + Sync {
    /// Makes entries durable, all or none, in order. Nothing may be done about them before this returns.
    fn append<'a>(&'a self, entries: &'a [Entry]) -> BoxFuture<'a, Result<(), LogError>>;

    /// Everything that was made durable, in order.
    fn read(&self) -> BoxFuture<'_, Result<Vec<Entry>, LogError>>;
}
