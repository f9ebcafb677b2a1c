//! What a link counts.

use leeward_mirror_core::partition::Notice;
use leeward_model::{TopicName, WallTime};
use prometheus::{
    GaugeVec, HistogramOpts, HistogramVec, IntCounterVec, IntGaugeVec, Opts, Registry,
    core::{Collector, GenericCounterVec},
};

use crate::{
    LinkConfig,
    clock::wall,
    status::{GroupsFollowed, LinkStatus, lag},
};

/// Upper bounds, in seconds, from what a metro link takes to a backlog of an hour.
const LATENCY_BUCKETS: [f64; 14] =
    [0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0, 300.0, 3600.0];

/// The metrics of all links of a process.
#[derive(Clone, Debug)]
pub struct MirrorMetrics {
    last_durable_heartbeat: GaugeVec,
    oldest_unreplicated: GaugeVec,
    lag_records: IntGaugeVec,
    records_read: IntCounterVec,
    records_written: IntCounterVec,
    bytes_read: IntCounterVec,
    bytes_written: IntCounterVec,
    errors: IntCounterVec,
    partitions: IntGaugeVec,
    gap_records: IntCounterVec,
    mapped_groups: IntGaugeVec,
    unmapped_groups: IntGaugeVec,
    last_sync: GaugeVec,
    groups_followed: IntGaugeVec,
    skipped_active: IntCounterVec,
    latency: HistogramVec,
}

fn registered<C: Collector + Clone + 'static>(
    registry: &Registry,
    collector: C,
) -> Result<C, prometheus::Error> {
    registry.register(Box::new(collector.clone()))?;
    Ok(collector)
}

impl MirrorMetrics {
    /// # Errors
    ///
    /// [`prometheus::Error`] where the registry has metrics of these names already.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let link = &["topology", "link"];
        let topic = &["topology", "link", "topic"];
        let gauge =
            |name, help, labels: &[&str]| registered(registry, GaugeVec::new(Opts::new(name, help), labels)?);
        let whole = |name, help, labels: &[&str]| {
            registered(registry, IntGaugeVec::new(Opts::new(name, help), labels)?)
        };
        let counter = |name, help, labels: &[&str]| {
            registered(registry, GenericCounterVec::new(Opts::new(name, help), labels)?)
        };
        Ok(Self {
            last_durable_heartbeat: gauge(
                "leeward_link_last_durable_heartbeat_timestamp_seconds",
                "When the newest heartbeat was written below which the target has everything.",
                &["topology", "link", "source", "target"],
            )?,
            oldest_unreplicated: gauge(
                "leeward_link_oldest_unreplicated_timestamp_seconds",
                "A time before which the target has everything; 0 when nothing is at risk.",
                link,
            )?,
            lag_records: whole("leeward_link_lag_records", "Source offsets that the target lacks.", topic)?,
            records_read: counter("leeward_link_records_read_total", "Records read from the source.", topic)?,
            records_written: counter(
                "leeward_link_records_written_total",
                "Records the target has taken.",
                topic,
            )?,
            bytes_read: counter("leeward_link_bytes_read_total", "Bytes read from the source.", link)?,
            bytes_written: counter("leeward_link_bytes_written_total", "Bytes the target has taken.", link)?,
            errors: counter(
                "leeward_link_errors_total",
                "Requests that failed.",
                &["topology", "link", "kind"],
            )?,
            partitions: whole(
                "leeward_link_partitions",
                "Partitions by state.",
                &["topology", "link", "state"],
            )?,
            gap_records: counter(
                "leeward_link_gap_records_total",
                "Offsets that differ between source and target for a reason that somebody should know.",
                &["topology", "link", "topic", "cause"],
            )?,
            mapped_groups: whole(
                "leeward_offsets_mapped_groups",
                "Groups whose positions are carried over.",
                link,
            )?,
            unmapped_groups: whole(
                "leeward_offsets_unmapped_groups",
                "Groups with a position that waits.",
                link,
            )?,
            last_sync: gauge(
                "leeward_offsets_last_sync_timestamp_seconds",
                "When group positions were last compared.",
                link,
            )?,
            groups_followed: whole(
                "leeward_offsets_followed",
                "How group positions are followed: 1 for the way that is taken.",
                &["topology", "link", "way"],
            )?,
            latency: registered(
                registry,
                HistogramVec::new(
                    HistogramOpts::new(
                        "leeward_link_replication_latency_seconds",
                        "Age of a batch's newest record when the target has taken it.",
                    )
                    .buckets(LATENCY_BUCKETS.to_vec()),
                    link,
                )?,
            )?,
            skipped_active: counter(
                "leeward_offsets_skipped_active_total",
                "Positions left alone because the group lives at the target.",
                &["topology", "link", "group"],
            )?,
        })
    }

    /// The metrics of one link.
    pub(crate) fn of(&self, config: &LinkConfig) -> LinkMetrics {
        LinkMetrics {
            all: self.clone(),
            topology: config.topology.clone(),
            link: config.name.to_string(),
            source: config.source_region.to_string(),
            target: config.target_region.to_string(),
        }
    }
}

/// The metrics of one link.
#[derive(Clone, Debug)]
pub(crate) struct LinkMetrics {
    all: MirrorMetrics,
    topology: String,
    link: String,
    source: String,
    target: String,
}

fn seconds(time: WallTime) -> f64 {
    time.as_millis() as f64 / 1000.0
}

impl LinkMetrics {
    fn link(&self) -> [&str; 2] {
        [&self.topology, &self.link]
    }

    pub(crate) fn read(&self, topic: &TopicName, records: u64, bytes: u64) {
        let [topology, link] = self.link();
        self.all.records_read.with_label_values(&[topology, link, topic.as_str()]).inc_by(records);
        self.all.bytes_read.with_label_values(&self.link()).inc_by(bytes);
    }

    pub(crate) fn written(&self, topic: &TopicName, records: u64, bytes: u64, newest: WallTime) {
        let latency = wall().since(newest).as_secs_f64();
        self.all.latency.with_label_values(&self.link()).observe(latency);
        let [topology, link] = self.link();
        self.all.records_written.with_label_values(&[topology, link, topic.as_str()]).inc_by(records);
        self.all.bytes_written.with_label_values(&self.link()).inc_by(bytes);
    }

    pub(crate) fn error(&self, kind: &str) {
        let [topology, link] = self.link();
        self.all.errors.with_label_values(&[topology, link, kind]).inc();
    }

    pub(crate) fn notice(&self, topic: &TopicName, notice: &Notice) {
        let (from, to) = notice.range();
        let [topology, link] = self.link();
        if from >= 0 && to > from {
            let labels = [topology, link, topic.as_str(), notice.code()];
            self.all.gap_records.with_label_values(&labels).inc_by(from.abs_diff(to));
        }
    }

    pub(crate) fn show(&self, status: &LinkStatus) {
        let [topology, link] = self.link();
        if let Some(heartbeat) = status.last_durable_heartbeat {
            let labels = [topology, link, self.source.as_str(), self.target.as_str()];
            self.all.last_durable_heartbeat.with_label_values(&labels).set(seconds(heartbeat));
            let at_risk = if status.lag_records() == 0 { 0.0 } else { seconds(heartbeat) };
            self.all.oldest_unreplicated.with_label_values(&self.link()).set(at_risk);
        }
        let mut by_topic = std::collections::BTreeMap::<_, u64>::new();
        let mut by_state =
            std::collections::BTreeMap::from([("active", 0), ("catching_up", 0), ("failed", 0)]);
        for partition in &status.partitions {
            *by_topic.entry(partition.source.topic.as_str()).or_default() += lag(partition);
            let state = match partition.standing.state {
                "stopped" => "failed",
                "active" => "active",
                _ => "catching_up",
            };
            *by_state.entry(state).or_default() += 1;
        }
        for (topic, lag) in by_topic {
            let labels = [topology, link, topic];
            self.all.lag_records.with_label_values(&labels).set(i64::try_from(lag).unwrap_or(i64::MAX));
        }
        for (state, count) in by_state {
            self.all.partitions.with_label_values(&[topology, link, state]).set(count);
        }
    }

    pub(crate) fn groups(&self, mapped: usize, waiting: usize) {
        self.all.mapped_groups.with_label_values(&self.link()).set(mapped as i64);
        self.all.unmapped_groups.with_label_values(&self.link()).set(waiting as i64);
        self.all.last_sync.with_label_values(&self.link()).set(seconds(wall()));
    }

    pub(crate) fn groups_followed(&self, way: &str) {
        let [topology, link] = self.link();
        for name in GroupsFollowed::NAMES {
            self.all.groups_followed.with_label_values(&[topology, link, name]).set((name == way).into());
        }
    }

    pub(crate) fn skipped_active(&self, group: &str) {
        let [topology, link] = self.link();
        self.all.skipped_active.with_label_values(&[topology, link, group]).inc();
    }
}
