//! One partition's mirror between two regions: processes that crash, pause and rival, a target that loses leaders.

mod checks;
mod faults;
mod process;
mod source;

use std::collections::BTreeMap;
use std::time::Duration;

use leeward_mirror_core::partition::{
    AuditedBatch, BatchNumber, Command, Event, GapPolicy, MergePolicy, Notice, Settings, Start,
};
use leeward_model::{SourceOffset, TargetOffset};
use leeward_wire::ErrorCode;
use leeward_wire::record::RecordBatch;

use self::process::{Connection, Process, REPLICATING_MAX_MS, Store, settings};
use self::source::{Answer, Source};
use crate::broker::{Broker, Refusal, Writer};
use crate::run::{Progress, Violation, World};
use crate::schedule::{Clock, Scheduler};
use crate::trace;

/// How long things go wrong.
const FAULTS_FOR: Duration = Duration::from_secs(10);
/// How long the mirror has to finish once nothing goes wrong any more.
const FINISH_WITHIN: Duration = Duration::from_secs(60);
/// Between two ticks of a process, on its own clock.
const TICK: Duration = Duration::from_millis(100);
const DRIFT_PPM_MAX: u32 = 20_000;
/// Bytes that a model's record may have when it is decompressed.
const RECORDS_BYTES_MAX: usize = 1 << 20;

/// Something that happens; `usize` is a process, and the number beside it the life it is meant for.
#[derive(Debug)]
enum Happening {
    Tick(usize, u64),
    SourceGrows,
    Fetch(usize, u64, SourceOffset),
    FetchAnswered(usize, u64, Option<Answer>),
    BatchArrives(u64),
    /// All replicas have the batch, if it was appended and the leader is still the one of this term.
    Replicated {
        connection: u64,
        batch: BatchNumber,
        outcome: Result<(i64, i64), ErrorCode>,
        term: u64,
    },
    BatchAnswered(u64),
    StoreArrives(usize, u64),
    Stored(usize, u64, Event),
    Asked(usize, u64, Command),
    Answered(usize, u64, Event),
    Load(usize, u64),
    Loaded(usize, u64, TargetOffset),
    Start(usize),
    Fault,
    Calm,
    TooLate,
}

#[derive(Debug)]
pub(crate) struct MirrorWorld {
    schedule: Scheduler<Happening>,
    source: Source,
    target: Broker,
    store: Store,
    processes: Vec<Process>,
    connections: BTreeMap<u64, Connection>,
    next_connection: u64,
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
        let mut world = Self {
            schedule,
            source: Source::default(),
            target: Broker::default(),
            store: Store::default(),
            processes: Vec::new(),
            connections: BTreeMap::new(),
            next_connection: 0,
            settings: settings(gap, merge),
            foreigners,
            unclean,
            source_dark_until: Duration::ZERO,
            calm: false,
        };
        for who in 0..processes {
            let process = world.process(0);
            world.processes.push(process);
            world.begin(who);
        }
        world.schedule.after(Duration::ZERO, Happening::SourceGrows);
        world.schedule.after(Duration::from_millis(200), Happening::Fault);
        world.schedule.after(FAULTS_FOR, Happening::Calm);
        world
    }

    fn process(&mut self, life: u64) -> Process {
        let now = self.schedule.now();
        let clock = Clock::started(now, DRIFT_PPM_MAX, &mut self.schedule.random);
        Process::new(life, clock, 0, self.settings.clone())
    }

    fn begin(&mut self, who: usize) {
        let life = self.processes[who].life;
        self.connect(who);
        self.schedule.after(Duration::ZERO, Happening::Load(who, life));
        self.schedule.after(TICK, Happening::Tick(who, life));
    }

    fn connect(&mut self, who: usize) {
        self.next_connection += 1;
        let owner = Some((who, self.processes[who].life));
        self.connections.insert(self.next_connection, Connection { owner, ..Connection::default() });
        self.processes[who].connection = self.next_connection;
    }

    fn lives(&self, who: usize, life: u64) -> bool {
        self.processes.get(who).is_some_and(|process| process.alive && process.life == life)
    }

    /// Gives the core an event and carries out what it says.
    fn feed(&mut self, who: usize, event: Event) -> Result<(), Violation> {
        let now = self.schedule.now();
        let process = &mut self.processes[who];
        let heard = checks::in_short(&event);
        let commands = process.partition.on(event, process.clock.read(now));
        if let Some(heard) = heard.filter(|heard| !commands.is_empty() || heard != "Tick") {
            trace::note(|| format!("{now:?} mirror {who} hears {heard}"));
        }
        for command in commands {
            trace::note(|| format!("{now:?} mirror {who} says {}", checks::said(&command)));
            self.carry_out(who, command);
        }
        self.pump(who);
        self.check(who)
    }

    fn carry_out(&mut self, who: usize, command: Command) {
        let now = self.schedule.now();
        let life = self.processes[who].life;
        match command {
            Command::PersistRuns { .. } | Command::Checkpoint { .. } => {
                let delay = self.schedule.random.mostly_short(1, 300);
                let process = &mut self.processes[who];
                process.storing.push_back(command);
                let arrival = process.store_wire.arrival(now, delay);
                self.schedule.at(arrival, Happening::StoreArrives(who, life));
            }
            Command::Produce { batch, records } => {
                let delay = self.schedule.random.mostly_short(1, 200);
                let process = &mut self.processes[who];
                process.unanswered.push_back(batch);
                let id = process.connection;
                let connection = self.connections.get_mut(&id).expect("a process has a connection");
                connection.sent.push_back((batch, records));
                let arrival = connection.there.arrival(now, delay);
                self.schedule.at(arrival, Happening::BatchArrives(id));
            }
            Command::AskTargetEnd { .. } | Command::Audit { .. } => {
                let delay = self.schedule.random.mostly_short(1, 200);
                self.schedule.after(delay, Happening::Asked(who, life, command));
            }
            Command::Reload => self.schedule.after(Duration::from_millis(1), Happening::Load(who, life)),
            Command::Emit(
                Notice::Active { target_end, .. } | Notice::TargetTruncated { from: target_end, .. },
            ) => {
                let lost = target_end.to_wire() > self.target.committed();
                self.processes[who].deceived = lost;
                self.processes[who].replicated_to = None;
            }
            Command::Emit(_) => {}
        }
    }

    /// Fetches, if the core wants to and is not waiting for an answer.
    fn pump(&mut self, who: usize) {
        let process = &mut self.processes[who];
        if let Some(from) = process.partition.wanted().filter(|_| !process.fetching) {
            process.fetching = true;
            let life = process.life;
            let delay = self.schedule.random.mostly_short(2, 100);
            self.schedule.after(delay, Happening::Fetch(who, life, from));
        }
    }

    fn happen(&mut self, happening: Happening) -> Result<(), Violation> {
        match happening {
            Happening::Tick(who, life) => {
                let wait = self.processes[who].clock.stretch(TICK);
                self.schedule.after(wait, Happening::Tick(who, life));
                self.feed(who, Event::Tick)
            }
            Happening::SourceGrows if self.calm => Ok(()),
            Happening::SourceGrows => {
                self.source.grow(&mut self.schedule.random);
                let wait = self.schedule.random.millis(10, 500);
                self.schedule.after(wait, Happening::SourceGrows);
                Ok(())
            }
            Happening::Fetch(who, life, from) => {
                let dark = self.schedule.now() < self.source_dark_until;
                let batches = 1 + self.schedule.random.below(6);
                let answer = (!dark).then(|| self.source.fetch(from, batches));
                let nothing = matches!(&answer, Some(Answer::Fetched(fetched)) if fetched.records.is_empty());
                let delay = if dark || nothing {
                    Duration::from_millis(200)
                } else {
                    self.schedule.random.mostly_short(2, 100)
                };
                self.schedule.after(delay, Happening::FetchAnswered(who, life, answer));
                Ok(())
            }
            Happening::FetchAnswered(who, _, answer) => {
                self.processes[who].fetching = false;
                match answer {
                    Some(Answer::Fetched(fetched)) => self.feed(who, Event::Fetched(fetched)),
                    Some(Answer::OutOfRange { log_start, log_end }) => {
                        self.feed(who, Event::SourceOutOfRange { log_start, log_end })
                    }
                    None => {
                        self.pump(who);
                        Ok(())
                    }
                }
            }
            Happening::BatchArrives(id) => self.arrive(id),
            Happening::Replicated { connection, batch, outcome, term } => {
                let answer = match outcome {
                    Ok(_) if term != self.target.term => Err(ErrorCode::NOT_LEADER_OR_FOLLOWER),
                    Ok((base, end)) => {
                        self.target.commit(end);
                        Ok(base)
                    }
                    Err(code) => Err(code),
                };
                self.answer(connection, batch, answer);
                Ok(())
            }
            Happening::BatchAnswered(id) => self.batch_answered(id),
            Happening::StoreArrives(who, life) => {
                let Some(command) = self.processes[who].storing.pop_front() else { return Ok(()) };
                self.store.apply(&command);
                let event = match command {
                    Command::PersistRuns { change, .. } => Event::RunsPersisted(change),
                    Command::Checkpoint { target } => Event::Checkpointed { target },
                    other => unreachable!("{other:?} is nothing to store"),
                };
                let delay = self.schedule.random.mostly_short(1, 100);
                self.schedule.after(delay, Happening::Stored(who, life, event));
                self.check_store()
            }
            Happening::Stored(who, _, event) | Happening::Answered(who, _, event) => self.feed(who, event),
            Happening::Asked(who, life, command) => {
                let event = self.ask(command);
                let delay = self.schedule.random.mostly_short(1, 200);
                self.schedule.after(delay, Happening::Answered(who, life, event));
                Ok(())
            }
            Happening::Load(who, life) => {
                let target_end = target(self.target.committed());
                let delay = self.schedule.random.mostly_short(1, 200);
                self.schedule.after(delay, Happening::Loaded(who, life, target_end));
                Ok(())
            }
            Happening::Loaded(who, _, target_end) => self.loaded(who, target_end),
            Happening::Start(who) if who >= self.processes.len() => Ok(()),
            Happening::Start(who) => {
                let life = self.processes[who].life + 1;
                self.processes[who] = self.process(life);
                self.begin(who);
                Ok(())
            }
            Happening::Fault => self.go_wrong(),
            Happening::Calm => {
                self.calm_down();
                Ok(())
            }
            Happening::TooLate => self.too_late(),
        }
    }

    /// The target's end was read first, and the stored map after it: so it has the runs of everything below that end.
    fn loaded(&mut self, who: usize, target_end: TargetOffset) -> Result<(), Violation> {
        let store = self.store.clone();
        let start = Start {
            runs: store.runs.into_values().collect(),
            checkpoint: store.checkpoint,
            target_end,
            source_log_start: Some(source(self.source.log_start)),
            begin_at: Some(source(self.source.log_start)),
        };
        self.feed(who, Event::Started(start))
    }

    /// A batch reaches the target's leader.
    fn arrive(&mut self, id: u64) -> Result<(), Violation> {
        let now = self.schedule.now();
        let connection = self.connections.get_mut(&id).expect("connections are kept");
        if now < connection.held_until && !connection.sent.is_empty() {
            let until = connection.held_until;
            self.schedule.at(until, Happening::BatchArrives(id));
            return Ok(());
        }
        let Some((batch, records)) = connection.sent.pop_front() else { return Ok(()) };
        let outcome = self.append(&records)?;
        let delay = match &outcome {
            Ok(_) => self.schedule.random.mostly_short(1, REPLICATING_MAX_MS),
            Err(_) => Duration::ZERO,
        };
        // A broker answers the requests of one connection in order.
        let connection = self.connections.get_mut(&id).expect("connections are kept");
        let done = connection.replicating.arrival(now, delay);
        let term = self.target.term;
        self.schedule.at(done, Happening::Replicated { connection: id, batch, outcome, term });
        Ok(())
    }

    fn append(&mut self, batch: &RecordBatch) -> Result<Result<(i64, i64), ErrorCode>, Violation> {
        let plain = batch.verify_crc().is_ok() && batch.is_dense() && !batch.is_control();
        let plain = plain && batch.base_offset() == 0 && !batch.is_transactional();
        Violation::unless(plain, checks::PLAIN_BATCHES, || format!("{batch:?}"))?;
        let content = batch.decompress(RECORDS_BYTES_MAX).expect("the source's records are small");
        let value = |bytes: &[u8]| u64::from_be_bytes(bytes.try_into().expect("values have eight bytes"));
        let values: Vec<u64> = content
            .records()
            .map(|record| value(record.expect("a whole record").value.expect("records have values")))
            .collect();
        let writer = Writer {
            producer: batch.producer_id(),
            epoch: batch.producer_epoch(),
            sequence: batch.base_sequence(),
        };
        let records = values.len() as i64;
        Ok(match self.target.append(writer, &values) {
            Ok(taken) => {
                if taken.new {
                    self.check_appended(taken.base, &values)?;
                }
                Ok((taken.base, taken.base + records))
            }
            Err(Refusal::OutOfOrder) => Err(ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER),
            Err(Refusal::OldEpoch) => Err(ErrorCode::INVALID_PRODUCER_EPOCH),
            Err(Refusal::Sealed) => Err(ErrorCode::NOT_ENOUGH_REPLICAS),
        })
    }

    fn answer(&mut self, id: u64, batch: BatchNumber, answer: Result<i64, ErrorCode>) {
        let now = self.schedule.now();
        let delay = self.schedule.random.mostly_short(1, 200);
        let connection = self.connections.get_mut(&id).expect("connections are kept");
        if connection.owner.is_some() {
            connection.answers.push_back((batch, answer));
            let arrival = connection.back.arrival(now, delay);
            self.schedule.at(arrival, Happening::BatchAnswered(id));
        }
    }

    fn batch_answered(&mut self, id: u64) -> Result<(), Violation> {
        let connection = self.connections.get_mut(&id).expect("connections are kept");
        let Some((who, life)) = connection.owner else { return Ok(()) };
        let process = &self.processes[who];
        if process.paused_until > self.schedule.now() {
            let until = process.paused_until;
            self.schedule.at(until, Happening::BatchAnswered(id));
            return Ok(());
        }
        let Some((batch, answer)) = connection.answers.pop_front() else { return Ok(()) };
        if !self.lives(who, life) {
            return Ok(());
        }
        self.processes[who].unanswered.retain(|other| *other != batch);
        let event = match answer {
            Ok(base) => Event::Acknowledged { batch, base: TargetOffset::from_wire(base) },
            Err(code) => Event::Refused { batch, code },
        };
        self.feed(who, event)
    }

    fn ask(&mut self, command: Command) -> Event {
        let fails = !self.calm && self.schedule.random.one_in(12);
        match command {
            Command::AskTargetEnd { question } | Command::Audit { question, .. } if fails => {
                Event::QuestionFailed { question }
            }
            Command::AskTargetEnd { question } => {
                Event::TargetEnd { question, end: target(self.target.committed()) }
            }
            Command::Audit { question, from, to } => {
                let between = self.target.batches_between(from.to_wire(), to.to_wire());
                let batches =
                    between.filter(|batch| batch.base >= from.to_wire()).map(|batch| AuditedBatch {
                        base: target(batch.base),
                        offsets: u64::from(batch.records),
                        producer_id: batch.writer.producer,
                    });
                Event::Audited { question, batches: batches.collect() }
            }
            other => unreachable!("{other:?} is no question"),
        }
    }
}

impl World for MirrorWorld {
    fn step(&mut self) -> Result<Progress, Violation> {
        let Some(happening) = self.schedule.advance() else { return self.over() };
        let meant = match &happening {
            Happening::Tick(who, life)
            | Happening::Fetch(who, life, _)
            | Happening::FetchAnswered(who, life, _)
            | Happening::StoreArrives(who, life)
            | Happening::Stored(who, life, _)
            | Happening::Asked(who, life, _)
            | Happening::Answered(who, life, _)
            | Happening::Load(who, life)
            | Happening::Loaded(who, life, _) => Some((*who, *life)),
            Happening::SourceGrows
            | Happening::BatchArrives(_)
            | Happening::Replicated { .. }
            | Happening::BatchAnswered(_)
            | Happening::Start(_)
            | Happening::Fault
            | Happening::Calm
            | Happening::TooLate => None,
        };
        if let Some((who, life)) = meant {
            if !self.lives(who, life) {
                return Ok(Progress::GoesOn);
            }
            let paused_until = self.processes[who].paused_until;
            if paused_until > self.schedule.now() {
                self.schedule.at(paused_until, happening);
                return Ok(Progress::GoesOn);
            }
        }
        self.happen(happening)?;
        self.progress()
    }
}

fn source(wire: i64) -> SourceOffset {
    SourceOffset::from_wire(wire).expect("offsets are not negative")
}

fn target(wire: i64) -> TargetOffset {
    TargetOffset::from_wire(wire).expect("offsets are not negative")
}
