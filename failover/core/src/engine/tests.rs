//! What the engine makes of a state and an event; `World` is its journal, its clock and what it observes.

mod agents;
mod failback;
mod random;

use std::collections::BTreeMap;

use super::*;
use crate::{
    config::tests::{config, name},
    detector::Probe,
    fence::{GatewaysCut, SealEvidence},
    level::Level,
    loss::UpperBound,
    phases::OperationResult,
    returning::{
        TailPolicy,
        tests::{at, log_end, partition, position},
    },
    state::Standing,
};

/// An engine with its journal, a clock and a world that it observes.
struct World {
    config: Config,
    engine: Engine,
    journal: Vec<Entry>,
    open: BTreeMap<EffectId, Effect>,
    now: Now,
    /// Whether observer (first) reaches region (second).
    reaches: BTreeMap<(&'static str, &'static str), bool>,
    notices: Vec<Notice>,
}

impl World {
    fn new() -> Self {
        Self::with(config())
    }

    fn with(config: Config) -> Self {
        let now = Now { monotonic: Instant::ZERO, wall: WallTime::from_millis(1_000_000) };
        let journal = vec![Engine::form(&config, now)];
        let (engine, _) = Engine::replay(config.clone(), &journal, now).expect("formed");
        let reaches =
            ["a", "b", "w"].into_iter().flat_map(|place| [((place, "a"), true), ((place, "b"), true)]);
        let reaches = reaches.collect();
        let mut world =
            Self { config, engine, journal, open: BTreeMap::new(), now, reaches, notices: Vec::new() };
        world.link(1, 15, 10);
        world.rounds(1);
        world
    }

    fn take(&mut self, event: Event) -> Result<Step, Rejected> {
        let step = self.engine.on(event, self.now)?;
        self.keep(&step);
        Ok(step)
    }

    fn keep(&mut self, step: &Step) {
        self.journal.extend(step.entries.iter().cloned());
        for id in &step.abandoned {
            self.open.remove(id);
        }
        self.open.extend(step.effects.iter().cloned());
        self.notices.extend(step.notices.iter().cloned());
    }

    fn pass(&mut self, millis: u64) {
        self.now.monotonic = self.now.monotonic.after(Duration::from_millis(millis));
        self.now.wall = WallTime::from_millis(self.now.wall.as_millis() + millis as i64);
    }

    fn link(&mut self, seconds: u64, source_end: i64, replicated: i64) {
        let sample = PartitionSample {
            partition: partition(0),
            source_end: Some(at(source_end)),
            replicated: at(replicated),
        };
        let (source, target) = {
            let primary = self.engine.state().primary.clone();
            (primary.clone(), self.config.other(&primary).clone())
        };
        let lag = Lag { time: Duration::from_secs(seconds), ..Lag::default() };
        let offsets_age = Some(Duration::ZERO);
        let report =
            LinkReport { source, target, lag, offsets_age, partitions: vec![sample], drifts: Some(vec![]) };
        self.take(Event::Link(report)).expect("a report");
    }

    /// Every observer probes both regions, `rounds` times, 200 ms apart.
    fn rounds(&mut self, rounds: u32) {
        for _ in 0..rounds {
            self.pass(200);
            for ((place, region), reached) in self.reaches.clone() {
                let dead = place == "a" && !self.reaches[&("a", "a")];
                let probe = if reached { Probe::Good } else { Probe::Failed };
                if !dead || region == "a" {
                    let samples = Level::ALL.iter().map(|level| (*level, probe)).collect();
                    let report =
                        Report { observer: name(place), region: name(region), samples, slipped: false };
                    self.take(Event::Report(report)).expect("a report");
                }
            }
        }
    }

    /// The region's agent reports, and says that it goes by what it was told at this moment.
    fn attend(&mut self, region: &str) {
        let now = self.now.monotonic;
        let told = self.instruct(region);
        let taken = crate::Taken { epoch: told.epoch, role: told.role };
        self.engine.hear(&name(region), Some(taken), now);
        self.take(Event::Tick).expect("tick");
    }

    /// What the region's agent is told, which was told nothing before.
    fn instruct(&mut self, region: &str) -> crate::Instruction {
        let now = self.now.monotonic;
        self.engine.hear(&name(region), None, now);
        self.engine.instruct(&name(region), now, now)
    }

    fn lose(&mut self, region: &'static str) {
        self.reach(region, false);
    }

    fn reach(&mut self, region: &'static str, reached: bool) {
        for place in ["a", "b", "w"] {
            self.reaches.insert((place, region), reached);
        }
    }

    fn open_named(&self, name: &str) -> Option<EffectId> {
        self.open.iter().find(|(_, effect)| effect.name() == name).map(|(id, _)| *id)
    }

    fn answer(&mut self, name: &str, outcome: Outcome) -> Step {
        let id = self.open_named(name).unwrap_or_else(|| panic!("no open {name}: {:?}", self.open));
        self.open.remove(&id);
        self.take(Event::Outcome { id, outcome }).expect("an outcome")
    }

    fn phase(&self) -> Phase {
        self.engine.phase(self.now.monotonic)
    }

    fn request(&mut self, verb: Verb, key: Option<&str>) -> Result<Step, Rejected> {
        let key = key.map(crate::IdempotencyKey::new);
        self.take(Event::Request(Request { verb, by: "ada".into(), expected_epoch: None, key }))
    }

    fn restart(&mut self) {
        let (engine, step) =
            Engine::replay(self.config.clone(), &self.journal, self.now).expect("consistent");
        self.engine = engine;
        self.open.clear();
        self.keep(&step);
    }

    fn succeed(&mut self, name: &str) {
        let effect = self.open[&self.open_named(name).expect("open")].clone();
        self.answer(name, success(&effect));
    }

    fn failed_over() -> Self {
        let mut world = Self::new();
        world.lose("a");
        world.rounds(4);
        world.succeed("cut-gateways");
        world.pass(1_000);
        world.take(Event::Tick).expect("tick");
        for step in ["drain-link", "promote", "move-gateways", "update-dns", "verify"] {
            world.succeed(step);
        }
        world
    }

    /// The old primary was seen again and is fenced.
    fn old_primary_is_back() -> Self {
        let mut world = Self::failed_over();
        world.reach("a", true);
        world.rounds(1);
        world.succeed("seal-region");
        world
    }
}

const CUT: GatewaysCut = GatewaysCut { acknowledged: 2, lapsed: 0 };

fn success(effect: &Effect) -> Outcome {
    match effect {
        Effect::CutGateways { .. } => Outcome::GatewaysCut(CUT),
        Effect::SealRegion { .. } => Outcome::Sealed(SealEvidence {
            brokers: 1,
            brokers_refusing: 1,
            log_ends: vec![log_end(0, 13)],
            still: true,
        }),
        Effect::DrainLink { .. } => Outcome::LinkDrained { positions: vec![position(0, 10)] },
        Effect::Promote { .. } => Outcome::Promoted { topics: 1, groups: 0 },
        Effect::Quarantine { .. } => Outcome::Quarantined { records: 3 },
        Effect::UnsealRegion { .. }
        | Effect::MoveGateways { .. }
        | Effect::UpdateDns { .. }
        | Effect::Verify { .. }
        | Effect::RecreateTopics { .. }
        | Effect::StartLink { .. }
        | Effect::AwaitCaughtUp { .. } => Outcome::Done,
    }
}

#[test]
fn a_lost_region_is_fenced_first_and_nothing_else_is_begun() {
    let mut world = World::new();

    world.lose("a");
    world.rounds(3);

    let open: Vec<&str> = world.open.values().map(Effect::name).collect();
    assert_eq!((world.phase(), open), (Phase::Fencing, vec!["cut-gateways"]));
}

#[test]
fn one_bad_round_is_suspect_and_moves_nobody() {
    let mut world = World::new();

    world.lose("a");
    world.rounds(1);

    assert_eq!((world.phase(), world.open.len()), (Phase::Suspect, 0));
}

#[test]
fn a_cut_link_between_the_regions_fails_nobody_over() {
    let mut world = World::new();

    world.reaches.insert(("a", "b"), false);
    world.reaches.insert(("b", "a"), false);
    world.rounds(20);

    assert!(world.phase() == Phase::Steady && world.engine.link_is_cut(world.now.monotonic));
}

#[test]
fn without_a_seal_the_promotion_waits_for_the_lease() {
    let mut world = World::new();
    world.lose("a");
    world.rounds(3);

    world.succeed("cut-gateways");
    let before = world.phase();
    world.pass(1_100);
    world.take(Event::Tick).expect("tick");

    assert_eq!((before, world.phase()), (Phase::Fencing, Phase::Draining));
}

#[test]
fn a_complete_seal_makes_the_proof_confirmed_without_waiting() {
    let mut world = World::new();
    world.lose("a");
    world.rounds(3);

    world.succeed("cut-gateways");
    world.attend("a");
    world.succeed("seal-region");

    let fenced = world.journal.iter().find_map(|entry| match entry {
        Entry::Fenced { proof, .. } => Some(proof.is_confirmed()),
        _ => None,
    });
    assert_eq!(fenced, Some(true));
}

#[test]
fn a_failover_walks_all_phases_and_ends_steady_on_the_survivor() {
    let world = World::failed_over();

    let state = world.engine.state();
    assert_eq!(
        (world.phase(), state.primary.clone(), state.serving.clone(), state.epoch),
        (Phase::Steady, name("b"), Some(name("b")), FencingEpoch::FIRST.next())
    );
}

#[test]
fn an_unfenced_dark_source_leaves_the_loss_unbounded() {
    let world = World::failed_over();

    let loss = world.engine.state().loss.clone().expect("stated");
    assert_eq!((loss.lower(), loss.upper()), (5, UpperBound::Unbounded));
}

#[test]
fn an_old_primary_that_comes_back_is_sealed_and_its_tail_listed() {
    let world = World::old_primary_is_back();

    let Standing::Fenced { divergence, .. } = &world.engine.state().standings[&name("a")] else {
        panic!("not fenced")
    };
    let exact = world.engine.state().loss.as_ref().expect("stated").is_exact();
    assert!(divergence.offsets() == 3 && exact);
}

#[test]
fn a_returned_region_becomes_a_standby_by_itself_where_the_policy_says_so() {
    let mut world = World::failed_over();
    world.config.resync = Some(TailPolicy::Quarantine);
    world.restart();
    world.reach("a", true);
    world.rounds(1);

    for step in
        ["seal-region", "quarantine", "recreate-topics", "unseal-region", "start-link", "await-caught-up"]
    {
        world.succeed(step);
        world.rounds(1);
    }

    assert_eq!(world.engine.state().standings[&name("a")], Standing::Standby);
}

#[test]
fn the_link_to_a_region_that_catches_up_is_to_run_again_where_it_stopped() {
    let mut world = World::failed_over();
    world.config.resync = Some(TailPolicy::Quarantine);
    world.restart();
    world.reach("a", true);
    world.rounds(1);
    let steps = ["seal-region", "quarantine", "recreate-topics", "unseal-region", "start-link"];

    let runs = steps.map(|step| {
        let runs = world.engine.state().link_is_to_run();
        world.succeed(step);
        world.rounds(1);
        runs
    });

    assert_eq!((runs, world.engine.state().link_is_to_run()), ([false; 5], true));
}

#[test]
fn a_switchover_that_cannot_drain_goes_back_to_where_it_began() {
    let mut world = World::new();
    world.request(Verb::Switchover { to: name("b") }, None).expect("taken");
    world.succeed("cut-gateways");
    world.attend("a");
    world.succeed("seal-region");

    while world.open_named("drain-link").is_some() {
        world.answer("drain-link", Outcome::Failed { error: "lag stays at 7".into() });
        world.rounds(1);
    }
    world.attend("a");
    world.succeed("unseal-region");
    world.succeed("move-gateways");

    let state = world.engine.state();
    let aborted = matches!(state.last_result, Some((_, OperationResult::Aborted(_))));
    assert!(aborted && state.serving == Some(name("a")) && world.phase() == Phase::Steady);
}

#[test]
fn a_persons_failover_without_a_named_loss_is_refused() {
    let mut world = World::new();

    let refused = world.request(Verb::Failover { to: name("b"), accept_loss: None }, None);

    assert!(matches!(refused, Err(Rejected::Held(HeldReason::LossNotNamed { .. }))));
}

#[test]
fn the_same_key_twice_starts_one_operation() {
    let mut world = World::new();
    let verb = Verb::Switchover { to: name("b") };

    let first = world.request(verb.clone(), Some("k")).expect("taken").operation;
    let second = world.request(verb, Some("k")).expect("known").operation;

    assert!(first.is_some() && first == second);
}

#[test]
fn a_verb_at_an_older_epoch_meets_a_conflict() {
    let mut world = World::failed_over();

    let request = Request {
        verb: Verb::Switchover { to: name("a") },
        by: "ada".into(),
        expected_epoch: Some(FencingEpoch::FIRST),
        key: None,
    };
    let refused = world.take(Event::Request(request));

    assert!(matches!(refused, Err(Rejected::Conflict { .. })));
}

#[test]
fn a_paused_topology_does_nothing_about_a_lost_region() {
    let mut world = World::new();
    world.request(Verb::Pause, None).expect("taken");

    world.lose("a");
    world.rounds(10);

    assert_eq!(world.phase(), Phase::Held(HeldReason::Paused));
}

#[test]
fn approval_lets_a_waiting_failover_go_on() {
    let mut world = World::with(Config { automation: crate::Automation::Approve, ..config() });
    world.lose("a");
    world.rounds(4);
    let before = world.phase();

    world.request(Verb::Approve, None).expect("taken");

    assert_eq!((before, world.phase()), (Phase::Held(HeldReason::AwaitingApproval), Phase::Fencing));
}

#[test]
fn a_step_that_keeps_failing_is_held_and_can_be_retried() {
    let mut world = World::new();
    world.lose("a");
    world.rounds(3);
    world.succeed("cut-gateways");
    world.attend("a");
    world.succeed("seal-region");
    let begun = world.now.monotonic;
    while world.open_named("drain-link").is_some() {
        world.answer("drain-link", Outcome::Failed { error: "no agent".into() });
        world.rounds(25);
    }
    let held = world.phase();

    world.request(Verb::Retry, None).expect("taken");

    assert!(matches!(held, Phase::Held(HeldReason::StepFailed { .. })));
    assert!(world.now.monotonic.since(begun) > Duration::from_mins(1));
    assert!(world.open_named("drain-link").is_some());
}

#[test]
fn a_restart_at_any_step_of_a_failover_does_the_open_effects_again() {
    let mut world = World::new();
    world.lose("a");
    world.rounds(3);
    world.attend("a");

    for step in
        ["cut-gateways", "seal-region", "drain-link", "promote", "move-gateways", "update-dns", "verify"]
    {
        world.attend("b");
        let id = world.open_named(step);
        world.restart();
        assert_eq!(world.open_named(step), id);
        world.succeed(step);
    }

    assert_eq!(world.engine.state().last_result.as_ref().expect("over").1, OperationResult::Completed);
}

#[test]
fn a_late_outcome_of_an_abandoned_effect_changes_nothing() {
    let mut world = World::new();
    world.lose("a");
    world.rounds(3);
    world.attend("a");
    let seal = world.open_named("seal-region").expect("open");
    world.succeed("cut-gateways");
    world.pass(1_100);
    world.take(Event::Tick).expect("tick");

    let outcome = Outcome::Failed { error: "timed out".into() };
    let step = world.take(Event::Outcome { id: seal, outcome }).expect("an outcome");

    assert_eq!(step.entries, []);
}
