//! What must hold of a buffer, at each step.

use super::{BufferWorld, Regions};
use crate::run::{Progress, Violation};

const ONCE_IN_ORDER: &str = "each region's log holds the accepted records once and in order";
const BOTH_HAVE_IT: &str = "no record is forgotten before the other region has it";
const NOTHING_LOST: &str = "every accepted record is in the acting region or in the buffer";
const GETS_ON: &str = "once nothing goes wrong, every record arrives";

/// Records at a log's end that are looked at after each append; all of them are at the end.
const LOOKED_AT: usize = 12;

impl Regions {
    fn ours(&self, region: usize) -> impl DoubleEndedIterator<Item = u64> {
        self.logs[region].records().iter().map(|record| record.value).filter(|value| *value != u64::MAX)
    }

    fn newest(&self, region: usize) -> Option<u64> {
        self.ours(region).next_back()
    }

    pub(super) fn check_order(&self, region: usize) -> Result<(), Violation> {
        let newest: Vec<u64> = self.ours(region).rev().take(LOOKED_AT).collect();
        let dense = newest.windows(2).all(|pair| pair[0] == pair[1] + 1);
        let first = newest.len() == LOOKED_AT || newest.last().is_none_or(|oldest| *oldest == 0);
        Violation::unless(dense && first, ONCE_IN_ORDER, || {
            format!("region {region} ends in {newest:?} (newest first)")
        })
    }

    /// What both regions had when one was promoted is in the acting one, and is forgotten for good.
    pub(super) fn note_promotion(&mut self) {
        self.had_both = self.newest(self.acting).map_or(0, |newest| newest + 1);
    }

    pub(super) fn check_trimmed(&self, to: u64) -> Result<(), Violation> {
        let other = self.newest(1 - self.acting).map_or(0, |newest| newest + 1);
        Violation::unless(to <= self.had_both.max(other), BOTH_HAVE_IT, || {
            format!("forgotten below {to}; both had {}, the other has {other}", self.had_both)
        })
    }
}

impl BufferWorld {
    pub(super) fn check(&self) -> Result<(), Violation> {
        if !self.gateway.alive {
            return Ok(());
        }
        let there = self.regions.newest(self.regions.acting).map_or(0, |newest| newest + 1);
        let buffered = self.gateway.forward.oldest().map_or(self.gateway.next, |oldest| oldest.ordinal);
        Violation::unless(buffered <= there, NOTHING_LOST, || {
            format!("the acting region ends before {there}, the buffer begins at {buffered}")
        })
    }

    pub(super) fn progress(&self) -> Result<Progress, Violation> {
        let there = self.regions.newest(self.regions.acting).map_or(0, |newest| newest + 1);
        if !self.regions.calm
            || there < self.gateway.next
            || self.gateway.forward.unacknowledged_records() > 0
        {
            return Ok(Progress::GoesOn);
        }
        let all: Vec<u64> = self.regions.ours(self.regions.acting).collect();
        let whole = all == (0..self.gateway.next).collect::<Vec<u64>>();
        Violation::unless(whole, ONCE_IN_ORDER, || format!("the acting region holds {all:?}"))?;
        Ok(Progress::Over)
    }

    pub(super) fn too_late(&self) -> Result<(), Violation> {
        let detail = format!(
            "{} records accepted, the acting region ends in {:?}",
            self.gateway.next,
            self.regions.newest(self.regions.acting)
        );
        Err(Violation { invariant: GETS_ON, detail })
    }
}
