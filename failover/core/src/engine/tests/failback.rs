//! What becomes of an old primary's tail on its way back.

use super::*;

#[test]
fn a_failback_keeps_the_tail_and_ends_with_a_switchover() {
    let mut world = World::old_primary_is_back();

    let back = Verb::Failback { to: name("a"), tail: TailPolicy::Quarantine, then_switchover: true };
    world.request(back, None).expect("taken");
    for step in ["quarantine", "recreate-topics", "unseal-region", "start-link"] {
        world.succeed(step);
    }
    world.link(0, 10, 10);
    world.rounds(1);
    world.succeed("await-caught-up");
    world.attend("b");
    for step in ["cut-gateways", "seal-region", "drain-link", "promote", "move-gateways", "update-dns"] {
        world.succeed(step);
    }
    for step in ["verify", "unseal-region", "start-link"] {
        world.succeed(step);
    }

    let state = world.engine.state();
    assert_eq!((&state.primary, &state.standings[&name("b")]), (&name("a"), &Standing::Standby));
}

#[test]
fn a_failback_that_is_asked_for_again_keeps_the_tail_all_the_same() {
    let mut world = World::old_primary_is_back();
    let back = Verb::Failback { to: name("a"), tail: TailPolicy::Quarantine, then_switchover: false };
    world.request(back.clone(), None).expect("taken");

    world.request(back, None).expect("taken");

    let open: Vec<&str> = world.open.values().map(Effect::name).collect();
    assert_eq!(open, ["quarantine"]);
}

#[test]
fn a_tail_that_was_to_be_discarded_is_kept_where_somebody_asks_for_that_in_time() {
    let mut world = World::old_primary_is_back();
    let back = |tail| Verb::Failback { to: name("a"), tail, then_switchover: false };
    world.request(back(TailPolicy::Discard), None).expect("taken");

    world.request(back(TailPolicy::Quarantine), None).expect("taken");

    let open: Vec<&str> = world.open.values().map(Effect::name).collect();
    assert_eq!(open, ["quarantine"]);
}
