//! A journal that lacks its end or its beginning: what is missing is counted, and what comes later is found.

use super::*;

const SEGMENT: &str = "/buffer/journal/00000000000000000000.journal";

/// Ten batches, and a state that knows of them.
fn with_ten() -> SimulatedDisk {
    let disk = SimulatedDisk::new(1);
    let mut gateway = Life::begin(&disk);
    for number in 0..10 {
        gateway.accept(&plain(&format!("value-{number}")));
    }
    gateway.save().unwrap();
    disk
}

/// Cuts the only segment behind its first frames.
fn cut_behind(disk: &SimulatedDisk, frames: usize) {
    let path = Path::new(SEGMENT);
    let used = disk.bytes(path).unwrap().iter().rposition(|byte| *byte != 0).unwrap() + 1;
    let frame_bytes = (used - 32).div_ceil(10);
    disk.open(path).unwrap().truncate((32 + frames * frame_bytes) as u64).unwrap();
}

fn damaged(opened: &Opened) -> u64 {
    opened.partitions.iter().map(|(_, recovered)| recovered.damaged_records).sum()
}

#[test]
fn a_journal_that_was_cut_has_its_missing_records_counted() {
    let disk = with_ten();
    cut_behind(&disk, 4);

    let opened = open(&disk);

    assert_eq!((found(&opened).len(), damaged(&opened)), (4, 6));
}

#[test]
fn a_journal_that_was_removed_has_its_records_counted() {
    let disk = with_ten();
    disk.remove(Path::new(SEGMENT)).unwrap();

    assert_eq!(damaged(&open(&disk)), 10);
}

#[test]
fn a_journal_that_was_emptied_has_its_records_counted() {
    let disk = with_ten();
    disk.open(Path::new(SEGMENT)).unwrap().truncate(0).unwrap();

    assert_eq!(damaged(&open(&disk)), 10);
}

#[test]
fn a_cut_that_the_state_knows_no_ordinal_of_leaves_room_for_what_is_missing() {
    let disk = with_ten();
    let mut gateway = Life::begin(&disk);
    gateway.accept(&plain("unsaved"));
    gateway.opened.store.save(State::default(), 0).unwrap();
    drop(gateway);
    cut_behind(&disk, 4);

    let opened = open(&disk);

    assert!(opened.partitions[0].1.intake.next_ordinal() > 11);
}

#[test]
fn what_is_accepted_behind_a_cut_is_found_at_each_later_start() {
    let disk = with_ten();
    cut_behind(&disk, 4);

    let ordinal = Life::begin(&disk).accept(&plain("later"));

    for _ in 0..2 {
        let opened = open(&disk);
        assert!(found(&opened).contains_key(&ordinal));
        assert_eq!(damaged(&opened), 6);
    }
}

#[test]
fn what_is_accepted_behind_a_cut_is_found_once_the_hole_stands_in_the_state_alone() {
    let disk = with_ten();
    disk.remove(Path::new(SEGMENT)).unwrap();
    let mut gateway = Life::begin(&disk);
    let ordinal = gateway.accept(&plain("later"));
    let hole = Gap { ordinal: 0, records: ordinal };
    let saved = Saved { damage: vec![hole], ..Saved::default() };
    let state = PartitionState { saved, next_ordinal: ordinal + 1, ..PartitionState::default() };
    let mut recovery = Recovery::new(vec![(partition(), state)]);

    let payload = [batch_head(&partition(), ordinal, 7), plain("later").to_bytes()].concat();
    recovery.frame(900, crate::frames::BATCH, payload.into());

    let (_, recovered) = recovery.finish(|_| Trimming::WhenReplicated).remove(0);
    assert_eq!(recovered.forward.entries().map(|entry| entry.ordinal).collect::<Vec<_>>(), [ordinal]);
    assert_eq!(recovered.hole, None);
}

#[test]
fn a_missing_first_segment_is_counted_and_costs_nothing_else() {
    let disk = SimulatedDisk::new(1);
    let mut gateway = Life::begin(&disk);
    for _ in 0..10 {
        gateway.accept(&plain(&"x".repeat(600 << 10)));
    }
    gateway.save().unwrap();
    drop(gateway);
    disk.remove(Path::new(SEGMENT)).unwrap();

    let opened = open(&disk);

    let found = found(&opened);
    assert!(!found.is_empty() && found.len() < 10);
    assert_eq!(damaged(&opened), 10 - found.len() as u64);
}
