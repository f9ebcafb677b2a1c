//! What a gateway's shell does for the buffer's core, for one partition: its disk, its connection to the regions, the
//! operations that it carries out. What lies around it a world says, as [`Around`].

use std::collections::VecDeque;
use std::time::Duration;

use leeward_buffer_core::partition::{
    Command, Entry, Event, Forward, Found, Lineage, Outcome, Place, Saved, Trimming,
};
use leeward_model::{ProducerEpoch, Sequence};

use crate::broker::{Broker, Refusal, Writer};
use crate::random::Random;
use crate::run::Violation;
use crate::schedule::{Clock, Surroundings, Wire};
use crate::sites::site;
use crate::trace;

const TICK: Duration = Duration::from_millis(50);
const SAVES_EVERY: Duration = Duration::from_millis(500);
/// After this, a connection breaks on which a batch reached nobody.
const ANSWERED_WITHIN: Duration = Duration::from_millis(700);
const DRIFT_PPM_MAX: u32 = 20_000;
const NO_LOG_LOST: &str = "no log is taken for another one";
const NOTHING_SET_ASIDE: &str = "nothing is set aside that a region would take";

/// The gateway, to its regions.
pub(crate) const PRODUCER: i64 = 5;

/// Something that happens. A number beside it is the gateway's life, or the connection, that it is meant for.
#[derive(Debug)]
pub(crate) enum Happening {
    Tick(u64),
    BatchArrives(u64),
    BatchAnswered(u64, u64, u64, Outcome),
    Operated(u64, Command),
    OperationAnswered(u64, Event),
    Saves(u64),
    /// Nobody has answered on a connection.
    Breaks(u64, u64),
}

impl Happening {
    /// What reaches a region does not wait for who sent it.
    pub(crate) fn is_at_a_region(&self) -> bool {
        matches!(self, Self::BatchArrives(_))
    }
}

/// A batch on its way to a region.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) region: usize,
    epoch: i16,
    sequence: i32,
    entry: Entry,
}

impl Request {
    fn writer(&self) -> Writer {
        Writer { producer: PRODUCER, epoch: self.epoch, sequence: self.sequence }
    }

    /// What its records say: their ordinals.
    fn values(&self) -> Vec<u64> {
        (self.entry.first()..self.entry.end()).collect()
    }

    /// What a region's leader makes of the batch. All replicas have what it takes at once; a leader that dies over it
    /// answers that it leads no more, and the next one has the batch or has it not.
    pub(crate) fn reaches(&self, region: &mut Broker, leader_dies: bool, random: &mut Random) -> Outcome {
        match region.append(self.writer(), &self.values()) {
            Ok(taken) if leader_dies => {
                let keeps = random.one_in(2) || !taken.new;
                // What somebody else has appended before and what is not on all replicas goes with it.
                let end = if keeps { region.end() } else { region.committed().max(taken.base) };
                region.change_leader(end);
                region.commit(end);
                Outcome::NotNow
            }
            Ok(taken) => {
                region.commit(region.end());
                Outcome::Acknowledged { base_offset: taken.base }
            }
            Err(Refusal::OutOfOrder | Refusal::OldEpoch) => Outcome::OutOfOrder,
            Err(Refusal::Sealed) => Outcome::TooLarge,
        }
    }
}

/// What lies around the gateway.
pub(crate) trait Around: Surroundings {
    fn at(&mut self, time: Duration, happening: Happening);
    /// A region's log; `None` where nobody answers.
    fn read(&self, region: usize) -> Option<&Broker>;
    /// A batch reaches a region; `None` where nobody answers.
    fn deliver(&mut self, request: &Request) -> Result<Option<Outcome>, Violation>;
    /// A batch leaves for a region; `false` where no grant lets it.
    fn lets(&mut self, region: usize) -> Result<bool, Violation>;
    /// What lies below this ordinal is forgotten.
    fn trimmed(&self, to: u64) -> Result<(), Violation>;

    fn after(&mut self, delay: Duration, happening: Happening) {
        let time = self.now() + delay;
        self.at(time, happening);
    }
}

/// A connection of the gateway; one that is cut may still have batches under way.
#[derive(Debug, Default)]
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

/// The gateway, with the core of one partition.
#[derive(Debug)]
pub(crate) struct Gateway {
    pub(crate) forward: Forward,
    pub(crate) alive: bool,
    pub(crate) life: u64,
    clock: Clock,
    connection: Connection,
    connections: u64,
    /// Batches of connections that are gone, with when they arrive.
    ghosts: VecDeque<(Duration, Request)>,
    disk: Disk,
    /// The ordinal of the next record that is accepted.
    pub(crate) next: u64,
}

impl Default for Gateway {
    fn default() -> Self {
        Self::started(Duration::ZERO, &mut Random::new(0))
    }
}

impl Gateway {
    pub(crate) fn started(now: Duration, random: &mut Random) -> Self {
        Self {
            forward: Forward::new(Trimming::WhenReplicated),
            alive: true,
            life: 0,
            clock: Clock::started(now, DRIFT_PPM_MAX, random),
            connection: Connection::default(),
            connections: 0,
            ghosts: VecDeque::new(),
            disk: Disk::default(),
            next: 0,
        }
    }

    /// Begins what a process does by itself.
    pub(crate) fn begin(&mut self, around: &mut impl Around) {
        self.alive = true;
        around.after(TICK, Happening::Tick(self.life));
        around.after(SAVES_EVERY, Happening::Saves(self.life));
    }

    pub(crate) fn lives(&self, life: u64) -> bool {
        self.alive && life == self.life
    }

    /// Gives the core an event and carries out what it says.
    pub(crate) fn feed(&mut self, event: Event, around: &mut impl Around) -> Result<(), Violation> {
        let now = around.now();
        let heard = trace::is_wanted().then(|| format!("{event:?}"));
        let commands = self.forward.on(event, self.clock.read(now));
        if let Some(heard) = heard.filter(|heard| heard != "Tick" || !commands.is_empty()) {
            trace::note(|| format!("{now:?} gateway hears {heard}"));
        }
        for command in commands {
            trace::note(|| format!("{now:?} gateway says {command:?}"));
            self.carry_out(command, around)?;
        }
        Ok(())
    }

    /// A client's batch is on the gateway's disk.
    pub(crate) fn accept(&mut self, records: u32, around: &mut impl Around) -> Result<(), Violation> {
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
        self.feed(Event::Accepted(entry), around)
    }

    /// Lets something happen, unless the life that it is meant for is over.
    pub(crate) fn happen(&mut self, happening: Happening, around: &mut impl Around) -> Result<(), Violation> {
        match happening {
            Happening::Tick(life) if self.lives(life) => {
                around.after(self.clock.stretch(TICK), Happening::Tick(life));
                self.feed(Event::Tick, around)
            }
            Happening::BatchArrives(id) => self.batch_arrives(id, around),
            Happening::BatchAnswered(life, id, ordinal, outcome)
                if self.lives(life) && id == self.connection.id =>
            {
                self.connection.open.retain(|open| *open != ordinal);
                self.feed(Event::Sent { ordinal, outcome }, around)
            }
            Happening::Operated(life, command) if self.lives(life) => {
                let event = self.operate(command, around);
                let delay = around.random().mostly_short(1, 200);
                around.after(delay, Happening::OperationAnswered(life, event));
                Ok(())
            }
            Happening::OperationAnswered(life, event) if self.lives(life) => self.feed(event, around),
            Happening::Saves(life) if self.lives(life) => {
                self.disk.saved = self.forward.saved();
                around.after(SAVES_EVERY, Happening::Saves(life));
                Ok(())
            }
            Happening::Breaks(life, id) if self.lives(life) && id == self.connection.id => self.cut(around),
            Happening::Tick(_)
            | Happening::Breaks(..)
            | Happening::BatchAnswered(..)
            | Happening::Operated(..)
            | Happening::OperationAnswered(..)
            | Happening::Saves(_) => Ok(()),
        }
    }

    fn carry_out(&mut self, command: Command, around: &mut impl Around) -> Result<(), Violation> {
        let now = around.now();
        match command {
            Command::Send { region, epoch, sequence, entry, writer: _ } => {
                let region = site(&region);
                let ordinal = entry.ordinal;
                let (epoch, sequence) = (epoch.to_wire(), sequence.to_wire());
                let request = Request { region, epoch, sequence, entry };
                self.send(ordinal, request, around)?;
            }
            Command::Trimmed { to } => around.trimmed(to)?,
            Command::Wake { at } => {
                let wait = self.clock.stretch(at.since(self.clock.read(now)));
                let woken = Happening::Operated(self.life, Command::Wake { at });
                around.after(wait + Duration::from_micros(10), woken);
            }
            Command::AskTopic { .. } => {}
            Command::LogLost { forgotten, sent_again } => {
                let detail = format!("{forgotten} forgotten, {sent_again} sent again");
                return Err(Violation { invariant: NO_LOG_LOST, detail });
            }
            Command::SetAside { entry } => {
                let detail = format!("{entry:?}");
                return Err(Violation { invariant: NOTHING_SET_ASIDE, detail });
            }
            Command::FindEnd { .. }
            | Command::SaveLineage { .. }
            | Command::Look { .. }
            | Command::Match { .. } => {
                let delay = around.random().mostly_short(1, 300);
                around.after(delay, Happening::Operated(self.life, command));
            }
        }
        Ok(())
    }

    fn send(&mut self, ordinal: u64, request: Request, around: &mut impl Around) -> Result<(), Violation> {
        let now = around.now();
        let delay = around.random().mostly_short(1, 300);
        self.connection.open.push(ordinal);
        if !around.lets(request.region)? {
            let outcome = Outcome::NotSent;
            let answered = Happening::BatchAnswered(self.life, self.connection.id, ordinal, outcome);
            around.at(now, answered);
            return Ok(());
        }
        let connection = &mut self.connection;
        connection.sent.push_back(request);
        let arrival = connection.there.arrival(now, delay);
        around.at(arrival, Happening::BatchArrives(connection.id));
        Ok(())
    }

    fn batch_arrives(&mut self, id: u64, around: &mut impl Around) -> Result<(), Violation> {
        if id != self.connection.id {
            return Ok(());
        }
        let Some(request) = self.connection.sent.pop_front() else { return Ok(()) };
        let Some(outcome) = around.deliver(&request)? else {
            around.after(ANSWERED_WITHIN, Happening::Breaks(self.life, id));
            return Ok(());
        };
        let delay = around.random().mostly_short(1, 300);
        let arrival = self.connection.back.arrival(around.now(), delay);
        let answered = Happening::BatchAnswered(self.life, id, request.entry.ordinal, outcome);
        around.at(arrival, answered);
        Ok(())
    }

    /// The connection breaks: what the broker has not seen may reach it later all the same.
    fn drop_connection(&mut self, around: &mut impl Around) -> Vec<u64> {
        let now = around.now();
        let arriving = around.random().below(self.connection.sent.len() + 1);
        let late = around.random().mostly_short(1, 1_500);
        for request in self.connection.sent.drain(..).take(arriving) {
            self.ghosts.push_back((now + late, request));
        }
        self.connections += 1;
        let connection = Connection { id: self.connections, ..Connection::default() };
        std::mem::replace(&mut self.connection, connection).open
    }

    pub(crate) fn cut(&mut self, around: &mut impl Around) -> Result<(), Violation> {
        for ordinal in self.drop_connection(around) {
            self.feed(Event::Sent { ordinal, outcome: Outcome::Unknown }, around)?;
        }
        Ok(())
    }

    /// Batches of connections that are gone and whose time has come.
    pub(crate) fn ghosts_arrive(&mut self, around: &mut impl Around) -> Result<(), Violation> {
        while let Some((_, ghost)) = self.ghosts.pop_front_if(|(at, _)| *at <= around.now()) {
            around.deliver(&ghost)?;
        }
        Ok(())
    }

    /// Nothing of what is late arrives any more.
    pub(crate) fn forget_ghosts(&mut self) {
        self.ghosts.clear();
    }

    /// Nothing of what is late arrives any more in a region.
    pub(crate) fn forget_ghosts_to(&mut self, region: usize) {
        self.ghosts.retain(|(_, ghost)| ghost.region != region);
    }

    /// Whether something is under way to another region.
    pub(crate) fn sends_elsewhere(&self, region: usize) -> bool {
        self.connection.sent.iter().any(|request| request.region != region)
    }

    /// Carries out an operation and says what came of it.
    fn operate(&mut self, command: Command, around: &mut impl Around) -> Event {
        let unlucky = !around.is_calm() && around.random().one_in(15);
        let read = |region| around.read(site(region)).filter(|_| !unlucky);
        match command {
            Command::Wake { .. } => Event::Tick,
            Command::SaveLineage { operation, lineage } => {
                self.disk.lineages.push(lineage);
                Event::LineageSaved { operation }
            }
            Command::FindEnd { operation, region } => match read(&region) {
                Some(region) => Event::EndFound { operation, offset: region.committed(), topic: None },
                None => Event::Failed { operation },
            },
            Command::Look { operation, region, epoch, from, writer: _ } => match read(&region) {
                Some(region) => Event::Looked { operation, found: look(region, epoch, from), topic: None },
                None => Event::Failed { operation },
            },
            Command::Match { operation, region, from, to, candidates } => match read(&region) {
                Some(region) => {
                    Event::Matched { operation, records: matching(region, from, to, &candidates) }
                }
                None => Event::Failed { operation },
            },
            Command::Send { .. }
            | Command::AskTopic { .. }
            | Command::LogLost { .. }
            | Command::SetAside { .. }
            | Command::Trimmed { .. } => {
                unreachable!("{command:?} is no operation")
            }
        }
    }

    /// `false` where it was dead.
    pub(crate) fn crash(&mut self, around: &mut impl Around) -> bool {
        let died = std::mem::replace(&mut self.alive, false);
        if died {
            self.drop_connection(around);
        }
        died
    }

    /// The gateway after a crash: its journal's entries, and of the lineages the newest.
    pub(crate) fn restart(&mut self, around: &mut impl Around) {
        let mut saved = self.disk.saved.clone();
        for lineage in &self.disk.lineages {
            saved.take_lineage(lineage.clone());
        }
        let entries = self.disk.entries.clone();
        self.life += 1;
        self.clock = Clock::started(around.now(), DRIFT_PPM_MAX, around.random());
        self.forward = Forward::recovered(Trimming::WhenReplicated, saved, entries, Vec::new(), self.next);
        self.begin(around);
    }
}

fn look(region: &Broker, epoch: ProducerEpoch, from: i64) -> Vec<Found> {
    let ours = region.batches_between(from, i64::MAX).filter(|batch| {
        batch.base >= from && batch.writer.producer == PRODUCER && batch.writer.epoch == epoch.to_wire()
    });
    ours.map(|batch| Found {
        sequence: Sequence::from_wire(batch.writer.sequence).expect("the gateway counts from 0"),
        records: batch.records,
        base_offset: batch.base,
    })
    .collect()
}

fn matching(region: &Broker, from: i64, to: Option<i64>, candidates: &[Entry]) -> u64 {
    let to = to.map_or(region.committed(), |to| to.min(region.committed()));
    let log = &region.records()[from.min(to) as usize..to as usize];
    let mut wanted = candidates.iter().flat_map(|entry| entry.first()..entry.end()).peekable();
    let matched = log.iter().filter(|record| wanted.next_if(|ordinal| record.value == *ordinal).is_some());
    matched.count() as u64
}
