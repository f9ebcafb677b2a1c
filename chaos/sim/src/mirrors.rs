//! The processes that run links, around the mirror's core: what they send, store and ask, and what becomes of it when a
//! connection breaks or a process crashes. What lies around them a world says, as [`Around`].

mod process;
mod regions;
mod words;

use std::collections::BTreeMap;
use std::time::Duration;

use leeward_mirror_core::partition::{BatchNumber, Command, Event, Fetched, Notice, Settings};
use leeward_model::{SourceOffset, TargetOffset};
use leeward_wire::ErrorCode;

use self::process::Connection;
pub(crate) use self::process::{Process, REPLICATING_MAX_MS, Store};
use self::regions::{append, ask, fetch};
use crate::broker::Broker;
use crate::run::Violation;
use crate::schedule::{Clock, Surroundings};
use crate::trace;

/// Between two ticks of a process, on its own clock.
const TICK: Duration = Duration::from_millis(100);
/// Before somebody who does not answer is asked again.
const AGAIN: Duration = Duration::from_millis(200);
/// Bytes under way to a region that is down are gone by then, in milliseconds.
const GONE_MS: u64 = 2;

/// Something that happens; `usize` is a process, and the number beside it the life it is meant for.
#[derive(Debug)]
pub(crate) enum Happening {
    Tick(usize, u64),
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
}

impl Happening {
    /// The process that it is meant for, and the life.
    fn meant_for(&self) -> Option<(usize, u64)> {
        match self {
            Self::Tick(who, life)
            | Self::Fetch(who, life, _)
            | Self::FetchAnswered(who, life, _)
            | Self::StoreArrives(who, life)
            | Self::Stored(who, life, _)
            | Self::Asked(who, life, _)
            | Self::Answered(who, life, _)
            | Self::Load(who, life)
            | Self::Loaded(who, life, _) => Some((*who, *life)),
            Self::BatchArrives(_) | Self::Replicated { .. } | Self::BatchAnswered(_) => None,
        }
    }
}

/// What the source says to a fetch.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    Fetched(Fetched),
    OutOfRange {
        log_start: SourceOffset,
        log_end: SourceOffset,
    },
    /// The topic is another one of the same name.
    Recreated,
}

/// What lies around the processes.
pub(crate) trait Around: Surroundings {
    fn at(&mut self, time: Duration, happening: Happening);
    /// The region that a process writes to.
    fn target(&mut self, who: usize) -> &mut Broker;
    /// Whether that region answers.
    fn reaches_target(&self, who: usize) -> bool;
    /// What is durable for a process and those after it.
    fn store(&mut self, who: usize) -> &mut Store;
    /// What a process reads from its source; `None` where that does not answer.
    fn fetch(&mut self, who: usize, from: SourceOffset, batches: usize) -> Option<Answer>;
    /// What a process is told at its start, where the target ended there.
    fn start(&mut self, who: usize, target_end: TargetOffset) -> Event;
    /// A batch was appended.
    fn appended(&mut self, who: usize, base: i64, values: &[u64]) -> Result<(), Violation>;
    /// A process has taken an event.
    fn took(&mut self, who: usize, process: &mut Process) -> Result<(), Violation>;
    /// Something became durable.
    fn stored(&mut self, who: usize) -> Result<(), Violation>;

    fn after(&mut self, delay: Duration, happening: Happening) {
        let time = self.now() + delay;
        self.at(time, happening);
    }
}

/// The processes and their connections.
#[derive(Debug, Default)]
pub(crate) struct Mirrors {
    pub(crate) processes: Vec<Process>,
    pub(crate) connections: BTreeMap<u64, Connection>,
    next_connection: u64,
}

impl Mirrors {
    /// Starts a process in the place of `who`, or behind the last one.
    pub(crate) fn start(&mut self, who: usize, settings: Settings, clock: Clock, around: &mut impl Around) {
        match self.processes.get_mut(who) {
            Some(process) => *process = Process::new(process.life + 1, clock, settings),
            None => self.processes.push(Process::new(0, clock, settings)),
        }
        let life = self.processes[who].life;
        self.connect(who);
        around.after(Duration::ZERO, Happening::Load(who, life));
        around.after(TICK, Happening::Tick(who, life));
    }

    fn connect(&mut self, who: usize) {
        self.next_connection += 1;
        let connection = Connection::of(who, self.processes[who].life);
        self.connections.insert(self.next_connection, connection);
        self.processes[who].connection = self.next_connection;
    }

    fn lives(&self, who: usize, life: u64) -> bool {
        self.processes.get(who).is_some_and(|process| process.alive && process.life == life)
    }

    /// Gives the core an event and carries out what it says.
    pub(crate) fn feed(
        &mut self,
        who: usize,
        event: Event,
        around: &mut impl Around,
    ) -> Result<(), Violation> {
        let now = around.now();
        let process = &mut self.processes[who];
        let heard = words::heard(&event);
        let commands = process.partition.on(event, process.clock.read(now));
        if let Some(heard) = heard.filter(|heard| !commands.is_empty() || heard != "Tick") {
            trace::note(|| format!("{now:?} mirror {who} hears {heard}"));
        }
        for command in commands {
            trace::note(|| format!("{now:?} mirror {who} says {}", words::said(&command)));
            self.carry_out(who, command, around);
        }
        self.pump(who, around);
        around.took(who, &mut self.processes[who])
    }

    fn carry_out(&mut self, who: usize, command: Command, around: &mut impl Around) {
        let now = around.now();
        let life = self.processes[who].life;
        match command {
            Command::PersistRuns { .. } | Command::Checkpoint { .. } => {
                let delay = around.random().mostly_short(1, 300);
                let process = &mut self.processes[who];
                process.storing.push_back(command);
                let arrival = process.store_wire.arrival(now, delay);
                around.at(arrival, Happening::StoreArrives(who, life));
            }
            Command::Produce { batch, records } => {
                let delay = around.random().mostly_short(1, 200);
                let process = &mut self.processes[who];
                process.unanswered.push_back(batch);
                let id = process.connection;
                let connection = self.connections.get_mut(&id).expect("a process has a connection");
                connection.sent.push_back((batch, records));
                let arrival = connection.there.arrival(now, delay);
                around.at(arrival, Happening::BatchArrives(id));
            }
            Command::AskTargetEnd { .. } | Command::Audit { .. } => {
                let delay = around.random().mostly_short(1, 200);
                around.after(delay, Happening::Asked(who, life, command));
            }
            Command::Reload => {
                self.processes[who].waits.opening = true;
                around.after(Duration::from_millis(1), Happening::Load(who, life));
            }
            Command::Emit(
                Notice::Active { target_end, .. } | Notice::TargetTruncated { from: target_end, .. },
            ) => {
                let lost = target_end.to_wire() > around.target(who).committed();
                self.processes[who].deceived = lost;
                self.processes[who].replicated_to = None;
            }
            Command::Emit(_) => {}
        }
    }

    /// Fetches, if the core wants to and is not waiting for an answer.
    fn pump(&mut self, who: usize, around: &mut impl Around) {
        let process = &mut self.processes[who];
        if let Some(from) = process.partition.wanted().filter(|_| !process.waits.fetching) {
            process.waits.fetching = true;
            let life = process.life;
            let delay = around.random().mostly_short(2, 100);
            around.after(delay, Happening::Fetch(who, life, from));
        }
    }

    /// Lets something happen, unless the life that it is meant for is over. Who is paused takes it later.
    pub(crate) fn happen(&mut self, happening: Happening, around: &mut impl Around) -> Result<(), Violation> {
        if let Some((who, life)) = happening.meant_for() {
            if !self.lives(who, life) {
                return Ok(());
            }
            let paused_until = self.processes[who].paused_until;
            if paused_until > around.now() {
                around.at(paused_until, happening);
                return Ok(());
            }
        }
        match happening {
            Happening::Tick(who, life) => {
                let wait = self.processes[who].clock.stretch(TICK);
                around.after(wait, Happening::Tick(who, life));
                self.open_again(who, life, around);
                self.feed(who, Event::Tick, around)
            }
            Happening::Fetch(who, life, from) => {
                fetch(who, life, from, around);
                Ok(())
            }
            Happening::FetchAnswered(who, _, answer) => self.fetch_answered(who, answer, around),
            Happening::BatchArrives(id) => self.arrive(id, around),
            Happening::Replicated { connection, batch, outcome, term } => {
                self.replicated(connection, batch, outcome, term, around);
                Ok(())
            }
            Happening::BatchAnswered(id) => self.batch_answered(id, around),
            Happening::StoreArrives(who, life) => self.store_arrives(who, life, around),
            Happening::Stored(who, _, event) | Happening::Answered(who, _, event) => {
                self.feed(who, event, around)
            }
            Happening::Asked(who, life, command) => {
                let event = ask(who, command, around);
                let delay = around.random().mostly_short(1, 200);
                around.after(delay, Happening::Answered(who, life, event));
                Ok(())
            }
            Happening::Load(who, life) if !around.reaches_target(who) => {
                around.after(AGAIN, Happening::Load(who, life));
                Ok(())
            }
            Happening::Load(who, life) => {
                let target_end = target(around.target(who).committed());
                let delay = around.random().mostly_short(1, 200);
                around.after(delay, Happening::Loaded(who, life, target_end));
                Ok(())
            }
            Happening::Loaded(who, life, _) if !around.reaches_target(who) => {
                around.after(AGAIN, Happening::Load(who, life));
                Ok(())
            }
            Happening::Loaded(who, _, target_end) => {
                let start = around.start(who, target_end);
                self.processes[who].waits.opening = false;
                self.feed(who, start, around)
            }
        }
    }

    /// What could not begin, as while its source is dark, tries again.
    fn open_again(&mut self, who: usize, life: u64, around: &mut impl Around) {
        let process = &mut self.processes[who];
        if !process.waits.opening && process.partition.standing().state == "starting" {
            process.waits.opening = true;
            around.after(AGAIN, Happening::Load(who, life));
        }
    }

    fn fetch_answered(
        &mut self,
        who: usize,
        answer: Option<Answer>,
        around: &mut impl Around,
    ) -> Result<(), Violation> {
        self.processes[who].waits.fetching = false;
        match answer {
            Some(Answer::Fetched(fetched)) => self.feed(who, Event::Fetched(fetched), around),
            Some(Answer::OutOfRange { log_start, log_end }) => {
                self.feed(who, Event::SourceOutOfRange { log_start, log_end }, around)
            }
            Some(Answer::Recreated) => self.feed(who, Event::SourceTopicRecreated, around),
            None => {
                self.pump(who, around);
                Ok(())
            }
        }
    }

    fn store_arrives(&mut self, who: usize, life: u64, around: &mut impl Around) -> Result<(), Violation> {
        if !around.reaches_target(who) {
            around.after(AGAIN, Happening::StoreArrives(who, life));
            return Ok(());
        }
        let Some(command) = self.processes[who].storing.pop_front() else { return Ok(()) };
        around.store(who).apply(&command);
        let event = match command {
            Command::PersistRuns { change, .. } => Event::RunsPersisted(change),
            Command::Checkpoint { target } => Event::Checkpointed { target },
            other => unreachable!("{other:?} is nothing to store"),
        };
        let delay = around.random().mostly_short(1, 100);
        around.after(delay, Happening::Stored(who, life, event));
        around.stored(who)
    }

    /// A batch reaches the target's leader.
    fn arrive(&mut self, id: u64, around: &mut impl Around) -> Result<(), Violation> {
        let now = around.now();
        let connection = self.connections.get_mut(&id).expect("connections are kept");
        if now < connection.held_until && !connection.sent.is_empty() {
            let until = connection.held_until;
            around.at(until, Happening::BatchArrives(id));
            return Ok(());
        }
        let who = connection.who;
        if !around.reaches_target(who) {
            connection.sent.clear();
            let cut = connection.life.is_some_and(|life| self.lives(who, life));
            return if cut { self.cut(who, GONE_MS, around) } else { Ok(()) };
        }
        let Some((batch, records)) = connection.sent.pop_front() else { return Ok(()) };
        let outcome = append(who, &records, around)?;
        let delay = match &outcome {
            Ok(_) => around.random().mostly_short(1, REPLICATING_MAX_MS),
            Err(_) => Duration::ZERO,
        };
        // A broker answers the requests of one connection in order.
        let connection = self.connections.get_mut(&id).expect("connections are kept");
        let done = connection.replicating.arrival(now, delay);
        let term = around.target(who).term;
        around.at(done, Happening::Replicated { connection: id, batch, outcome, term });
        Ok(())
    }

    fn replicated(
        &mut self,
        id: u64,
        batch: BatchNumber,
        outcome: Result<(i64, i64), ErrorCode>,
        term: u64,
        around: &mut impl Around,
    ) {
        let who = self.connections[&id].who;
        let target = around.target(who);
        let answer = match outcome {
            Ok(_) if term != target.term => Err(ErrorCode::NOT_LEADER_OR_FOLLOWER),
            Ok((base, end)) => {
                target.commit(end);
                Ok(base)
            }
            Err(code) => Err(code),
        };
        let now = around.now();
        let delay = around.random().mostly_short(1, 200);
        let connection = self.connections.get_mut(&id).expect("connections are kept");
        if connection.life.is_some() {
            connection.answers.push_back((batch, answer));
            let arrival = connection.back.arrival(now, delay);
            around.at(arrival, Happening::BatchAnswered(id));
        }
    }

    fn batch_answered(&mut self, id: u64, around: &mut impl Around) -> Result<(), Violation> {
        let connection = self.connections.get_mut(&id).expect("connections are kept");
        let (who, Some(life)) = (connection.who, connection.life) else { return Ok(()) };
        let process = &self.processes[who];
        if process.paused_until > around.now() {
            around.at(process.paused_until, Happening::BatchAnswered(id));
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
        self.feed(who, event, around)
    }

    /// A process dies. Some of what was under way to the store and to the target arrives all the same. `false` where it
    /// was dead.
    pub(crate) fn crash(&mut self, who: usize, late_max_ms: u64, around: &mut impl Around) -> bool {
        if !self.processes[who].alive {
            return false;
        }
        let stored = around.random().below(self.processes[who].storing.len() + 1);
        let stored = if around.reaches_target(who) { stored } else { 0 };
        for command in self.processes[who].storing.drain(..).take(stored) {
            around.store(who).apply(&command);
        }
        self.drop_connection(who, late_max_ms, around);
        self.processes[who].alive = false;
        true
    }

    /// The connection to the target breaks: batches under way, the first ones, may still arrive, and late.
    pub(crate) fn cut(
        &mut self,
        who: usize,
        late_max_ms: u64,
        around: &mut impl Around,
    ) -> Result<(), Violation> {
        if !self.processes[who].alive {
            return Ok(());
        }
        self.drop_connection(who, late_max_ms, around);
        self.connect(who);
        for batch in std::mem::take(&mut self.processes[who].unanswered) {
            self.feed(who, Event::Unanswered { batch }, around)?;
        }
        Ok(())
    }

    /// Nothing of what is late arrives any more at the region that `who` writes to.
    pub(crate) fn forget_late(&mut self, who: usize) {
        let late = |connection: &&mut Connection| connection.who == who && connection.life.is_none();
        self.connections.values_mut().filter(late).for_each(|connection| connection.sent.clear());
    }

    fn drop_connection(&mut self, who: usize, late_max_ms: u64, around: &mut impl Around) {
        let now = around.now();
        let id = self.processes[who].connection;
        let late = around.random().mostly_short(1, late_max_ms);
        let connection = self.connections.get_mut(&id).expect("a process has a connection");
        connection.life = None;
        connection.answers.clear();
        let arriving = around.random().below(connection.sent.len() + 1);
        connection.sent.truncate(arriving);
        connection.held_until = now + late;
    }

    /// The leader refuses the next batch for a moment, and may take the one behind it.
    pub(crate) fn refuse(&mut self, who: usize, code: ErrorCode, around: &mut impl Around) {
        let id = self.processes[who].connection;
        let connection = self.connections.get_mut(&id).expect("a process has a connection");
        if let Some((batch, _)) = connection.sent.pop_front() {
            let done = connection.replicating.arrival(around.now(), Duration::ZERO);
            let term = around.target(who).term;
            around.at(done, Happening::Replicated { connection: id, batch, outcome: Err(code), term });
        }
    }
}

pub(crate) fn source(wire: i64) -> SourceOffset {
    SourceOffset::from_wire(wire).expect("offsets are not negative")
}

pub(crate) fn target(wire: i64) -> TargetOffset {
    TargetOffset::from_wire(wire).expect("offsets are not negative")
}
