//! A gateway that misses two epochs trusts nothing it knew: what it finds is kept, and what may be under way is not sent
//! beside itself.

use super::*;

fn misses_two_moves(world: &mut World) {
    world.take_a_move_back();
    world.take_a_move_back();
    world.grant();
}

fn buffered_until_mirrored(mut world: World) {
    let before = world.forward.buffered_records();

    world.mirror(1);
    world.watermark();

    assert_eq!((before, world.forward.buffered_records()), (1, 0));
}

/// Record 0 was sent to a and mirrored to b; a was lost and mirrored back to, and then b was lost.
fn in_a_log_that_was_mirrored_back() -> World {
    let mut world = acknowledged_at_a();
    world.mirror(1);
    world.fail_over(0);
    world.mirror(1);
    world.fail_over(0);
    world
}

#[test]
fn offsets_of_a_log_that_was_left_twice_are_not_trusted() {
    let mut world = acknowledged_at_a();
    world.fail_over(0);
    world.regions.get_mut(&region("b")).unwrap().log.push(Record::Foreign);
    world.mirror(1);
    world.fail_over(0);
    world.mirror(1);
    world.fail_over(0);
    world.crash();

    world.settle();

    assert_eq!(ours(&world.regions[&world.acting]), [0]);
}

#[test]
fn what_was_sent_before_missed_moves_is_kept_until_the_other_region_has_it() {
    let mut world = acknowledged_at_a();

    misses_two_moves(&mut world);
    world.settle();

    assert_eq!(ours(&world.regions[&region("a")]), [0]);
    buffered_until_mirrored(world);
}

#[test]
fn what_came_by_mirror_behind_missed_moves_is_kept_until_the_other_region_has_it() {
    let mut world = in_a_log_that_was_mirrored_back();

    world.grant();
    world.settle();

    assert_eq!(ours(&world.regions[&region("a")]), [0]);
    buffered_until_mirrored(world);
}

#[test]
fn a_crash_before_the_state_is_saved_forgets_nothing_that_is_kept() {
    let mut world = in_a_log_that_was_mirrored_back();
    world.grant();
    world.accept(1);
    world.settle();

    world.crash();
    world.settle();

    assert_eq!(ours(&world.regions[&region("a")]), [0, 1]);
    assert_eq!(world.forward.buffered_records(), 2);
}

#[test]
fn what_is_kept_is_looked_for_when_its_region_is_left() {
    let mut world = in_a_log_that_was_mirrored_back();
    world.grant();
    world.settle();
    world.mirror(1);

    world.fail_over(1);
    world.settle();

    assert_eq!(ours(&world.regions[&region("b")]), [0]);
}

#[test]
fn a_batch_that_arrives_late_behind_missed_moves_is_not_there_twice() {
    let mut world = acknowledged_at_a();
    world.accept(1);
    misses_two_moves(&mut world);

    while world.wire.is_empty() {
        world.operate();
    }
    world.ghost();
    world.settle();

    assert_eq!(ours(&world.regions[&region("a")]), [0, 1]);
}

#[test]
fn a_lineages_first_batch_that_arrives_late_behind_missed_moves_is_not_there_twice() {
    let mut world = World::new();
    world.accept(1);
    world.operate();
    world.operate();
    misses_two_moves(&mut world);

    while world.wire.is_empty() {
        world.operate();
    }
    world.ghost();
    world.settle();

    assert_eq!(ours(&world.regions[&region("a")]), [0]);
}

#[test]
fn marks_that_come_before_there_is_a_lineage_count_once_there_is() {
    let mut world = in_a_log_that_was_mirrored_back();
    world.grant();
    world.mirror(1);
    world.watermark();

    world.settle();

    assert_eq!(world.forward.buffered_records(), 0);
}

#[test]
fn all_of_a_batch_that_is_kept_in_part_is_sent_where_the_next_region_lacks_it() {
    let mut world = acknowledged_at_a();
    world.accept(3);
    world.reach();
    world.mirror(2);
    world.take_a_move_back();
    world.take_a_move_back();
    world.fail_over(1);
    world.operate();
    world.operate();
    world.must_mirror = 0;

    world.fail_over(1);
    world.settle();

    assert_eq!(ours(&world.regions[&region("a")]), [0, 1, 2, 3]);
}
