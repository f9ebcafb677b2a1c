//! Shows a drill while it runs: a block drawn in place below the events on a terminal, plain lines elsewhere.

use std::{
    io::{self, Write as _},
    sync::Arc,
    time::Duration,
};

use leeward_drill::{EstateStanding, Progress, RouteStanding, Standing};
use parking_lot::Mutex;

use crate::terminal::{Block, is_live, size};

/// What shows a drill; `plain` wants lines whatever the terminal can do.
pub(super) fn shown(plain: bool) -> Arc<dyn Progress> {
    if is_live() && !plain { Arc::new(Live::default()) } else { Arc::new(Plain) }
}

#[derive(Debug)]
struct Plain;

impl Progress for Plain {
    fn happened(&self, line: &str) {
        let mut out = io::stdout();
        let _ = writeln!(out, "{line}").and_then(|()| out.flush());
    }

    fn stands(&self, _standing: &Standing) {}
}

/// The block goes away with it: what is printed then stands alone.
#[derive(Debug, Default)]
struct Live(Mutex<Drawing>);

#[derive(Debug, Default)]
struct Drawing {
    block: Block,
    lines: Vec<String>,
}

impl Progress for Live {
    fn happened(&self, line: &str) {
        let Drawing { block, lines } = &mut *self.0.lock();
        let (mut out, size) = (io::stdout(), size());
        let _ = block.print(&mut out, size.0, line).and_then(|()| block.draw(&mut out, size, lines));
    }

    fn stands(&self, standing: &Standing) {
        let Drawing { block, lines } = &mut *self.0.lock();
        *lines = in_lines(standing);
        let _ = block.draw(&mut io::stdout(), size(), lines);
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        let _ = self.0.get_mut().block.erase(&mut io::stdout(), size().0);
    }
}

fn in_lines(standing: &Standing) -> Vec<String> {
    let mut lines = vec![String::new(), format!("{:>8}  {}", seconds(standing.elapsed), standing.doing)];
    lines.push(standing.estate.as_ref().map_or_else(|| "          no controller answers".to_owned(), estate));
    if !standing.routes.is_empty() {
        lines.push(format!(
            "          {:<16} {:>9} {:>9} {:>8} {:>7} {:>8} {:>6} {:>6}",
            "ROUTE", "SENT", "ACKED", "ACKED/s", "FAILED", "SILENT", "LOST", "DUP"
        ));
        lines.extend(standing.routes.iter().map(route));
    }
    lines
}

fn estate(estate: &EstateStanding) -> String {
    let EstateStanding { phase, acting, rpo, buffered_bytes, regions } = estate;
    let regions: Vec<_> = regions.iter().map(|(name, health)| format!("{name} {health}")).collect();
    let rpo = rpo.map_or_else(|| "unknown".to_owned(), seconds);
    let kib = buffered_bytes / 1024;
    format!(
        "          {phase}   acting {acting}   RPO now {rpo}   buffered {kib} KiB   {}",
        regions.join(", ")
    )
}

fn route(route: &RouteStanding) -> String {
    let RouteStanding { name, sent, acked, rate, failed, silent, lost_and_duplicated } = route;
    let silent = seconds(*silent);
    let looked_at = |number: Option<u64>| number.map_or_else(|| "-".to_owned(), |number| number.to_string());
    let lost = looked_at(lost_and_duplicated.map(|(lost, _)| lost));
    let duplicated = looked_at(lost_and_duplicated.map(|(_, duplicated)| duplicated));
    format!(
        "          {name:<16} {sent:>9} {acked:>9} {rate:>8.0} {failed:>7} {silent:>8} {lost:>6} {duplicated:>6}"
    )
}

fn seconds(time: Duration) -> String {
    format!("{:.1}s", time.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_looked_at_or_measures_is_not_told_as_a_number() {
        let route = RouteStanding {
            name: "gateway".to_owned(),
            sent: 12,
            acked: 10,
            rate: 4.0,
            failed: 0,
            silent: Duration::from_millis(250),
            lost_and_duplicated: None,
        };
        let estate = EstateStanding {
            phase: "Steady".to_owned(),
            acting: "east".to_owned(),
            rpo: None,
            buffered_bytes: 2048,
            regions: vec![("east".to_owned(), "healthy".to_owned())],
        };
        let elapsed = Duration::from_secs(3);

        let lines =
            in_lines(&Standing { elapsed, doing: "load is on", estate: Some(estate), routes: vec![route] });

        assert!(lines[2].contains("RPO now unknown   buffered 2 KiB   east healthy"), "{lines:#?}");
        assert!(lines[4].ends_with("0.2s      -      -"), "{lines:#?}");
    }
}
