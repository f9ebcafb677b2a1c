//! A topic that is gone for good: what is buffered of it is let go of.

use super::*;
use crate::limits::{ABANDONED_AT_ONCE_MAX, GAPS_MAX};

fn set_aside(commands: &[Command]) -> Vec<u64> {
    let ordinal = |command: &Command| match command {
        Command::SetAside { entry } => Some(entry.ordinal),
        _ => None,
    };
    commands.iter().filter_map(ordinal).collect()
}

fn abandon(world: &mut World) -> Vec<Command> {
    let commands = world.forward.on(Event::TopicGone, world.now);
    let operations =
        |command: &&Command| matches!(command, Command::SaveLineage { .. } | Command::FindEnd { .. });
    world.operations.extend(commands.iter().filter(operations).cloned());
    commands
}

#[test]
fn everything_that_is_buffered_is_set_aside() {
    let mut world = acknowledged_at_a();
    world.on(Event::Lapsed);
    world.accept(1);
    world.accept(1);

    let commands = abandon(&mut world);

    assert_eq!(set_aside(&commands), [0, 1, 2]);
    assert_eq!(world.forward.buffered_records(), 0);
}

#[test]
fn what_is_under_way_has_an_outcome_first() {
    let mut world = acknowledged_at_a();
    world.accept(1);
    world.wire.clear();

    let before = set_aside(&abandon(&mut world));
    let refused = Event::Sent { ordinal: 1, outcome: Outcome::NotSent };
    let after = set_aside(&world.forward.on(refused, world.now));

    assert_eq!((before, after), (vec![], vec![0, 1]));
}

#[test]
fn what_was_never_sent_to_anybody_is_set_aside() {
    let mut world = World::new();
    world.accept(1);

    assert_eq!(set_aside(&abandon(&mut world)), [0]);
}

#[test]
fn many_are_set_aside_part_by_part() {
    let mut world = World::new();
    let many = 2 * ABANDONED_AT_ONCE_MAX;
    (0..many).for_each(|_| world.accept(1));

    let first = set_aside(&abandon(&mut world)).len();
    let second = set_aside(&world.forward.on(Event::Tick, world.now)).len();

    assert_eq!((first, first + second, world.forward.buffered_records()), (many / 2, many, 0));
}

#[test]
fn what_is_accepted_later_arrives_in_the_same_log_or_another() {
    let mut world = acknowledged_at_a();
    world.on(Event::Lapsed);
    world.accept(1);
    abandon(&mut world);
    world.accept(1);

    world.grant();
    world.settle();

    assert_eq!(ours(&world.regions[&world.acting]), [0, 2]);
}

#[test]
fn what_is_abandoned_part_by_part_is_one_gap_and_stays_left_out_after_a_restart() {
    let mut world = acknowledged_at_a();
    world.on(Event::Lapsed);
    let many = 3 * ABANDONED_AT_ONCE_MAX;
    (0..many).for_each(|_| world.accept(3));
    let entries: Vec<Entry> = world.forward.entries().cloned().collect();
    abandon(&mut world);
    world.forward.on(Event::Tick, world.now);

    let lineage = world.forward.lineage.clone().unwrap();
    let saved = Saved { lineage: Some(lineage.clone()), ..Saved::default() };
    let next_ordinal = world.forward.next_ordinal;
    let again = Forward::recovered(Trimming::WhenReplicated, saved, entries, Vec::new(), next_ordinal);

    let gone = Gap { ordinal: 1, records: 3 * (2 * ABANDONED_AT_ONCE_MAX as u64 - 1) };
    assert_eq!(lineage.gaps, [gone]);
    assert_eq!(again.entries().map(|entry| entry.ordinal).take(2).collect::<Vec<_>>(), [0, gone.end()]);
}

#[test]
fn a_lineage_without_room_for_a_gap_waits_before_it_sends_again() {
    let mut world = acknowledged_at_a();
    world.accept(1);
    let gaps = (0..GAPS_MAX as u64).map(|gap| Gap { ordinal: 1000 + 2 * gap, records: 1 }).collect();
    world.forward.lineage.as_mut().unwrap().gaps = gaps;

    let commands = world.forward.on(Event::Sent { ordinal: 1, outcome: Outcome::Unacceptable }, world.now);

    assert!(matches!(commands[..], [Command::Wake { at }] if at > world.now), "{commands:?}");
}
