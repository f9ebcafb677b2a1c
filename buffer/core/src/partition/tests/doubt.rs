//! A batch whose place is in doubt stays so until a match has settled it.

use super::*;

/// Record 1 stands in a's log, and only its successor's place is known; all is mirrored, and b is promoted.
fn failed_over_with_a_batch_somewhere() -> World {
    let mut world = acknowledged_at_a();
    world.accept(1);
    world.accept(1);
    world.reach();
    world.reach();
    world.wire.clear();
    world.on(Event::Sent { ordinal: 1, outcome: Outcome::Unknown });
    world.on(Event::Sent { ordinal: 2, outcome: Outcome::Acknowledged { base_offset: 2 } });
    world.mirror(3);
    world.fail_over(1);
    world
}

#[test]
fn a_match_that_fails_is_made_again() {
    let mut world = failed_over_with_a_batch_somewhere();
    let Some(Command::Match { operation, .. }) = world.operations.pop_front() else { panic!("no match") };

    world.on(Event::Failed { operation });
    world.settle();

    assert_eq!(ours(&world.regions[&world.acting]), [0, 1, 2]);
}

#[test]
fn a_crash_during_a_match_forgets_no_doubt() {
    let mut world = failed_over_with_a_batch_somewhere();
    world.saved = world.forward.saved();

    world.crash();
    world.settle();

    assert_eq!(ours(&world.regions[&world.acting]), [0, 1, 2]);
}
