//! When positions that stand still are carried again.
//!
//! The target forgets the positions of a group without members some time after they were committed, whatever happens at the
//! source meanwhile. It does not know what is carried, nor what the target has.

use std::{
    collections::{BTreeMap, BTreeSet},
    hash::{DefaultHasher, Hash, Hasher},
    time::Duration,
};

use leeward_model::{GroupName, Instant};

/// The groups that have carried positions, and when each is to be carried again: all positions of a group together, each group
/// at a time of its own.
#[derive(Debug)]
pub struct Renewals {
    every: Duration,
    due: BTreeMap<GroupName, Instant>,
    /// The same, whose time comes first first.
    in_turn: BTreeSet<(Instant, GroupName)>,
}

impl Renewals {
    /// No group yet; each is carried again once within `every`.
    pub fn every(every: Duration) -> Self {
        Self { every, due: BTreeMap::new(), in_turn: BTreeSet::new() }
    }

    /// Something of the group was carried. A group that is known keeps its time.
    pub fn carried(&mut self, group: &GroupName, now: Instant) {
        if !self.due.contains_key(group) {
            self.plan(group.clone(), now.after(self.share(group)));
        }
    }

    /// Nothing of the group is left at the source.
    pub fn forget(&mut self, group: &GroupName) {
        if let Some(due) = self.due.remove(group) {
            self.in_turn.remove(&(due, group.clone()));
        }
    }

    /// Groups whose time has come; their next comes a whole interval later.
    pub fn take_due(&mut self, now: Instant) -> BTreeSet<GroupName> {
        let in_turn = self.in_turn.iter().take_while(|(due, _)| *due <= now);
        let groups: BTreeSet<_> = in_turn.map(|(_, group)| group.clone()).collect();
        for group in &groups {
            self.forget(group);
            self.plan(group.clone(), now.after(self.every));
        }
        groups
    }

    /// When the next group is due.
    pub fn next(&self) -> Option<Instant> {
        self.in_turn.first().map(|(due, _)| *due)
    }

    fn plan(&mut self, group: GroupName, due: Instant) {
        self.in_turn.insert((due, group.clone()));
        self.due.insert(group, due);
    }

    /// A part of the interval that depends on the group's name: groups that a start carries all at once come one by one after it.
    fn share(&self, group: &GroupName) -> Duration {
        let mut hasher = DefaultHasher::new();
        group.hash(&mut hasher);
        let part = u32::try_from(hasher.finish() >> 32).expect("32 bits are left");
        self.every.mul_f64(f64::from(part) / f64::from(u32::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn group(number: u32) -> GroupName {
        GroupName::new(&format!("group {number}"))
    }

    fn at(elapsed: Duration) -> Instant {
        Instant::ZERO.after(elapsed)
    }

    #[test]
    fn a_group_is_due_again_and_again_with_an_interval_between() {
        let mut renewals = Renewals::every(HOUR);
        renewals.carried(&group(1), Instant::ZERO);

        let first = renewals.next().unwrap();
        let due = renewals.take_due(first);

        assert!(first <= at(HOUR));
        assert_eq!(due, BTreeSet::from([group(1)]));
        assert_eq!(renewals.next(), Some(first.after(HOUR)));
    }

    #[test]
    fn a_group_that_is_carried_meanwhile_keeps_its_time() {
        let mut renewals = Renewals::every(HOUR);
        renewals.carried(&group(1), Instant::ZERO);
        let first = renewals.next();

        renewals.carried(&group(1), at(HOUR / 2));

        assert_eq!(renewals.next(), first);
    }

    #[test]
    fn groups_that_were_carried_together_are_renewed_apart() {
        let mut renewals = Renewals::every(HOUR);
        (0..1000).for_each(|number| renewals.carried(&group(number), Instant::ZERO));

        let minute = Duration::from_secs(60);
        let of_minutes: Vec<_> =
            (1..=60).map(|minutes| renewals.take_due(at(minutes * minute)).len()).collect();

        assert_eq!(of_minutes.iter().sum::<usize>(), 1000);
        assert!(of_minutes.iter().all(|groups| *groups < 50), "{of_minutes:?}");
    }

    #[test]
    fn a_group_that_is_gone_is_not_due() {
        let mut renewals = Renewals::every(HOUR);
        renewals.carried(&group(1), Instant::ZERO);

        renewals.forget(&group(1));

        assert_eq!(renewals.next(), None);
    }
}
