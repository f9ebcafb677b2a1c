//! A hub without tasks: nobody watches the clock for it, as in a process that stood still and has just gone on.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::time::Duration;

use leeward_log::{GroupWait, SimulatedDisk};
use leeward_model::{FencingEpoch, PartitionIndex, TopicName};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::super::{Acknowledge, HubParts};
use super::*;
use crate::metrics::Metrics;
use crate::partition::{Command, Entry, Outcome, Place, Trimming};
use crate::store::Store;

const LEASE: Duration = Duration::from_secs(600);
/// Marks of a log that is longer than the one that we wrote.
const BEYOND: Marks = Marks { replicated_to: 100, target_end: 100 };

#[tokio::test]
async fn marks_under_a_grant_that_lives_trim() {
    let hub = hub();
    hub.stand(granted(1, Some(Instant::now()))).await;
    acknowledge_one(&hub);

    hub.replicated(&region(), &orders(), (None, BEYOND));

    assert_eq!(buffered(&hub), 0);
}

#[tokio::test]
async fn marks_that_come_before_the_lapse_was_seen_trim_nothing() {
    let hub = hub();
    hub.stand(granted(1, Some(Instant::now()))).await;
    acknowledge_one(&hub);
    hub.standing.store(Some(Arc::new(granted(1, None))));

    hub.replicated(&region(), &orders(), (None, BEYOND));

    assert_eq!(buffered(&hub), 1);
}

#[tokio::test]
async fn marks_that_came_before_two_missed_promotions_never_trim() {
    let hub = hub();
    hub.stand(granted(1, Some(Instant::now()))).await;
    acknowledge_one(&hub);
    hub.standing.store(Some(Arc::new(granted(1, None))));
    hub.replicated(&region(), &orders(), (None, BEYOND));

    hub.stand(granted(3, Some(Instant::now()))).await;

    assert_eq!(buffered(&hub), 1);
}

#[tokio::test]
async fn a_grant_without_life_lets_no_partition_go_on() {
    let hub = hub();
    hub.stand(granted(1, Some(Instant::now()))).await;
    acknowledge_one(&hub);

    hub.stand(granted(1, None)).await;
    hub.replicated(&region(), &orders(), (None, BEYOND));

    assert_eq!(buffered(&hub), 1);
}

fn region() -> RegionName {
    RegionName::new("a").unwrap()
}

fn orders() -> TopicPartition {
    TopicPartition {
        topic: TopicName::new("orders").unwrap(),
        partition: PartitionIndex::from_wire(0).unwrap(),
    }
}

fn hub() -> Arc<Hub> {
    let trimming = |_: &TopicPartition| Trimming::WhenReplicated;
    let disk = Arc::new(SimulatedDisk::new(1));
    let opened = Store::open(disk, Path::new("/buffer"), None, 64 << 20, GroupWait::default(), trimming);
    Hub::new(HubParts {
        opened: opened.unwrap(),
        metrics: Metrics::register(&prometheus::Registry::new(), &HashMap::new()).unwrap(),
        acknowledge: Acknowledge::AfterFsync,
        regions: BTreeMap::new(),
        trimming: Arc::new(trimming),
        stop: CancellationToken::new(),
        tasks: TaskTracker::new(),
    })
}

fn granted(epoch: u64, counts_from: Option<Instant>) -> Standing {
    let epoch = FencingEpoch::from_wire(epoch).unwrap();
    Standing::granted(epoch, Some(region()), LEASE, None, HashMap::new(), counts_from)
}

/// One record of the partition is buffered, and the region has it at offset 0.
fn acknowledge_one(hub: &Arc<Hub>) {
    let partition = hub.partition(&orders());
    let mut forward = partition.forward.lock();
    let entry =
        Entry { ordinal: 0, records: 1, skip: 0, position: 0, accepted_at_ms: 0, place: Place::Unknown };
    let mut event = Event::Accepted(entry);
    loop {
        let asked = forward.on(event, hub.now()).pop();
        event = match asked {
            Some(Command::FindEnd { operation, .. }) => Event::EndFound { operation, offset: 0, topic: None },
            Some(Command::SaveLineage { operation, .. }) => Event::LineageSaved { operation },
            Some(Command::Send { .. }) => {
                Event::Sent { ordinal: 0, outcome: Outcome::Acknowledged { base_offset: 0 } }
            }
            Some(other) => panic!("nothing else is asked for: {other:?}"),
            None => return,
        };
    }
}

fn buffered(hub: &Hub) -> u64 {
    hub.partition(&orders()).forward.lock().buffered_records()
}
