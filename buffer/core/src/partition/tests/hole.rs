//! Records that are never sent, because they were set aside or are missing in the journal: those behind them arrive, in this
//! lineage and the next.

use super::*;

/// Record 0 is acknowledged, record 1 was set aside, record 2 is on its way.
fn with_one_set_aside() -> World {
    let mut world = acknowledged_at_a();
    world.accept(1);
    world.accept(1);
    world.wire.clear();
    world.forward.on(Event::Sent { ordinal: 1, outcome: Outcome::Unacceptable }, world.now);
    let commands = world.forward.on(Event::Sent { ordinal: 2, outcome: Outcome::OutOfOrder }, world.now);
    let saves = commands.into_iter().filter(|command| matches!(command, Command::SaveLineage { .. }));
    world.operations.extend(saves);
    world
}

/// A restart whose journal lacks its last record.
fn misses_its_last_record(world: &mut World) {
    world.journal.pop();
    let missing = Gap { ordinal: world.next - 1, records: 1 << 32 };
    world.next = missing.end();
    world.wire.clear();
    world.operations.clear();
    let (saved, entries) = (world.saved.clone(), world.journal.clone());
    world.forward = Forward::recovered(Trimming::WhenReplicated, saved, entries, vec![missing], world.next);
    world.grant();
}

#[test]
fn what_was_set_aside_is_missing_in_the_next_lineage_too() {
    let mut world = with_one_set_aside();
    world.settle();

    world.fail_over(1);
    world.settle();

    assert_eq!(ours(&world.regions[&region("b")]), [0, 2]);
}

#[test]
fn what_was_set_aside_is_not_needed_once_all_before_it_is_forgotten() {
    let mut world = with_one_set_aside();
    world.settle();

    world.mirror(1);
    world.watermark();

    assert_eq!(world.forward.saved().trimmed_to, 2);
}

#[test]
fn what_comes_behind_records_that_were_lost_before_they_were_sent_arrives() {
    let mut world = acknowledged_at_a();
    world.accept(1);
    misses_its_last_record(&mut world);
    let later = world.next;

    world.accept(1);
    world.settle();

    assert_eq!(ours(&world.regions[&region("a")]), [0, later]);
}

#[test]
fn what_comes_behind_records_that_were_sent_before_they_were_lost_arrives() {
    let mut world = acknowledged_at_a();
    world.accept(1);
    world.reach();
    misses_its_last_record(&mut world);
    let later = world.next;

    world.accept(1);
    world.settle();

    assert_eq!(ours(&world.regions[&region("a")]), [0, 1, later]);
}

#[test]
fn what_comes_behind_lost_records_arrives_in_a_survivor_too() {
    let mut world = acknowledged_at_a();
    world.accept(1);
    misses_its_last_record(&mut world);
    let later = world.next;
    world.accept(1);
    world.settle();

    world.fail_over(1);
    world.settle();

    assert_eq!(ours(&world.regions[&region("b")]), [0, later]);
}

#[test]
fn what_is_missing_and_not_settled_is_known_at_the_next_start() {
    let mut world = acknowledged_at_a();
    world.accept(1);

    misses_its_last_record(&mut world);

    assert_eq!(world.forward.saved().damage, [Gap { ordinal: 1, records: 1 << 32 }]);
}

#[test]
fn what_is_missing_where_nothing_was_ever_sent_is_not_waited_for() {
    let missing = vec![Gap { ordinal: 0, records: 7 }];

    let forward = Forward::recovered(Trimming::WhenReplicated, Saved::default(), Vec::new(), missing, 7);

    let saved = forward.saved();
    assert_eq!((saved.trimmed_to, saved.damage.len()), (7, 0));
}
