//! A link whose map topic does not take what is written, or is deleted.

use std::time::Duration;

use leeward_mirror::{Notice, StopReason};

use crate::world::{Link, Region, eventually};

const SOON: Duration = Duration::from_secs(20);
const MAP: &str = "__leeward_map.a-to-b";

/// A link that has copied the first records, and a record of somebody else behind them, which a new run is needed for.
async fn link_before_a_new_run(a: &Region, b: &Region) -> Link {
    a.create("orders", 1, &[]).await;
    a.produce("orders", 0, 0..10).await;
    let link = Link::between(a, b).leave(1).start().await;
    eventually(SOON, async || b.has("orders").await && b.values("orders", 0).await.len() == 10).await;
    b.produce("orders", 0, 900..901).await;
    link
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_whose_map_is_not_written_says_so_until_it_is() {
    let (a, b) = (Region::start("a").await, Region::start("b").await);
    let link = link_before_a_new_run(&a, &b).await;

    b.configure(MAP, "max.message.bytes", "1").await;
    a.produce("orders", 0, 10..20).await;
    let failing = async || link.handle.status().failure.is_some_and(|failure| failure.contains(MAP));
    eventually(SOON, failing).await;
    b.configure(MAP, "max.message.bytes", "1000000").await;

    eventually(SOON, async || link.handle.status().failure.is_none()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_map_topic_that_is_deleted_under_a_running_link_is_made_again_for_the_next_process() {
    let (a, b) = (Region::start("a").await, Region::start("b").await);
    let link = link_before_a_new_run(&a, &b).await;
    let steps_over = async |link: &Link| {
        let foreign = |notice: &Notice| matches!(notice, Notice::ForeignWrite { .. });
        link.handle.events_after(0).iter().any(|event| foreign(&event.notice))
    };

    b.delete(MAP).await;
    a.produce("orders", 0, 10..20).await;
    eventually(SOON, async || b.values("orders", 0).await.len() == 21 && steps_over(&link).await).await;
    eventually(SOON, async || b.has(MAP).await).await;
    let sealed = leeward_model::FencingEpoch::from_wire(2).unwrap();
    link.handle.seal(sealed, Duration::from_secs(5), std::collections::BTreeMap::new()).await.unwrap();
    let next = Link::between(&a, &b).leave(3).start().await;
    a.produce("orders", 0, 20..30).await;
    eventually(SOON, async || b.values("orders", 0).await.len() == 31).await;

    let partitions = next.handle.status().partitions;
    let stopped: Vec<StopReason> =
        partitions.into_iter().filter_map(|partition| partition.standing.stopped).collect();
    assert_eq!(stopped, []);
    let copied = b.values("orders", 0).await.into_iter().filter(|value| value != "value 900");
    assert_eq!(copied.collect::<Vec<_>>(), a.values("orders", 0).await);
}
