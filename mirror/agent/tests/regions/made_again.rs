//! Topics that are deleted and made again under a link.

use leeward_mirror::{Leave, StopReason};
use leeward_model::FencingEpoch;

use crate::SOON;
use crate::world::{Link, Region, eventually, partition};

fn stopped(link: &Link, reason: &StopReason) -> bool {
    link.handle.status().partitions.iter().any(|of| of.standing.stopped.as_ref() == Some(reason))
}

fn watermark(link: &Link) -> Option<i64> {
    let marks = link.handle.watermarks().borrow().clone();
    let of_orders = marks.iter().find(|mark| mark.source == partition("orders", 0));
    of_orders.map(|mark| mark.replicated_to.to_wire())
}

/// Two regions with twenty orders in each, and the link that has copied them.
async fn copied() -> (Region, Region, Link) {
    let (a, b) = (Region::start("a").await, Region::start("b").await);
    a.create("orders", 1, &[]).await;
    a.produce("orders", 0, 0..20).await;
    let link = Link::between(&a, &b).leave(1).start().await;
    eventually(SOON, async || watermark(&link) == Some(20)).await;
    (a, b, link)
}

/// The topic is deleted, and made again with five other orders.
async fn make_again(region: &Region, link: &Link) {
    region.delete("orders").await;
    region.create("orders", 1, &[]).await;
    region.produce("orders", 0, 20..25).await;
    eventually(SOON, async || stopped(link, &StopReason::TopicRecreated)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_that_was_made_again_has_no_watermark_of_the_one_before() {
    let (a, _b, link) = copied().await;

    make_again(&a, &link).await;

    eventually(SOON, async || watermark(&link).is_none()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_that_was_made_again_is_copied_once_its_old_copy_is_deleted() {
    let (a, b, link) = copied().await;
    make_again(&a, &link).await;

    b.delete("orders").await;
    let leave = Leave { topics_made_anew: true, ..Leave::under(FencingEpoch::FIRST) };
    link.handle.give_leave(leave).await.unwrap();
    eventually(SOON, async || watermark(&link) == Some(5)).await;

    assert_eq!(b.values("orders", 0).await, a.values("orders", 0).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_that_is_there_again_some_time_after_its_deletion_counts_as_made_again() {
    let (a, _b, link) = copied().await;
    a.delete("orders").await;
    eventually(SOON, async || stopped(&link, &StopReason::TopicDeleted)).await;

    a.create("orders", 1, &[]).await;

    eventually(SOON, async || stopped(&link, &StopReason::TopicRecreated)).await;
}
