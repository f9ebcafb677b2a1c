//! `report.html`: one file, no network, prints well. It says what the JSON says.

use std::fmt::Write as _;

use super::{
    Expectation, Report, Verdict,
    charts::{Curve, curves, seconds, unmeasured, waterfall},
    junit::escape,
};
use crate::checker::Tally;

const STYLE: &str = "
:root{--ink:#1c2430;--soft:#5b6673;--line:#d8dde3;--paper:#fff;--pass:#1d6f42;--fail:#a3231f;--open:#8a5a00}
*{box-sizing:border-box}body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);
max-width:1020px;margin:0 auto;padding:24px 20px 60px}h1{font-size:22px;margin:0 0 4px}h2{font-size:16px;margin:34px 0 8px;
border-bottom:1px solid var(--line);padding-bottom:4px}p{margin:6px 0}small,.soft{color:var(--soft)}
.bar{display:flex;flex-wrap:wrap;gap:12px;margin:16px 0}.big{border:1px solid var(--line);border-radius:6px;padding:10px 16px;
min-width:150px}.big b{display:block;font-size:24px;line-height:1.2}.verdict{color:#fff;border:0}.pass{background:var(--pass)}
.fail{background:var(--fail)}.inconclusive{background:var(--open)}table{border-collapse:collapse;width:100%;font-size:14px}
th,td{text-align:left;padding:4px 10px 4px 0;border-bottom:1px solid var(--line);vertical-align:top}td.n,th.n{text-align:right;
font-variant-numeric:tabular-nums}svg{width:100%;height:auto;font:11px system-ui,sans-serif;fill:var(--ink)}.grid{stroke:#e6e9ed}
.tick{fill:var(--soft)}.budget{stroke:#a3231f;stroke-dasharray:5 4}.budget-text{fill:#a3231f}.fault{fill:#f6e3c8}
.word-pass{color:var(--pass);font-weight:600}.word-fail{color:var(--fail);font-weight:600}.word-inconclusive{color:var(--open);
font-weight:600}@media print{body{max-width:none;padding:0}h2{break-after:avoid}tr{break-inside:avoid}}";

pub(super) fn render(report: &Report) -> String {
    let mut page = String::new();
    let _ = write!(
        page,
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" \
         content=\"width=device-width\"><title>{0}: {1}</title><style>{STYLE}</style></head><body><h1>{0}</h1>\
         <p class=\"soft\">topology {2}, started {3}, took {4}, seed {5}</p>",
        escape(&report.drill),
        word(report.verdict),
        escape(&report.topology),
        escape(&report.started_at),
        seconds(report.took_micros),
        report.seed,
    );
    verdict_bar(&mut page, report);
    expectations(&mut page, &report.expectations);
    page.push_str("<h2>Where the time went</h2>");
    let start = report.phases.iter().map(|phase| phase.from).min().unwrap_or(0);
    page.push_str(&waterfall(&report.phases, report.rto_budget_micros.map(|budget| (start, budget))));
    arithmetic(&mut page, report);
    clients(&mut page, report);
    exposure(&mut page, report);
    ledger(&mut page, report);
    groups(&mut page, report);
    evidence(&mut page, report);
    timeline(&mut page, report);
    environment(&mut page, report);
    page.push_str("</body></html>\n");
    page
}

fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "PASS",
        Verdict::Fail => "FAIL",
        Verdict::Inconclusive => "INCONCLUSIVE",
    }
}

fn class(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "pass",
        Verdict::Fail => "fail",
        Verdict::Inconclusive => "inconclusive",
    }
}

fn verdict_bar(page: &mut String, report: &Report) {
    let _ = write!(
        page,
        "<div class=\"bar\"><div class=\"big verdict {}\"><b>{}</b>{} of {} expectations met</div>",
        class(report.verdict),
        word(report.verdict),
        report.expectations.iter().filter(|line| line.verdict == Verdict::Pass).count(),
        report.expectations.len()
    );
    let none = || "not measured".to_owned();
    let gateway = report.judgement.by_route.get("gateway");
    let count = |pick: fn(&Tally) -> u64| gateway.map_or_else(none, |tally| pick(tally).to_string());
    let budget = |micros: Option<u64>| {
        micros.map_or_else(|| "no budget".to_owned(), |b| format!("budget {}", seconds(b)))
    };
    for (name, value, beside) in [
        ("RTO", report.rto_micros.map_or_else(none, seconds), budget(report.rto_budget_micros)),
        (
            "RPO exposure",
            report.rpo_max_millis.map_or_else(none, |millis| seconds(millis * 1000)),
            budget(report.rpo_budget_millis.map(|millis| millis * 1000)),
        ),
        ("lost", count(|tally| tally.lost), "acknowledged by the gateway".to_owned()),
        ("duplicated", count(|tally| tally.duplicated), "through the gateway".to_owned()),
    ] {
        let _ = write!(page, "<div class=\"big\">{name}<b>{value}</b><small>{beside}</small></div>");
    }
    page.push_str("</div>");
    for reason in &report.reasons {
        let _ = write!(page, "<p>{}</p>", escape(reason));
    }
}

fn expectations(page: &mut String, lines: &[Expectation]) {
    page.push_str(
        "<h2>Expected and measured</h2><table><tr><th>expectation</th><th>budget</th><th>measured</th><th></th></tr>",
    );
    for line in lines {
        let _ = write!(
            page,
            "<tr><td>{}</td><td>{}</td><td>{}</td><td class=\"word-{}\">{}</td></tr>",
            escape(&line.name),
            escape(&line.budget),
            escape(&line.measured),
            class(line.verdict),
            match line.verdict {
                Verdict::Pass => "met",
                Verdict::Fail => "broken",
                Verdict::Inconclusive => "not measured",
            }
        );
    }
    page.push_str("</table>");
}

fn arithmetic(page: &mut String, report: &Report) {
    if report.rto_arithmetic.is_empty() {
        return;
    }
    let terms: Vec<_> = report
        .rto_arithmetic
        .iter()
        .map(|(name, micros)| format!("{} {}", escape(name), seconds(*micros)))
        .collect();
    let total = report.rto_arithmetic.iter().map(|(_, micros)| micros).sum();
    let _ = write!(
        page,
        "<p class=\"soft\">Worst case by the policy: {} = {}</p>",
        terms.join(" + "),
        seconds(total)
    );
}

fn clients(page: &mut String, report: &Report) {
    page.push_str("<h2>What clients saw</h2>");
    let shown: Vec<_> = report
        .clients
        .iter()
        .map(|client| Curve {
            name: &client.name,
            points: (0..)
                .zip(&client.acks_by_tenth)
                .map(|(tenth, acks)| (tenth * 100_000, f64::from(*acks) * 10.0))
                .collect(),
        })
        .collect();
    page.push_str(&curves(&shown, "acks/s", report.took_micros, report.fault_window, None));
    page.push_str(
        "<table><tr><th>client</th><th class=\"n\">acknowledged</th><th class=\"n\">failed</th><th class=\"n\">longest \
         silence</th><th class=\"n\">p50</th><th class=\"n\">p99</th><th class=\"n\">max</th><th></th></tr>",
    );
    for client in &report.clients {
        let _ = write!(
            page,
            "<tr><td>{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td>\
             <td class=\"n\">{}</td><td class=\"n\">{}</td><td>{}</td></tr>",
            escape(&client.name),
            client.acked,
            client.failed,
            seconds(client.silence_max_micros),
            seconds(client.latency_p50_micros),
            seconds(client.latency_p99_micros),
            seconds(client.latency_max_micros),
            escape(&client.note)
        );
    }
    page.push_str("</table>");
}

fn exposure(page: &mut String, report: &Report) {
    page.push_str("<h2>Data at risk</h2>");
    let rpo = Curve { name: "RPO exposure", points: report.rpo_curve.clone() };
    let budget = report.rpo_budget_millis.map(|millis| millis as f64);
    page.push_str(&curves(&[rpo], "ms", report.took_micros, report.fault_window, budget));
    for (from, to) in unmeasured(&report.rpo_curve) {
        let _ = write!(
            page,
            "<p class=\"soft\">Nobody measured it from {} to {}.</p>",
            seconds(from),
            seconds(to)
        );
    }
    if !report.buffer_curve.is_empty() {
        let kib = report.buffer_curve.iter().map(|(at, bytes)| (*at, bytes / 1024.0)).collect();
        let buffered = Curve { name: "kept in the gateway's buffer", points: kib };
        page.push_str(&curves(&[buffered], "KiB", report.took_micros, report.fault_window, None));
    }
    for line in &report.loss_statement {
        let _ = write!(page, "<p>{}</p>", escape(line));
    }
}

fn ledger(page: &mut String, report: &Report) {
    page.push_str("<h2>Ledger</h2><table><tr><th>stream</th>");
    for head in
        ["sent", "acknowledged", "found", "lost", "duplicated", "out of order", "found, never acknowledged"]
    {
        let _ = write!(page, "<th class=\"n\">{head}</th>");
    }
    page.push_str("</tr>");
    let totals = report.judgement.by_route.iter().map(|(route, tally)| (format!("all {route}"), tally));
    let streams =
        report.judgement.by_stream.iter().map(|(stream, tally)| {
            (format!("{} {}-{}", stream.route, stream.topic, stream.partition), tally)
        });
    for (name, tally) in totals.chain(streams) {
        let _ = write!(page, "<tr><td>{}</td>", escape(&name));
        for number in [
            tally.sent,
            tally.acked,
            tally.found,
            tally.lost,
            tally.duplicated,
            tally.reordered,
            tally.unacked_found,
        ] {
            let _ = write!(page, "<td class=\"n\">{number}</td>");
        }
        page.push_str("</tr>");
    }
    page.push_str("</table>");
    if !report.judgement.lost.is_empty() {
        page.push_str("<p>First of the lost:</p><ul>");
        for lost in &report.judgement.lost {
            let _ = write!(
                page,
                "<li>{} {}-{} number {}, acknowledged at {}</li>",
                escape(&lost.stream.route),
                escape(&lost.stream.topic),
                lost.stream.partition,
                lost.number,
                seconds(lost.acked_at)
            );
        }
        page.push_str("</ul>");
    }
}

fn groups(page: &mut String, report: &Report) {
    if report.groups.is_empty() {
        return;
    }
    page.push_str(
        "<h2>Consumer groups</h2><table><tr><th>group</th><th class=\"n\">read</th><th class=\"n\">read again</th>\
         <th class=\"n\">skipped</th></tr>",
    );
    for group in &report.groups {
        let _ = write!(
            page,
            "<tr><td>{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td></tr>",
            escape(&group.group),
            group.read,
            group.re_read,
            group.skipped
        );
    }
    page.push_str("</table>");
}

fn evidence(page: &mut String, report: &Report) {
    page.push_str("<h2>Faults, and the proof that they bit</h2><table><tr><th>fault</th><th>target</th><th>seen</th></tr>");
    for fault in &report.faults {
        let seen =
            if fault.bit { fault.seen.join("; ") } else { format!("bit nothing. {}", fault.seen.join("; ")) };
        let _ = write!(
            page,
            "<tr><td>{}</td><td>{}</td><td>{}</td></tr>",
            escape(&fault.fault),
            escape(&fault.target),
            escape(&seen)
        );
    }
    page.push_str("</table>");
}

fn timeline(page: &mut String, report: &Report) {
    page.push_str(
        "<h2>Timeline</h2><table><tr><th class=\"n\">at</th><th>source</th><th>event</th><th></th></tr>",
    );
    for event in &report.happenings {
        let _ = write!(
            page,
            "<tr><td class=\"n\">{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
            seconds(event.at),
            escape(&event.source),
            escape(&event.code),
            escape(&event.text)
        );
    }
    page.push_str("</table>");
}

fn environment(page: &mut String, report: &Report) {
    page.push_str("<h2>Environment</h2><table>");
    for (name, value) in &report.environment {
        let _ = write!(page, "<tr><td>{}</td><td>{}</td></tr>", escape(name), escape(value));
    }
    page.push_str("</table>");
}
