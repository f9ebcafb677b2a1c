//! The coordinator as its clients see it. Shared here: a bench that keeps clock, tickets and log.

mod committing;
mod joining;
mod leaving;
mod random;
mod serving;
mod syncing;

use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;
use leeward_model::{GroupName, Instant, PartitionIndex, TopicName, TopicPartition, WallTime};
use leeward_wire::ErrorCode;

use super::{
    Append, Caller, Command, Commit, CommitReply, CommittedOffset, GroupCoordinator, GroupRecord,
    GroupSettings, Heartbeat, Identity, Join, JoinReply, Leave, LeaveReply, Now, PersistId, Protocol,
    Request, Response, Sync, SyncReply, Ticket,
};

const SESSION: Duration = Duration::from_secs(10);
const REBALANCE: Duration = Duration::from_secs(30);
const DELAY: Duration = Duration::from_millis(100);

/// A coordinator with a clock that is set by hand and a log that takes everything unless told otherwise.
struct Bench {
    coordinator: GroupCoordinator,
    now: Now,
    next_ticket: u64,
    answers: BTreeMap<Ticket, Response>,
    /// What is durable.
    log: Vec<Append>,
    /// Appends stay under way until [`Bench::settle`].
    holds: bool,
    held: Vec<(PersistId, Append)>,
    refusal: Option<ErrorCode>,
}

fn bench() -> Bench {
    bench_with(GroupSettings { initial_rebalance_delay: DELAY, ..GroupSettings::default() })
}

fn bench_with(settings: GroupSettings) -> Bench {
    Bench {
        coordinator: GroupCoordinator::new(settings),
        now: Now { instant: Instant::ZERO, wall: WallTime::from_millis(1_000_000) },
        next_ticket: 0,
        answers: BTreeMap::new(),
        log: Vec::new(),
        holds: false,
        held: Vec::new(),
        refusal: None,
    }
}

impl Bench {
    fn ask(&mut self, request: &Request) -> Ticket {
        let ticket = Ticket(self.next_ticket);
        self.next_ticket += 1;
        let commands = self.coordinator.request(ticket, request, self.now);
        self.obey(commands);
        ticket
    }

    fn obey(&mut self, commands: Vec<Command>) {
        for command in commands {
            match command {
                Command::Reply { ticket, response } => {
                    let before = self.answers.insert(ticket, response);
                    assert!(before.is_none(), "{ticket:?} is answered twice");
                }
                Command::Persist { id, append } => {
                    self.held.push((id, append));
                }
            }
        }
        if !self.holds {
            self.settle();
        }
    }

    /// Lets the log answer all appends under way.
    fn settle(&mut self) {
        while !self.held.is_empty() {
            let (id, append) = self.held.remove(0);
            let outcome = self.refusal.map_or(Ok(()), Err);
            if outcome.is_ok() {
                self.log.push(append);
            }
            let commands = self.coordinator.persisted(id, outcome, self.now);
            self.obey(commands);
        }
    }

    /// Lets time pass, from one deadline to the next.
    fn pass(&mut self, time: Duration) {
        let end = self.now.instant.after(time);
        while self.coordinator.next_deadline() <= end {
            let due = self.coordinator.next_deadline().since(self.now.instant);
            self.advance(due);
            let commands = self.coordinator.tick(self.now);
            self.obey(commands);
        }
        self.advance(end.since(self.now.instant));
    }

    fn advance(&mut self, time: Duration) {
        self.now.instant = self.now.instant.after(time);
        let millis = i64::try_from(time.as_millis()).expect("a short time");
        self.now.wall = WallTime::from_millis(self.now.wall.as_millis() + millis);
    }

    fn is_answered(&self, ticket: Ticket) -> bool {
        self.answers.contains_key(&ticket)
    }

    fn joined(&self, ticket: Ticket) -> JoinReply {
        match self.answers.get(&ticket) {
            Some(Response::Join(reply)) => reply.clone(),
            other => panic!("{ticket:?} has {other:?}"),
        }
    }

    fn synced(&self, ticket: Ticket) -> SyncReply {
        match self.answers.get(&ticket) {
            Some(Response::Sync(reply)) => reply.clone(),
            other => panic!("{ticket:?} has {other:?}"),
        }
    }

    fn join(&mut self, join: Join) -> Ticket {
        self.ask(&Request::Join(Box::new(join)))
    }

    /// Joins a dynamic member as current clients do: asks for an id, then comes with it.
    fn join_with_id(&mut self, name: &str) -> (String, Ticket) {
        let first = self.join(Join { id_required: true, ..join(name) });
        let id = self.joined(first).member_id;
        let ticket = self.join(again(name, &id));
        (id, ticket)
    }

    fn sync(&mut self, id: &str, generation: i32, assignments: &[(&str, &str)]) -> Ticket {
        self.ask(&Request::Sync(sync(id, generation, assignments)))
    }

    fn heartbeat(&mut self, id: &str, generation: i32) -> ErrorCode {
        let member = Identity { id: id.into(), instance_id: None };
        self.heartbeat_of(member, generation)
    }

    fn heartbeat_of(&mut self, member: Identity, generation: i32) -> ErrorCode {
        let ticket = self.ask(&Request::Heartbeat(Heartbeat { group: group(), member, generation }));
        match self.answers.get(&ticket) {
            Some(Response::Heartbeat(error)) => *error,
            other => panic!("{other:?}"),
        }
    }

    fn leave(&mut self, members: &[(&str, Option<&str>)]) -> LeaveReply {
        let members = members.iter().map(|(id, instance)| identity(id, *instance)).collect();
        let ticket = self.ask(&Request::Leave(Leave { group: group(), members }));
        match self.answers.get(&ticket) {
            Some(Response::Leave(reply)) => reply.clone(),
            other => panic!("{other:?}"),
        }
    }

    fn commit(&mut self, commit: Commit) -> CommitReply {
        let ticket = self.ask(&Request::Commit(commit));
        match self.answers.get(&ticket) {
            Some(Response::Commit(reply)) => reply.clone(),
            other => panic!("{other:?}"),
        }
    }

    fn state(&self) -> &'static str {
        self.coordinator.describe(&group()).map_or("none", |description| description.state)
    }

    /// One member that leads and has its assignment; returns its id. The generation is 1.
    fn stable(&mut self) -> String {
        let (id, joined) = self.join_with_id("a");
        self.pass(DELAY);
        assert_eq!(self.joined(joined).error, ErrorCode::NONE);
        let synced = self.sync(&id, 1, &[(&id, "all")]);
        assert_eq!(self.synced(synced).error, ErrorCode::NONE);
        id
    }
}

fn group() -> GroupName {
    GroupName::new("g")
}

fn identity(id: &str, instance: Option<&str>) -> Identity {
    Identity { id: id.into(), instance_id: instance.map(str::to_owned) }
}

fn protocol(name: &str) -> Protocol {
    Protocol { name: name.into(), metadata: Bytes::from(format!("wants by {name}")) }
}

/// A join of a new dynamic member that knows `range`.
fn join(name: &str) -> Join {
    Join {
        group: group(),
        member: identity("", None),
        caller: Caller { client_id: name.into(), client_host: "/127.0.0.1".into() },
        new_id_suffix: "1".into(),
        session_timeout: SESSION,
        rebalance_timeout: REBALANCE,
        protocol_type: "consumer".into(),
        protocols: vec![protocol("range")],
        id_required: false,
        may_skip_assignment: true,
    }
}

fn again(name: &str, id: &str) -> Join {
    Join { member: identity(id, None), ..join(name) }
}

fn static_join(instance: &str, id: &str, suffix: &str) -> Join {
    Join { member: identity(id, Some(instance)), new_id_suffix: suffix.into(), ..join("s") }
}

fn sync(id: &str, generation: i32, assignments: &[(&str, &str)]) -> Sync {
    let given = assignments.iter();
    Sync {
        group: group(),
        member: identity(id, None),
        generation,
        protocol_type: Some("consumer".into()),
        protocol: Some("range".into()),
        assignments: given
            .map(|(id, bytes)| ((*id).to_owned(), Bytes::copy_from_slice(bytes.as_bytes())))
            .collect(),
    }
}

fn partition(topic: &str, index: i32) -> TopicPartition {
    TopicPartition {
        topic: TopicName::new(topic).expect("legal"),
        partition: PartitionIndex::from_wire(index).expect("not negative"),
    }
}

fn position(offset: i64, at: WallTime) -> CommittedOffset {
    CommittedOffset { offset, leader_epoch: -1, metadata: String::new(), committed_at: at, expires_at: None }
}

fn commit(bench: &Bench, id: &str, generation: i32, offset: i64) -> Commit {
    Commit {
        group: group(),
        member: identity(id, None),
        generation,
        producer: None,
        offsets: vec![(partition("t", 0), position(offset, bench.now.wall))],
    }
}
