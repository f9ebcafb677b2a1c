//! The controller's series, under the names that dashboards and alerts use.

use std::{fmt, time::Duration};

use leeward_failover_core::{LossStatement, OperationResult, Status, UpperBound};
use leeward_model::{RegionName, TopologyName};
use leeward_proto::{control::GatewayReport, link::LinkReply};
use prometheus::{
    CounterVec, Encoder, GaugeVec, HistogramVec, Opts, Registry, TextEncoder, histogram_opts,
    proto::MetricFamily,
};

use crate::{DnsMetrics, config::Budgets, publish, timeline::Summary};

const HEALTH: [&str; 5] = ["healthy", "suspect", "down", "fenced", "unknown"];
const ROLES: [&str; 5] = ["primary", "standby", "lost", "fenced", "resyncing"];
const PHASE_SECONDS: [f64; 12] = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 120.0];
const PROBE_SECONDS: [f64; 10] = [0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0];

/// Every series of one controller.
pub(crate) struct Metrics {
    registry: Registry,
    topology: String,
    role: GaugeVec,
    writable: GaugeVec,
    health: GaugeVec,
    lease: GaugeVec,
    epoch: GaugeVec,
    gate: GaugeVec,
    in_progress: GaugeVec,
    failovers: CounterVec,
    phase_seconds: HistogramVec,
    last_rto: GaugeVec,
    last_rpo: GaugeVec,
    last_lost: GaugeVec,
    dns_seconds: HistogramVec,
    dns_errors: CounterVec,
    produce_canary: HistogramVec,
    fetch_canary: HistogramVec,
    probe_failures: CounterVec,
    link_rpo: GaugeVec,
    violation: CounterVec,
    declared_role: GaugeVec,
    leader: GaugeVec,
    members: GaugeVec,
    buffer_used: GaugeVec,
    buffer_capacity: GaugeVec,
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").field("topology", &self.topology).finish_non_exhaustive()
    }
}

/// Registers series. A name that is wrong or there twice is a mistake in this file.
struct Maker(Registry);

impl Maker {
    fn gauge(&self, name: &str, help: &str, labels: &[&str]) -> GaugeVec {
        let gauge = GaugeVec::new(Opts::new(name, help), labels).expect("the name is legal");
        self.0.register(Box::new(gauge.clone())).expect("each name stands once");
        gauge
    }

    fn counter(&self, name: &str, help: &str, labels: &[&str]) -> CounterVec {
        let counter = CounterVec::new(Opts::new(name, help), labels).expect("the name is legal");
        self.0.register(Box::new(counter.clone())).expect("each name stands once");
        counter
    }

    fn histogram(&self, name: &str, help: &str, labels: &[&str], buckets: &[f64]) -> HistogramVec {
        let options = histogram_opts!(name, help, buckets.to_vec());
        let histogram = HistogramVec::new(options, labels).expect("the name is legal");
        self.0.register(Box::new(histogram.clone())).expect("each name stands once");
        histogram
    }
}

impl Metrics {
    pub(crate) fn new(topology: &str, budgets: Budgets) -> Self {
        let maker = Maker(Registry::new());
        let own = [topology];
        let rpo =
            maker.gauge("leeward_budget_rpo_seconds", "Data at risk that the policy allows.", &["topology"]);
        rpo.with_label_values(&own).set(budgets.rpo.as_secs_f64());
        let rto = maker.gauge(
            "leeward_budget_rto_seconds",
            "Time to serve again that the policy allows.",
            &["topology"],
        );
        rto.with_label_values(&own).set(budgets.rto.as_secs_f64());
        let allowed = maker.gauge(
            "leeward_topology_writable_regions_allowed",
            "Regions that may take writes at once.",
            &["topology"],
        );
        allowed.with_label_values(&own).set(1.0);
        let region = ["topology", "region"];
        let link = ["topology", "link", "source", "target"];
        Self {
            topology: topology.to_owned(),
            role: maker.gauge(
                "leeward_region_role",
                "1 for the acting role.",
                &["topology", "region", "role"],
            ),
            writable: maker.gauge(
                "leeward_region_writable",
                "1 where a canary was written of late.",
                &region,
            ),
            health: maker.gauge(
                "leeward_region_health",
                "1 for the state it is in.",
                &["topology", "region", "state"],
            ),
            lease: maker.gauge("leeward_region_lease_remaining_seconds", "Lease that is left.", &region),
            epoch: maker.gauge("leeward_epoch", "Fencing epoch.", &["topology"]),
            gate: maker.gauge("leeward_gate_ok", "1 where automation may pass.", &["topology", "gate"]),
            in_progress: maker.gauge(
                "leeward_failover_in_progress",
                "1 while an operation is in the phase.",
                &["topology", "kind", "phase"],
            ),
            failovers: maker.counter(
                "leeward_failover_total",
                "Operations that ended.",
                &["topology", "kind", "result"],
            ),
            phase_seconds: maker.histogram(
                "leeward_failover_phase_duration_seconds",
                "Time in each phase.",
                &["topology", "kind", "phase"],
                &PHASE_SECONDS,
            ),
            last_rto: maker.gauge(
                "leeward_failover_last_rto_seconds",
                "First symptom, or verb, to the end of the newest operation.",
                &["topology", "kind"],
            ),
            last_rpo: maker.gauge(
                "leeward_failover_last_rpo_seconds",
                "Data at risk when the newest failover was decided.",
                &["topology", "kind"],
            ),
            last_lost: maker.gauge(
                "leeward_failover_last_lost_records",
                "Offsets that the newest failover lost at most; -1 while nobody knows.",
                &["topology", "kind"],
            ),
            dns_seconds: maker.histogram(
                "leeward_dns_update_duration_seconds",
                "Time of an update.",
                &["topology", "provider"],
                &PHASE_SECONDS,
            ),
            dns_errors: maker.counter(
                "leeward_dns_update_errors_total",
                "Updates that failed.",
                &["topology", "provider"],
            ),
            produce_canary: maker.histogram(
                "leeward_canary_produce_latency_seconds",
                "Canary write, from a vantage point.",
                &["topology", "region", "vantage"],
                &PROBE_SECONDS,
            ),
            fetch_canary: maker.histogram(
                "leeward_canary_fetch_latency_seconds",
                "Canary read, from a vantage point.",
                &["topology", "region", "vantage"],
                &PROBE_SECONDS,
            ),
            probe_failures: maker.counter(
                "leeward_region_probe_failures_total",
                "Probes that failed.",
                &["topology", "region", "vantage", "level"],
            ),
            link_rpo: maker.gauge(
                "leeward_link_rpo_seconds",
                "Data at risk in time; -1: never confirmed.",
                &link,
            ),
            violation: maker.counter(
                "leeward_link_rpo_violation_seconds_total",
                "Time over the RPO budget.",
                &["topology", "link"],
            ),
            declared_role: maker.gauge(
                "leeward_region_declared_role",
                "1 for the role in the policy.",
                &["topology", "region", "role"],
            ),
            leader: maker.gauge("leeward_controller_is_leader", "1 where this controller decides.", &region),
            members: maker.gauge(
                "leeward_controller_quorum_members",
                "Controllers that agree on decisions.",
                &region,
            ),
            buffer_used: maker.gauge("leeward_buffer_used_bytes", "Bytes that gateways keep.", &["topology"]),
            buffer_capacity: maker.gauge(
                "leeward_buffer_capacity_bytes",
                "Bytes that gateways may keep.",
                &["topology"],
            ),
            registry: maker.0,
        }
    }

    pub(crate) fn status(&self, status: &Status) {
        let topology = self.topology.as_str();
        self.epoch.with_label_values(&[topology]).set(status.epoch.to_wire() as f64);
        for (name, region) in &status.regions {
            let name = name.as_str();
            let role = publish::role(&region.standing);
            for known in ROLES {
                self.role.with_label_values(&[topology, name, known]).set(flag(known == role));
            }
            let health = publish::health(&region.standing, region.health.verdict);
            for known in HEALTH {
                self.health.with_label_values(&[topology, name, known]).set(flag(known == health));
            }
            self.writable.with_label_values(&[topology, name]).set(flag(region.writable));
            self.lease.with_label_values(&[topology, name]).set(region.lease_remaining.as_secs_f64());
        }
        for gate in &status.gates {
            self.gate.with_label_values(&[topology, gate.gate.name()]).set(flag(gate.refusal.is_none()));
        }
        self.in_progress.reset();
        if let Some(running) = &status.operation {
            let phase = status.phase.name();
            self.in_progress.with_label_values(&[topology, running.kind.name(), phase]).set(1.0);
        }
    }

    /// The series that say what the world sees of names.
    pub(crate) fn dns(&self, topology: &TopologyName) -> DnsMetrics {
        DnsMetrics::register(&self.registry, topology).expect("each name stands once")
    }

    pub(crate) fn phase_took(&self, kind: &str, phase: &str, took: Duration) {
        self.phase_seconds.with_label_values(&[&self.topology, kind, phase]).observe(took.as_secs_f64());
    }

    pub(crate) fn finished(&self, summary: &Summary, loss: Option<&LossStatement>) {
        let kind = summary.kind.name();
        let own = [self.topology.as_str(), kind];
        let result = match &summary.result {
            Some(OperationResult::Aborted(_)) => "aborted",
            Some(OperationResult::Completed) | None => "completed",
        };
        self.failovers.with_label_values(&[&self.topology, kind, result]).inc();
        self.last_rto.with_label_values(&own).set(summary.took().as_secs_f64());
        if let Some(exposure) = summary.exposure {
            self.last_rpo.with_label_values(&own).set(exposure.as_secs_f64());
        }
        if let Some(loss) = loss.filter(|loss| loss.epoch == summary.epoch) {
            let lost = match loss.upper() {
                UpperBound::Offsets(offsets) => offsets as f64,
                UpperBound::Unbounded => -1.0,
            };
            self.last_lost.with_label_values(&own).set(lost);
        }
    }

    pub(crate) fn dns_updated(&self, provider: &str, took: Duration, moved: bool) {
        let own = [self.topology.as_str(), provider];
        self.dns_seconds.with_label_values(&own).observe(took.as_secs_f64());
        if !moved {
            self.dns_errors.with_label_values(&own).inc();
        }
    }

    pub(crate) fn probed(&self, region: &str, vantage: &str, level: &str, took_micros: u64, good: bool) {
        let topology = self.topology.as_str();
        if !good {
            self.probe_failures.with_label_values(&[topology, region, vantage, level]).inc();
            return;
        }
        let seconds = Duration::from_micros(took_micros).as_secs_f64();
        match level {
            "produce-canary" => &self.produce_canary,
            "fetch-canary" => &self.fetch_canary,
            _ => return,
        }
        .with_label_values(&[topology, region, vantage])
        .observe(seconds);
    }

    /// The exposition, with what links and gateways say at this moment.
    pub(crate) fn text(&self, links: &[LinkReply], gateways: &[GatewayReport]) -> String {
        let mut text = Vec::new();
        TextEncoder::new()
            .encode(&self.gather(links, gateways), &mut text)
            .expect("a vector takes every byte");
        String::from_utf8(text).expect("the exposition is UTF-8")
    }

    /// The policy's roles, and a quorum that is whole as long as this one voter runs.
    pub(crate) fn declare(&self, place: &str, regions: &[RegionName; 2]) {
        let topology = self.topology.as_str();
        for (region, role) in regions.iter().zip(["primary", "standby"]) {
            self.declared_role.with_label_values(&[topology, region.as_str(), role]).set(1.0);
        }
        self.leader.with_label_values(&[topology, place]).set(1.0);
        self.members.with_label_values(&[topology, place]).set(1.0);
    }

    /// A link was over the budget for this long since it was last looked at.
    pub(crate) fn violated(&self, link: &str, during: Duration) {
        self.violation.with_label_values(&[&self.topology, link]).inc_by(during.as_secs_f64());
    }

    /// Every series, with what links and gateways say at this moment.
    pub(crate) fn gather(&self, links: &[LinkReply], gateways: &[GatewayReport]) -> Vec<MetricFamily> {
        let topology = self.topology.as_str();
        for reply in links {
            let own = [topology, reply.link.as_str(), reply.source.as_str(), reply.target.as_str()];
            let seconds = |millis: i64| if millis < 0 { -1.0 } else { millis as f64 / 1_000.0 };
            self.link_rpo.with_label_values(&own).set(seconds(reply.rpo_millis));
        }
        let sum = |of: fn(&GatewayReport) -> u64| gateways.iter().map(of).sum::<u64>() as f64;
        self.buffer_used.with_label_values(&[topology]).set(sum(|report| report.buffered_bytes));
        self.buffer_capacity.with_label_values(&[topology]).set(sum(|report| report.capacity_bytes));
        self.registry.gather()
    }
}

fn flag(on: bool) -> f64 {
    if on { 1.0 } else { 0.0 }
}
