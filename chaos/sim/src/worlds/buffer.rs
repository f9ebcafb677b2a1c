//! One partition's buffer in a gateway between two regions: grants that come late and lapse, connections that break
//! with batches under way, a gateway that crashes, a primary that is lost and replaced.

mod checks;
mod faults;

use std::time::Duration;

use leeward_buffer_core::partition::{Event, Grant, Marks, Outcome, Promoted};
use leeward_model::FencingEpoch;

use crate::broker::Broker;
use crate::gateway::{self, Around, Gateway, Request};
use crate::random::Random;
use crate::run::{Progress, Violation, World};
use crate::schedule::{Scheduler, Surroundings};
use crate::sites::{name, site};

const FAULTS_FOR: Duration = Duration::from_secs(12);
const FINISH_WITHIN: Duration = Duration::from_secs(60);

/// Something that happens. A number beside it is the gateway's life that it is meant for.
#[derive(Debug)]
enum Happening {
    Gateway(gateway::Happening),
    Accepted,
    Granted(u64, Grant),
    Replicated(u64, usize, Marks),
    MirrorCopies,
    Starts,
    Fault,
    Calm,
    TooLate,
}

#[derive(Debug)]
pub(crate) struct BufferWorld {
    gateway: Gateway,
    regions: Regions,
}

/// The two regions, and mirror and controller as models.
#[derive(Debug)]
struct Regions {
    schedule: Scheduler<Happening>,
    logs: [Broker; 2],
    acting: usize,
    epoch: u64,
    promoted: Option<Promoted>,
    /// The acting region takes nothing until then.
    refuses_until: Duration,
    /// How much of the acting region's log the other has.
    mirrored: i64,
    /// What must be mirrored back before the next failover: what both regions had once is forgotten.
    must_mirror: i64,
    foreigners: bool,
    /// Records that both regions had when the acting one was promoted.
    had_both: u64,
    calm: bool,
}

impl BufferWorld {
    pub(crate) fn new(seed: u64) -> Self {
        let mut schedule = Scheduler::new(seed);
        let gateway = Gateway::started(Duration::ZERO, &mut schedule.random);
        let foreigners = schedule.random.one_in(2);
        let regions = Regions {
            schedule,
            logs: Default::default(),
            acting: 0,
            epoch: 1,
            promoted: None,
            refuses_until: Duration::ZERO,
            mirrored: 0,
            must_mirror: 0,
            foreigners,
            had_both: 0,
            calm: false,
        };
        let mut world = Self { gateway, regions };
        let schedule = &mut world.regions.schedule;
        schedule.after(Duration::ZERO, Happening::Accepted);
        schedule.after(Duration::from_millis(30), Happening::MirrorCopies);
        schedule.after(Duration::from_millis(300), Happening::Fault);
        schedule.after(FAULTS_FOR, Happening::Calm);
        world.gateway.begin(&mut world.regions);
        world.say_grant();
        world
    }

    fn feed(&mut self, event: Event) -> Result<(), Violation> {
        self.gateway.feed(event, &mut self.regions)
    }

    fn accept(&mut self) -> Result<(), Violation> {
        let schedule = &mut self.regions.schedule;
        let wait = schedule.random.millis(5, 250);
        if self.regions.calm {
            return Ok(());
        }
        schedule.after(wait, Happening::Accepted);
        if !self.gateway.alive {
            return Ok(());
        }
        let records = 1 + schedule.random.below(4) as u32;
        self.gateway.accept(records, &mut self.regions)
    }

    /// The controller's word goes out; it may arrive late, and after a newer one.
    fn say_grant(&mut self) {
        let Regions { schedule, acting, epoch, promoted, .. } = &mut self.regions;
        let epoch = FencingEpoch::from_wire(*epoch).expect("epochs count from 1");
        let grant = Grant { epoch, region: name(*acting), promoted: promoted.clone() };
        let delay = schedule.random.mostly_short(1, 2_000);
        schedule.after(delay, Happening::Granted(self.gateway.life, grant));
    }

    fn mirror_copies(&mut self) {
        let regions = &mut self.regions;
        regions.schedule.after(Duration::from_millis(40), Happening::MirrorCopies);
        let most = regions.schedule.random.below(7) as i64;
        regions.mirror(most);
        if regions.schedule.random.one_in(3) {
            let delay = regions.schedule.random.mostly_short(1, 500);
            let told = Happening::Replicated(self.gateway.life, regions.acting, regions.marks());
            regions.schedule.after(delay, told);
        }
    }

    fn happen(&mut self, happening: Happening) -> Result<(), Violation> {
        match happening {
            Happening::Gateway(happening) => self.gateway.happen(happening, &mut self.regions),
            Happening::Accepted => self.accept(),
            Happening::Granted(life, grant) if self.gateway.lives(life) => self.granted(grant),
            Happening::Replicated(life, region, marks) if self.gateway.lives(life) => {
                // Words of an earlier acting region never reach a gateway that a newer grant has reached.
                if region == self.regions.acting && marks.replicated_to <= self.regions.mirrored {
                    return self.feed(Event::Replicated { region: name(region), topic: None, marks });
                }
                Ok(())
            }
            Happening::MirrorCopies => {
                self.mirror_copies();
                Ok(())
            }
            Happening::Starts => {
                self.restart();
                Ok(())
            }
            Happening::Fault => self.go_wrong(),
            Happening::Calm => {
                self.calm_down();
                Ok(())
            }
            Happening::TooLate => self.too_late(),
            Happening::Granted(..) | Happening::Replicated(..) => Ok(()),
        }
    }

    fn granted(&mut self, grant: Grant) -> Result<(), Violation> {
        // Under the epoch before no grant lives any more once another region was promoted.
        if grant.epoch.to_wire() < self.regions.epoch {
            return Ok(());
        }
        if self.gateway.sends_elsewhere(site(&grant.region)) {
            self.gateway.cut(&mut self.regions)?;
        }
        self.feed(Event::Granted(grant))
    }
}

impl Regions {
    fn marks(&self) -> Marks {
        Marks { replicated_to: self.mirrored, target_end: self.logs[1 - self.acting].committed() }
    }

    fn mirror(&mut self, most: i64) {
        let source = &self.logs[self.acting];
        let to = source.committed().min(self.mirrored + most);
        let copied: Vec<_> = source.records()[self.mirrored as usize..to as usize].to_vec();
        self.mirrored = to;
        let target = &mut self.logs[1 - self.acting];
        for record in copied {
            target.write_copy(record);
        }
    }
}

impl Surroundings for Regions {
    fn now(&self) -> Duration {
        self.schedule.now()
    }

    fn random(&mut self) -> &mut Random {
        &mut self.schedule.random
    }

    fn is_calm(&self) -> bool {
        self.calm
    }
}

impl Around for Regions {
    fn at(&mut self, time: Duration, happening: gateway::Happening) {
        self.schedule.at(time, Happening::Gateway(happening));
    }

    fn read(&self, region: usize) -> Option<&Broker> {
        (region == self.acting).then(|| &self.logs[region])
    }

    fn lets(&mut self, _region: usize) -> Result<bool, Violation> {
        Ok(true)
    }

    fn trimmed(&self, to: u64) -> Result<(), Violation> {
        self.check_trimmed(to)
    }

    /// A region takes what reaches it while it is the acting one; afterwards it is dead or fenced.
    fn deliver(&mut self, request: &Request) -> Result<Option<Outcome>, Violation> {
        if request.region != self.acting {
            return Ok(None);
        }
        if self.schedule.now() < self.refuses_until {
            let sealed = !self.schedule.random.one_in(2);
            return Ok(Some(if sealed { Outcome::TooLarge } else { Outcome::NotNow }));
        }
        let leader_dies = !self.calm && self.schedule.random.one_in(40);
        let region = &mut self.logs[request.region];
        let outcome = request.reaches(region, leader_dies, &mut self.schedule.random);
        self.check_order(request.region)?;
        Ok(Some(outcome))
    }
}

impl World for BufferWorld {
    fn step(&mut self) -> Result<Progress, Violation> {
        let Some(happening) = self.regions.schedule.advance() else { return Ok(Progress::Over) };
        self.gateway.ghosts_arrive(&mut self.regions)?;
        self.happen(happening)?;
        self.check()?;
        self.progress()
    }
}
