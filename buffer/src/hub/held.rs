//! Partitions that stand still since the acting region refuses their next batch again and again.

use std::sync::Arc;

use leeward_wire::ErrorCode;
use tokio::time::Instant;

use super::{Hub, Partition, Region};
use crate::limits::{GIVEN_UP_AFTER, HELD_AFTER, HELD_SAID_EVERY, HELD_SAID_MAX};

/// What a region said to the first batch that it does not take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Refusal {
    pub(super) ordinal: u64,
    pub(super) code: ErrorCode,
    /// The batch's size as it was sent.
    pub(super) bytes: usize,
    since: Instant,
}

impl Partition {
    /// The region took no such batch. Those behind it are refused because of it.
    pub(super) fn was_refused(&self, ordinal: u64, code: ErrorCode, bytes: usize) {
        let mut refusal = self.refusal.lock();
        match &mut *refusal {
            Some(known) if known.ordinal < ordinal => {}
            Some(known) if known.ordinal == ordinal => (known.code, known.bytes) = (code, bytes),
            Some(_) | None => *refusal = Some(Refusal { ordinal, code, bytes, since: Instant::now() }),
        }
    }

    /// The batch before this one was set aside: what is refused next has waited as long.
    pub(super) fn was_set_aside(&self, next: u64) {
        if let Some(refusal) = &mut *self.refusal.lock() {
            refusal.ordinal = next;
        }
    }

    /// The region has a batch that it refused before, or one behind it.
    pub(super) fn was_taken(&self, ordinal: u64) {
        self.refusal.lock().take_if(|refusal| refusal.ordinal <= ordinal);
    }
}

impl Hub {
    /// Partitions that are held, each with why and the way out; none while no grant lives.
    pub(crate) fn held(&self) -> Vec<String> {
        let Some(region) = self.acting().filter(|_| self.lives()) else { return Vec::new() };
        let gone = self.gone.lock().clone();
        let mut held: Vec<String> =
            self.all().iter().filter_map(|partition| self.held_by(partition, &gone, &region)).collect();
        held.sort_unstable();
        held
    }

    fn held_by(&self, partition: &Partition, gone: &[String], region: &Region) -> Option<String> {
        let (name, region) = (&partition.name, &region.name);
        if gone.iter().any(|topic| topic == name.topic.as_str()) {
            let buffered = partition.forward.lock().buffered_records();
            return (buffered > 0).then(|| {
                format!(
                    "{name}: {buffered} records wait, {region} has no such topic; make it there again, or delete it \
                     through this gateway, which sets them aside"
                )
            });
        }
        let refusal = *partition.refusal.lock();
        let waiting = partition.forward.lock().unacknowledged_records();
        if waiting == 0 {
            return None;
        }
        if let Some(topic) = self.catalog.topic(name.topic.as_str())
            && name.partition.to_wire().unsigned_abs() >= topic.partitions
        {
            return Some(format!(
                "{name}: {waiting} records wait, the topic has {} partitions in {region}; add partitions there, or delete the \
                 topic through this gateway, which sets them aside",
                topic.partitions
            ));
        }
        let refusal = refusal.filter(|refusal| refusal.since.elapsed() >= HELD_AFTER)?;
        let why = self.why(partition, &refusal);
        Some(format!("{name}: {waiting} records wait, {region} refuses the first: {why}"))
    }

    /// Whether a batch is not waited for any more: it is too large for its topic for long, and what comes behind it, and behind
    /// it in the journal, is about to find no room.
    pub(super) fn is_given_up(&self, partition: &Partition, ordinal: u64) -> bool {
        let refusal = *partition.refusal.lock();
        refusal.is_some_and(|refusal| {
            refusal.ordinal == ordinal
                && refusal.since.elapsed() >= GIVEN_UP_AFTER
                && self.is_above_limit(partition, &refusal)
                && self.is_short_of_room()
        })
    }

    /// Whether it is the topic's limit that refuses the batch, and not a seal.
    fn is_above_limit(&self, partition: &Partition, refusal: &Refusal) -> bool {
        let limit = self.catalog.rules(partition.name.topic.as_str()).batch_bytes_max;
        limit.is_some_and(|limit| refusal.bytes > limit)
    }

    fn why(&self, partition: &Partition, refusal: &Refusal) -> String {
        let name = refusal.code.name().unwrap_or("an unknown code");
        match refusal.code {
            ErrorCode::MESSAGE_TOO_LARGE | ErrorCode::RECORD_LIST_TOO_LARGE
                if self.is_above_limit(partition, refusal) =>
            {
                format!("{name}; raise the topic's max.message.bytes there to {} or more", refusal.bytes)
            }
            ErrorCode::MESSAGE_TOO_LARGE => format!("{name}, as a region does that is sealed"),
            ErrorCode::TOPIC_AUTHORIZATION_FAILED | ErrorCode::CLUSTER_AUTHORIZATION_FAILED => {
                format!("{name}; give the gateway's principal the rights that `leeward check` names")
            }
            _ => name.to_owned(),
        }
    }

    /// Logs what is held, and again as long as it is.
    pub(crate) async fn tell_held(self: Arc<Self>) {
        loop {
            tokio::time::sleep(HELD_SAID_EVERY).await;
            let held = self.held();
            for one in held.iter().take(HELD_SAID_MAX) {
                tracing::error!("partition is held: {one}");
            }
            if held.len() > HELD_SAID_MAX {
                tracing::error!("partitions are held: {} more", held.len() - HELD_SAID_MAX);
            }
        }
    }
}
