//! Compares what was measured with the drill's `expect`.

use std::time::Duration;

use leeward_policies::{Bound, Count, DrillSpec, Order, Through};

use crate::{
    checker::{Judgement, Tally},
    report::{ClientView, Expectation, Phase, Verdict},
};

/// What the expectations are compared with.
#[derive(Debug)]
pub(crate) struct Measured<'a> {
    pub(crate) judgement: &'a Judgement,
    pub(crate) clients: &'a [ClientView],
    pub(crate) phases: &'a [Phase],
    pub(crate) rto: Option<Duration>,
    pub(crate) rpo: Option<Duration>,
    pub(crate) split_brain: u64,
    pub(crate) failovers: u64,
    /// Whether the drill breaks a region, so that an RTO exists at all.
    pub(crate) has_outage: bool,
}

/// One line for each thing that the drill expects.
pub(crate) fn evaluate(drill: &DrillSpec, rto_budget: Duration, measured: &Measured<'_>) -> Vec<Expectation> {
    let expect = &drill.expect;
    let mut lines = Vec::new();
    if measured.has_outage || expect.rto.is_some() {
        let bound = expect.rto.unwrap_or_else(|| Bound::at_most(rto_budget));
        lines.push(time("rto", bound, measured.rto));
    }
    if let Some(bound) = expect.rpo {
        lines.push(time("rpo", bound, measured.rpo));
    }
    let lost = through(measured.judgement, expect.lost.through);
    let word = expect.lost.through.as_str();
    lines.push(count(
        &format!("lost ({word}, acknowledged)"),
        expect.lost.acked,
        lost.as_ref().map(|t| t.lost),
    ));
    if let Some(bound) = expect.lost.total {
        lines.push(count(&format!("lost ({word}, all)"), bound, lost.map(|t| t.sent - t.found)));
    }
    let duplicated = through(measured.judgement, expect.duplicates.through);
    let word = expect.duplicates.through.as_str();
    if let Some(bound) = expect.duplicates.total {
        lines.push(count(&format!("duplicates ({word})"), bound, duplicated.map(|t| t.duplicated)));
    }
    if let Some(bound) = expect.duplicates.per_partition {
        let worst = measured
            .judgement
            .by_stream
            .iter()
            .filter(|(stream, _)| is_through(&stream.route, expect.duplicates.through))
            .map(|(_, tally)| tally.duplicated)
            .max();
        lines.push(count(&format!("duplicates ({word}, worst partition)"), bound, worst));
    }
    if expect.order == Order::PerPartition {
        let reordered = through(measured.judgement, Through::Buffered)
            .or_else(|| through(measured.judgement, Through::Any));
        lines.push(count("out of order", Bound::at_most(Count::of(0)), reordered.map(|t| t.reordered)));
    }
    lines.push(count("split brain", expect.split_brain, Some(measured.split_brain)));
    if let Some(bound) = expect.failovers {
        lines.push(count("failovers", bound, Some(measured.failovers)));
    }
    if let Some(bound) = expect.downtime {
        let silence = measured.clients.iter().map(|client| client.silence_max_micros).max();
        lines.push(time("downtime", bound, silence.map(Duration::from_micros)));
    }
    let phases = &expect.phases;
    for (name, bound) in [
        ("detect", phases.detect),
        ("decide", phases.decide),
        ("fence", phases.fence),
        ("promote", phases.promote),
        ("dns", phases.dns),
        ("verify", phases.verify),
    ] {
        if let Some(bound) = bound {
            let took = measured.phases.iter().find(|phase| phase.name == name);
            lines.push(time(
                &format!("phase {name}"),
                bound,
                took.map(|phase| Duration::from_micros(phase.to - phase.from)),
            ));
        }
    }
    lines
}

fn is_through(route: &str, through: Through) -> bool {
    match through {
        Through::Buffered => route.starts_with("gateway"),
        Through::Direct => route.starts_with("direct"),
        Through::Any => true,
    }
}

fn through(judgement: &Judgement, through: Through) -> Option<Tally> {
    judgement
        .by_route
        .iter()
        .filter(|(route, _)| is_through(route, through))
        .map(|(_, tally)| tally.clone())
        .reduce(|mut sum, tally| {
            sum.add(&tally);
            sum
        })
}

fn time(name: &str, bound: Bound<Duration>, measured: Option<Duration>) -> Expectation {
    Expectation {
        name: name.to_owned(),
        budget: bound.to_string(),
        measured: measured
            .map_or_else(|| "nothing to measure".to_owned(), |took| format!("{:.3}s", took.as_secs_f64())),
        verdict: verdict(measured.map(|measured| bound.holds(measured))),
    }
}

fn count(name: &str, bound: Bound<Count>, measured: Option<u64>) -> Expectation {
    Expectation {
        name: name.to_owned(),
        budget: bound.to_string(),
        measured: measured.map_or_else(|| "nothing to measure".to_owned(), |count| count.to_string()),
        verdict: verdict(measured.map(|measured| bound.holds(Count::of(measured)))),
    }
}

fn verdict(holds: Option<bool>) -> Verdict {
    match holds {
        Some(true) => Verdict::Pass,
        Some(false) => Verdict::Fail,
        None => Verdict::Inconclusive,
    }
}
