//! Faults of the network between two regions: it is cut or slowed, for a while or until it is healed.

use std::time::Duration;

use leeward_faults::{Cut, Evidence, ProxyCounters, Shape};
use leeward_model::ByteSize;
use leeward_policies::{LinkDirection, LinkEnds};
use tokio::time::sleep;

use super::Running;

/// A fault that stands until it is healed, and is judged then by what the network did meanwhile.
#[derive(Debug)]
pub(super) struct Standing {
    fault: &'static str,
    link: LinkEnds,
    /// What the network towards either end had done when the fault began.
    before: [ProxyCounters; 2],
}

impl Running {
    /// Drops what goes one way or both. Without an end it stands during the steps that follow.
    pub(super) async fn cut_network(
        &mut self,
        link: &LinkEnds,
        direction: LinkDirection,
        held_for: Option<Duration>,
    ) {
        self.note("fault", &format!("cutting the network between {} and {}", link.from, link.to));
        // Whoever stands in `to` connects to `from`; what it asks goes forth, what it hears comes back.
        let (towards_from, towards_to) = match direction {
            LinkDirection::Both => (Cut::Both, Cut::Both),
            LinkDirection::Forward => (Cut::Back, Cut::Forth),
            LinkDirection::Backward => (Cut::Forth, Cut::Back),
        };
        let shape = |cut| Shape { cut, ..Shape::default() };
        self.break_network("partition", link, [shape(towards_from), shape(towards_to)], held_for).await;
    }

    /// Lets everything come late, or little at a time, both ways.
    pub(super) async fn slow_network(
        &mut self,
        link: &LinkEnds,
        latency: Duration,
        bytes_per_second: Option<ByteSize>,
        held_for: Option<Duration>,
    ) {
        self.note("fault", &format!("slowing the network between {} and {}", link.from, link.to));
        let bytes_per_second = bytes_per_second.map(ByteSize::as_bytes);
        let shape = Shape { cut: Cut::Nothing, latency, bytes_per_second };
        self.break_network("slow", link, [shape, shape], held_for).await;
    }

    /// Takes back every fault of the network.
    pub(super) fn heal_network(&mut self) {
        let regions: Vec<_> = self.estate.addresses().regions.keys().cloned().collect();
        for region in &regions {
            self.estate.reshape(region, Shape::default());
        }
        for standing in std::mem::take(&mut self.standing) {
            self.note("healed", &format!("network between {} and {}", standing.link.from, standing.link.to));
            self.judge(standing);
        }
    }

    /// Judges the faults that still stand at the end of the drill.
    pub(super) fn judge_network(&mut self) {
        for standing in std::mem::take(&mut self.standing) {
            self.judge(standing);
        }
    }

    async fn break_network(
        &mut self,
        fault: &'static str,
        link: &LinkEnds,
        [towards_from, towards_to]: [Shape; 2],
        held_for: Option<Duration>,
    ) {
        let before = self.network(link);
        self.estate.reshape(&link.from, towards_from);
        self.estate.reshape(&link.to, towards_to);
        self.standing.push(Standing { fault, link: link.clone(), before });
        if let Some(held_for) = held_for {
            sleep(held_for).await;
            self.heal_network();
        }
    }

    fn network(&self, link: &LinkEnds) -> [ProxyCounters; 2] {
        [self.estate.network(&link.from), self.estate.network(&link.to)]
    }

    fn judge(&mut self, standing: Standing) {
        let Standing { fault, link, before } = standing;
        let after = self.network(&link);
        let grown = |count: fn(&ProxyCounters) -> u64| -> u64 {
            before.iter().zip(&after).map(|(before, after)| count(after) - count(before)).sum()
        };
        let swallowed = grown(|network| network.swallowed_bytes);
        let deaf = grown(|network| network.connections_while_cut);
        let slowed = grown(|network| network.slowed_bytes);
        self.faults.push(Evidence {
            fault: fault.to_owned(),
            target: format!("{}>{}", link.from, link.to),
            bit: swallowed + deaf + slowed > 0,
            seen: vec![
                format!("{swallowed} bytes swallowed"),
                format!("{deaf} connections that heard nothing"),
                format!("{slowed} bytes slowed"),
            ],
        });
    }
}
