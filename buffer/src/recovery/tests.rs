//! Void batches in the journal: their clients were told so, and none of them may stand for one that counts.

use leeward_model::{PartitionIndex, TopicName};
use leeward_wire::record::{BatchBuilder, Compression};

use super::*;
use crate::frames::{BATCH, HOLE, batch_head, hole_frame};

fn partition() -> TopicPartition {
    TopicPartition {
        topic: TopicName::new("orders").unwrap(),
        partition: PartitionIndex::from_wire(0).unwrap(),
    }
}

/// Frames as ordinals and records, one after the other, read by a start that needs nothing below `trimmed_to`.
struct Reading {
    recovery: Recovery,
    position: u64,
}

impl Reading {
    fn behind(trimmed_to: u64, next_ordinal: u64) -> Self {
        let saved = Saved { trimmed_to, ..Saved::default() };
        let state = PartitionState { saved, next_ordinal, ..PartitionState::default() };
        Self { recovery: Recovery::new(vec![(partition(), state)]), position: 0 }
    }

    fn frames(mut self, frames: &[(u64, u64)]) -> Self {
        for (ordinal, records) in frames {
            let mut builder = BatchBuilder::new(Compression::None);
            (0..*records).for_each(|_| builder.append(1, None, Some(b"value"), &[]).unwrap());
            let batch = builder.build().unwrap().to_bytes();
            let payload = [batch_head(&partition(), *ordinal, 7), batch].concat();
            self.recovery.frame(self.position, BATCH, payload.into());
            self.position += 100;
        }
        self
    }

    fn hole(mut self, hole: Gap) -> Self {
        self.recovery.frame(self.position, HOLE, hole_frame(&partition(), hole));
        self.position += 100;
        self
    }

    fn damage(mut self) -> Self {
        self.recovery.damaged(self.position);
        self
    }

    fn finish(self) -> Recovered {
        self.recovery.finish(|_| Trimming::WhenReplicated).remove(0).1
    }
}

/// The ordinals that are found, the one that comes next, and how many records are missing.
fn found(recovered: &Recovered) -> (Vec<u64>, u64, u64) {
    let ordinals = recovered.forward.entries().map(|entry| entry.ordinal).collect();
    (ordinals, recovered.intake.next_ordinal(), recovered.damaged_records)
}

#[test]
fn a_void_batch_that_the_journal_begins_with_hides_nothing() {
    let recovered = Reading::behind(5, 10).frames(&[(3, 5), (0, 2), (2, 3), (5, 5), (10, 1)]).finish();

    assert_eq!(found(&recovered), (vec![5, 10], 11, 0));
}

#[test]
fn a_void_batch_that_begins_where_records_are_needed_stands_for_none_of_them() {
    let recovered = Reading::behind(5, 0).frames(&[(5, 3), (8, 1), (0, 5), (5, 2), (7, 4)]).finish();

    assert_eq!(found(&recovered), (vec![5, 7], 11, 0));
}

#[test]
fn void_batches_of_several_failures_in_a_row_hide_nothing() {
    let recovered = Reading::behind(9, 0).frames(&[(7, 2), (6, 2), (4, 1), (3, 6), (9, 1)]).finish();

    assert_eq!(found(&recovered), (vec![9], 10, 0));
}

#[test]
fn a_void_batch_behind_damage_is_not_taken_for_what_follows_it() {
    let recovered =
        Reading::behind(0, 0).frames(&[(0, 2)]).damage().frames(&[(6, 2), (4, 1), (5, 2)]).finish();

    assert_eq!(found(&recovered), (vec![0, 4, 5], 7, 2));
}

#[test]
fn a_void_batch_before_a_hole_is_not_taken_for_what_follows_it() {
    let hole = Gap { ordinal: 5, records: 2 };
    let recovered = Reading::behind(5, 0).frames(&[(5, 4)]).hole(hole).frames(&[(7, 2)]).finish();

    assert_eq!(found(&recovered), (vec![7], 9, 2));
}

#[test]
fn a_producer_is_known_by_batches_that_count_alone() {
    let mut builder = BatchBuilder::new(Compression::None).producer(5, 0, 0);
    builder.append(1, None, Some(b"value"), &[]).unwrap();
    let batch = builder.build().unwrap();
    let mut reading = Reading::behind(2, 0);
    let payload = [batch_head(&partition(), 2, 7), batch.to_bytes()].concat();
    reading.recovery.frame(0, BATCH, payload.into());
    reading.position = 100;

    let recovered = reading.frames(&[(1, 1), (2, 3)]).finish();

    assert_eq!(found(&recovered), (vec![2], 5, 0));
    assert_eq!(*recovered.intake.producers(), Producers::default());
}
