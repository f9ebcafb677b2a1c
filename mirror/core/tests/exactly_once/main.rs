//! Random source logs, crashes at any moment, rivals and foreign writers, against a model of a broker: nothing is lost, nothing
//! is doubled, and every offset translates exactly.
#![allow(clippy::unwrap_used)]

mod late;
mod model;

use std::time::Duration;

use leeward_mirror_core::limits::RETRY_LONGEST;
use leeward_mirror_core::map::{NotThere, Run, Translation};
use leeward_mirror_core::partition::{
    Command, Event, GapPolicy, MergePolicy, Partition, Settings, Start, StopReason,
};
use leeward_model::{Instant, LinkName, PartitionIndex, SourceOffset, TargetOffset, TopicId};
use model::world::World;
use proptest::prelude::*;

fn source(offset: usize) -> SourceOffset {
    SourceOffset::from_wire(offset as i64).unwrap()
}

fn target(offset: usize) -> TargetOffset {
    TargetOffset::from_wire(offset as i64).unwrap()
}

fn check_content(world: &World) {
    let mirrored: Vec<_> = world.broker.own_values();
    let expected: Vec<_> = world.source.committed.iter().map(|(_, value)| value.clone()).collect();
    assert_eq!(mirrored, expected, "lost, doubled or out of order");
}

fn check_translation(world: &World, mirror: &Partition) {
    let places: Vec<_> = world.broker.own_places();
    for ((offset, _), place) in world.source.committed.iter().zip(&places) {
        assert_eq!(mirror.to_target(source(*offset)).exact(), Some(target(*place)), "source {offset}");
        assert_eq!(mirror.to_source(target(*place)).exact(), Some(source(*offset)), "target {place}");
    }
    for offset in 0..world.source.end {
        let next = world.source.committed.iter().position(|(committed, _)| *committed >= offset);
        let expected = next.map_or(world.broker.end(), |index| places[index]);
        let translated = match mirror.to_target(source(offset)) {
            Translation::Exact(target) | Translation::NotThere(NotThere::BeforeStart { target, .. }) => {
                target
            }
            Translation::NotThere(reason) => panic!("{reason}"),
        };
        assert_eq!(translated, target(expected), "position {offset} lies before the next record");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn a_mirror_that_crashes_at_any_moment_copies_exactly_once(seed: u64) {
        let mut world = World::new(seed, 1);

        world.run_with_faults(400, false);
        world.finish();

        check_content(&world);
        check_translation(&world, &world.mirrors[0].partition);
    }

    #[test]
    fn two_mirrors_on_one_link_copy_exactly_once(seed: u64) {
        let mut world = World::new(seed, 2);

        world.run_with_faults(600, false);
        world.finish();

        check_content(&world);
        check_translation(&world, &world.mirrors[0].partition);
    }

    #[test]
    fn foreign_writes_are_stepped_over(seed: u64) {
        let mut world = World::new(seed, 1);

        world.run_with_faults(600, true);
        world.finish();

        check_content(&world);
        check_translation(&world, &world.mirrors[0].partition);
    }

    #[test]
    fn a_map_turned_round_leads_back(seed: u64) {
        let mut world = World::new(seed, 1);
        world.run_with_faults(200, true);
        world.finish();
        let there = &world.mirrors[0].partition;

        let back = world.turned_round();

        for ((offset, _), place) in world.source.committed.iter().zip(world.broker.own_places()) {
            let translated = back.to_target(SourceOffset::from_wire(place as i64).unwrap(), source(place), target(world.source.end));
            assert_eq!(translated.exact(), Some(target(*offset)));
        }
        assert_eq!(back.resume_at(target(world.source.end)), Some(source(world.broker.end())));
        assert!(there.replicated_to().is_some());
    }
}

/// A batch refused for a moment whose earlier copy came late stands behind a foreign write; the next one's acknowledgement does not say so.
#[test]
fn a_foreign_write_before_an_open_batch_is_put_where_it_is() {
    let mut world = World::new(10_212_151_390_214_949_326, 1);

    world.run_with_faults(600, true);
    world.finish();

    check_content(&world);
    check_translation(&world, &world.mirrors[0].partition);
}

/// What a merged batch was made of moves with it where a foreign write shifts it in flight.
#[test]
fn a_foreign_write_before_a_merged_batch_in_flight_moves_all_of_it() {
    let mut world = World::new(646_331_146_228_115_004, 1);

    world.run_with_faults(600, true);
    world.finish();

    check_content(&world);
    check_translation(&world, &world.mirrors[0].partition);
}

#[test]
fn where_nothing_was_written_yet_the_next_position_is_exact() {
    let mut mirror = Partition::new(Settings {
        link: LinkName::new("a-to-b").unwrap(),
        topic: TopicId::from_wire([7; 16]).unwrap(),
        partition: PartitionIndex::from_wire(0).unwrap(),
        gap: GapPolicy::Stop,
        merge: MergePolicy::default(),
        late_within: Duration::from_secs(2),
    });
    let before = mirror.to_target(source(5));
    let start = Start {
        runs: Vec::new(),
        checkpoint: None,
        target_end: target(0),
        source_log_start: Some(source(5)),
        begin_at: Some(source(5)),
    };
    mirror.on(Event::Started(start), Instant::ZERO);

    assert_eq!(before, Translation::NotThere(NotThere::Nothing));
    assert_eq!(mirror.to_target(source(5)), Translation::Exact(target(0)));
    assert_eq!(mirror.to_target(source(6)), Translation::NotThere(NotThere::Nothing));
}

/// A rival on the same link may have written further meanwhile, with runs that were stored after the map was read.
#[test]
fn a_start_that_has_to_ask_again_and_finds_more_reads_the_map_again() {
    let mut mirror = Partition::new(Settings {
        link: LinkName::new("a-to-b").unwrap(),
        topic: TopicId::from_wire([7; 16]).unwrap(),
        partition: PartitionIndex::from_wire(0).unwrap(),
        gap: GapPolicy::Stop,
        merge: MergePolicy::default(),
        late_within: Duration::from_secs(2),
    });
    let start = Start {
        runs: vec![Run { source: source(0), target: target(0), foreign_before: 0, anchor: true }],
        checkpoint: Some(target(2)),
        target_end: target(4),
        source_log_start: Some(source(0)),
        begin_at: Some(source(0)),
    };
    let commands = mirror.on(Event::Started(start), Instant::ZERO);
    let [Command::Audit { question, .. }] = commands[..] else { panic!("{commands:?}") };
    mirror.on(Event::QuestionFailed { question }, Instant::ZERO);
    let commands = mirror.on(Event::Tick, Instant::ZERO.after(RETRY_LONGEST));
    let [Command::AskTargetEnd { question }] = commands[..] else { panic!("{commands:?}") };

    let commands = mirror.on(Event::TargetEnd { question, end: target(5) }, Instant::ZERO);

    assert!(matches!(commands[..], [Command::Reload]), "{commands:?}");
}

#[test]
fn a_target_with_content_of_unknown_origin_stops_the_partition() {
    let mut world = World::new(1, 1);
    world.broker.foreign_write(3);

    world.finish_or_stop();

    let stopped = world.mirrors[0].partition.standing().stopped;
    assert_eq!(stopped, Some(StopReason::TargetNotEmpty { records: 3 }));
}
