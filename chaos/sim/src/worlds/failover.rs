//! The failover's brain between three sites: regions that die and come back, agents and gateways that are cut off, a
//! controller that crashes at any moment, people who ask for things. What flows meanwhile is [`Data`]: counted by a model
//! in the world `failover`, carried by the real cores in the world `joined`.

mod agent;
mod checks;
mod controller;
mod counted;
mod data;
mod effects;
mod faults;
mod gateway;
mod joined;

use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::time::Duration;

use leeward_failover_core::{
    Automation, Config, EffectId, Entry, Gates, LeaseRule, Level, LevelRule, LinkReport, LogEnd, Outcome,
    TailPolicy,
};
use leeward_model::{FencingEpoch, PartitionIndex, SourceOffset, TopicName, TopicPartition, WallTime};

use self::agent::{Agent, Told, Word};
use self::checks::Truth;
use self::controller::Controller;
pub(crate) use self::counted::Counted;
use self::data::Data;
use self::gateway::{Gateway, Leave};
pub(crate) use self::joined::Joined;
use crate::run::{Progress, Violation, World};
use crate::schedule::Scheduler;
use crate::sites::{name, site};

const FAULTS_FOR: Duration = Duration::from_secs(25);
/// After this the acting primary is lost for good.
const LOSS_AFTER: Duration = Duration::from_secs(10);
/// And this long after that the other region must serve.
const FAILED_OVER_WITHIN: Duration = Duration::from_secs(20);
const ROUND: Duration = Duration::from_millis(200);
/// Between two looks of an agent at what its duty is.
const GUARD: Duration = Duration::from_millis(100);
const LEASE: LeaseRule =
    LeaseRule { duration: Duration::from_millis(2_500), margin: Duration::from_millis(250) };
/// Drift over a lease, a look of the guard and the seal itself stay below the margin.
const DRIFT_PPM_MAX: u32 = 20_000;

/// Something that happens. A number beside a process is the life that it is meant for.
#[derive(Debug)]
enum Happening<D> {
    ControllerTicks(u64),
    Round(usize, u64),
    ReportArrives { site: usize, life: u64, told: Told },
    WordArrives(usize, u64, Word),
    Guard(usize, u64),
    Opens(usize, u64),
    GatewayReports(usize),
    GatewayHeard { gateway: usize, number: u64, epoch: u64, forwarding_to: Option<usize> },
    Renewal(usize, u64),
    LeaveArrives(usize, Leave),
    Data(D),
    LinkHeard(LinkReport),
    EffectTried(u64, EffectId, u32),
    EffectDone(u64, EffectId, Outcome),
    ControllerStarts,
    AgentStarts(usize),
    PersonAsks,
    PersonIsAlarmed,
    Fault,
    Calm,
    Loss,
    TooLate,
}

/// One region's cluster, with one partition.
#[derive(Clone, Copy, Debug, Default)]
struct Region {
    /// Its brokers are down until then.
    down_until: Duration,
    /// Refuses every write.
    sealed: bool,
    /// Applications know it as theirs; a standby's topics belong to the mirror.
    open_to_clients: bool,
}

#[derive(Debug)]
pub(crate) struct FailoverWorld<D: Data> {
    schedule: Scheduler<Happening<D::Happening>>,
    data: D,
    config: Config,
    /// Where the controller stands.
    home: usize,
    regions: [Region; 2],
    cut: BTreeSet<(usize, usize)>,
    controller: Option<Controller>,
    controller_lives: u64,
    controller_paused_until: Duration,
    journal: Vec<Entry>,
    /// The journal's next write fails.
    journal_fails: bool,
    wall_offset_ms: i64,
    agents: Vec<Agent>,
    gateways: Vec<Gateway>,
    dns: (usize, FencingEpoch),
    calm: bool,
    lost: Option<usize>,
    is_late: bool,
    truth: Truth,
}

impl<D: Data> FailoverWorld<D> {
    pub(crate) fn new(seed: u64) -> Self {
        let mut schedule = Scheduler::new(seed);
        let random = &mut schedule.random;
        let automation = if random.one_in(8) { Automation::Approve } else { Automation::Auto };
        let home = if random.one_in(3) { 1 } else { 2 };
        let (near, far) = (random.below(3), 1 + random.below(2));
        let resync = if random.one_in(4) { None } else { Some(TailPolicy::Quarantine) };
        let rule = LevelRule { every: ROUND, fail_after: NonZeroU32::new(3).expect("3 is not 0") };
        let config = Config {
            regions: [name(0), name(1)],
            places: (0..3).map(name).collect(),
            detect: Level::ALL.into_iter().map(|level| (level, rule)).collect(),
            quorum: 2,
            automation,
            gates: Gates {
                rpo_max: Some(Duration::from_secs(10)),
                standby_writable: true,
                no_partition_drift: true,
                offsets_max_age: Some(Duration::from_secs(30)),
                evidence_max_age: Duration::from_secs(15),
            },
            cooldown: Duration::from_secs(8),
            lease: LEASE,
            resync,
        };
        let config = config.checked().expect("the laws between the numbers hold");
        let mut world = Self {
            schedule,
            data: D::default(),
            config,
            home,
            regions: Default::default(),
            cut: BTreeSet::new(),
            controller: None,
            controller_lives: 0,
            controller_paused_until: Duration::ZERO,
            journal: Vec::new(),
            journal_fails: false,
            wall_offset_ms: 1_700_000_000_000,
            agents: Vec::new(),
            gateways: vec![Gateway::at(near), Gateway::at(far)],
            dns: (0, FencingEpoch::FIRST),
            calm: false,
            lost: None,
            is_late: false,
            truth: Truth::default(),
        };
        world.regions[0].open_to_clients = true;
        for site in 0..3 {
            let agent = world.agent(None);
            world.agents.push(agent);
            world.begin_agent(site);
        }
        for gateway in 0..2 {
            let clock = world.clock();
            world.gateways[gateway].clock = clock;
            world.schedule.after(Duration::from_millis(7), Happening::GatewayReports(gateway));
        }
        world.schedule.after(Duration::ZERO, Happening::ControllerStarts);
        D::begin(&mut world);
        world.schedule.after(Duration::from_secs(2), Happening::Fault);
        world.schedule.after(Duration::from_secs(3), Happening::PersonAsks);
        world.schedule.after(FAULTS_FOR, Happening::Calm);
        world
    }

    fn clock(&mut self) -> crate::schedule::Clock {
        let now = self.schedule.now();
        crate::schedule::Clock::started(now, DRIFT_PPM_MAX, &mut self.schedule.random)
    }

    fn wall(&self) -> WallTime {
        WallTime::from_millis(self.wall_offset_ms + self.schedule.now().as_millis() as i64)
    }

    /// Whether bytes pass between two sites.
    fn passes(&self, one: usize, other: usize) -> bool {
        one == other || !self.cut.contains(&(one.min(other), one.max(other)))
    }

    /// Whether the brokers of a region answer a site.
    fn reaches(&self, site: usize, region: usize) -> bool {
        self.passes(site, region) && self.regions[region].down_until <= self.schedule.now()
    }

    /// Where applications write that go past the gateways: to where the names lead, or to where they led. `None` where
    /// nobody takes it.
    fn clients_reach(&mut self) -> Option<usize> {
        let region = if self.schedule.random.one_in(3) { 1 - self.dns.0 } else { self.dns.0 };
        let Region { down_until, sealed, open_to_clients } = self.regions[region];
        (down_until <= self.schedule.now() && !sealed && open_to_clients).then_some(region)
    }

    fn log_ends(&self, region: usize) -> Vec<LogEnd> {
        vec![LogEnd { partition: partition(), end: offset(self.data.records(region).len()) }]
    }

    fn happen(&mut self, happening: Happening<D::Happening>) -> Result<(), Violation> {
        match happening {
            Happening::ControllerTicks(life) => self.controller_ticks(life),
            Happening::Round(site, life) => {
                self.agent_round(site, life);
                Ok(())
            }
            Happening::ReportArrives { site, life, told } => self.report_arrives(site, life, told),
            Happening::WordArrives(site, life, word) => {
                self.word_arrives(site, life, word);
                Ok(())
            }
            Happening::Guard(site, life) => {
                self.guard(site, life);
                Ok(())
            }
            Happening::Opens(site, life) => {
                self.opens(site, life);
                Ok(())
            }
            Happening::GatewayReports(gateway) => {
                self.gateway_reports(gateway);
                Ok(())
            }
            Happening::GatewayHeard { gateway, number, epoch, forwarding_to } => {
                self.gateway_heard(gateway, number, epoch, forwarding_to);
                Ok(())
            }
            Happening::Renewal(gateway, life) => {
                self.renewal(gateway, life);
                Ok(())
            }
            Happening::LeaveArrives(gateway, leave) => self.leave_arrives(gateway, leave),
            Happening::Data(happening) => D::happen(self, happening),
            Happening::LinkHeard(report) => self.tell(leeward_failover_core::Event::Link(report)),
            Happening::EffectTried(life, id, tries) => self.try_effect(life, id, tries),
            Happening::EffectDone(life, id, outcome) => self.effect_done(life, id, outcome),
            Happening::ControllerStarts => self.start_controller(),
            Happening::AgentStarts(site) => {
                self.start_agent(site);
                Ok(())
            }
            Happening::PersonAsks => self.person_asks(),
            Happening::PersonIsAlarmed => self.person_is_alarmed(),
            Happening::Fault => {
                self.go_wrong();
                Ok(())
            }
            Happening::Calm => {
                self.calm_down();
                Ok(())
            }
            Happening::Loss => {
                self.lose_for_good();
                Ok(())
            }
            Happening::TooLate => self.too_late(),
        }
    }

    /// Who is paused takes everything later.
    fn paused_until(&self, happening: &Happening<D::Happening>) -> Duration {
        match happening {
            Happening::ControllerTicks(_)
            | Happening::ReportArrives { .. }
            | Happening::GatewayHeard { .. }
            | Happening::Renewal(..)
            | Happening::LinkHeard(_)
            | Happening::EffectTried(..)
            | Happening::EffectDone(..) => self.controller_paused_until,
            Happening::Round(site, _)
            | Happening::WordArrives(site, ..)
            | Happening::Guard(site, _)
            | Happening::Opens(site, _) => self.agents[*site].paused_until,
            Happening::GatewayReports(gateway) | Happening::LeaveArrives(gateway, _) => {
                self.gateways[*gateway].paused_until
            }
            Happening::Data(happening) => D::paused_until(self, happening),
            Happening::ControllerStarts
            | Happening::AgentStarts(_)
            | Happening::PersonAsks
            | Happening::PersonIsAlarmed
            | Happening::Fault
            | Happening::Calm
            | Happening::Loss
            | Happening::TooLate => Duration::ZERO,
        }
    }
}

impl<D: Data> World for FailoverWorld<D> {
    fn step(&mut self) -> Result<Progress, Violation> {
        let Some(happening) = self.schedule.advance() else { return Ok(Progress::Over) };
        let paused_until = self.paused_until(&happening);
        if paused_until > self.schedule.now() {
            self.schedule.at(paused_until, happening);
            return Ok(Progress::GoesOn);
        }
        self.happen(happening)?;
        self.check()?;
        D::check(self)?;
        Ok(D::progress(self))
    }
}

fn partition() -> TopicPartition {
    TopicPartition {
        topic: TopicName::new("orders").expect("a legal name"),
        partition: PartitionIndex::from_wire(0).expect("a legal index"),
    }
}

fn offset(at: usize) -> SourceOffset {
    SourceOffset::from_wire(at as i64).expect("offsets are not negative")
}
