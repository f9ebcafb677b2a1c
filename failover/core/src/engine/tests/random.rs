//! Random orders of reports, time, outcomes, crashes and verbs.

use proptest::prelude::*;

use super::*;
use crate::invariants::{check, check_history};

#[derive(Clone, Copy, Debug)]
enum Act {
    Round,
    Pass(u64),
    Reach(usize, bool),
    Succeed(usize),
    Fail(usize),
    Restart,
    Verb(usize),
    Link,
    Attend(usize),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        6 => Just(Act::Round),
        1 => (0_u64..8_000_000).prop_map(Act::Pass),
        1 => (0_u64..2_000).prop_map(Act::Pass),
        3 => (0_usize..6, any::<bool>()).prop_map(|(which, reached)| Act::Reach(which, reached)),
        8 => (0_usize..4).prop_map(Act::Succeed),
        2 => (0_usize..4).prop_map(Act::Fail),
        1 => Just(Act::Restart),
        2 => (0_usize..9).prop_map(Act::Verb),
        3 => Just(Act::Link),
        3 => (0_usize..2).prop_map(Act::Attend),
    ]
}

fn verb(which: usize) -> Verb {
    let tail = TailPolicy::Quarantine;
    match which {
        0 => Verb::Failover { to: name("b"), accept_loss: Some(Duration::MAX) },
        1 => Verb::Failover { to: name("a"), accept_loss: Some(Duration::MAX) },
        2 => Verb::Switchover { to: name("b") },
        3 => Verb::Switchover { to: name("a") },
        4 => Verb::Failback { to: name("a"), tail, then_switchover: true },
        5 => Verb::Failback { to: name("b"), tail, then_switchover: false },
        6 => Verb::Retry,
        7 => Verb::Abort,
        _ => Verb::Resume,
    }
}

fn run(world: &mut World, act: Act) {
    match act {
        Act::Round => world.rounds(1),
        Act::Pass(millis) => world.pass(millis),
        Act::Reach(which, reached) => {
            let key = *world.reaches.keys().nth(which).expect("six pairs");
            world.reaches.insert(key, reached);
        }
        Act::Succeed(which) | Act::Fail(which) => {
            let Some((id, effect)) = world.open.clone().into_iter().nth(which) else { return };
            let outcome = match act {
                Act::Fail(_) => Outcome::Failed { error: "refused".into() },
                _ => success(&effect),
            };
            world.open.remove(&id);
            world.take(Event::Outcome { id, outcome }).expect("an outcome");
        }
        Act::Restart => world.restart(),
        // A refusal is one of the answers.
        Act::Verb(which) => drop(world.request(verb(which), None)),
        Act::Link => world.link(0, 15, 10),
        Act::Attend(which) => world.attend(["a", "b"][which]),
    }
}

proptest! {
    #[test]
    fn random_events_crashes_and_people_break_no_invariant(acts in prop::collection::vec(act(), 1..120)) {
        let mut world = World::new();
        for act in acts {
            let epoch = world.engine.state().epoch;
            run(&mut world, act);

            prop_assert_eq!(check(world.engine.state()), Ok(()));
            prop_assert!(world.engine.state().epoch >= epoch);
        }

        prop_assert_eq!(check_history(&world.journal, world.config.cooldown), Ok(()));
        let (again, _) = Engine::replay(world.config.clone(), &world.journal, world.now).expect("consistent");
        prop_assert_eq!(again.state().epoch, world.engine.state().epoch);
        prop_assert_eq!(&again.state().standings, &world.engine.state().standings);
    }
}
