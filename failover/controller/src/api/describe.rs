//! The engine's status in the words of the `control` contract.

use std::time::Duration;

use leeward_failover_core::{
    FailbackPlan, FenceProof, GateResult, Kind, LevelVerdict, LossStatement, Rejected, Status, TailPolicy,
    UpperBound, Verb,
};
use leeward_proto::control::{
    Event, FailoverSummary, GateStatus, GatewayStatus, LinkStatus, LossStatement as LossMessage,
    ObserverVerdict, PartitionLoss, PhaseTiming, PlanReply, RegionStatus, StatusReply,
};

use super::Shared;
use crate::{events, publish, timeline::Summary};

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// The whole topology.
pub(crate) fn status(shared: &Shared) -> StatusReply {
    let view = shared.brain.view.borrow().clone();
    let status = &view.status;
    StatusReply {
        topology: shared.topology.clone(),
        declared_primary: shared.declared_primary.clone(),
        acting_primary: status.serving.clone().map(String::from).unwrap_or_default(),
        epoch: status.epoch.to_wire(),
        phase: capitalised(status.phase.name()),
        held_reason: match &status.phase {
            leeward_failover_core::Phase::Held(reason) => reason.to_string(),
            _ => String::new(),
        },
        automation: shared.automation.clone(),
        regions: regions(shared, status),
        links: links(shared),
        gateways: gateways(shared),
        gates: status.gates.iter().map(gate).collect(),
        last_failover: view.last.as_ref().map(|last| summary(last, status.loss.as_ref())),
        worst_case_rto_millis: millis(shared.budgets.rto_worst_case),
        dns: shared
            .dns
            .iter()
            .map(|name| format!("{name} -> {} (epoch {})", status.primary, status.epoch))
            .collect(),
    }
}

fn capitalised(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map(|first| first.to_ascii_uppercase().to_string() + letters.as_str()).unwrap_or_default()
}

fn regions(shared: &Shared, status: &Status) -> Vec<RegionStatus> {
    let region = |(name, region): (&leeward_model::RegionName, &leeward_failover_core::RegionStatus)| {
        let declared = if name.as_str() == shared.declared_primary { "primary" } else { "standby" };
        let verdicts = region.levels.iter().map(|(observer, level, verdict)| ObserverVerdict {
            observer: observer.to_string(),
            level: level.name().to_owned(),
            verdict: verdict_name(*verdict).to_owned(),
            cause: String::new(),
        });
        RegionStatus {
            name: name.to_string(),
            declared_role: declared.to_owned(),
            acting_role: publish::role(&region.standing).to_owned(),
            health: publish::health(&region.standing, region.health.verdict).to_owned(),
            writable: region.writable,
            cluster_id: shared.links.cluster_id(name),
            verdicts: verdicts.collect(),
            lease_remaining_millis: millis(region.lease_remaining),
        }
    };
    status.regions.iter().map(region).collect()
}

fn verdict_name(verdict: LevelVerdict) -> &'static str {
    match verdict {
        LevelVerdict::Good => "good",
        LevelVerdict::Suspect => "suspect",
        LevelVerdict::Down => "down",
        LevelVerdict::Unknown => "unknown",
    }
}

fn links(shared: &Shared) -> Vec<LinkStatus> {
    let link = |reply: leeward_proto::link::LinkReply| {
        let count =
            |state: &str| reply.partitions.iter().filter(|position| position.state == state).count() as u64;
        LinkStatus {
            partitions_active: count("active"),
            partitions_failed: count("stopped"),
            name: reply.link,
            source: reply.source,
            target: reply.target,
            state: reply.state,
            rpo_millis: reply.rpo_millis,
            lag_records: reply.lag_records,
        }
    };
    shared.links.replies().into_iter().map(link).collect()
}

fn gateways(shared: &Shared) -> Vec<GatewayStatus> {
    let gateway = |report: leeward_proto::control::GatewayReport| GatewayStatus {
        name: report.gateway,
        address: report.address,
        epoch: report.epoch,
        forwarding_to: report.forwarding_to,
        buffered_bytes: report.buffered_bytes,
        capacity_bytes: report.capacity_bytes,
        buffered_records: report.buffered_records,
        held_partitions: report.held_partitions,
        held: report.held,
    };
    shared.gateways.reports().into_iter().map(gateway).collect()
}

fn gate(result: &GateResult) -> GateStatus {
    GateStatus {
        gate: result.gate.name().to_owned(),
        ok: result.refusal.is_none(),
        why: result.refusal.as_ref().map(ToString::to_string).unwrap_or_default(),
    }
}

/// One operation with its phases.
pub(crate) fn summary(summary: &Summary, loss: Option<&LossStatement>) -> FailoverSummary {
    let phase = |timing: &crate::timeline::PhaseTiming| PhaseTiming {
        phase: timing.phase.to_owned(),
        started_after_micros: micros(timing.started_after),
        took_micros: micros(timing.took),
    };
    let own = loss.filter(|loss| loss.epoch == summary.epoch && summary.kind == Kind::Failover);
    FailoverSummary {
        kind: summary.kind.name().to_owned(),
        from: summary.from.to_string(),
        to: summary.to.to_string(),
        epoch: summary.epoch.to_wire(),
        fence: summary.fence.as_ref().map(fence_name).unwrap_or_default(),
        fence_seen: summary.fence.as_ref().map(fence_seen).unwrap_or_default(),
        phases: summary.phases.iter().map(phase).collect(),
        loss: own.map(loss_message),
        started_at_millis: summary.started_at.as_millis(),
        finished_at_millis: summary.finished_at.map(leeward_model::WallTime::as_millis).unwrap_or_default(),
    }
}

fn fence_name(fence: &FenceProof) -> String {
    if fence.is_confirmed() { "confirmed" } else { "assumed" }.to_owned()
}

fn fence_seen(fence: &FenceProof) -> Vec<String> {
    let gateways = fence.gateways();
    let cut = format!(
        "gateways cut off: {} said so, {} by the end of their grants",
        gateways.acknowledged, gateways.lapsed
    );
    match fence.seal() {
        Some(seal) => vec![
            cut,
            format!("write probe refused on {} of {} brokers", seal.brokers_refusing, seal.brokers),
            format!("log ends of {} partitions still", seal.log_ends.len()),
        ],
        None => vec![cut, format!("lease of {} expired", fence.region())],
    }
}

/// The bounds of a loss.
pub(crate) fn loss_message(loss: &LossStatement) -> LossMessage {
    let partition = |bounds: &leeward_failover_core::LossBounds| PartitionLoss {
        topic: bounds.partition.topic.as_str().to_owned(),
        partition: bounds.partition.partition.to_wire(),
        replicated_to: bounds.from.to_wire(),
        source_end_seen: bounds.from.after(bounds.lower).to_wire(),
        exact: bounds.is_exact(),
    };
    let (records_max, unbounded) = match loss.upper() {
        UpperBound::Offsets(offsets) => (offsets, false),
        UpperBound::Unbounded => (0, true),
    };
    LossMessage {
        records_min: loss.lower(),
        records_max,
        unbounded,
        exact: loss.is_exact(),
        time_millis_max: 0,
        partitions: loss.partitions.iter().map(partition).collect(),
    }
}

/// What a verb would do.
pub(crate) fn plan(
    status: &Status,
    verb: &Verb,
    refusal: Option<Rejected>,
    worst_case: Duration,
) -> PlanReply {
    let from = &status.primary;
    let exposure = status.evidence.exposure();
    let link = status.evidence.link.as_ref();
    let records = link.map_or(0, |link| link.lag.records);
    let (to, emergency) = match verb {
        Verb::Failover { to, .. } => (Some(to), true),
        Verb::Switchover { to } | Verb::Failback { to, .. } => (Some(to), false),
        Verb::Approve | Verb::Retry | Verb::Abort | Verb::Pause | Verb::Resume => (None, false),
    };
    let loss = emergency.then(|| LossMessage {
        records_min: records,
        records_max: 0,
        unbounded: true,
        exact: false,
        time_millis_max: millis(exposure),
        partitions: Vec::new(),
    });
    PlanReply {
        steps: to.map(|to| steps(status, verb, from, to)).unwrap_or_default(),
        loss,
        gates: status.gates.iter().map(gate).collect(),
        worst_case_rto_millis: millis(worst_case),
        refusal: refusal.map(|refusal| refusal.to_string()).unwrap_or_default(),
    }
}

fn steps(
    status: &Status,
    verb: &Verb,
    from: &leeward_model::RegionName,
    to: &leeward_model::RegionName,
) -> Vec<String> {
    let mut steps = Vec::new();
    if let (Verb::Failback { tail, .. }, Some(region)) = (verb, status.regions.get(to))
        && let leeward_failover_core::Standing::Fenced { divergence, .. } = &region.standing
    {
        let FailbackPlan { steps: planned, .. } = FailbackPlan::for_region(to, divergence, *tail);
        steps.extend(planned.iter().map(|step| format!("{to}: {step:?}")));
        if *tail == TailPolicy::Quarantine {
            steps.push(format!("{} offsets of {to} that never left it are kept", divergence.offsets()));
        }
    }
    steps.push(format!("issue epoch {}", status.epoch.next()));
    steps.push(format!("cut gateways off from {from} and seal it"));
    steps.push(match verb {
        Verb::Failover { .. } => format!("wait for the seal, or for the lease of {from} to end"),
        _ => format!("drain {from} to {to} until nothing is left, or go back"),
    });
    steps.push(format!("seal the link, write group positions, open {to}"));
    steps.push(format!("move gateways and names to {to}"));
    steps.push(format!("verify {to} by resolving, connecting, writing and reading"));
    steps
}

pub(crate) fn event(event: events::Event) -> Event {
    Event {
        number: event.number,
        at_millis: event.at.as_millis(),
        source: event.source,
        code: event.code,
        text: event.text,
        epoch: event.epoch,
        fields: event.fields.into_iter().collect(),
    }
}
