//! One partition's buffer in a gateway between two regions: grants that come late and lapse, connections that break
//! with batches under way, a gateway that crashes, a primary that is lost and replaced.

mod checks;
mod shell;

use std::collections::VecDeque;
use std::time::Duration;

use leeward_buffer_core::partition::{
    Command, Entry, Event, Forward, Grant, Lineage, Marks, Outcome, Place, Promoted, Saved, Trimming,
};
use leeward_model::{FencingEpoch, RegionName};

use crate::broker::Broker;
use crate::run::{Progress, Violation, World};
use crate::schedule::{Clock, Scheduler, Wire};
use crate::trace;

const FAULTS_FOR: Duration = Duration::from_secs(12);
const FINISH_WITHIN: Duration = Duration::from_secs(60);
const TICK: Duration = Duration::from_millis(50);
const DRIFT_PPM_MAX: u32 = 20_000;
const REGIONS: [&str; 2] = ["a", "b"];

/// Something that happens. A number beside it is the gateway's life, or the connection, that it is meant for.
#[derive(Debug)]
enum Happening {
    Accepted,
    Tick(u64),
    BatchArrives(u64),
    BatchAnswered(u64, u64, u64, Outcome),
    Operated(u64, Command),
    OperationAnswered(u64, Event),
    Granted(u64, Grant),
    Replicated(u64, usize, Marks),
    MirrorCopies,
    Saves(u64),
    Starts,
    Fault,
    Calm,
    TooLate,
}

/// A batch on its way to a region.
#[derive(Debug)]
struct Request {
    region: usize,
    epoch: i16,
    sequence: i32,
    entry: Entry,
}

/// A connection of the gateway; one that is cut may still have batches under way.
#[derive(Debug)]
struct Connection {
    id: u64,
    sent: VecDeque<Request>,
    /// Sent and not answered, by ordinal.
    open: Vec<u64>,
    there: Wire,
    back: Wire,
}

/// What the gateway's disk holds.
#[derive(Debug, Default)]
struct Disk {
    entries: Vec<Entry>,
    lineages: Vec<Lineage>,
    saved: Saved,
}

#[derive(Debug)]
pub(crate) struct BufferWorld {
    schedule: Scheduler<Happening>,
    forward: Forward,
    alive: bool,
    life: u64,
    clock: Clock,
    connection: Connection,
    connections: u64,
    /// Batches of connections that are gone, with when they arrive.
    ghosts: VecDeque<(Duration, Request)>,
    disk: Disk,
    regions: [Broker; 2],
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
    next: u64,
    calm: bool,
}

impl BufferWorld {
    pub(crate) fn new(seed: u64) -> Self {
        let mut schedule = Scheduler::new(seed);
        let clock = Clock::started(Duration::ZERO, DRIFT_PPM_MAX, &mut schedule.random);
        let foreigners = schedule.random.one_in(2);
        let mut world = Self {
            schedule,
            forward: Forward::new(Trimming::WhenReplicated),
            alive: true,
            life: 0,
            clock,
            connection: Connection {
                id: 0,
                sent: VecDeque::new(),
                open: Vec::new(),
                there: Wire::default(),
                back: Wire::default(),
            },
            connections: 0,
            ghosts: VecDeque::new(),
            disk: Disk::default(),
            regions: Default::default(),
            acting: 0,
            epoch: 1,
            promoted: None,
            refuses_until: Duration::ZERO,
            mirrored: 0,
            must_mirror: 0,
            foreigners,
            had_both: 0,
            next: 0,
            calm: false,
        };
        world.schedule.after(Duration::ZERO, Happening::Accepted);
        world.schedule.after(Duration::from_millis(30), Happening::MirrorCopies);
        world.schedule.after(Duration::from_millis(300), Happening::Fault);
        world.schedule.after(FAULTS_FOR, Happening::Calm);
        world.begin();
        world
    }

    fn begin(&mut self) {
        self.alive = true;
        self.schedule.after(TICK, Happening::Tick(self.life));
        self.schedule.after(Duration::from_millis(500), Happening::Saves(self.life));
        self.say_grant();
    }

    /// Gives the core an event and carries out what it says.
    fn feed(&mut self, event: Event) -> Result<(), Violation> {
        let now = self.schedule.now();
        let heard = trace::is_wanted().then(|| format!("{event:?}"));
        let commands = self.forward.on(event, self.clock.read(now));
        if let Some(heard) = heard.filter(|heard| heard != "Tick" || !commands.is_empty()) {
            trace::note(|| format!("{now:?} gateway hears {heard}"));
        }
        for command in commands {
            trace::note(|| format!("{now:?} gateway says {command:?}"));
            self.carry_out(command)?;
        }
        Ok(())
    }

    /// A client's batch is on the gateway's disk.
    fn accept(&mut self) -> Result<(), Violation> {
        let wait = self.schedule.random.millis(5, 250);
        if self.calm {
            return Ok(());
        }
        self.schedule.after(wait, Happening::Accepted);
        if !self.alive {
            return Ok(());
        }
        let records = 1 + self.schedule.random.below(4) as u32;
        let entry = Entry {
            ordinal: self.next,
            records,
            skip: 0,
            position: self.next,
            accepted_at_ms: 0,
            place: Place::Unknown,
        };
        self.next = entry.end();
        self.disk.entries.push(entry.clone());
        self.feed(Event::Accepted(entry))
    }

    /// The controller's word goes out; it may arrive late, and after a newer one.
    fn say_grant(&mut self) {
        let epoch = FencingEpoch::from_wire(self.epoch).expect("epochs count from 1");
        let grant = Grant { epoch, region: name(self.acting), promoted: self.promoted.clone() };
        let delay = self.schedule.random.mostly_short(1, 2_000);
        self.schedule.after(delay, Happening::Granted(self.life, grant));
    }

    fn marks(&self) -> Marks {
        Marks { replicated_to: self.mirrored, target_end: self.regions[1 - self.acting].committed() }
    }

    fn mirror_copies(&mut self) {
        self.schedule.after(Duration::from_millis(40), Happening::MirrorCopies);
        let most = self.schedule.random.below(7) as i64;
        self.mirror(most);
        if self.schedule.random.one_in(3) {
            let delay = self.schedule.random.mostly_short(1, 500);
            let (acting, marks) = (self.acting, self.marks());
            self.schedule.after(delay, Happening::Replicated(self.life, acting, marks));
        }
    }

    fn mirror(&mut self, most: i64) {
        let source = &self.regions[self.acting];
        let to = source.committed().min(self.mirrored + most);
        let copied: Vec<_> = source.records()[self.mirrored as usize..to as usize].to_vec();
        self.mirrored = to;
        let target = &mut self.regions[1 - self.acting];
        for record in copied {
            target.write_copy(record);
        }
    }

    fn happen(&mut self, happening: Happening) -> Result<(), Violation> {
        match happening {
            Happening::Accepted => self.accept(),
            Happening::Tick(life) if life == self.life && self.alive => {
                let wait = self.clock.stretch(TICK);
                self.schedule.after(wait, Happening::Tick(life));
                self.feed(Event::Tick)
            }
            Happening::BatchArrives(id) => self.batch_arrives(id),
            Happening::BatchAnswered(life, id, ordinal, outcome)
                if life == self.life && self.alive && id == self.connection.id =>
            {
                self.connection.open.retain(|open| *open != ordinal);
                self.feed(Event::Sent { ordinal, outcome })
            }
            Happening::Operated(life, command) if life == self.life && self.alive => {
                let event = self.operate(command);
                let delay = self.schedule.random.mostly_short(1, 200);
                self.schedule.after(delay, Happening::OperationAnswered(life, event));
                Ok(())
            }
            Happening::OperationAnswered(life, event) if life == self.life && self.alive => self.feed(event),
            Happening::Granted(life, grant) if life == self.life && self.alive => self.granted(grant),
            Happening::Replicated(life, region, marks) if life == self.life && self.alive => {
                // Words of an earlier acting region never reach a gateway that a newer grant has reached.
                if region == self.acting && marks.replicated_to <= self.mirrored {
                    return self.feed(Event::Replicated { region: name(region), marks });
                }
                Ok(())
            }
            Happening::MirrorCopies => {
                self.mirror_copies();
                Ok(())
            }
            Happening::Saves(life) if life == self.life && self.alive => {
                self.disk.saved = self.forward.saved();
                self.schedule.after(Duration::from_millis(500), Happening::Saves(life));
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
            Happening::Tick(_)
            | Happening::BatchAnswered(..)
            | Happening::Operated(..)
            | Happening::OperationAnswered(..)
            | Happening::Granted(..)
            | Happening::Replicated(..)
            | Happening::Saves(_) => Ok(()),
        }
    }
}

impl World for BufferWorld {
    fn step(&mut self) -> Result<Progress, Violation> {
        let Some(happening) = self.schedule.advance() else { return Ok(Progress::Over) };
        self.ghosts_arrive()?;
        self.happen(happening)?;
        self.check()?;
        self.progress()
    }
}

fn name(region: usize) -> RegionName {
    RegionName::new(REGIONS[region]).expect("a legal name")
}

fn index(region: &RegionName) -> usize {
    REGIONS.iter().position(|name| region.as_str() == *name).expect("one of the two")
}
