//! What the gateway and the mirrors meet in this world.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use leeward_buffer_core::partition::{Marks, Outcome};
use leeward_mirror_core::partition::{Event, Fetched, Start};
use leeward_model::{SourceOffset, TargetOffset};
use leeward_wire::record::{BatchBuilder, Compression};

use super::{Carrying, FailoverWorld, Happening, Joined};
use crate::broker::{Batch, Broker};
use crate::gateway::{self, Request};
use crate::mirrors::{self, Answer, Process, Store, source};
use crate::random::Random;
use crate::run::Violation;
use crate::schedule::Surroundings;

impl Surroundings for FailoverWorld<Joined> {
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

impl gateway::Around for FailoverWorld<Joined> {
    fn at(&mut self, time: Duration, happening: gateway::Happening) {
        self.schedule.at(time, Happening::Data(Carrying::Gateway(happening)));
    }

    fn read(&self, region: usize) -> Option<&Broker> {
        let log = &self.data.logs[region];
        (self.reaches(self.gateways[0].site, region) && log.topic.is_some()).then_some(&log.broker)
    }

    fn lets(&mut self, region: usize) -> Result<bool, Violation> {
        let forwards = self.forwards();
        let lets = forwards.lives && forwards.region == Some(region);
        if lets {
            self.check_forwarding(0, region)?;
        }
        Ok(lets)
    }

    fn trimmed(&self, to: u64) -> Result<(), Violation> {
        self.check_trimmed(to)
    }

    fn deliver(&mut self, request: &Request) -> Result<Option<Outcome>, Violation> {
        let region = request.region;
        if !self.reaches(self.gateways[0].site, region) {
            return Ok(None);
        }
        let log = &mut self.data.logs[region];
        if log.topic.is_none() {
            return Ok(Some(Outcome::NotNow));
        }
        let leader_dies = !self.calm && self.schedule.random.one_in(60);
        let outcome = request.reaches(&mut log.broker, leader_dies, &mut self.schedule.random);
        self.check_order(region)?;
        Ok(Some(outcome))
    }
}

impl mirrors::Around for FailoverWorld<Joined> {
    fn at(&mut self, time: Duration, happening: mirrors::Happening) {
        self.schedule.at(time, Happening::Data(Carrying::Mirror(happening)));
    }

    fn target(&mut self, who: usize) -> &mut Broker {
        &mut self.data.logs[who].broker
    }

    fn reaches_target(&self, who: usize) -> bool {
        self.reaches(who, who) && self.data.logs[who].topic.is_some()
    }

    fn store(&mut self, who: usize) -> &mut Store {
        self.data.links[who].store()
    }

    fn fetch(&mut self, who: usize, from: SourceOffset, batches: usize) -> Option<Answer> {
        let from_region = 1 - who;
        if !self.reaches(who, from_region) {
            return None;
        }
        let log = &self.data.logs[from_region];
        if log.topic != self.data.links[who].source_topic() {
            return Some(Answer::Recreated);
        }
        let end = log.broker.committed();
        let now = self.schedule.now();
        let answer = read(&log.broker, from, batches);
        self.data.links[who].beats.push_back((now, end));
        Some(answer)
    }

    fn start(&mut self, who: usize, target_end: TargetOffset) -> Event {
        let there = self.data.logs[who].topic;
        let readable = self.reaches(who, 1 - who).then(|| source(0));
        let stored = self.data.links[who].stored();
        if stored.store.checkpoint.is_some() && there != Some(stored.target_topic) {
            return Event::TargetTopicRecreated;
        }
        Event::Started(Start {
            runs: stored.store.runs.values().copied().collect(),
            checkpoint: stored.store.checkpoint,
            target_end,
            source_log_start: readable,
            begin_at: readable,
        })
    }

    fn appended(&mut self, who: usize, _base: i64, _values: &[u64]) -> Result<(), Violation> {
        self.check_order(who)
    }

    fn took(&mut self, who: usize, process: &mut Process) -> Result<(), Violation> {
        let link = &mut self.data.links[who];
        let Some(replicated_to) = process.partition.replicated_to() else {
            link.board = None;
            return Ok(());
        };
        let target_end = process.partition.target_end().to_wire();
        let replicated_to = replicated_to.to_wire();
        link.board = Some(Marks { replicated_to, target_end });
        while let Some((at, _)) = link.beats.pop_front_if(|(_, end)| *end <= replicated_to) {
            link.confirmed = Some(at);
        }
        self.check_replicated(who, process)
    }

    fn stored(&mut self, who: usize) -> Result<(), Violation> {
        self.data.links[who].note_stored();
        Ok(())
    }
}

/// What a consumer of a region is answered: whole batches from the one that holds `from` on.
fn read(broker: &Broker, from: SourceOffset, batches: usize) -> Answer {
    if from.to_wire() > broker.end() {
        return Answer::OutOfRange { log_start: source(0), log_end: source(broker.end()) };
    }
    let mut records = BytesMut::new();
    for batch in broker.batches_between(from.to_wire(), i64::MAX).take(batches) {
        encode(broker, batch, &mut records);
    }
    Answer::Fetched(Fetched {
        from,
        records: Bytes::from(records),
        aborted: Vec::new(),
        last_stable: source(broker.committed()),
        log_start: source(0),
    })
}

fn encode(broker: &Broker, batch: &Batch, into: &mut BytesMut) {
    let mut builder = BatchBuilder::new(Compression::None).base_offset(batch.base);
    let records = &broker.records()[batch.base as usize..batch.end() as usize];
    for (delta, record) in records.iter().enumerate() {
        let value = record.value.to_be_bytes();
        builder.append_at(delta as i32, 5, None, Some(&value), &[]).expect("a small record");
    }
    builder.build().expect("a batch with records").write_to(into);
}
