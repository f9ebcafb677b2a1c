//! Under which grant batches are forwarded, and whether it still lives.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use leeward_model::{FencingEpoch, RegionName, TopicPartition};
use tokio::time::Instant;

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

    /// A grant that arrived at `now`.
    pub(crate) fn granted(
        epoch: FencingEpoch,
        region: Option<RegionName>,
        lease: Duration,
        promoted_from: Option<RegionName>,
        promoted: HashMap<TopicPartition, Marks>,
        now: Instant,
    ) -> Self {
        let lives_until = Some(now + lease);
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
