//! The drill's own traffic: producers that number their records, consumer groups that write down what they read, and
//! the look into the logs at the end.

mod consumer;
mod foreign;
mod look;
mod producer;
mod reached;

use std::{collections::BTreeMap, sync::Arc};

use hdrhistogram::Histogram;
use leeward_client::ClientConfig;
use parking_lot::Mutex;

pub(crate) use consumer::{GroupNotes, consume};
pub(crate) use foreign::listen;
pub use foreign::{ForeignClient, ForeignError};
pub use look::LookError;
pub(crate) use look::{look, look_quarantined};
pub(crate) use producer::{ProducerPlan, produce};
pub(crate) use reached::Reached;

use crate::ledger::Ledger;

/// How a kind of client reaches the cluster.
#[derive(Clone, Debug)]
pub(crate) struct Route {
    pub(crate) name: String,
    pub(crate) client: ClientConfig,
}

/// What producers write down.
#[derive(Clone, Debug, Default)]
pub(crate) struct Notes(Arc<Mutex<Noted>>);

/// What was written down of all producers.
#[derive(Debug, Default)]
pub(crate) struct Noted {
    pub(crate) ledger: Ledger,
    /// Latency in microseconds, from the first sending to the acknowledgement, by route.
    pub(crate) latency: BTreeMap<String, Histogram<u64>>,
    /// Attempts that failed, by route.
    pub(crate) failed: BTreeMap<String, u64>,
    /// The last error of each route, in its own words.
    pub(crate) last_error: BTreeMap<String, String>,
}

impl Notes {
    /// Looks at, or adds to, what is written down.
    pub(crate) fn with<T>(&self, use_them: impl FnOnce(&mut Noted) -> T) -> T {
        use_them(&mut self.0.lock())
    }
}

impl Noted {
    /// Notes how long one acknowledgement took; times beyond an hour count as an hour.
    fn took(&mut self, route: &str, micros: u64) {
        let histogram = self.latency.entry(route.to_owned()).or_insert_with(|| {
            Histogram::new_with_bounds(1, 3_600_000_000, 3).expect("these bounds are legal")
        });
        histogram.saturating_record(micros);
    }
}
