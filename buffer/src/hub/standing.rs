//! What the partitions are told of grants and of what the other region has, and whether a grant lives.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use leeward_model::{RegionName, TopicId, TopicPartition};

use super::Hub;
use crate::grants::Standing;
use crate::limits::LEAVE_PATIENCE;
use crate::partition::{Event, Marks};

#[cfg(test)]
mod tests;

impl Hub {
    /// Whether a batch may be sent to `region` at this moment.
    pub(crate) fn allows(&self, region: &RegionName) -> bool {
        let standing = self.standing.load();
        standing.as_ref().is_some_and(|standing| standing.allows(region, tokio::time::Instant::now()))
    }

    pub(super) fn lives(&self) -> bool {
        self.standing.load().as_ref().is_some_and(|standing| standing.lives(tokio::time::Instant::now()))
    }

    /// The other region has all of `region`'s partition up to here.
    pub(crate) fn replicated(
        self: &Arc<Self>,
        region: &RegionName,
        name: &TopicPartition,
        (topic, marks): (Option<TopicId>, Marks),
    ) {
        let known = self.partitions.read().get(name).cloned();
        if let Some(partition) = known {
            self.tell_credibly(&partition, Event::Replicated { region: region.clone(), topic, marks });
        }
    }

    /// The highest epoch that was ever granted here.
    pub(crate) fn highest_epoch(&self) -> u64 {
        *self.highest_epoch.lock()
    }

    /// Takes a grant. Returns once nothing is on its way under an older one.
    pub(crate) async fn stand(self: &Arc<Self>, standing: Standing) {
        let epoch = standing.epoch.to_wire();
        {
            let mut highest = self.highest_epoch.lock();
            if epoch < *highest {
                return;
            }
            *highest = epoch;
        }
        let before = self.standing.load_full();
        let region = standing.region.clone();
        let old_region = before.as_ref().and_then(|before| before.region.clone());
        let lived = before.as_ref().is_some_and(|before| before.lives(tokio::time::Instant::now()));
        let same =
            before.as_ref().is_some_and(|before| before.epoch == standing.epoch && before.region == region);
        if !lived {
            // Before the new one is seen: no partition takes marks that only the new one makes credible.
            self.lapse();
        }
        let standing = Arc::new(standing);
        self.standing.store(Some(standing.clone()));
        if same && lived && standing.lives(tokio::time::Instant::now()) {
            return;
        }
        if old_region != region {
            if let Some(region) = &region {
                // Before a client can be answered by it.
                self.moves.lock().acts(region, standing.epoch, tokio::time::Instant::now());
            }
            self.acting.send_replace(region.clone());
            if let Some(old) = old_region.and_then(|old| self.regions.get(&old).cloned()) {
                old.leave(LEAVE_PATIENCE).await;
            }
            tracing::info!(epoch, region = region.as_ref().map(RegionName::as_str), "forwarding changes");
        }
        for partition in self.all() {
            match standing.grant(&partition.name) {
                Some(grant) if standing.lives(tokio::time::Instant::now()) => {
                    self.tell(&partition, Event::Granted(grant));
                }
                Some(_) | None => self.tell(&partition, Event::Lapsed),
            }
        }
        self.granted.send_replace(());
        self.dirty.store(true, Ordering::Relaxed);
    }

    fn lapse(self: &Arc<Self>) {
        for partition in self.all() {
            self.tell(&partition, Event::Lapsed);
        }
    }

    /// Watches that no grant is used beyond its life.
    pub(crate) async fn watch_lease(self: Arc<Self>) {
        let mut lapsed_at = None;
        loop {
            let until = self.standing.load().as_ref().and_then(|standing| standing.lives_until());
            let now = tokio::time::Instant::now();
            match until {
                Some(until) if until <= now && lapsed_at != Some(until) => {
                    lapsed_at = Some(until);
                    tracing::warn!("no grant lives: accepting goes on, forwarding stops");
                    self.lapse();
                }
                Some(until) if until > now => tokio::time::sleep_until(until).await,
                Some(_) | None => tokio::time::sleep(std::time::Duration::from_millis(20)).await,
            }
        }
    }
}
