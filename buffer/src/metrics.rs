//! The gateway's metrics.

use std::collections::HashMap;

use prometheus::{Gauge, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, Opts, Registry};

/// Seconds; a disk that is well stays in the first ones.
const FSYNC_BUCKETS: [f64; 12] =
    [0.000_1, 0.000_2, 0.000_5, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1.0];

#[derive(Clone, Debug)]
pub(crate) struct Metrics {
    pub(crate) used: IntGauge,
    pub(crate) capacity: IntGauge,
    pub(crate) buffered_records: IntGauge,
    pub(crate) oldest_record: Gauge,
    pub(crate) fsync: Histogram,
    pub(crate) syncs: IntCounter,
    rejected: IntCounterVec,
    pub(crate) accepted_records: IntCounter,
    pub(crate) repeated_batches: IntCounter,
    pub(crate) forwarded_records: IntCounter,
    pub(crate) matched_records: IntCounter,
    refused: IntCounterVec,
    pub(crate) relayed_transactions: IntCounter,
    pub(crate) damaged_records: IntCounter,
    pub(crate) damaged_ranges: IntGauge,
    pub(crate) held_partitions: IntGauge,
}

impl Metrics {
    /// Registers everything under `labels`.
    pub(crate) fn register(
        registry: &Registry,
        labels: &HashMap<String, String>,
    ) -> Result<Self, prometheus::Error> {
        let opts = |name: &str, help: &str| {
            Opts::new(format!("leeward_buffer_{name}"), help).const_labels(labels.clone())
        };
        let counter = |name, help| {
            let counter = IntCounter::with_opts(opts(name, help))?;
            registry.register(Box::new(counter.clone()))?;
            Ok::<_, prometheus::Error>(counter)
        };
        let counters = |name, help, label| {
            let counters = IntCounterVec::new(opts(name, help), &[label])?;
            registry.register(Box::new(counters.clone()))?;
            Ok::<_, prometheus::Error>(counters)
        };
        let gauge = |name, help| {
            let gauge = IntGauge::with_opts(opts(name, help))?;
            registry.register(Box::new(gauge.clone()))?;
            Ok::<_, prometheus::Error>(gauge)
        };
        let oldest_record = Gauge::with_opts(opts(
            "oldest_record_timestamp_seconds",
            "When the oldest buffered record was accepted; 0 where none is buffered.",
        ))?;
        registry.register(Box::new(oldest_record.clone()))?;
        let fsync = Histogram::with_opts(
            HistogramOpts::new(
                "leeward_buffer_fsync_duration_seconds",
                "From a batch's handing over to the journal until it is durable.",
            )
            .const_labels(labels.clone())
            .buckets(FSYNC_BUCKETS.to_vec()),
        )?;
        registry.register(Box::new(fsync.clone()))?;
        Ok(Self {
            used: gauge("used_bytes", "Journal from the oldest byte that is needed to the newest.")?,
            capacity: gauge("capacity_bytes", "Used bytes at which records are refused.")?,
            buffered_records: gauge("records", "Records that are buffered.")?,
            oldest_record,
            fsync,
            syncs: counter("syncs_total", "Syncs of the journal; each makes a group of batches durable.")?,
            rejected: counters(
                "rejected_records_total",
                "Records that were not taken, were set aside, or were forgotten with a deleted topic.",
                "reason",
            )?,
            accepted_records: counter("accepted_records_total", "Records made durable.")?,
            repeated_batches: counter("repeated_batches_total", "Batches that clients sent again.")?,
            forwarded_records: counter("forwarded_records_total", "Records acknowledged by a region.")?,
            matched_records: counter(
                "matched_records_total",
                "Records of unknown outcome that were found in the survivor.",
            )?,
            refused: counters("refusals_total", "Batches that a region refused.", "code")?,
            relayed_transactions: counter(
                "relayed_transactions_total",
                "Transactions that were relayed without being buffered.",
            )?,
            damaged_records: counter("damaged_records_total", "Acknowledged records that cannot be read.")?,
            damaged_ranges: gauge("damaged_ranges", "Damaged ranges found in the journal at start.")?,
            held_partitions: gauge(
                "held_partitions",
                "Partitions whose next batch the region refuses again and again.",
            )?,
        })
    }

    pub(crate) fn rejected(&self, reason: &str, records: u64) {
        self.rejected.with_label_values(&[reason]).inc_by(records);
    }

    pub(crate) fn refused(&self, code: &str) {
        self.refused.with_label_values(&[code]).inc();
    }
}
