//! A partition against two model regions: whatever happens in whatever order, each accepted record ends up in the acting
//! region exactly once and in order.

mod abandoned;
mod anew;
mod doubt;
mod gap;
mod hole;
mod world;

use proptest::prelude::*;

use super::*;
use world::*;

/// A batch that stands in the acting region's log and is acknowledged, and then a saved state.
fn acknowledged_at_a() -> World {
    acknowledged(World::new())
}

fn acknowledged(mut world: World) -> World {
    world.accept(1);
    world.operate();
    world.operate();
    world.reach();
    world.answer();
    world.saved = world.forward.saved();
    world
}

#[test]
fn marks_that_come_while_no_grant_lives_do_not_trim() {
    let mut world = acknowledged_at_a();
    world.on(Event::Lapsed);
    world.mirror(1);
    world.watermark();
    assert_eq!(world.forward.buffered_records(), 1);

    world.grant();

    assert_eq!(world.forward.buffered_records(), 0);
}

#[test]
fn each_lineage_begins_at_sequence_0() {
    let mut world = acknowledged_at_a();
    world.mirror(1);
    world.fail_over(1);
    world.accept(1);

    while world.wire.is_empty() {
        world.operate();
    }

    let first = &world.wire[0];
    assert_eq!((first.epoch, first.sequence, first.entry.ordinal), (2, 0, 1));
}

#[test]
fn a_batch_whose_successor_is_acknowledged_is_not_sent_again() {
    let mut world = acknowledged_at_a();
    world.accept(1);
    world.accept(1);
    world.wire.clear();

    world.on(Event::Sent { ordinal: 1, outcome: Outcome::Unknown });
    world.on(Event::Sent { ordinal: 2, outcome: Outcome::Acknowledged { base_offset: 2 } });

    assert!(world.forward.is_acknowledged(3));
}

#[test]
fn a_restart_reads_the_regions_log_before_it_sends() {
    let mut world = acknowledged_at_a();
    world.accept(1);
    world.crash();

    assert!(matches!(world.operations.front(), Some(Command::Look { from: 1, .. })));
}

#[test]
fn the_newest_lineage_counts_in_whatever_order_the_journal_holds_them() {
    let mut world = acknowledged_at_a();
    world.fail_over(1);
    world.operate();
    world.operate();
    world.lineages.reverse();
    world.reach();
    world.answer();
    world.saved = Saved::default();

    world.crash();
    world.settle();

    assert_eq!(ours(&world.regions[&region("b")]), [0]);
}

#[test]
fn a_batch_that_no_region_takes_is_set_aside_and_those_behind_it_arrive() {
    let mut world = World::new();
    world.accept(1);
    world.accept(1);
    world.operate();
    world.operate();
    world.wire.clear();

    let commands = world.forward.on(Event::Sent { ordinal: 0, outcome: Outcome::Unacceptable }, world.now);

    assert!(matches!(
        &commands[..],
        [Command::Trimmed { to: 1 }, Command::SetAside { .. }, Command::SaveLineage { .. }]
    ));
    world.operations.extend(commands.into_iter().skip(2));
    world.settle();
    assert_eq!(ours(&world.regions[&world.acting]), [1]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, ..ProptestConfig::default() })]

    #[test]
    fn each_accepted_record_arrives_once_and_in_order(
        actions in proptest::collection::vec(any::<(u8, u8)>(), 1..300)
    ) {
        let mut world = World::new();
        for action in actions {
            world.act(action);
        }

        world.settle();

        prop_assert_eq!(ours(&world.regions[&world.acting]), (0..world.next).collect::<Vec<u64>>());
    }
}
