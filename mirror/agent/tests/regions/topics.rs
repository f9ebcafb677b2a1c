//! Settings of topics that follow, and those that stay.

use std::time::Duration;

use super::{
    SOON,
    world::{Link, Region, eventually},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_limit_that_was_raised_on_the_copy_stays_while_other_settings_follow() {
    let (a, b) = (Region::start("a").await, Region::start("b").await);
    a.create("orders", 1, &[]).await;
    let _link =
        Link::between(&a, &b).leave(1).looks_at_settings_every(Duration::from_millis(100)).start().await;
    eventually(SOON, async || b.has("orders").await).await;

    b.configure("orders", "max.message.bytes", "5000000").await;
    b.configure("orders", "segment.ms", "777000").await;
    a.configure("orders", "retention.ms", "777000").await;
    let retention = async || b.config("orders", "retention.ms").await;
    eventually(SOON, async || retention().await.as_deref() == Some("777000")).await;
    eventually(SOON, async || b.config("orders", "segment.ms").await.as_deref() != Some("777000")).await;

    assert_eq!(b.config("orders", "max.message.bytes").await.as_deref(), Some("5000000"));
}
