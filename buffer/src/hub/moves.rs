//! When the acting region last changed, as far as clients may notice: they hold positions of the region before.

use leeward_model::{FencingEpoch, RegionName};
use tokio::time::Instant;

/// The acting regions that were, and when the newest took over.
#[derive(Debug, Default)]
pub(super) struct Moves {
    last: Option<RegionName>,
    moved_at: Option<Instant>,
}

impl Moves {
    /// Another region is the acting one. The first of a process counts too, unless nothing was ever promoted: its clients may
    /// come from another process, and hold what another region told them there.
    pub(super) fn acts(&mut self, region: &RegionName, epoch: FencingEpoch, now: Instant) {
        let moved = match &self.last {
            Some(last) => last != region,
            None => epoch > FencingEpoch::FIRST,
        };
        if moved {
            self.moved_at = Some(now);
        }
        self.last = Some(region.clone());
    }

    pub(super) fn moved_at(&self) -> Option<Instant> {
        self.moved_at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn region(name: &str) -> RegionName {
        RegionName::new(name).unwrap()
    }

    fn epoch(number: u64) -> FencingEpoch {
        FencingEpoch::from_wire(number).unwrap()
    }

    #[test]
    fn the_first_region_is_no_move_where_nothing_was_ever_promoted() {
        let mut moves = Moves::default();

        moves.acts(&region("a"), epoch(1), Instant::now());

        assert_eq!(moves.moved_at(), None);
    }

    #[test]
    fn the_first_region_of_a_process_is_a_move_behind_a_promotion() {
        let (mut moves, now) = (Moves::default(), Instant::now());

        moves.acts(&region("b"), epoch(2), now);

        assert_eq!(moves.moved_at(), Some(now));
    }

    #[test]
    fn a_region_that_acts_again_after_a_pause_is_no_move() {
        let mut moves = Moves::default();
        moves.acts(&region("a"), epoch(1), Instant::now());

        moves.acts(&region("a"), epoch(2), Instant::now());

        assert_eq!(moves.moved_at(), None);
    }

    #[test]
    fn another_region_is_a_move() {
        let (mut moves, now) = (Moves::default(), Instant::now());
        moves.acts(&region("a"), epoch(1), now);

        moves.acts(&region("b"), epoch(2), now);

        assert_eq!(moves.moved_at(), Some(now));
    }
}
