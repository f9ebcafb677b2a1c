//! What the gateway's shell does for the core, and what goes wrong around it.

use std::time::Duration;

use leeward_buffer_core::partition::{
    Command, Entry, Event, Forward, Found, Grant, Outcome, Promoted, Trimming,
};
use leeward_model::{ProducerEpoch, Sequence};

use super::{BufferWorld, FINISH_WITHIN, Happening, Request, index, name};
use crate::broker::{Broker, Refusal, Writer};
use crate::run::Violation;
use crate::schedule::{Clock, Wire};
use crate::trace;

/// The gateway, to its regions.
pub(super) const GATEWAY: i64 = 5;

impl BufferWorld {
    pub(super) fn carry_out(&mut self, command: Command) -> Result<(), Violation> {
        let now = self.schedule.now();
        match command {
            Command::Send { region, epoch, sequence, entry } => {
                let request = Request {
                    region: index(&region),
                    epoch: epoch.to_wire(),
                    sequence: sequence.to_wire(),
                    entry,
                };
                let delay = self.schedule.random.mostly_short(1, 300);
                let connection = &mut self.connection;
                connection.open.push(request.entry.ordinal);
                connection.sent.push_back(request);
                let arrival = connection.there.arrival(now, delay);
                self.schedule.at(arrival, Happening::BatchArrives(connection.id));
            }
            Command::Trimmed { to } => self.check_trimmed(to)?,
            Command::Wake { at } => {
                let local = self.clock.read(now);
                let wait = self.clock.stretch(at.since(local));
                self.schedule.after(
                    wait + Duration::from_micros(10),
                    Happening::Operated(self.life, Command::Wake { at }),
                );
            }
            Command::SetAside { entry } => {
                let detail = format!("{entry:?}");
                return Err(Violation { invariant: super::checks::NOTHING_SET_ASIDE, detail });
            }
            Command::FindEnd { .. }
            | Command::SaveLineage { .. }
            | Command::Look { .. }
            | Command::Match { .. } => {
                let delay = self.schedule.random.mostly_short(1, 300);
                self.schedule.after(delay, Happening::Operated(self.life, command));
            }
        }
        Ok(())
    }

    /// A region takes what reaches it while it is the acting one; afterwards it is dead or fenced.
    fn deliver(&mut self, request: &Request) -> Result<Option<Outcome>, Violation> {
        if request.region != self.acting {
            return Ok(None);
        }
        if self.schedule.now() < self.refuses_until {
            return Ok(Some(if self.schedule.random.one_in(2) {
                Outcome::NotNow
            } else {
                Outcome::TooLarge
            }));
        }
        let leader_dies = !self.calm && self.schedule.random.one_in(40);
        let Request { epoch, sequence, entry, .. } = request;
        let values: Vec<u64> = (entry.first()..entry.end()).collect();
        let writer = Writer { producer: GATEWAY, epoch: *epoch, sequence: *sequence };
        let region = &mut self.regions[request.region];
        let outcome = match region.append(writer, &values) {
            Ok(taken) if leader_dies => {
                let keeps = self.schedule.random.one_in(2) || !taken.new;
                let region = &mut self.regions[request.region];
                let end = if keeps { region.end() } else { taken.base };
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
        };
        self.check_order(request.region)?;
        Ok(Some(outcome))
    }

    pub(super) fn batch_arrives(&mut self, id: u64) -> Result<(), Violation> {
        let now = self.schedule.now();
        if id != self.connection.id {
            return Ok(());
        }
        let Some(request) = self.connection.sent.pop_front() else { return Ok(()) };
        let Some(outcome) = self.deliver(&request)? else { return Ok(()) };
        let delay = self.schedule.random.mostly_short(1, 300);
        let arrival = self.connection.back.arrival(now, delay);
        let answered = Happening::BatchAnswered(self.life, id, request.entry.ordinal, outcome);
        self.schedule.at(arrival, answered);
        Ok(())
    }

    /// The connection breaks: what the broker has not seen may reach it later all the same.
    fn drop_connection(&mut self) -> Vec<u64> {
        let now = self.schedule.now();
        let arriving = self.schedule.random.below(self.connection.sent.len() + 1);
        let late = self.schedule.random.mostly_short(1, 1_500);
        for request in self.connection.sent.drain(..).take(arriving) {
            self.ghosts.push_back((now + late, request));
        }
        self.connections += 1;
        self.connection.id = self.connections;
        self.connection.there = Wire::default();
        self.connection.back = Wire::default();
        std::mem::take(&mut self.connection.open)
    }

    fn cut(&mut self) -> Result<(), Violation> {
        for ordinal in self.drop_connection() {
            self.feed(Event::Sent { ordinal, outcome: Outcome::Unknown })?;
        }
        Ok(())
    }

    pub(super) fn ghosts_arrive(&mut self) -> Result<(), Violation> {
        while let Some((_, ghost)) = self.ghosts.pop_front_if(|(at, _)| *at <= self.schedule.now()) {
            self.deliver(&ghost)?;
        }
        Ok(())
    }

    pub(super) fn granted(&mut self, grant: Grant) -> Result<(), Violation> {
        // Under the epoch before no grant lives any more once another region was promoted.
        if grant.epoch.to_wire() < self.epoch {
            return Ok(());
        }
        let region = index(&grant.region);
        if self.connection.sent.iter().any(|request| request.region != region) {
            self.cut()?;
        }
        self.feed(Event::Granted(grant))
    }

    /// Carries out an operation and says what came of it.
    pub(super) fn operate(&mut self, command: Command) -> Event {
        let unlucky = !self.calm && self.schedule.random.one_in(15);
        match command {
            Command::Wake { .. } => Event::Tick,
            Command::SaveLineage { operation, lineage } => {
                self.disk.lineages.push(lineage);
                Event::LineageSaved { operation }
            }
            Command::FindEnd { operation, region }
            | Command::Look { operation, region, .. }
            | Command::Match { operation, region, .. }
                if unlucky || index(&region) != self.acting =>
            {
                Event::Failed { operation }
            }
            Command::FindEnd { operation, region } => {
                Event::EndFound { operation, offset: self.regions[index(&region)].committed() }
            }
            Command::Look { operation, region, epoch, from } => {
                Event::Looked { operation, found: self.look(index(&region), epoch, from) }
            }
            Command::Match { operation, region, from, to, candidates } => {
                Event::Matched { operation, records: self.matching(index(&region), from, to, &candidates) }
            }
            Command::Send { .. } | Command::SetAside { .. } | Command::Trimmed { .. } => {
                unreachable!("{command:?} is no operation")
            }
        }
    }

    fn look(&self, region: usize, epoch: ProducerEpoch, from: i64) -> Vec<Found> {
        let batches = self.regions[region].batches_between(from, i64::MAX);
        let ours = batches.filter(|batch| {
            batch.base >= from && batch.writer.producer == GATEWAY && batch.writer.epoch == epoch.to_wire()
        });
        ours.map(|batch| Found {
            sequence: Sequence::from_wire(batch.writer.sequence).expect("the gateway counts from 0"),
            records: batch.records,
            base_offset: batch.base,
        })
        .collect()
    }

    fn matching(&self, region: usize, from: i64, to: Option<i64>, candidates: &[Entry]) -> u64 {
        let region = &self.regions[region];
        let to = to.map_or(region.committed(), |to| to.min(region.committed()));
        let log = &region.records()[from.min(to) as usize..to as usize];
        let mut wanted = candidates.iter().flat_map(|entry| entry.first()..entry.end()).peekable();
        let matched =
            log.iter().filter(|record| wanted.next_if(|ordinal| record.value == *ordinal).is_some());
        matched.count() as u64
    }

    /// The gateway after a crash: its journal's entries, and of the lineages the newest.
    pub(super) fn restart(&mut self) {
        if self.alive {
            return;
        }
        let mut saved = self.disk.saved.clone();
        for lineage in &self.disk.lineages {
            saved.take_lineage(lineage.clone());
        }
        let entries = self.disk.entries.clone();
        self.life += 1;
        self.clock = Clock::started(self.schedule.now(), super::DRIFT_PPM_MAX, &mut self.schedule.random);
        self.forward = Forward::recovered(Trimming::WhenReplicated, saved, entries, Vec::new(), self.next);
        self.begin();
    }

    fn crash(&mut self) {
        if self.alive {
            self.drop_connection();
            self.alive = false;
            let wait = self.schedule.random.mostly_short(5, 2_000);
            self.schedule.after(wait, Happening::Starts);
        }
    }

    /// The acting region dies and the other is promoted, once no grant lives. The dead one comes back empty and is
    /// mirrored to anew.
    fn fail_over(&mut self) -> Result<(), Violation> {
        if self.mirrored < self.must_mirror {
            return Ok(());
        }
        self.lapse()?;
        let marks = self.marks();
        let from = self.acting;
        self.must_mirror = self.regions[1 - from].committed();
        self.ghosts.clear();
        self.acting = 1 - from;
        self.epoch += 1;
        self.promoted = Some(Promoted { from: name(from), marks });
        self.note_promotion();
        self.regions[from] = Broker::default();
        self.mirrored = 0;
        self.say_grant();
        Ok(())
    }

    fn lapse(&mut self) -> Result<(), Violation> {
        if self.alive {
            self.cut()?;
            self.feed(Event::Lapsed)?;
        }
        Ok(())
    }

    /// Planned moves that went back: each is a new epoch for the same region, and of two the gateway may hear at once.
    fn abort_moves(&mut self) -> Result<(), Violation> {
        self.lapse()?;
        self.epoch += if self.schedule.random.one_in(3) { 2 } else { 1 };
        self.say_grant();
        Ok(())
    }

    pub(super) fn go_wrong(&mut self) -> Result<(), Violation> {
        if self.calm {
            return Ok(());
        }
        let wait = self.schedule.random.millis(20, 600);
        self.schedule.after(wait, Happening::Fault);
        let choice = self.schedule.random.below(16);
        let now = self.schedule.now();
        trace::note(|| format!("{now:?} fault {choice}"));
        match choice {
            0..=2 => self.crash(),
            3..=5 if self.alive => self.cut()?,
            6 | 7 => self.fail_over()?,
            8 if self.alive => self.feed(Event::Lapsed)?,
            9 => self.refuses_until = now + self.schedule.random.mostly_short(10, 1_500),
            10 => self.abort_moves()?,
            11 if self.foreigners => self.regions[self.acting].write_foreign(1),
            _ => self.say_grant(),
        }
        Ok(())
    }

    pub(super) fn calm_down(&mut self) {
        let now = self.schedule.now();
        trace::note(|| format!("{now:?} nothing goes wrong any more"));
        self.calm = true;
        self.refuses_until = now;
        self.restart();
        self.say_grant();
        self.schedule.after(FINISH_WITHIN, Happening::TooLate);
    }
}
