//! Inline SVG: the waterfall and the curves. Each chart carries its text alternative.

use std::{fmt::Write as _, time::Duration};

use super::{Phase, Point, junit::escape};
use crate::limits::CURVE_GAP_MAX;

const WIDTH: f64 = 960.0;
const LEFT: f64 = 110.0;
const RIGHT: f64 = 20.0;
const ROW: f64 = 26.0;
const PLOT_HEIGHT: f64 = 180.0;
const AXIS: f64 = 24.0;
/// Shades that differ in lightness too, so that they can be told apart without colour.
const SHADES: [&str; 5] = ["#1f5fa8", "#c2571a", "#2f7d4f", "#7a4fa3", "#6b6b6b"];

/// One named curve.
pub(super) struct Curve<'a> {
    pub(super) name: &'a str,
    pub(super) points: Vec<Point>,
}

/// The stretches of a curve through which somebody measured.
fn stretches(points: &[Point]) -> impl Iterator<Item = &[Point]> {
    points.chunk_by(|before, after| after.0.saturating_sub(before.0) <= micros(CURVE_GAP_MAX))
}

/// Between which points of a curve nobody measured.
pub(super) fn unmeasured(points: &[Point]) -> Vec<(u64, u64)> {
    let ends: Vec<_> = stretches(points).filter_map(|part| Some((part.first()?.0, part.last()?.0))).collect();
    ends.windows(2).map(|pair| (pair[0].1, pair[1].0)).collect()
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// Seconds, with as many decimals as tell something.
pub(super) fn seconds(micros: u64) -> String {
    let seconds = micros as f64 / 1e6;
    if seconds < 10.0 { format!("{seconds:.3}s") } else { format!("{seconds:.1}s") }
}

/// Step of an axis of about six marks: 1, 2 or 5 times a power of ten.
fn step(span: f64) -> f64 {
    let rough = (span / 6.0).max(f64::MIN_POSITIVE);
    let power = 10f64.powf(rough.log10().floor());
    let factor = [1.0, 2.0, 5.0, 10.0].into_iter().find(|factor| power * factor >= rough).unwrap_or(10.0);
    power * factor
}

fn open(svg: &mut String, height: f64, label: &str) {
    let _ = write!(
        svg,
        "<svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"{}\" xmlns=\"http://www.w3.org/2000/svg\">",
        escape(label)
    );
}

/// One bar for each phase, on one axis, with the budget as a line.
pub(super) fn waterfall(phases: &[Phase], budget: Option<(u64, u64)>) -> String {
    let (Some(from), Some(last)) =
        (phases.iter().map(|phase| phase.from).min(), phases.iter().map(|phase| phase.to).max())
    else {
        return "<p>No failover took place.</p>".to_owned();
    };
    let until = budget.map_or(last, |(start, length)| last.max(start + length));
    let span = (until - from).max(1) as f64 / 1e6;
    let x = |micros: u64| {
        LEFT + (micros.saturating_sub(from) as f64 / 1e6) / span * (WIDTH - LEFT - RIGHT - 70.0)
    };
    let height = ROW * phases.len() as f64 + AXIS + 10.0;
    let said: Vec<_> =
        phases.iter().map(|phase| format!("{} {}", phase.name, seconds(phase.to - phase.from))).collect();
    let mut svg = String::new();
    open(&mut svg, height, &format!("Waterfall: {}", said.join(", ")));
    let bottom = ROW * phases.len() as f64 + 6.0;
    let mut mark = 0.0;
    while mark <= span {
        let at = LEFT + mark / span * (WIDTH - LEFT - RIGHT - 70.0);
        let _ = write!(
            svg,
            "<line x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"0\" y2=\"{bottom:.1}\" class=\"grid\"/><text x=\"{at:.1}\" \
             y=\"{:.1}\" class=\"tick\" text-anchor=\"middle\">{}s</text>",
            bottom + 16.0,
            (mark * 1000.0).round() / 1000.0
        );
        mark += step(span);
    }
    for (row, phase) in phases.iter().enumerate() {
        let y = ROW * row as f64 + 4.0;
        let (start, width) = (x(phase.from), (x(phase.to) - x(phase.from)).max(2.0));
        let _ = write!(
            svg,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text><rect x=\"{start:.1}\" y=\"{y:.1}\" \
             width=\"{width:.1}\" height=\"18\" rx=\"2\" fill=\"{}\"/><text x=\"{:.1}\" y=\"{:.1}\" class=\"value\">{}</text>",
            LEFT - 8.0,
            y + 14.0,
            escape(&phase.name),
            SHADES[row % SHADES.len()],
            start + width + 6.0,
            y + 14.0,
            seconds(phase.to - phase.from),
        );
    }
    if let Some((start, length)) = budget {
        let at = x(start + length);
        let _ = write!(
            svg,
            "<line x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"0\" y2=\"{bottom:.1}\" class=\"budget\"/><text x=\"{:.1}\" \
             y=\"12\" text-anchor=\"end\" class=\"budget-text\">RTO budget {}</text>",
            at - 6.0,
            seconds(length)
        );
    }
    svg.push_str("</svg>");
    svg
}

/// Curves over the drill's time, with the fault's window shaded and a budget line where there is one.
pub(super) fn curves(
    curves: &[Curve<'_>],
    unit: &str,
    took_micros: u64,
    window: Option<(u64, u64)>,
    budget: Option<f64>,
) -> String {
    let top = curves.iter().flat_map(|curve| &curve.points).map(|(_, value)| *value).fold(0.0, f64::max);
    let top = budget.map_or(top, |budget| top.max(budget)).max(1.0) * 1.08;
    let span = (took_micros as f64 / 1e6).max(0.001);
    let x = |micros: u64| LEFT + (micros as f64 / 1e6 / span).min(1.0) * (WIDTH - LEFT - RIGHT);
    let y = |value: f64| PLOT_HEIGHT - value / top * (PLOT_HEIGHT - 14.0);
    let names: Vec<_> = curves.iter().map(|curve| curve.name).collect();
    let mut svg = String::new();
    open(&mut svg, PLOT_HEIGHT + AXIS + 18.0, &format!("{unit} over time: {}", names.join(", ")));
    if let Some((from, to)) = window {
        let _ = write!(
            svg,
            "<rect x=\"{:.1}\" y=\"0\" width=\"{:.1}\" height=\"{PLOT_HEIGHT}\" class=\"fault\"/>",
            x(from),
            (x(to) - x(from)).max(2.0)
        );
    }
    axes(&mut svg, top, span, unit);
    if let Some(budget) = budget {
        let at = y(budget);
        let _ = write!(
            svg,
            "<line x1=\"{LEFT}\" x2=\"{:.1}\" y1=\"{at:.1}\" y2=\"{at:.1}\" class=\"budget\"/><text x=\"{:.1}\" \
             y=\"{:.1}\" text-anchor=\"end\" class=\"budget-text\">budget</text>",
            WIDTH - RIGHT,
            WIDTH - RIGHT - 4.0,
            at - 4.0
        );
    }
    for (index, curve) in curves.iter().enumerate() {
        let shade = SHADES[index % SHADES.len()];
        for part in stretches(&curve.points) {
            // A line of one point needs its end twice to be a dot.
            let ends = part.iter().chain(part.last());
            let path: Vec<_> = ends.map(|(at, value)| format!("{:.1},{:.1}", x(*at), y(*value))).collect();
            let _ = write!(
                svg,
                "<polyline points=\"{}\" fill=\"none\" stroke=\"{shade}\" stroke-width=\"1.6\" \
                 stroke-linecap=\"round\"/>",
                path.join(" ")
            );
        }
        let _ = write!(
            svg,
            "<rect x=\"{:.1}\" y=\"{:.1}\" width=\"10\" height=\"10\" fill=\"{shade}\"/><text x=\"{:.1}\" \
             y=\"{:.1}\">{}</text>",
            LEFT + 150.0 * index as f64,
            PLOT_HEIGHT + AXIS,
            LEFT + 150.0 * index as f64 + 15.0,
            PLOT_HEIGHT + AXIS + 9.5,
            escape(curve.name)
        );
    }
    svg.push_str("</svg>");
    svg
}

fn axes(svg: &mut String, top: f64, span: f64, unit: &str) {
    let mut value = 0.0;
    while value <= top {
        let at = PLOT_HEIGHT - value / top * (PLOT_HEIGHT - 14.0);
        let _ = write!(
            svg,
            "<line x1=\"{LEFT}\" x2=\"{:.1}\" y1=\"{at:.1}\" y2=\"{at:.1}\" class=\"grid\"/><text x=\"{:.1}\" \
             y=\"{:.1}\" text-anchor=\"end\" class=\"tick\">{value} {unit}</text>",
            WIDTH - RIGHT,
            LEFT - 6.0,
            at + 4.0
        );
        value += step(top);
    }
    let mut mark = 0.0;
    while mark <= span {
        let at = LEFT + mark / span * (WIDTH - LEFT - RIGHT);
        let _ = write!(
            svg,
            "<text x=\"{at:.1}\" y=\"{:.1}\" class=\"tick\" text-anchor=\"middle\">{mark}s</text>",
            PLOT_HEIGHT + 16.0
        );
        mark += step(span);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_curve_is_broken_where_nobody_measured() {
        let points = vec![(0, 1.0), (100_000, 2.0), (2_000_000, 9.0), (2_100_000, 1.0)];
        let curve = Curve { name: "RPO exposure", points: points.clone() };

        let svg = curves(&[curve], "ms", 3_000_000, None, None);

        assert_eq!(svg.matches("<polyline").count(), 2);
        assert_eq!(unmeasured(&points), [(100_000, 2_000_000)]);
    }
}
