//! Topics that the acting region does not have any more, though something of them is buffered.
//!
//! It waits for the topic to be made again, and keeps the journal behind it on disk. So it is said, nothing more is accepted for
//! the topic, and once the buffer is short of room, or a client deletes the topic here, it is set aside: others go on.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::time::Instant;

use super::Hub;
use crate::limits::{GIVEN_UP_AFTER, SHORT_OF_ROOM_PERCENT};
use crate::partition::Event;

/// Since when topics are missing in the acting region, one look after the other.
#[derive(Debug, Default)]
pub(super) struct Absent(BTreeMap<String, Instant>);

impl Absent {
    /// Takes which are missing now; gives those that have been for long.
    pub(super) fn look(&mut self, missing: Vec<String>, now: Instant) -> Vec<String> {
        self.0.retain(|name, _| missing.contains(name));
        for name in missing {
            self.0.entry(name).or_insert(now);
        }
        let long = self.0.iter().filter(|(_, since)| now.duration_since(**since) >= GIVEN_UP_AFTER);
        long.map(|(name, _)| name.clone()).collect()
    }

    /// What is known is of another region, or of another time.
    pub(super) fn forget(&mut self) {
        self.0.clear();
    }
}

impl Hub {
    /// Whether something of the topic is buffered.
    pub(crate) fn buffers(&self, topic: &str) -> bool {
        let mut partitions =
            self.all().into_iter().filter(|partition| partition.name.topic.as_str() == topic);
        partitions.any(|partition| partition.forward.lock().oldest().is_some())
    }

    /// A client deleted the topic: nobody will take what is buffered of it.
    pub(crate) fn topic_was_deleted(self: &Arc<Self>, topic: &str) {
        self.catalog.forget(topic);
        self.abandon(topic);
    }

    /// The acting region has not had these topics for long.
    pub(super) fn topics_are_gone(self: &Arc<Self>, topics: Vec<String>) {
        for topic in &topics {
            if self.catalog.forget(topic) {
                tracing::warn!(
                    topic,
                    "the region does not have the topic any more: no record of it is taken"
                );
            }
            if self.buffers(topic) && self.is_short_of_room() {
                tracing::error!(
                    topic,
                    "the buffer is short of room: what it holds of the deleted topic is set aside"
                );
                self.abandon(topic);
            }
        }
        *self.gone.lock() = topics;
    }

    fn abandon(self: &Arc<Self>, topic: &str) {
        for partition in self.all() {
            if partition.name.topic.as_str() == topic {
                self.tell(&partition, Event::TopicGone);
            }
        }
    }

    pub(super) fn is_short_of_room(&self) -> bool {
        self.store.used().saturating_mul(100) >= self.store.capacity().saturating_mul(SHORT_OF_ROOM_PERCENT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_that_is_missing_at_each_look_is_gone_and_one_that_came_back_is_not() {
        let mut absent = Absent::default();
        let start = Instant::now();
        let missing = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();

        let at_first = absent.look(missing(&["orders", "payments"]), start);
        let meanwhile = absent.look(missing(&["orders"]), start + GIVEN_UP_AFTER / 2);
        let at_last = absent.look(missing(&["orders", "payments"]), start + GIVEN_UP_AFTER);

        assert_eq!((at_first, meanwhile, at_last), (vec![], vec![], missing(&["orders"])));
    }
}
