//! Puts what was measured together into the report.

use std::{collections::BTreeMap, time::Duration};

use leeward_policies::{Fault, StepKind};
use leeward_proto::control::{FailoverSummary, LossStatement};

use super::Running;
use crate::{
    checker::{judge, judge_group},
    expect::{Measured, evaluate},
    ledger::{Found, Ledger},
    load::Noted,
    report::{ClientView, Phase, QuarantineTally, REPORT_SCHEMA, Report, StatedLoss, Verdict},
};

const TENTH_MICROS: u64 = 100_000;

impl Running {
    /// `found` is what stands in the acting primary; without it nothing is said of records.
    pub(super) fn conclude(
        &mut self,
        found: Option<&[Found]>,
        quarantine: Option<QuarantineTally>,
    ) -> Report {
        let drill = &self.run.drill.document;
        let topology = &self.run.topology.document;
        let took_micros = self.clock.micros();
        let (judgement, clients) = self.notes.with(|notes| {
            let judgement = found.map(|found| judge(&notes.ledger, found)).unwrap_or_default();
            (judgement, client_views(notes, took_micros))
        });
        let has_outage = drill
            .spec
            .steps
            .iter()
            .any(|step| matches!(&step.kind, StepKind::Fault { fault: Fault::RegionDown { .. }, .. }));
        let outage = self.notes.with(|notes| direct_outage(&notes.ledger, self.outage_at));
        let (summary, last, losses) = self.watch.with(|watched| {
            let last = watched.status.as_ref().and_then(|status| status.last_failover.clone());
            let losses = watched.losses.iter().map(stated).collect();
            (watched.emergency.clone().filter(|_| has_outage).or_else(|| last.clone()), last, losses)
        });
        let phases = self.phases(summary.as_ref(), outage, has_outage);
        let rto_micros = has_outage.then(|| rto(outage, &phases)).flatten();
        let rpo_max_millis =
            self.watch.with(|watched| watched.rpo_curve.iter().map(|(_, millis)| *millis as u64).max());
        let arithmetic = topology.rto_arithmetic();
        let failovers = self.watch.with(|watched| {
            let over = ["failover-finished", "switchover-finished", "failback-finished"];
            watched.events.iter().filter(|seen| over.contains(&seen.happening.code.as_str())).count() as u64
        });
        let measured = Measured {
            judgement: &judgement,
            clients: &clients,
            phases: &phases,
            rto: rto_micros.map(Duration::from_micros),
            rpo: rpo_max_millis.map(Duration::from_millis),
            split_brain: self.watch.with(|watched| watched.split_brain),
            failovers,
            has_outage,
        };
        let rto_budget = topology.spec.budgets.rto.max;
        let mut expectations = evaluate(&drill.spec, rto_budget, &measured);
        expectations.append(&mut self.missed);
        let shown_rto_budget = drill.spec.expect.rto.map_or(rto_budget, |bound| bound.value);
        let groups = found.map_or_else(Vec::new, |found| {
            self.groups.iter().map(|group| group.with(|name, read| judge_group(name, read, found))).collect()
        });
        let happenings = self.watch.with(|watched| {
            let mut all: Vec<_> = watched.events.iter().map(|seen| seen.happening.clone()).collect();
            all.sort_by_key(|happening| happening.at);
            all
        });
        let mut report = Report {
            schema: REPORT_SCHEMA.to_owned(),
            drill: drill.metadata.name.to_string(),
            topology: topology.metadata.name.to_string(),
            verdict: Verdict::Inconclusive,
            reasons: std::mem::take(&mut self.troubles),
            seed: drill.spec.seed,
            started_at: self.clock.began_at().to_string(),
            took_micros,
            expectations,
            rto_micros,
            rto_budget_micros: Some(micros(shown_rto_budget)),
            rpo_max_millis,
            rpo_budget_millis: drill
                .spec
                .expect
                .rpo
                .map(|bound| u64::try_from(bound.value.as_millis()).unwrap_or(u64::MAX)),
            fault_window: self.fault_window,
            phases,
            clients,
            rpo_curve: self.watch.with(|watched| watched.rpo_curve.clone()),
            buffer_curve: self.watch.with(|watched| watched.buffer_curve.clone()),
            judgement,
            groups,
            loss_statement: last.iter().flat_map(loss_in_words).collect(),
            losses,
            quarantine,
            faults: self.faults.clone(),
            happenings,
            rto_arithmetic: arithmetic
                .terms
                .iter()
                .map(|term| (term.name.to_string(), micros(term.duration)))
                .collect(),
            environment: environment(),
        };
        report.conclude();
        report
    }

    /// The waterfall: from the fault to the first acknowledgement behind it.
    fn phases(
        &self,
        summary: Option<&FailoverSummary>,
        outage: Option<(u64, u64)>,
        has_outage: bool,
    ) -> Vec<Phase> {
        let Some(summary) = summary else { return Vec::new() };
        let began = self.clock.micros_of_wall(summary.started_at_millis);
        let mut phases: Vec<Phase> = summary
            .phases
            .iter()
            .map(|phase| {
                let from = began + phase.started_after_micros;
                Phase { name: phase.phase.to_lowercase(), from, to: from + phase.took_micros }
            })
            .collect();
        if let (Some(fault_at), true, Some(first)) = (self.outage_at, has_outage, phases.first_mut()) {
            // The controller counts from its first symptom, a drill from the fault.
            first.from = fault_at.min(first.to);
        }
        if let (Some((_, back)), Some(last)) = (outage, phases.last())
            && back > last.to
        {
            phases.push(Phase { name: "first ack".to_owned(), from: last.to, to: back });
        }
        phases
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// Last good acknowledgement of direct clients before the outage, first one behind it.
fn direct_outage(ledger: &Ledger, fault_at: Option<u64>) -> Option<(u64, u64)> {
    let fault_at = fault_at?;
    let acks = ledger.ack_times("direct");
    let behind = acks.partition_point(|at| *at <= fault_at);
    // Acknowledgements that were under way when the fault struck still arrive: the outage is the longest gap that ends
    // behind the fault.
    acks.windows(2)
        .skip(behind.saturating_sub(1))
        .map(|pair| (pair[0], pair[1]))
        .max_by_key(|(last, first)| first - last)
}

/// The outage that direct clients saw; without such clients, from the fault to the end of the failover.
fn rto(outage: Option<(u64, u64)>, phases: &[Phase]) -> Option<u64> {
    let seen = outage.map(|(last, first)| first - last);
    seen.or_else(|| Some(phases.last()?.to - phases.first()?.from))
}

fn client_views(notes: &Noted, took_micros: u64) -> Vec<ClientView> {
    // Whoever stopped long before the others did not come back: that silence counts too.
    let last_acks =
        notes.ledger.routes().into_iter().filter_map(|route| notes.ledger.ack_times(&route).last().copied());
    let load_ended = last_acks.max().unwrap_or(took_micros);
    let tenths = usize::try_from(took_micros / TENTH_MICROS).unwrap_or(0) + 1;
    notes
        .ledger
        .routes()
        .into_iter()
        .map(|route| {
            let acks = notes.ledger.ack_times(&route);
            let mut acks_by_tenth = vec![0_u32; tenths];
            for at in &acks {
                if let Some(count) = acks_by_tenth.get_mut((at / TENTH_MICROS) as usize) {
                    *count += 1;
                }
            }
            let quantile =
                |q: f64| notes.latency.get(&route).map_or(0, |latency| latency.value_at_quantile(q));
            ClientView {
                acked: acks.len() as u64,
                failed: notes.failed.get(&route).copied().unwrap_or(0),
                silence_max_micros: silence(&acks, load_ended),
                latency_p50_micros: quantile(0.5),
                latency_p99_micros: quantile(0.99),
                latency_max_micros: quantile(1.0),
                acks_by_tenth,
                note: notes
                    .last_error
                    .get(&route)
                    .map_or_else(String::new, |error| format!("last error: {error}")),
                name: route,
            }
        })
        .collect()
}

/// Longest time without an acknowledgement, from the first one to the end of the load.
fn silence(acks: &[u64], load_ended: u64) -> u64 {
    let between = acks.windows(2).map(|pair| pair[1] - pair[0]).max();
    let behind = acks.last().map(|last| load_ended.saturating_sub(*last));
    between.max(behind).unwrap_or(load_ended)
}

fn stated(loss: &LossStatement) -> StatedLoss {
    StatedLoss {
        records_min: loss.records_min,
        records_max: (!loss.unbounded).then_some(loss.records_max),
        exact: loss.exact,
    }
}

fn loss_in_words(summary: &FailoverSummary) -> Vec<String> {
    let fence = format!("Fence {}: {}.", summary.fence, summary.fence_seen.join("; "));
    let Some(loss) = &summary.loss else { return vec![fence] };
    let bounds = loss.bounds_in_words();
    vec![
        format!("The controller states as lost to the survivor's log, buffers not counted: {bounds}."),
        fence,
    ]
}

fn environment() -> Vec<(String, String)> {
    let known: BTreeMap<&str, String> = [
        ("leeward", env!("CARGO_PKG_VERSION").to_owned()),
        ("system", format!("{} {}", std::env::consts::OS, std::env::consts::ARCH)),
        (
            "cores",
            std::thread::available_parallelism().map_or_else(|_| "unknown".to_owned(), |n| n.to_string()),
        ),
        ("build", if cfg!(debug_assertions) { "debug" } else { "release" }.to_owned()),
    ]
    .into();
    known.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}
