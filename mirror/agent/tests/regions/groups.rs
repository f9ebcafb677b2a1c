//! Positions that stand still at the source, while those at the target do not stay as they were carried.

use std::{collections::BTreeMap, time::Duration};

use leeward_model::FencingEpoch;

use super::{
    SOON,
    world::{Link, Region, eventually},
};

/// Two regions with one topic, and a link that has carried the position 37 of the group `billing`.
async fn carried() -> (Region, Region, Link) {
    let (a, b) = (Region::start("a").await, Region::start("b").await);
    a.create("orders", 1, &[]).await;
    a.produce("orders", 0, 0..100).await;
    a.commit("billing", "orders", 0, 37).await;
    let link = Link::between(&a, &b).leave(1).start().await;
    eventually(SOON, async || link.handle.groups().iter().any(|group| group.state == "committed")).await;
    (a, b, link)
}

async fn seal(link: &Link) -> &'static str {
    let epoch = FencingEpoch::from_wire(2).unwrap();
    let report = link.handle.seal(epoch, Duration::from_secs(5), BTreeMap::new()).await.unwrap();
    report.groups[0].state
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_seal_writes_a_position_that_the_target_has_lost() {
    let (_a, b, link) = carried().await;
    b.lose_group("billing").await;

    let state = seal(&link).await;

    assert_eq!((b.committed("billing", "orders", 0).await, state), (Some(37), "committed"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_seal_tells_of_a_position_that_has_gone_on_at_the_target_and_leaves_it_there() {
    let (_a, b, link) = carried().await;
    b.commit("billing", "orders", 0, 50).await;

    let state = seal(&link).await;

    assert_eq!((b.committed("billing", "orders", 0).await, state), (Some(50), "skipped-ahead"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn metadata_that_change_at_the_same_position_are_carried() {
    let (a, b, _link) = carried().await;

    a.commit_with("billing", "orders", 0, (37, "checked")).await;

    let checked = Some("checked".to_owned());
    eventually(SOON, async || b.metadata("billing", "orders", 0).await == checked).await;
    assert_eq!(b.committed("billing", "orders", 0).await, Some(37));
}
