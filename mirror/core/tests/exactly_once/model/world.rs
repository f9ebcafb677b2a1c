//! Mirrors between the models, and everything that can happen to them, in an order that the seed decides.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use leeward_mirror_core::map::{OffsetMap, Run};
use leeward_mirror_core::partition::{
    BatchNumber, Command, Event, GapPolicy, MergePolicy, Partition, Settings, Start,
};
use leeward_model::{Instant, LinkName, PartitionIndex, SourceOffset, TargetOffset, TopicId};
use leeward_wire::ErrorCode;
use leeward_wire::record::RecordBatch;

use super::{broker::Broker, random::Random, source::Source};

/// What is durable about the partition, for whoever runs its mirror.
#[derive(Debug, Default)]
struct Store {
    runs: BTreeMap<SourceOffset, Run>,
    checkpoint: Option<TargetOffset>,
}

pub(crate) struct Mirror {
    pub(crate) partition: Partition,
    storing: VecDeque<Command>,
    network: VecDeque<(BatchNumber, RecordBatch)>,
    answers: VecDeque<(BatchNumber, Result<usize, ErrorCode>)>,
    questions: VecDeque<Command>,
}

impl Mirror {
    fn new(merge: MergePolicy) -> Self {
        let settings = Settings {
            link: LinkName::new("a-to-b").unwrap(),
            topic: TopicId::from_wire([7; 16]).unwrap(),
            partition: PartitionIndex::from_wire(0).unwrap(),
            gap: GapPolicy::Stop,
            merge,
            late_within: Duration::from_secs(2),
        };
        Self {
            partition: Partition::new(settings),
            storing: VecDeque::new(),
            network: VecDeque::new(),
            answers: VecDeque::new(),
            questions: VecDeque::from([Command::Reload]),
        }
    }
}

pub(crate) struct World {
    random: Random,
    merge: MergePolicy,
    now: Instant,
    pub(crate) source: Source,
    pub(crate) broker: Broker,
    pub(crate) mirrors: Vec<Mirror>,
    store: Store,
    /// Batches of connections that are gone, which the broker may still work on.
    ghosts: Vec<RecordBatch>,
}

impl World {
    pub(crate) fn new(seed: u64, mirrors: usize) -> Self {
        let mut random = Random::new(seed);
        let source = Source::new(&mut random);
        let below_bytes = [100, 200, 0, MergePolicy::default().below_bytes][(seed % 4) as usize];
        let merge = MergePolicy { below_bytes, bytes_max: 4 * below_bytes };
        Self {
            random,
            merge,
            now: Instant::ZERO,
            source,
            broker: Broker::default(),
            mirrors: (0..mirrors).map(|_| Mirror::new(merge)).collect(),
            store: Store::default(),
            ghosts: Vec::new(),
        }
    }

    pub(crate) fn run_with_faults(&mut self, steps: usize, foreign: bool) {
        for _ in 0..steps {
            let who = self.random.below(self.mirrors.len());
            match self.random.below(40) {
                0 => self.crash(who),
                1 => self.cut(who),
                2 => self.ghost(),
                4 => self.refuse(who),
                3 if foreign && !self.store.runs.is_empty() && self.broker.end() > 0 => {
                    let records = 1 + self.random.below(3);
                    self.broker.foreign_write(records);
                }
                choice => self.step(who, choice),
            }
        }
    }

    /// No more faults; runs until the first mirror has everything.
    pub(crate) fn finish(&mut self) {
        self.finish_or_stop();
        let standing = self.mirrors[0].partition.standing();
        let reached = standing.cursors.map(|cursors| cursors.acknowledged.to_wire());
        assert_eq!(reached, Some(self.source.end as i64), "{standing:?}");
    }

    pub(crate) fn finish_or_stop(&mut self) {
        while !self.ghosts.is_empty() {
            self.ghost();
        }
        self.mirrors.truncate(1);
        for _ in 0..20_000 {
            for choice in 4..10 {
                self.step(0, choice);
            }
            let mirror = &self.mirrors[0];
            let end = SourceOffset::from_wire(self.source.end as i64);
            let standing = mirror.partition.standing();
            let idle = mirror.storing.is_empty() && mirror.network.is_empty() && mirror.answers.is_empty();
            if standing.stopped.is_some() || (idle && mirror.partition.replicated_to() == end) {
                return;
            }
        }
    }

    fn step(&mut self, who: usize, choice: usize) {
        match choice % 6 {
            0 => self.fetch(who),
            1 => self.store(who),
            2 => self.deliver(who),
            3 => self.answer(who),
            4 => self.ask(who),
            _ => self.tick(who),
        }
    }

    fn feed(&mut self, who: usize, event: Event) {
        let mirror = &mut self.mirrors[who];
        for command in mirror.partition.on(event, self.now) {
            match command {
                Command::PersistRuns { .. } | Command::Checkpoint { .. } => mirror.storing.push_back(command),
                Command::Produce { batch, records } => mirror.network.push_back((batch, records)),
                Command::AskTargetEnd { .. } | Command::Audit { .. } | Command::Reload => {
                    mirror.questions.push_back(command);
                }
                Command::Emit(_) => {}
            }
        }
    }

    fn fetch(&mut self, who: usize) {
        if let Some(from) = self.mirrors[who].partition.wanted() {
            let batches = 1 + self.random.below(6);
            let fetched = self.source.fetch(from, batches);
            self.feed(who, Event::Fetched(fetched));
        }
    }

    fn store(&mut self, who: usize) {
        match self.mirrors[who].storing.pop_front() {
            Some(Command::PersistRuns { change, put, remove, checkpoint }) => {
                for source in remove {
                    self.store.runs.remove(&source);
                }
                for run in put {
                    self.store.runs.insert(run.source, run);
                }
                self.store.checkpoint = checkpoint.or(self.store.checkpoint);
                self.feed(who, Event::RunsPersisted(change));
            }
            Some(Command::Checkpoint { target }) => {
                self.store.checkpoint = Some(target);
                self.feed(who, Event::Checkpointed { target });
            }
            _ => {}
        }
    }

    fn deliver(&mut self, who: usize) {
        let mirror = &mut self.mirrors[who];
        if let Some((number, batch)) = mirror.network.pop_front() {
            mirror.answers.push_back((number, self.broker.append(&batch)));
        }
    }

    /// The broker lacks replicas for a moment, so that one batch is refused and the next may be taken.
    fn refuse(&mut self, who: usize) {
        let mirror = &mut self.mirrors[who];
        if let Some((number, _)) = mirror.network.pop_front() {
            mirror.answers.push_back((number, Err(ErrorCode::NOT_ENOUGH_REPLICAS)));
        }
    }

    fn answer(&mut self, who: usize) {
        let base = |offset: usize| TargetOffset::from_wire(offset as i64);
        match self.mirrors[who].answers.pop_front() {
            Some((batch, Ok(offset))) => self.feed(who, Event::Acknowledged { batch, base: base(offset) }),
            Some((batch, Err(code))) => self.feed(who, Event::Refused { batch, code }),
            None => {}
        }
    }

    fn ask(&mut self, who: usize) {
        let end = TargetOffset::from_wire(self.broker.end() as i64).unwrap();
        match self.mirrors[who].questions.pop_front() {
            Some(Command::Reload) => {
                let runs = self.store.runs.values().copied().collect();
                let checkpoint = self.store.checkpoint;
                let start = Start {
                    runs,
                    checkpoint,
                    target_end: end,
                    source_log_start: Some(SourceOffset::FIRST),
                    begin_at: Some(SourceOffset::FIRST),
                };
                self.feed(who, Event::Started(start));
            }
            Some(Command::AskTargetEnd { question }) => self.feed(who, Event::TargetEnd { question, end }),
            Some(Command::Audit { question, from, to }) => {
                let batches = self.broker.headers(from, to);
                self.feed(who, Event::Audited { question, batches });
            }
            _ => {}
        }
    }

    fn tick(&mut self, who: usize) {
        self.now = self.now.after(Duration::from_millis(100));
        self.feed(who, Event::Tick);
    }

    fn ghost(&mut self) {
        if !self.ghosts.is_empty() {
            let batch = self.ghosts.remove(0);
            let _ = self.broker.append(&batch);
        }
    }

    /// The connection to the target breaks: some of the batches that were under way, the first ones, may still arrive.
    fn cut(&mut self, who: usize) {
        let mirror = &mut self.mirrors[who];
        let sent: Vec<_> = mirror.network.drain(..).collect();
        let mut unanswered: Vec<_> = mirror.answers.drain(..).map(|(number, _)| number).collect();
        let arriving = self.random.below(sent.len() + 1);
        for (index, (number, batch)) in sent.into_iter().enumerate() {
            if index < arriving {
                self.ghosts.push(batch);
            }
            unanswered.push(number);
        }
        for batch in unanswered {
            self.feed(who, Event::Unanswered { batch });
        }
    }

    fn crash(&mut self, who: usize) {
        let stored = self.random.below(3);
        for _ in 0..stored {
            self.store(who);
        }
        self.cut(who);
        self.mirrors[who] = Mirror::new(self.merge);
    }

    /// The map of a link that runs the other way.
    pub(crate) fn turned_round(&self) -> OffsetMap {
        let partition = &self.mirrors[0].partition;
        let end = SourceOffset::from_wire(self.source.end as i64).unwrap();
        let runs = partition.map().inverse(partition.target_end(), end);
        OffsetMap::load(runs, TargetOffset::from_wire(self.source.end as i64).unwrap()).unwrap()
    }
}
