//! What must hold of a record on its whole way, at each step.

use std::collections::BTreeSet;

use leeward_buffer_core::partition::Entry;
use leeward_failover_core::Standing;

use super::{DIRECT, FailoverWorld, Joined};
use crate::mirrors::Process;
use crate::run::Violation;
use crate::sites::name;

const ONCE_IN_ORDER: &str = "each region's log holds the accepted records once and in order";
const NOTHING_LOST: &str = "every accepted record is in the acting region or in the buffer";
const BOTH_HAVE_IT: &str = "no record is forgotten before both regions have it";
const REPLICATED: &str = "the other region has everything below the replicated watermark";
const BOTH_SAME: &str = "in the end both regions hold every record, once and in the same order";
const GETS_ON: &str = "once nothing goes wrong, both regions get every record";

/// Records at a log's end that are looked at after each append; all of them are at the end.
const LOOKED_AT: usize = 12;

impl Joined {
    /// The gateway's records in what readers see of a region, newest first.
    fn accepted(&self, region: usize) -> impl Iterator<Item = u64> {
        let broker = &self.logs[region].broker;
        let committed = &broker.records()[..broker.committed() as usize];
        committed.iter().rev().map(|record| record.value).filter(|value| *value < DIRECT)
    }

    /// Behind the newest of the gateway's records that readers see there.
    fn accepted_to(&self, region: usize) -> u64 {
        self.accepted(region).next().map_or(0, |newest| newest + 1)
    }
}

impl FailoverWorld<Joined> {
    /// Something was appended to a region's log.
    pub(super) fn check_order(&self, region: usize) -> Result<(), Violation> {
        let records = self.data.logs[region].broker.records();
        let newest: Vec<u64> = records.iter().rev().map(|record| record.value).take(LOOKED_AT).collect();
        let distinct = newest.iter().collect::<BTreeSet<_>>().len() == newest.len();
        let ours = records.iter().rev().map(|record| record.value).filter(|value| *value < DIRECT);
        let ours: Vec<u64> = ours.take(LOOKED_AT).collect();
        let dense = ours.windows(2).all(|pair| pair[0] == pair[1] + 1);
        let first = ours.len() == LOOKED_AT || ours.last().is_none_or(|oldest| *oldest == 0);
        Violation::unless(dense && first && distinct, ONCE_IN_ORDER, || {
            format!("region {region} ends in {newest:?}, of the gateway {ours:?} (newest first)")
        })
    }

    pub(super) fn check_trimmed(&self, to: u64) -> Result<(), Violation> {
        let had_both = self.data.had_both.max(self.both_have());
        Violation::unless(to <= had_both, BOTH_HAVE_IT, || {
            format!("forgotten below {to}, both had {had_both} at most")
        })
    }

    fn both_have(&self) -> u64 {
        self.data.accepted_to(0).min(self.data.accepted_to(1))
    }

    /// A link's process has taken an event: what it says is replicated, the target has.
    pub(super) fn check_replicated(&self, target: usize, process: &Process) -> Result<(), Violation> {
        let link = &self.data.links[target];
        let (Some(marks), false) = (link.board, process.deceived) else { return Ok(()) };
        let source = &self.data.logs[1 - target];
        if link.topics() != source.topic.zip(self.data.logs[target].topic) {
            return Ok(());
        }
        let crossed = (marks.replicated_to as usize).min(source.broker.records().len());
        let mut newest = source.broker.records()[..crossed].iter().rev().map(|record| record.value);
        let newest = newest.find(|value| *value < DIRECT).map_or(0, |newest| newest + 1);
        Violation::unless(newest <= self.data.accepted_to(target), REPLICATED, || {
            format!("{marks:?} says {newest}, the target has {}", self.data.accepted_to(target))
        })
    }

    pub(super) fn check_data(&mut self) -> Result<(), Violation> {
        let both = self.both_have();
        self.data.had_both = self.data.had_both.max(both);
        if let Some(lost) = self.lost.filter(|lost| self.primary() != Some(*lost) && !self.is_busy()) {
            self.data.replaced = Some(lost);
            self.lost = None;
        }
        let (Some(acting), true) = (self.primary(), self.data.gateway.alive) else { return Ok(()) };
        let gateway = &self.data.gateway;
        let there = self.data.accepted_to(acting);
        let buffered = gateway.forward.oldest().map_or(gateway.next, Entry::first);
        Violation::unless(buffered <= there, NOTHING_LOST, || {
            format!("the acting region {acting} ends before {there}, the buffer begins at {buffered}")
        })?;
        if self.is_finished() { self.check_whole() } else { Ok(()) }
    }

    /// Whether every record is where it belongs, and nobody is under way.
    pub(super) fn is_finished(&self) -> bool {
        let Some(acting) = self.primary().filter(|_| self.data.finishing && self.lost.is_none()) else {
            return false;
        };
        let gateway = &self.data.gateway;
        let forwarded = gateway.alive && gateway.forward.unacknowledged_records() == 0;
        let arrived = forwarded && self.data.accepted_to(acting) == gateway.next;
        if self.data.replaced.is_some() && !self.data.comes_back {
            return arrived;
        }
        let is_standby = self.standing(1 - acting) == Some(&Standing::Standby);
        let ends = [0, 1].map(|region| self.data.logs[region].broker.committed());
        arrived && is_standby && !self.is_busy() && ends[0] == ends[1] && gateway.forward.oldest().is_none()
    }

    fn standing(&self, region: usize) -> Option<&Standing> {
        self.state()?.standings.get(&name(region))
    }

    fn check_whole(&self) -> Result<(), Violation> {
        let Some(acting) = self.primary() else { return Ok(()) };
        let mut ours: Vec<u64> = self.data.accepted(acting).collect();
        ours.reverse();
        let whole = ours == (0..self.data.gateway.next).collect::<Vec<u64>>();
        Violation::unless(whole, ONCE_IN_ORDER, || format!("the acting region holds {ours:?}"))?;
        if self.data.replaced.is_some() && !self.data.comes_back {
            return Ok(());
        }
        let [first, second] = [0, 1].map(|region| super::Data::records(&self.data, region));
        let distinct = first.iter().collect::<BTreeSet<_>>().len() == first.len();
        Violation::unless(first == second && distinct, BOTH_SAME, || {
            format!("{} and {} records, once each: {distinct}", first.len(), second.len())
        })
    }

    pub(super) fn finished_late(&self) -> Result<(), Violation> {
        let gateway = &self.data.gateway;
        let ends = [0, 1].map(|region| (self.data.accepted_to(region), self.data.logs[region].broker.end()));
        let links = [0, 1].map(|target| {
            let standing = self.data.mirrors.processes[target].partition.standing();
            (self.data.links[target].running.as_ref().map(|running| running.leave), standing)
        });
        let state = self.state();
        let detail = format!(
            "{} accepted, {} not acknowledged, buffer begins at {:?}; the regions have {ends:?}; links {links:?}; {state:?}",
            gateway.next,
            gateway.forward.unacknowledged_records(),
            gateway.forward.oldest(),
        );
        Err(Violation { invariant: GETS_ON, detail })
    }
}
