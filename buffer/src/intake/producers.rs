//! The rules by which brokers tell a repeat from a gap, per producer of one partition.

use std::collections::{BTreeMap, VecDeque};

use leeward_model::{ProducerId, Sequence};
use leeward_wire::ErrorCode;
use leeward_wire::record::RecordBatch;

use crate::limits::{PRODUCERS_MAX, REMEMBERED_BATCHES};

/// What a batch says about its producer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Claim {
    pub(crate) producer_id: i64,
    pub(crate) epoch: i16,
    pub(crate) first: i32,
    pub(crate) last: i32,
}

impl Claim {
    /// `None` for a batch without a producer.
    pub(crate) fn of(batch: &RecordBatch) -> Option<Self> {
        ProducerId::from_wire(batch.producer_id()).map(|id| Self {
            producer_id: id.to_wire(),
            epoch: batch.producer_epoch(),
            first: batch.base_sequence(),
            last: batch.last_sequence(),
        })
    }
}

/// One batch of a producer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Remembered {
    pub(crate) first: i32,
    pub(crate) last: i32,
    pub(crate) ordinal: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Producer {
    epoch: i16,
    /// Never empty, oldest first.
    recent: VecDeque<Remembered>,
}

/// What stood in a producer's place before a batch was remembered.
#[derive(Debug)]
pub(crate) struct Before(Option<Producer>);

/// How a batch stands to those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Continues,
    Repeats { ordinal: u64 },
    Refused(ErrorCode),
}

/// The producers that a partition remembers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Producers {
    by_id: BTreeMap<i64, Producer>,
}

impl Producers {
    pub(super) fn judge(&self, claim: Claim) -> Verdict {
        let Some(producer) = self.by_id.get(&claim.producer_id) else {
            return Verdict::Continues;
        };
        if claim.epoch < producer.epoch {
            return Verdict::Refused(ErrorCode::INVALID_PRODUCER_EPOCH);
        }
        let out_of_order = Verdict::Refused(ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER);
        if claim.epoch > producer.epoch {
            return if claim.first == 0 { Verdict::Continues } else { out_of_order };
        }
        let repeated = producer.recent.iter().find(|old| (old.first, old.last) == (claim.first, claim.last));
        if let Some(repeated) = repeated {
            return Verdict::Repeats { ordinal: repeated.ordinal };
        }
        let expected = producer.recent.back().and_then(|newest| Sequence::from_wire(newest.last));
        match expected {
            Some(last) if last.after(1).to_wire() == claim.first => Verdict::Continues,
            Some(_) | None => out_of_order,
        }
    }

    pub(crate) fn remember(&mut self, claim: Claim, ordinal: u64) -> Before {
        let before = self.by_id.get(&claim.producer_id).cloned();
        self.insert(
            claim.producer_id,
            claim.epoch,
            Remembered { first: claim.first, last: claim.last, ordinal },
        );
        if self.by_id.len() > PRODUCERS_MAX {
            self.forget_silent();
        }
        Before(before)
    }

    pub(super) fn restore(&mut self, claim: Claim, before: Before) {
        match before.0 {
            Some(producer) => self.by_id.insert(claim.producer_id, producer),
            None => self.by_id.remove(&claim.producer_id),
        };
    }

    /// Adds a batch behind those of the same epoch.
    pub(crate) fn insert(&mut self, producer_id: i64, epoch: i16, batch: Remembered) {
        let producer = self
            .by_id
            .entry(producer_id)
            .or_insert_with(|| Producer { epoch, recent: VecDeque::with_capacity(REMEMBERED_BATCHES) });
        if producer.epoch != epoch {
            producer.epoch = epoch;
            producer.recent.clear();
        }
        if producer.recent.len() == REMEMBERED_BATCHES {
            producer.recent.pop_front();
        }
        producer.recent.push_back(batch);
    }

    /// All that is remembered: producer, epoch, batch; a producer's batches oldest first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (i64, i16, &Remembered)> {
        self.by_id
            .iter()
            .flat_map(|(id, producer)| producer.recent.iter().map(|batch| (*id, producer.epoch, batch)))
    }

    /// Forgets the eighth that was silent longest.
    fn forget_silent(&mut self) {
        let mut last_heard: Vec<(u64, i64)> = self
            .by_id
            .iter()
            .map(|(id, producer)| (producer.recent.back().map_or(0, |batch| batch.ordinal), *id))
            .collect();
        last_heard.sort_unstable();
        for (_, id) in last_heard.into_iter().take(PRODUCERS_MAX / 8) {
            self.by_id.remove(&id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(epoch: i16, first: i32, last: i32) -> Claim {
        Claim { producer_id: 1, epoch, first, last }
    }

    fn after(batches: &[Claim]) -> Producers {
        let mut producers = Producers::default();
        for (ordinal, batch) in batches.iter().enumerate() {
            producers.remember(*batch, ordinal as u64);
        }
        producers
    }

    #[test]
    fn a_producer_that_is_not_known_may_begin_anywhere() {
        assert_eq!(Producers::default().judge(claim(3, 1000, 1001)), Verdict::Continues);
    }

    #[test]
    fn a_gap_is_out_of_order() {
        let producers = after(&[claim(0, 0, 4)]);

        assert_eq!(
            producers.judge(claim(0, 9, 9)),
            Verdict::Refused(ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER)
        );
    }

    #[test]
    fn a_sequence_goes_on_at_zero_behind_the_largest() {
        let producers = after(&[claim(0, i32::MAX - 1, i32::MAX)]);

        assert_eq!(producers.judge(claim(0, 0, 1)), Verdict::Continues);
    }

    #[test]
    fn a_repeat_of_the_sixth_last_batch_is_out_of_order() {
        let batches: Vec<Claim> = (0..6).map(|at| claim(0, at, at)).collect();
        let producers = after(&batches);

        assert_eq!(
            producers.judge(claim(0, 0, 0)),
            Verdict::Refused(ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER)
        );
        assert_eq!(producers.judge(claim(0, 1, 1)), Verdict::Repeats { ordinal: 1 });
    }

    #[test]
    fn a_higher_epoch_begins_at_zero_and_a_lower_one_is_refused() {
        let producers = after(&[claim(4, 0, 0)]);

        assert_eq!(producers.judge(claim(5, 0, 9)), Verdict::Continues);
        assert_eq!(
            producers.judge(claim(5, 1, 9)),
            Verdict::Refused(ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER)
        );
        assert_eq!(producers.judge(claim(3, 1, 1)), Verdict::Refused(ErrorCode::INVALID_PRODUCER_EPOCH));
    }
}
