//! Under which grant batches are forwarded, and whether it still lives.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use leeward_model::{FencingEpoch, RegionName, TopicPartition};
use tokio::time::Instant;

use crate::limits::REPORTS_REMEMBERED;
use crate::partition::{Grant, Marks, Promoted};

/// Where to forward, as the controller said last.
#[derive(Clone, Debug)]
pub(crate) struct Standing {
    pub(crate) epoch: FencingEpoch,
    /// `None`: forward nowhere, go on accepting.
    pub(crate) region: Option<RegionName>,
    /// `None`: for ever, as without a controller.
    lives_until: Option<Instant>,
    promoted_from: Option<RegionName>,
    promoted: Arc<HashMap<TopicPartition, Marks>>,
}

impl Standing {
    /// Leave for ever, without a controller.
    pub(crate) fn without_controller(region: RegionName) -> Self {
        Self {
            epoch: FencingEpoch::FIRST,
            region: Some(region),
            lives_until: None,
            promoted_from: None,
            promoted: Arc::default(),
        }
    }

    /// A grant whose lease counts from `counts_from`, which was before the controller gave it. `None`: it has no life.
    pub(crate) fn granted(
        epoch: FencingEpoch,
        region: Option<RegionName>,
        lease: Duration,
        promoted_from: Option<RegionName>,
        promoted: HashMap<TopicPartition, Marks>,
        counts_from: Option<Instant>,
    ) -> Self {
        let lives_until = Some(counts_from.map_or_else(Instant::now, |from| from + lease));
        Self { epoch, region, lives_until, promoted_from, promoted: Arc::new(promoted) }
    }

    pub(crate) fn lives_until(&self) -> Option<Instant> {
        self.lives_until
    }

    pub(crate) fn lives(&self, now: Instant) -> bool {
        self.region.is_some() && self.lives_until.is_none_or(|until| now < until)
    }

    /// Whether a batch may be sent to `region` now.
    pub(crate) fn allows(&self, region: &RegionName, now: Instant) -> bool {
        self.lives(now) && self.region.as_ref() == Some(region)
    }

    /// What one partition is told; `None` where nothing may be forwarded.
    pub(crate) fn grant(&self, partition: &TopicPartition) -> Option<Grant> {
        let region = self.region.clone()?;
        let promoted = self.promoted_from.clone().map(|from| Promoted {
            from,
            marks: self.promoted.get(partition).copied().unwrap_or(Marks { replicated_to: 0, target_end: 0 }),
        });
        Some(Grant { epoch: self.epoch, region, promoted })
    }
}

/// When each report to the controller was sent.
///
/// A grant may have lain on its way for as long as a process can stand still. It answers a report by number, and its
/// lease counts from when that report was sent: before the controller gave it, so that it ends here before it ends there.
#[derive(Debug)]
pub(crate) struct Reports {
    next: u64,
    sent: VecDeque<(u64, Instant)>,
}

impl Reports {
    /// Counts from `first`, far from the numbers of any other process of this gateway.
    pub(crate) fn numbered_from(first: u64) -> Self {
        Self { next: first, sent: VecDeque::new() }
    }

    /// The number of a report that is sent at `now`.
    pub(crate) fn send(&mut self, now: Instant) -> u64 {
        let number = self.next;
        self.next = number.wrapping_add(1);
        if self.sent.len() == REPORTS_REMEMBERED {
            self.sent.pop_front();
        }
        self.sent.push_back((number, now));
        number
    }

    /// When a report was sent; `None` where that is not remembered.
    pub(crate) fn sent_at(&self, number: u64) -> Option<Instant> {
        self.sent.iter().find(|(sent, _)| *sent == number).map(|(_, at)| *at)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_time_of_a_report_is_that_of_its_number() {
        let start = Instant::now();
        let mut reports = Reports::numbered_from(u64::MAX);

        let sent = [0, 5].map(|millis| reports.send(start + Duration::from_millis(millis)));

        let later = start + Duration::from_millis(5);
        assert_eq!(sent.map(|number| reports.sent_at(number)), [Some(start), Some(later)]);
    }

    #[test]
    fn a_report_of_another_process_has_no_time() {
        let mut reports = Reports::numbered_from(7);
        reports.send(Instant::now());

        assert_eq!(reports.sent_at(6), None);
    }

    #[test]
    fn one_report_more_than_are_remembered_forgets_the_oldest() {
        let mut reports = Reports::numbered_from(7);
        let now = Instant::now();

        let sent = (0..=REPORTS_REMEMBERED).map(|_| reports.send(now)).collect::<Vec<_>>();

        assert_eq!((reports.sent_at(sent[0]), reports.sent_at(sent[1])), (None, Some(now)));
    }
}
