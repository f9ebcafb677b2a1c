//! The data as a model: records are counted, and a link copies a few of them now and then.

use std::time::Duration;

use leeward_failover_core::{Drain, FinalPosition, LinkReport, Outcome, PartitionSample};
use leeward_model::{FencingEpoch, Lag, TargetOffset};

use super::checks::{LINK_FITS, is_over};
use super::data::Data;
use super::effects::{Tried, failed};
use super::gateway::Forwards;
use super::{FailoverWorld, Happening, name, offset, partition};
use crate::run::{Progress, Violation};

const LOOKS_MAX: u32 = 30;

#[derive(Debug)]
pub(crate) enum Counting {
    GatewayWrites(usize),
    ClientWrites,
    MirrorCopies,
}

/// The link that is running, or ran last.
#[derive(Debug)]
struct Link {
    source: usize,
    target: usize,
    /// Records that the target has.
    replicated: usize,
    /// The source's end as the link saw it last.
    seen_end: usize,
    runs: bool,
}

#[derive(Debug)]
pub(crate) struct Counted {
    /// Each record with the time of its writing.
    logs: [Vec<(u64, Duration)>; 2],
    link: Link,
    records: u64,
}

impl Default for Counted {
    fn default() -> Self {
        let link = Link { source: 0, target: 1, replicated: 0, seen_end: 0, runs: true };
        Self { logs: Default::default(), link, records: 0 }
    }
}

impl Counted {
    fn check_link(&self) -> Result<(), Violation> {
        let (source, target) = (&self.logs[self.link.source], &self.logs[self.link.target]);
        let same = source.get(..self.link.replicated) == Some(&target[..]);
        Violation::unless(same, LINK_FITS, || format!("{} and {} records", source.len(), target.len()))
    }
}

impl FailoverWorld<Counted> {
    fn write(&mut self, region: usize) {
        self.data.records += 1;
        let record = (self.data.records, self.schedule.now());
        self.data.logs[region].push(record);
    }

    fn gateway_writes(&mut self, index: usize) -> Result<(), Violation> {
        let now = self.schedule.now();
        let wait = self.schedule.random.millis(20, 120);
        self.schedule.after(wait, Happening::Data(Counting::GatewayWrites(index)));
        let gateway = &self.gateways[index];
        let Some(region) = gateway.forwards_to(gateway.clock.read(now)) else { return Ok(()) };
        let at = gateway.site;
        self.check_forwarding(index, region)?;
        if self.reaches(at, region) && !self.regions[region].sealed {
            self.write(region);
        }
        Ok(())
    }

    fn client_writes(&mut self) -> Result<(), Violation> {
        let wait = self.schedule.random.millis(20, 120);
        self.schedule.after(wait, Happening::Data(Counting::ClientWrites));
        let Some(region) = self.clients_reach() else { return Ok(()) };
        self.write(region);
        self.check_client_write(region)
    }

    fn mirror_copies(&mut self) {
        self.schedule.after(Duration::from_millis(50), Happening::Data(Counting::MirrorCopies));
        let Link { source, target, runs, .. } = self.data.link;
        let now = self.schedule.now();
        let target_up = self.regions[target].down_until <= now;
        if runs && target_up && self.reaches(target, source) && !self.regions[target].sealed {
            let Counted { logs, link, .. } = &mut self.data;
            let end = logs[source].len();
            link.seen_end = end;
            // Once nothing goes wrong it catches up: a link behind its budget would rightly stop automation.
            let most = 1 + self.schedule.random.below(if self.calm { 64 } else { 8 });
            let to = end.min(link.replicated + most);
            let copied = logs[source][link.replicated..to].to_vec();
            logs[target].extend(copied);
            link.replicated = to;
        }
        if target_up && self.passes(target, self.home) && self.schedule.random.one_in(4) {
            let report = self.link_report();
            let delay = self.schedule.random.mostly_short(1, 300);
            self.schedule.after(delay, Happening::LinkHeard(report));
        }
    }

    fn link_report(&self) -> LinkReport {
        let Link { source, target, replicated, seen_end, .. } = self.data.link;
        let oldest = self.data.logs[source].get(replicated);
        let behind = oldest.map_or(Duration::ZERO, |(_, at)| self.schedule.now().saturating_sub(*at));
        let sample = PartitionSample {
            partition: partition(),
            source_end: Some(offset(seen_end)),
            replicated: offset(replicated),
        };
        LinkReport {
            source: name(source),
            target: name(target),
            lag: Lag { time: behind, ..Lag::default() },
            offsets_age: Some(Duration::ZERO),
            partitions: vec![sample],
            drifts: Some(Vec::new()),
        }
    }
}

impl Data for Counted {
    type Happening = Counting;

    const LOOKS_MAX: u32 = LOOKS_MAX;

    fn begin(world: &mut FailoverWorld<Self>) {
        for gateway in 0..2 {
            let writes = Happening::Data(Counting::GatewayWrites(gateway));
            world.schedule.after(Duration::from_millis(9), writes);
        }
        world.schedule.after(Duration::from_millis(5), Happening::Data(Counting::ClientWrites));
        world.schedule.after(Duration::from_millis(50), Happening::Data(Counting::MirrorCopies));
    }

    fn happen(world: &mut FailoverWorld<Self>, happening: Counting) -> Result<(), Violation> {
        match happening {
            Counting::GatewayWrites(gateway) => world.gateway_writes(gateway),
            Counting::ClientWrites => world.client_writes(),
            Counting::MirrorCopies => {
                world.mirror_copies();
                Ok(())
            }
        }
    }

    fn paused_until(world: &FailoverWorld<Self>, happening: &Counting) -> Duration {
        match happening {
            Counting::GatewayWrites(gateway) => world.gateways[*gateway].paused_until,
            Counting::ClientWrites | Counting::MirrorCopies => Duration::ZERO,
        }
    }

    fn check(_world: &mut FailoverWorld<Self>) -> Result<(), Violation> {
        Ok(())
    }

    fn progress(world: &FailoverWorld<Self>) -> Progress {
        is_over(world)
    }

    fn records(&self, region: usize) -> Vec<u64> {
        self.logs[region].iter().map(|(record, _)| *record).collect()
    }

    fn told(_world: &mut FailoverWorld<Self>, _gateway: usize, _before: Forwards) -> Result<(), Violation> {
        Ok(())
    }

    fn drain(
        world: &mut FailoverWorld<Self>,
        (source, target): (usize, usize),
        _epoch: FencingEpoch,
        drain: &Drain,
        tries: u32,
    ) -> Result<Tried, Violation> {
        let Counted { logs, link, .. } = &mut world.data;
        if (link.source, link.target) != (source, target) {
            return Ok(failed("no mirror agent"));
        }
        let position = FinalPosition {
            partition: partition(),
            source: offset(link.replicated),
            target: TargetOffset::from_wire(logs[target].len() as i64).expect("not negative"),
        };
        let drained = match drain {
            Drain::To(ends) => ends.iter().all(|end| position.source >= end.end),
            Drain::AsFarAsItCame => true,
        };
        if drained {
            link.runs = false;
            return Ok(Tried::Ends(Outcome::LinkDrained { positions: vec![position] }));
        }
        Ok(if tries > LOOKS_MAX { failed("records are left") } else { Tried::Waits })
    }

    fn start_link(
        world: &mut FailoverWorld<Self>,
        (source, target): (usize, usize),
        _epoch: FencingEpoch,
        resumes: bool,
        _tries: u32,
    ) -> Result<Tried, Violation> {
        let Counted { logs, link, .. } = &mut world.data;
        let running = link.runs && (link.source, link.target) == (source, target);
        if !running {
            let replicated = if resumes { logs[target].len() } else { 0 };
            *link = Link { source, target, replicated, seen_end: replicated, runs: true };
            world.data.check_link()?;
        }
        Ok(Tried::Ends(Outcome::Done))
    }

    fn is_caught_up(world: &FailoverWorld<Self>, _target: usize) -> bool {
        let Counted { logs, link, .. } = &world.data;
        link.replicated + 2 >= logs[link.source].len()
    }

    fn may_lose(_world: &FailoverWorld<Self>) -> bool {
        true
    }

    fn delete_topics(world: &mut FailoverWorld<Self>, region: usize) {
        let Counted { logs, link, .. } = &mut world.data;
        logs[region].clear();
        // A link into topics that are gone ends; the one that is started next begins anew.
        link.runs &= link.target != region;
    }

    fn taken_back(world: &mut FailoverWorld<Self>, region: usize) {
        let link = &mut world.data.link;
        link.runs |= link.source == region;
    }

    fn region_is_lost(_world: &mut FailoverWorld<Self>, _region: usize, _long: Duration) {}

    fn calm_down(_world: &mut FailoverWorld<Self>) {}
}
