//! The data as the real cores carry it: a gateway's buffer for one partition forwards into the acting region, a mirror copies
//! from there into the other, and what the failover's brain decides seals links, starts them and turns them round.
//!
//! What one core alone has to stand is left to its own world: transactions, holes, retention, rivals and foreign writes to
//! `mirror`, lineages behind missed moves to `buffer`, foolish people to `failover`. Leaders are lost cleanly here.

mod around;
mod checks;
mod faults;
mod forwarding;
mod links;

use std::time::Duration;

use leeward_buffer_core::partition::Marks;
use leeward_failover_core::Drain;
use leeward_model::FencingEpoch;

use self::links::{Leave, LinkEnd};
use super::data::Data;
use super::effects::Tried;
use super::gateway::Forwards;
use super::{FailoverWorld, Happening};
use crate::broker::Broker;
use crate::gateway::{self, Gateway};
use crate::mirrors::{self, Mirrors};
use crate::run::{Progress, Violation};
use crate::schedule::Wire;
use crate::trace;

/// Values from here on are those of applications that write past the gateways; below are ordinals of the gateway's.
const DIRECT: u64 = 1 << 40;
/// Between two looks of a gateway at whether its grant lives.
const LEASE_LOOK: Duration = Duration::from_millis(40);
const PUBLISH: Duration = Duration::from_millis(60);
/// Between two looks of the controller at its link.
const WATCH: Duration = Duration::from_millis(200);

/// Something that happens. A number beside a process is the life that it is meant for, `usize` a region.
#[derive(Debug)]
pub(crate) enum Carrying {
    Gateway(gateway::Happening),
    Mirror(mirrors::Happening),
    Accepted,
    DirectWrites,
    LeaseLook(u64),
    MarksHeard { life: u64, grants: u64, source: usize, marks: Marks },
    Publish(usize),
    Watch,
    Watched(usize, Option<Leave>),
    LinkStarts(usize, Leave),
    LinkBegins(usize, u64),
    AgentStarts(usize),
    GatewayStarts,
    GoesWrong,
    PersonHelps,
    LastAccepted,
    FinishedLate,
}

/// One region's topic with its one partition.
#[derive(Debug, Default)]
struct Log {
    broker: Broker,
    /// Which of the topics of that name it is; `None` where there is none.
    topic: Option<u64>,
}

#[derive(Debug, Default)]
pub(crate) struct Joined {
    gateway: Gateway,
    mirrors: Mirrors,
    logs: [Log; 2],
    /// Links by the region that they end in.
    links: [LinkEnd; 2],
    /// Topics that were ever made.
    topics: u64,
    /// Counts grants that the gateway was told of: what is said of links is asked for anew with each.
    grants: u64,
    /// Whether the gateway has noticed that its grant is over.
    lapsed: bool,
    /// Words of a link to the gateway come in order.
    words: [Wire; 2],
    direct: u64,
    /// Records of the gateway that both regions had at one time.
    had_both: u64,
    /// Nothing is accepted any more.
    finishing: bool,
    /// The region that was lost for good, once it is replaced.
    replaced: Option<usize>,
    /// Whether that region comes back after all.
    comes_back: bool,
}

impl FailoverWorld<Joined> {
    fn later(&mut self, delay: Duration, carrying: Carrying) {
        self.schedule.after(delay, Happening::Data(carrying));
    }

    /// Lets the gateway act, with the rest of the world around it.
    fn with_gateway<T>(&mut self, act: impl FnOnce(&mut Gateway, &mut Self) -> T) -> T {
        let mut gateway = std::mem::take(&mut self.data.gateway);
        let acted = act(&mut gateway, self);
        self.data.gateway = gateway;
        acted
    }

    /// Lets mirrors act, with the rest of the world around them.
    fn with_mirrors<T>(&mut self, act: impl FnOnce(&mut Mirrors, &mut Self) -> T) -> T {
        let mut mirrors = std::mem::take(&mut self.data.mirrors);
        let acted = act(&mut mirrors, self);
        self.data.mirrors = mirrors;
        acted
    }

    fn accept(&mut self) -> Result<(), Violation> {
        if self.data.finishing {
            return Ok(());
        }
        let wait = self.schedule.random.millis(20, 250);
        self.later(wait, Carrying::Accepted);
        if !self.data.gateway.alive {
            return Ok(());
        }
        let records = 1 + self.schedule.random.below(4) as u32;
        self.with_gateway(|gateway, around| gateway.accept(records, around))
    }

    fn direct_writes(&mut self) -> Result<(), Violation> {
        if self.data.finishing {
            return Ok(());
        }
        let wait = self.schedule.random.millis(100, 700);
        self.later(wait, Carrying::DirectWrites);
        let reached = self.clients_reach().filter(|region| self.data.logs[*region].topic.is_some());
        let Some(region) = reached else { return Ok(()) };
        self.data.direct += 1;
        let now = self.schedule.now();
        trace::note(|| format!("{now:?} somebody writes past the gateway to {region}"));
        self.data.logs[region].broker.write_plain(&[DIRECT + self.data.direct]);
        self.check_client_write(region)
    }
}

impl Data for Joined {
    type Happening = Carrying;

    const LOOKS_MAX: u32 = 120;

    fn begin(world: &mut FailoverWorld<Self>) {
        for region in 0..2 {
            world.make_topic(region);
        }
        world.data.comes_back = world.schedule.random.one_in(2);
        world.begin_links();
        world.data.gateway = Gateway::started(Duration::ZERO, &mut world.schedule.random);
        world.begin_gateway();
        world.later(Duration::from_millis(3), Carrying::Accepted);
        world.later(Duration::from_millis(5), Carrying::DirectWrites);
        world.later(Duration::from_millis(20), Carrying::Watch);
        world.later(Duration::from_millis(900), Carrying::GoesWrong);
    }

    fn happen(world: &mut FailoverWorld<Self>, happening: Carrying) -> Result<(), Violation> {
        match happening {
            Carrying::Gateway(happening) => {
                world.with_gateway(|gateway, around| gateway.happen(happening, around))
            }
            Carrying::Mirror(happening) => {
                world.with_mirrors(|mirrors, around| mirrors.happen(happening, around))
            }
            Carrying::Accepted => world.accept(),
            Carrying::DirectWrites => world.direct_writes(),
            Carrying::LeaseLook(life) => world.look_at_lease(life),
            Carrying::MarksHeard { life, grants, source, marks } => {
                world.marks_heard((life, grants), source, marks)
            }
            Carrying::Publish(target) => world.publish(target),
            Carrying::Watch => {
                world.watch_link();
                Ok(())
            }
            Carrying::Watched(target, leave) => {
                world.link_watched(target, leave);
                Ok(())
            }
            Carrying::LinkStarts(target, leave) => {
                // Who asked looks again; a refusal is nothing to it.
                let _ = world.give_leave(target, leave);
                Ok(())
            }
            Carrying::LinkBegins(target, run) => world.begin_link(target, run),
            Carrying::AgentStarts(target) => {
                world.data.links[target].is_up = true;
                Ok(())
            }
            Carrying::GatewayStarts => {
                world.restart_gateway();
                Ok(())
            }
            Carrying::GoesWrong => world.data_goes_wrong(),
            Carrying::PersonHelps => world.person_helps(),
            Carrying::LastAccepted => {
                world.data.finishing = true;
                Ok(())
            }
            Carrying::FinishedLate => world.finished_late(),
        }
    }

    fn paused_until(world: &FailoverWorld<Self>, happening: &Carrying) -> Duration {
        match happening {
            Carrying::Gateway(happening) if !happening.is_at_a_region() => world.gateways[0].paused_until,
            Carrying::LeaseLook(_) | Carrying::MarksHeard { .. } => world.gateways[0].paused_until,
            Carrying::Watch => world.controller_paused_until,
            Carrying::Gateway(_)
            | Carrying::Mirror(_)
            | Carrying::Accepted
            | Carrying::DirectWrites
            | Carrying::Publish(_)
            | Carrying::Watched(..)
            | Carrying::LinkStarts(..)
            | Carrying::LinkBegins(..)
            | Carrying::AgentStarts(_)
            | Carrying::GatewayStarts
            | Carrying::GoesWrong
            | Carrying::PersonHelps
            | Carrying::LastAccepted
            | Carrying::FinishedLate => Duration::ZERO,
        }
    }

    fn check(world: &mut FailoverWorld<Self>) -> Result<(), Violation> {
        for region in 0..2 {
            let sealed = world.regions[region].sealed;
            world.data.logs[region].broker.sealed = sealed;
            // A batch that was sent before a seal and is taken once it is lifted would stand in a log that is mirrored into.
            if sealed {
                world.data.gateway.forget_ghosts_to(region);
            }
        }
        world.with_gateway(Gateway::ghosts_arrive)?;
        world.check_data()
    }

    fn progress(world: &FailoverWorld<Self>) -> Progress {
        if world.is_finished() { Progress::Over } else { Progress::GoesOn }
    }

    fn records(&self, region: usize) -> Vec<u64> {
        let broker = &self.logs[region].broker;
        let committed = &broker.records()[..broker.committed() as usize];
        committed.iter().map(|record| record.value).collect()
    }

    fn told(world: &mut FailoverWorld<Self>, gateway: usize, before: Forwards) -> Result<(), Violation> {
        if gateway == 0 { world.gateway_is_told(before) } else { Ok(()) }
    }

    fn drain(
        world: &mut FailoverWorld<Self>,
        (source, target): (usize, usize),
        epoch: FencingEpoch,
        drain: &Drain,
        tries: u32,
    ) -> Result<Tried, Violation> {
        debug_assert_ne!(source, target);
        world.seal_link(target, epoch.to_wire(), drain, tries)
    }

    fn start_link(
        world: &mut FailoverWorld<Self>,
        (_, target): (usize, usize),
        epoch: FencingEpoch,
        resumes: bool,
        tries: u32,
    ) -> Result<Tried, Violation> {
        let epoch = epoch.to_wire();
        let leave =
            Leave { epoch, behind_inverse: resumes, takes_back_seal: false, topics_made_anew: !resumes };
        Ok(world.start_for_effect(target, leave, tries))
    }

    fn is_caught_up(world: &FailoverWorld<Self>, target: usize) -> bool {
        world.link_is_caught_up(target)
    }

    /// A link behind its budget would rightly stop automation.
    fn may_lose(world: &FailoverWorld<Self>) -> bool {
        world.primary().is_some_and(|primary| world.link_is_caught_up(1 - primary))
    }

    fn delete_topics(world: &mut FailoverWorld<Self>, region: usize) {
        let log = &mut world.data.logs[region];
        log.broker.begin_anew();
        log.topic = None;
    }

    fn taken_back(_world: &mut FailoverWorld<Self>, _region: usize) {}

    fn region_is_lost(world: &mut FailoverWorld<Self>, region: usize, long: Duration) {
        world.crash_link_agent(region, long);
    }

    fn calm_down(world: &mut FailoverWorld<Self>) {
        world.calm_data();
    }
}
