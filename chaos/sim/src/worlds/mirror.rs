//! One partition's mirror between two regions: processes that crash, pause and rival, a target that loses leaders.

mod checks;
mod faults;
mod source;

use std::time::Duration;

use leeward_mirror_core::partition::{Event, GapPolicy, MergePolicy, Settings, Start};
use leeward_model::{LinkName, PartitionIndex, SourceOffset, TargetOffset, TopicId};

use self::source::Source;
use crate::broker::Broker;
use crate::mirrors::{self, Answer, Around, Mirrors, Process, Store, source};
use crate::random::Random;
use crate::run::{Progress, Violation, World};
use crate::schedule::{Clock, Scheduler, Surroundings};

/// How long things go wrong.
const FAULTS_FOR: Duration = Duration::from_secs(10);
/// How long the mirror has to finish once nothing goes wrong any more.
const FINISH_WITHIN: Duration = Duration::from_secs(60);
const DRIFT_PPM_MAX: u32 = 20_000;
/// How long a mirror that goes on behind retention waits for batches that were sent before. There they arrive within
/// [`LATE_MAX_MS`], and are on all replicas within [`mirrors::REPLICATING_MAX_MS`] more.
const LATE_WITHIN: Duration = Duration::from_secs(2);
const LATE_MAX_MS: u64 = 900;

#[derive(Debug)]
enum Happening {
    Mirror(mirrors::Happening),
    SourceGrows,
    Start(usize),
    Fault,
    Calm,
    TooLate,
}

#[derive(Debug)]
pub(crate) struct MirrorWorld {
    mirrors: Mirrors,
    regions: Regions,
}

/// The two regions and what else lies around the processes.
#[derive(Debug)]
struct Regions {
    schedule: Scheduler<Happening>,
    source: Source,
    target: Broker,
    store: Store,
    settings: Settings,
    foreigners: bool,
    unclean: bool,
    /// The source is not reached until then.
    source_dark_until: Duration,
    calm: bool,
}

impl MirrorWorld {
    pub(crate) fn new(seed: u64) -> Self {
        let mut schedule = Scheduler::new(seed);
        let random = &mut schedule.random;
        let processes = if random.one_in(3) { 2 } else { 1 };
        // Two processes that each step over what retention took may disagree about where it began.
        let gap = if processes == 1 && random.one_in(3) { GapPolicy::Continue } else { GapPolicy::Stop };
        let below_bytes = [100, 200, 0, MergePolicy::default().below_bytes][(seed % 4) as usize];
        let merge = MergePolicy { below_bytes, bytes_max: 4 * below_bytes };
        let unclean = random.one_in(6);
        // Two processes that each step over foreign writes may overwrite each other's corrections of the map.
        let foreigners = !unclean && processes == 1 && random.one_in(2);
        let regions = Regions {
            schedule,
            source: Source::default(),
            target: Broker::default(),
            store: Store::default(),
            settings: settings(gap, merge),
            foreigners,
            unclean,
            source_dark_until: Duration::ZERO,
            calm: false,
        };
        let mut world = Self { mirrors: Mirrors::default(), regions };
        for who in 0..processes {
            world.begin(who);
        }
        let schedule = &mut world.regions.schedule;
        schedule.after(Duration::ZERO, Happening::SourceGrows);
        schedule.after(Duration::from_millis(200), Happening::Fault);
        schedule.after(FAULTS_FOR, Happening::Calm);
        world
    }

    fn begin(&mut self, who: usize) {
        let schedule = &mut self.regions.schedule;
        let clock = Clock::started(schedule.now(), DRIFT_PPM_MAX, &mut schedule.random);
        let settings = self.regions.settings.clone();
        self.mirrors.start(who, settings, clock, &mut self.regions);
    }

    fn source_grows(&mut self) {
        let Regions { schedule, source, calm, .. } = &mut self.regions;
        if !*calm {
            source.grow(&mut schedule.random);
            let wait = schedule.random.millis(10, 500);
            schedule.after(wait, Happening::SourceGrows);
        }
    }

    fn happen(&mut self, happening: Happening) -> Result<(), Violation> {
        match happening {
            Happening::Mirror(happening) => self.mirrors.happen(happening, &mut self.regions)?,
            Happening::SourceGrows => self.source_grows(),
            Happening::Start(who) if who >= self.mirrors.processes.len() => {}
            Happening::Start(who) => self.begin(who),
            Happening::Fault => self.go_wrong()?,
            Happening::Calm => self.calm_down(),
            Happening::TooLate => self.too_late()?,
        }
        Ok(())
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
    fn at(&mut self, time: Duration, happening: mirrors::Happening) {
        self.schedule.at(time, Happening::Mirror(happening));
    }

    fn target(&mut self, _who: usize) -> &mut Broker {
        &mut self.target
    }

    fn reaches_target(&self, _who: usize) -> bool {
        true
    }

    fn store(&mut self, _who: usize) -> &mut Store {
        &mut self.store
    }

    fn fetch(&mut self, _who: usize, from: SourceOffset, batches: usize) -> Option<Answer> {
        let dark = self.schedule.now() < self.source_dark_until;
        (!dark).then(|| self.source.fetch(from, batches))
    }

    /// The target's end was read first, and the stored map after it: so it has the runs of everything below that end.
    fn start(&mut self, _who: usize, target_end: TargetOffset) -> Event {
        Event::Started(Start {
            runs: self.store.runs.values().copied().collect(),
            checkpoint: self.store.checkpoint,
            target_end,
            source_log_start: Some(source(self.source.log_start)),
            begin_at: Some(source(self.source.log_start)),
        })
    }

    fn appended(&mut self, _who: usize, base: i64, values: &[u64]) -> Result<(), Violation> {
        self.check_appended(base, values)
    }

    fn took(&mut self, who: usize, process: &mut Process) -> Result<(), Violation> {
        self.check(who, process)
    }

    fn stored(&mut self, _who: usize) -> Result<(), Violation> {
        self.check_store()
    }
}

impl World for MirrorWorld {
    fn step(&mut self) -> Result<Progress, Violation> {
        let Some(happening) = self.regions.schedule.advance() else { return self.over() };
        self.happen(happening)?;
        self.progress()
    }
}

/// The settings of the one link and partition of this world.
fn settings(gap: GapPolicy, merge: MergePolicy) -> Settings {
    Settings {
        link: LinkName::new("a-to-b").expect("a legal name"),
        topic: TopicId::from_wire([7; 16]).expect("a legal id"),
        partition: PartitionIndex::from_wire(0).expect("a legal index"),
        gap,
        merge,
        late_within: LATE_WITHIN,
    }
}
