//! Carries positions again though they stand still at the source.

use std::collections::BTreeSet;

use leeward_mirror_core::groups::Key;
use leeward_model::Instant;

use super::{Groups, Standby};
use crate::limits::COMPARED_TOGETHER_MAX;

impl Groups {
    /// Lets the positions of groups whose time has come be compared with the target's, and be carried again.
    pub(super) fn renew(&mut self, now: Instant) {
        let groups = self.renewals.take_due(now);
        if groups.is_empty() {
            return;
        }
        let mut left = BTreeSet::new();
        for key in self.carried.keys().filter(|key| groups.contains(&key.0)) {
            if self.positions.get(key).is_some() {
                left.insert(key.0.clone());
                self.again.insert(key.clone());
                self.open.insert(key.clone(), Standby::Due);
            }
        }
        for group in groups.difference(&left) {
            self.renewals.forget(group);
        }
    }

    /// Compares positions with the target's, part by part, and carries what it has lost.
    pub(super) async fn compare(&mut self, mut resting: Vec<Key>) {
        resting.sort_unstable();
        for part in resting.chunks(COMPARED_TOGETHER_MAX) {
            self.open.extend(part.iter().map(|key| (key.clone(), Standby::Due)));
            self.carry().await;
        }
    }
}

#[cfg(test)]
mod tests;
