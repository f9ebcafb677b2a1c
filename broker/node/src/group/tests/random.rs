//! Random members in one group: whatever they do, the promises of the coordinator hold.

use proptest::prelude::*;

use super::*;

const MEMBERS: usize = 4;

#[derive(Clone, Copy, Debug)]
enum Step {
    /// Joins, new or again; odd members are static.
    Join(usize),
    Sync(usize),
    Heartbeat(usize),
    Leave(usize),
    Forget(usize),
    Commit(usize),
    Pass(u64),
    Settle(bool),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..MEMBERS).prop_map(Step::Join),
        4 => (0..MEMBERS).prop_map(Step::Sync),
        2 => (0..MEMBERS).prop_map(Step::Heartbeat),
        1 => (0..MEMBERS).prop_map(Step::Leave),
        1 => (0..MEMBERS).prop_map(Step::Forget),
        2 => (0..MEMBERS).prop_map(Step::Commit),
        3 => (0_u64..12_000).prop_map(Step::Pass),
        3 => any::<bool>().prop_map(Step::Settle),
    ]
}

/// What each member believes about itself.
#[derive(Clone, Debug, Default)]
struct Belief {
    id: String,
    generation: i32,
}

struct World {
    bench: Bench,
    beliefs: Vec<Belief>,
    /// Who asked, by ticket.
    asked: BTreeMap<Ticket, usize>,
    read: std::collections::BTreeSet<Ticket>,
    leaders: BTreeMap<i32, String>,
    generation_max: i32,
}

impl World {
    fn new() -> Self {
        // A group that is swept starts over with generation 1.
        let offsets_check_every = Duration::from_hours(24);
        let mut bench = bench_with(GroupSettings { offsets_check_every, ..GroupSettings::default() });
        bench.holds = true;
        Self {
            bench,
            beliefs: vec![Belief::default(); MEMBERS],
            asked: BTreeMap::new(),
            read: std::collections::BTreeSet::new(),
            leaders: BTreeMap::new(),
            generation_max: 0,
        }
    }

    fn identity(&self, who: usize) -> Identity {
        let instance = format!("i{who}");
        identity(&self.beliefs[who].id, (who % 2 == 1).then_some(instance.as_str()))
    }

    fn run(&mut self, step: Step) {
        let next = self.bench.next_ticket;
        match step {
            Step::Join(who) => {
                let member = self.identity(who);
                let id_required = member.instance_id.is_none() && who == 0;
                let new_id_suffix = next.to_string();
                let ticket = self.bench.join(Join { member, new_id_suffix, id_required, ..join("m") });
                self.asked.insert(ticket, who);
            }
            Step::Sync(who) => {
                let Belief { id, generation } = self.beliefs[who].clone();
                let request = Sync { member: self.identity(who), ..sync(&id, generation, &[(&id, "x")]) };
                let ticket = self.bench.ask(&Request::Sync(request));
                self.asked.insert(ticket, who);
            }
            Step::Heartbeat(who) => {
                let member = self.identity(who);
                let generation = self.beliefs[who].generation;
                self.bench.heartbeat_of(member, generation);
            }
            Step::Leave(who) => {
                let members = vec![self.identity(who)];
                self.bench.ask(&Request::Leave(Leave { group: group(), members }));
            }
            Step::Forget(who) => self.beliefs[who] = Belief::default(),
            Step::Commit(who) => {
                let generation = self.beliefs[who].generation;
                let request = Commit { member: self.identity(who), ..commit(&self.bench, "", generation, 1) };
                let ticket = self.bench.ask(&Request::Commit(request));
                self.asked.insert(ticket, who);
            }
            Step::Pass(millis) => self.bench.pass(Duration::from_millis(millis)),
            Step::Settle(accepts) => {
                self.bench.refusal = (!accepts).then_some(ErrorCode::NOT_ENOUGH_REPLICAS);
                self.bench.settle();
            }
        }
        self.learn();
    }

    /// Members read their answers; what they are told about generations and leaders must agree.
    fn learn(&mut self) {
        for (ticket, who) in &self.asked {
            let Some(Response::Join(reply)) = self.bench.answers.get(ticket) else { continue };
            if !self.read.insert(*ticket) {
                continue;
            }
            if !reply.member_id.is_empty() && reply.error != ErrorCode::FENCED_INSTANCE_ID {
                self.beliefs[*who].id.clone_from(&reply.member_id);
            }
            if !reply.error.is_none() {
                continue;
            }
            self.beliefs[*who].generation = reply.generation;
            // A static member that takes its place over may hear late of the generation it came back to.
            let is_static = *who % 2 == 1;
            assert!(is_static || reply.generation >= self.generation_max, "a generation came back");
            self.generation_max = self.generation_max.max(reply.generation);
            if !reply.members.is_empty() && !reply.skip_assignment {
                let leader = self.leaders.entry(reply.generation).or_insert_with(|| reply.member_id.clone());
                assert_eq!(*leader, reply.member_id, "two members are told to assign {}", reply.generation);
            }
        }
    }
}

proptest! {
    #[test]
    fn one_leads_generations_grow_and_everybody_is_answered_once(steps in prop::collection::vec(step(), 1..120)) {
        let mut world = World::new();

        for step in steps {
            world.run(step);
        }

        let stored = world.bench.log.iter().flat_map(|append| &append.records).filter_map(|record| match record {
            GroupRecord::Group { value: Some(group), .. } => Some(group.generation),
            GroupRecord::Group { value: None, .. } | GroupRecord::Offset { .. } => None,
        });
        prop_assert!(stored.is_sorted());
        let World { mut bench, .. } = world;
        let shutdown = std::mem::replace(&mut bench.coordinator, GroupCoordinator::new(GroupSettings::default()));
        let commands = shutdown.shutdown(ErrorCode::NOT_COORDINATOR, bench.now);
        bench.obey(commands);
        prop_assert_eq!(bench.answers.len() as u64, bench.next_ticket);
    }

    #[test]
    fn positions_are_what_a_replay_of_the_log_gives(steps in prop::collection::vec(step(), 1..60)) {
        let mut world = World::new();
        for step in steps {
            world.run(step);
        }
        world.bench.refusal = None;
        world.bench.settle();
        let mut replayed = GroupCoordinator::new(GroupSettings::default());
        for record in world.bench.log.iter().flat_map(|append| &append.records) {
            let (key, value) = record.to_bytes().expect("short names");
            let record = GroupRecord::from_bytes(key, value).expect("our own bytes").expect("a classic record");
            replayed.load(None, record, world.bench.now);
        }

        let group = group();
        let of_log: Vec<_> = replayed.offsets().of_group(&group).collect();
        let of_memory: Vec<_> = world.bench.coordinator.offsets().of_group(&group).collect();
        prop_assert_eq!(of_log, of_memory);
    }
}
