//! What a gateway says of itself.

use leeward_model::RegionName;

use super::Hub;

/// A gateway's state at a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GatewayStatus {
    /// The newest epoch taken; 0 before the first.
    pub epoch: u64,
    /// `None` while nothing is forwarded.
    pub forwarding_to: Option<RegionName>,
    pub buffered_bytes: u64,
    pub capacity_bytes: u64,
    /// Records that are not yet where they must be before they are forgotten here.
    pub buffered_records: u64,
    /// Records that the acting primary has not acknowledged.
    pub unforwarded_records: u64,
    pub relayed_transactions: u64,
    /// The journal has failed: nothing is accepted until the gateway starts anew.
    pub journal_failed: bool,
    /// Partitions whose next batch the acting primary refuses for some time, each with why and the way out.
    pub held: Vec<String>,
}

impl Hub {
    pub(crate) fn status(&self) -> GatewayStatus {
        let (mut buffered_records, mut unforwarded_records) = (0, 0);
        let mut oldest_ms = None;
        for partition in self.all() {
            let forward = partition.forward.lock();
            buffered_records += forward.buffered_records();
            unforwarded_records += forward.unacknowledged_records();
            let oldest = forward.oldest().map(|entry| entry.accepted_at_ms);
            oldest_ms = [oldest_ms, oldest].into_iter().flatten().min();
        }
        let buffered_bytes = self.store.used();
        self.metrics.syncs.inc_by(self.store.syncs().saturating_sub(self.metrics.syncs.get()));
        self.metrics.used.set(i64::try_from(buffered_bytes).unwrap_or(i64::MAX));
        self.metrics.buffered_records.set(i64::try_from(buffered_records).unwrap_or(i64::MAX));
        self.metrics.oldest_record.set(oldest_ms.map_or(0.0, |ms| ms as f64 / 1000.0));
        let held = self.held();
        self.metrics.held_partitions.set(i64::try_from(held.len()).unwrap_or(i64::MAX));
        let standing = self.standing();
        let now = tokio::time::Instant::now();
        GatewayStatus {
            epoch: standing.as_ref().map_or(0, |standing| standing.epoch.to_wire()),
            forwarding_to: standing
                .filter(|standing| standing.lives(now))
                .and_then(|standing| standing.region.clone()),
            buffered_bytes,
            capacity_bytes: self.store.capacity(),
            buffered_records,
            unforwarded_records,
            relayed_transactions: self.metrics.relayed_transactions.get(),
            journal_failed: self.store.is_broken(),
            held,
        }
    }

    /// Keeps the gauges fresh.
    pub(crate) async fn keep_gauges(self: std::sync::Arc<Self>) {
        loop {
            self.status();
            tokio::time::sleep(crate::limits::GAUGE_INTERVAL).await;
        }
    }
}
