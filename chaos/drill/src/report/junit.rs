//! `junit.xml`: one test case for each line of `expect`, and one for the faults.

use std::fmt::Write as _;

use super::{Report, Verdict};

pub(super) fn render(report: &Report) -> String {
    let failures = report.expectations.iter().filter(|line| line.verdict == Verdict::Fail).count();
    let errors = report.expectations.iter().filter(|line| line.verdict == Verdict::Inconclusive).count()
        + report.faults.iter().filter(|fault| !fault.bit).count();
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let _ = writeln!(
        xml,
        "<testsuite name=\"{}\" tests=\"{}\" failures=\"{failures}\" errors=\"{errors}\" time=\"{:.3}\">",
        escape(&report.drill),
        report.expectations.len() + report.faults.len(),
        report.took_micros as f64 / 1e6,
    );
    for line in &report.expectations {
        let said = format!("measured {}, budget {}", line.measured, line.budget);
        case(&mut xml, &line.name, line.verdict, &said);
    }
    for fault in &report.faults {
        let verdict = if fault.bit { Verdict::Pass } else { Verdict::Inconclusive };
        case(
            &mut xml,
            &format!("fault {} on {}", fault.fault, fault.target),
            verdict,
            &fault.seen.join("; "),
        );
    }
    xml.push_str("</testsuite>\n");
    xml
}

fn case(xml: &mut String, name: &str, verdict: Verdict, said: &str) {
    let (name, said) = (escape(name), escape(said));
    let _ = match verdict {
        Verdict::Pass => {
            writeln!(xml, "  <testcase name=\"{name}\"><system-out>{said}</system-out></testcase>")
        }
        Verdict::Fail => {
            writeln!(xml, "  <testcase name=\"{name}\"><failure message=\"{said}\"/></testcase>")
        }
        Verdict::Inconclusive => {
            writeln!(xml, "  <testcase name=\"{name}\"><error message=\"{said}\"/></testcase>")
        }
    };
}

/// Text that may stand in XML and HTML, in attributes too.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            control if control.is_control() && control != '\n' => escaped.push(' '),
            other => escaped.push(other),
        }
    }
    escaped
}
