//! What becomes of a batch that a client offers: taken, known already, or refused. Knows nothing of disks and regions.
//!
//! A batch that is taken gets the ordinals of its records at once and counts once it is durable. If it could not be
//! made durable, those that were taken behind it are void, though they may stand in the journal: their ordinals do not
//! continue what counts, and recovery ignores them by the same rule.

mod producers;

use std::collections::VecDeque;

use leeward_wire::ErrorCode;

use producers::{Before, Verdict};
pub(crate) use producers::{Claim, Producers, Remembered};

/// What becomes of an offered batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Offer {
    /// To be made durable; its records have the ordinals from here on.
    Take {
        ordinal: u64,
    },
    /// Durable already, at this ordinal.
    Known {
        ordinal: u64,
    },
    /// Taken already and not durable yet.
    OnItsWay {
        ordinal: u64,
    },
    Refuse(ErrorCode),
}

#[derive(Debug)]
struct Waiting {
    ordinal: u64,
    records: u32,
    claim: Option<Claim>,
    before: Option<Before>,
}

/// The door of one partition.
#[derive(Debug, Default)]
pub(crate) struct Intake {
    durable: Producers,
    durable_next: u64,
    /// As `durable`, with all those on top that wait to become so.
    taken: Producers,
    taken_next: u64,
    waiting: VecDeque<Waiting>,
}

impl Intake {
    /// As it was when all records below `next` were durable.
    pub(crate) fn recovered(producers: Producers, next: u64) -> Self {
        Self {
            durable: producers.clone(),
            durable_next: next,
            taken: producers,
            taken_next: next,
            waiting: VecDeque::new(),
        }
    }

    /// The ordinal of the next record that becomes durable.
    pub(crate) fn next_ordinal(&self) -> u64 {
        self.durable_next
    }

    pub(crate) fn producers(&self) -> &Producers {
        &self.durable
    }

    /// Looks at a batch of `records` records and takes it, if that is what becomes of it.
    pub(crate) fn offer(&mut self, claim: Option<Claim>, records: u32) -> Offer {
        let ordinal = self.taken_next;
        let mut before = None;
        if let Some(claim) = claim {
            match self.taken.judge(claim) {
                Verdict::Continues => before = Some(self.taken.remember(claim, ordinal)),
                Verdict::Repeats { ordinal } if ordinal < self.durable_next => {
                    return Offer::Known { ordinal };
                }
                Verdict::Repeats { ordinal } => return Offer::OnItsWay { ordinal },
                Verdict::Refused(code) => return Offer::Refuse(code),
            }
        }
        self.taken_next += u64::from(records);
        self.waiting.push_back(Waiting { ordinal, records, claim, before });
        Offer::Take { ordinal }
    }

    /// Takes back the offer that was taken last: the journal never saw it.
    pub(crate) fn withdraw(&mut self) {
        if let Some(last) = self.waiting.pop_back() {
            self.taken_next = last.ordinal;
            if let Some((claim, before)) = last.claim.zip(last.before) {
                self.taken.restore(claim, before);
            }
        }
    }

    /// The oldest batch that waits was made durable. False where it is void.
    pub(crate) fn stored(&mut self) -> bool {
        let Some(oldest) = self.waiting.pop_front() else {
            return false;
        };
        if oldest.ordinal != self.durable_next {
            return false;
        }
        if let Some(claim) = oldest.claim {
            self.durable.remember(claim, oldest.ordinal);
        }
        self.durable_next += u64::from(oldest.records);
        true
    }

    /// The oldest batch that waits is not in the journal, and never will be.
    pub(crate) fn failed(&mut self) {
        let failed = self.waiting.pop_front();
        // One that was void already makes nothing void that was taken since.
        if failed.is_some_and(|failed| failed.ordinal != self.durable_next) {
            return;
        }
        self.taken = self.durable.clone();
        self.taken_next = self.durable_next;
        for void in &mut self.waiting {
            void.before = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(first: i32, last: i32) -> Claim {
        Claim { producer_id: 7, epoch: 0, first, last }
    }

    #[test]
    fn a_repeat_of_a_durable_batch_is_known_by_its_first_ordinal() {
        let mut intake = Intake::default();
        intake.offer(None, 5);
        intake.offer(Some(claim(0, 2)), 3);
        intake.stored();
        intake.stored();

        assert_eq!(intake.offer(Some(claim(0, 2)), 3), Offer::Known { ordinal: 5 });
    }

    #[test]
    fn a_repeat_of_a_batch_that_is_not_durable_yet_is_on_its_way() {
        let mut intake = Intake::default();
        intake.offer(Some(claim(0, 2)), 3);

        assert_eq!(intake.offer(Some(claim(0, 2)), 3), Offer::OnItsWay { ordinal: 0 });
    }

    #[test]
    fn what_was_taken_behind_a_failed_batch_is_void() {
        let mut intake = Intake::default();
        intake.offer(Some(claim(0, 2)), 3);
        intake.offer(Some(claim(3, 3)), 1);
        intake.failed();

        assert!(!intake.stored());
        assert_eq!(intake.offer(Some(claim(0, 2)), 3), Offer::Take { ordinal: 0 });
    }

    #[test]
    fn what_was_taken_since_a_failure_stands_though_void_batches_fail_as_well() {
        let mut intake = Intake::default();
        intake.offer(Some(claim(0, 2)), 3);
        intake.offer(Some(claim(3, 3)), 1);
        intake.failed();
        let again = intake.offer(Some(claim(0, 1)), 2);
        intake.failed();

        assert_eq!(again, Offer::Take { ordinal: 0 });
        assert_eq!(intake.offer(Some(claim(2, 6)), 5), Offer::Take { ordinal: 2 });
        assert!(intake.stored() && intake.stored());
        assert_eq!(intake.next_ordinal(), 7);
    }

    #[test]
    fn an_offer_taken_back_may_be_made_again() {
        let mut intake = Intake::default();
        intake.offer(Some(claim(0, 2)), 3);
        intake.offer(Some(claim(3, 3)), 1);
        intake.withdraw();

        assert_eq!(intake.offer(Some(claim(3, 3)), 1), Offer::Take { ordinal: 3 });
    }
}
