//! Where the source has deleted what was to be read next, batches that an earlier process sent may still arrive: they are
//! waited for before anything else is put in their place.

use super::*;
use leeward_mirror_core::partition::{AuditedBatch, Notice, producer_of};

const LATE_WITHIN: Duration = Duration::from_secs(2);

fn settings() -> Settings {
    Settings {
        link: LinkName::new("a-to-b").unwrap(),
        topic: TopicId::from_wire([7; 16]).unwrap(),
        partition: PartitionIndex::from_wire(0).unwrap(),
        gap: GapPolicy::Continue,
        merge: MergePolicy::default(),
        late_within: LATE_WITHIN,
    }
}

/// The map places source offset 0 first; the source begins at 5.
fn start(target_end: usize, checkpoint: Option<usize>) -> Event {
    Event::Started(Start {
        runs: vec![Run { source: source(0), target: target(0), foreign_before: 0, anchor: true }],
        checkpoint: checkpoint.map(target),
        target_end: target(target_end),
        source_log_start: Some(source(5)),
        begin_at: Some(source(5)),
    })
}

fn lost(commands: &[Command]) -> Option<(usize, usize)> {
    commands.iter().find_map(|command| match command {
        Command::Emit(Notice::Lost { from, to }) => Some((from.to_wire() as usize, to.to_wire() as usize)),
        _ => None,
    })
}

/// A mirror that has waited, and its question for the target's end.
fn waited() -> (Partition, Instant, Vec<Command>) {
    let mut mirror = Partition::new(settings());
    mirror.on(start(0, None), Instant::ZERO);
    let later = Instant::ZERO.after(LATE_WITHIN);
    let asked = mirror.on(Event::Tick, later);
    (mirror, later, asked)
}

#[test]
fn nothing_is_stepped_over_while_late_batches_may_arrive() {
    let mut mirror = Partition::new(settings());

    let commands = mirror.on(start(0, None), Instant::ZERO);

    assert_eq!((lost(&commands), mirror.wanted()), (None, None));
}

#[test]
fn a_late_batch_is_found_before_what_follows_is_stepped_over() {
    let (mut mirror, later, asked) = waited();
    let [Command::AskTargetEnd { question }] = asked[..] else { panic!("{asked:?}") };
    let commands = mirror.on(Event::TargetEnd { question, end: target(1) }, later);
    let [Command::Audit { question, .. }] = commands[..] else { panic!("{commands:?}") };
    let Settings { link, topic, partition, .. } = settings();
    let producer_id = producer_of(&link, topic, partition).to_wire();
    let batches = vec![AuditedBatch { base: target(0), offsets: 1, producer_id }];

    let found = mirror.on(Event::Audited { question, batches }, later);
    let again = mirror.on(start(1, None), later);
    let [Command::Audit { question, .. }] = again[..] else { panic!("{again:?}") };
    let batches = vec![AuditedBatch { base: target(0), offsets: 1, producer_id }];
    let begun = mirror.on(Event::Audited { question, batches }, later);

    assert!(matches!(found[..], [Command::Reload]), "{found:?}");
    assert_eq!(lost(&begun), Some((1, 5)));
}

#[test]
fn where_nothing_came_late_all_is_stepped_over() {
    let (mut mirror, later, asked) = waited();
    let [Command::AskTargetEnd { question }] = asked[..] else { panic!("{asked:?}") };
    mirror.on(Event::TargetEnd { question, end: target(0) }, later);

    let out_of_range = Event::SourceOutOfRange { log_start: source(5), log_end: source(9) };
    let commands = mirror.on(out_of_range, later);

    assert_eq!(lost(&commands), Some((0, 5)));
}

#[test]
fn an_answer_of_the_source_that_comes_before_the_targets_steps_over_nothing() {
    let (mut mirror, later, _) = waited();

    let out_of_range = Event::SourceOutOfRange { log_start: source(5), log_end: source(9) };
    let commands = mirror.on(out_of_range, later);

    assert_eq!(lost(&commands), None);
}

#[test]
fn a_checkpoint_that_the_target_fell_behind_is_taken_back_before_anything_is_placed() {
    let mut mirror = Partition::new(settings());

    let commands = mirror.on(start(1, Some(4)), Instant::ZERO);

    let stored = commands.iter().find_map(|command| match command {
        Command::PersistRuns { checkpoint, .. } => *checkpoint,
        _ => None,
    });
    assert_eq!(stored, Some(target(1)));
}

#[test]
fn a_link_is_sealed_once_its_end_is_durable() {
    let mut mirror = Partition::new(Settings { gap: GapPolicy::Stop, ..settings() });
    let begun = Start {
        runs: vec![Run { source: source(0), target: target(0), foreign_before: 0, anchor: true }],
        checkpoint: Some(target(7)),
        target_end: target(7),
        source_log_start: Some(source(0)),
        begin_at: Some(source(0)),
    };
    mirror.on(Event::Started(begun), Instant::ZERO);

    let asked = mirror.on(Event::Seal { drain_to: None }, Instant::ZERO);
    let before = mirror.standing().state;
    mirror.on(Event::Checkpointed { target: target(7) }, Instant::ZERO);

    let checkpoint =
        |command: &Command| matches!(command, Command::Checkpoint { target: at } if *at == target(7));
    assert!(asked.iter().any(checkpoint));
    assert_eq!((before, mirror.standing().state), ("settling", "sealed"));
}
