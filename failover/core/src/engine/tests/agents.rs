//! What agents are told, and what is waited for before a seal is believed.

use super::*;

#[test]
fn no_seal_is_looked_at_while_the_regions_agent_may_lift_one() {
    let mut world = World::new();
    world.request(Verb::Switchover { to: name("b") }, None).expect("taken");
    let at_first = world.open_named("seal-region");

    world.attend("a");

    assert!(at_first.is_none() && world.open_named("seal-region").is_some());
}

#[test]
fn a_seal_kept_under_an_older_epoch_is_not_enough() {
    let mut world = World::new();
    world.attend("a");

    world.request(Verb::Switchover { to: name("b") }, None).expect("taken");

    assert!(world.open_named("seal-region").is_none());
}

#[test]
fn a_region_whose_lease_is_over_is_sealed_without_its_agents_word() {
    let mut world = World::new();
    world.request(Verb::Switchover { to: name("b") }, None).expect("taken");

    world.pass(1_100);
    world.take(Event::Tick).expect("tick");

    assert!(world.open_named("seal-region").is_some());
}

#[test]
fn an_agent_that_may_open_its_standby_is_waited_for_after_a_promotion() {
    let mut world = World::new();
    world.pass(60_000);
    let now = world.now.monotonic;
    let instruction = world.instruct("b");
    assert_eq!(instruction.role, crate::Role::default());

    let over_after = world.engine.leases.over_at(&name("b")).since(now);

    assert_eq!(over_after, Duration::from_millis(1_100));
}

#[test]
fn a_region_that_the_controller_opens_counts_as_leased() {
    let mut world = World::new();
    world.request(Verb::Switchover { to: name("b") }, None).expect("taken");
    world.pass(60_000);
    world.request(Verb::Abort, None).expect("taken");

    world.succeed("unseal-region");

    assert!(!world.engine.leases.is_over(&name("a"), world.now.monotonic));
}

#[test]
fn an_agent_whose_first_word_was_lost_is_given_its_lease_again() {
    let mut world = World::new();
    let lost = world.instruct("a");

    world.pass(10);
    let again = world.instruct("a");

    assert!(lost.lease.is_some() && again.lease.is_some());
}

#[test]
fn an_agent_of_a_region_that_counts_as_lost_is_given_no_lease() {
    let mut world = World::with(Config { automation: crate::Automation::Approve, ..config() });
    world.instruct("a");
    world.lose("a");
    world.rounds(4);

    let instruction = world.instruct("a");

    assert!(instruction.role.serves && instruction.lease.is_none());
}

#[test]
fn no_region_is_promoted_before_its_agent_keeps_to_a_lease() {
    let mut world = World::new();
    world.instruct("b");
    world.request(Verb::Switchover { to: name("b") }, None).expect("taken");
    world.attend("a");
    for step in ["cut-gateways", "seal-region", "drain-link"] {
        world.succeed(step);
    }
    let at_first = world.open_named("promote");

    world.attend("b");

    assert!(at_first.is_none() && world.open_named("promote").is_some());
}

#[test]
fn an_agent_that_is_not_heard_for_a_lease_holds_up_no_promotion() {
    let mut world = World::new();
    world.attend("b");
    world.request(Verb::Switchover { to: name("b") }, None).expect("taken");
    world.attend("a");
    for step in ["cut-gateways", "seal-region", "drain-link"] {
        world.succeed(step);
    }

    world.pass(1_100);
    world.take(Event::Tick).expect("tick");

    assert!(world.open_named("promote").is_some());
}

#[test]
fn a_region_that_is_gone_back_to_is_opened_once_its_agent_keeps_to_a_lease() {
    let mut world = World::new();
    world.request(Verb::Switchover { to: name("b") }, None).expect("taken");
    world.attend("a");
    world.request(Verb::Abort, None).expect("taken");
    let at_first = world.open_named("unseal-region");

    world.attend("a");

    assert!(at_first.is_none() && world.open_named("unseal-region").is_some());
}

#[test]
fn nobody_is_granted_a_lease_between_decision_and_promotion() {
    let mut world = World::new();

    world.lose("a");
    world.rounds(3);

    assert_eq!(world.engine.grant(), None);
}
