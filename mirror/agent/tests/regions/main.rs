//! Links between two embedded regions: exact copies, exact positions, ends that are known, and the way back.

#![allow(clippy::unwrap_used)]

mod groups;
mod made_again;
mod map_topic;
mod topics;
mod world;

use std::{collections::BTreeMap, time::Duration};

use leeward_mirror::{
    GroupsFollowed, Leave, LinkState, Notice, PartitionDrift, SealReport, StopReason, Translation,
};
use leeward_model::{FencingEpoch, LinkName, SourceOffset, TargetOffset};
use world::{Link, Region, eventually, partition, topic};

const SOON: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_copies_topics_records_and_positions_exactly() {
    let (a, b) = (Region::start("a").await, Region::start("b").await);
    a.create("orders", 2, &[("retention.ms", "777000")]).await;
    a.produce("orders", 0, 0..100).await;
    a.commit("billing", "orders", 0, 37).await;
    let link = Link::between(&a, &b).leave(1).start().await;

    a.produce("orders", 1, 0..50).await;
    eventually(SOON, async || {
        b.values("orders", 0).await.len() == 100 && b.values("orders", 1).await.len() == 50
    })
    .await;
    eventually(SOON, async || b.committed("billing", "orders", 0).await == Some(37)).await;

    assert_eq!(b.values("orders", 0).await, a.values("orders", 0).await);
    assert_eq!(b.config("orders", "retention.ms").await.as_deref(), Some("777000"));
    let position = SourceOffset::from_wire(37).unwrap();
    let translated = link.handle.to_target(partition("orders", 0), position).await.unwrap();
    assert_eq!(translated, Some(Translation::Exact(TargetOffset::from_wire(37).unwrap())));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commits_are_followed_as_they_are_written() {
    let (a, b) = (Region::start("a").await, Region::start("b").await);
    a.create("orders", 1, &[]).await;
    a.create("empty", 1, &[]).await;
    a.produce("orders", 0, 0..100).await;
    a.commit("billing", "orders", 0, 10).await;
    let link = Link::between(&a, &b).leave(1).looks_at_groups_every(Duration::from_secs(3600)).start().await;
    eventually(SOON, async || link.handle.status().groups == GroupsFollowed::Tail).await;

    for offset in [37, 99, 100] {
        a.commit("billing", "orders", 0, offset).await;
        eventually(SOON, async || b.committed("billing", "orders", 0).await == Some(offset)).await;
    }
    a.commit("shipping", "empty", 0, 0).await;
    eventually(SOON, async || b.committed("shipping", "empty", 0).await == Some(0)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn positions_that_move_during_a_seal_are_read_once_more() {
    let (a, b) = (Region::start("a").await, Region::start("b").await);
    a.create("orders", 1, &[]).await;
    a.produce("orders", 0, 0..100).await;
    let link = Link::between(&a, &b).leave(1).looks_at_groups_every(Duration::from_secs(3600)).start().await;
    eventually(SOON, async || link.handle.status().groups == GroupsFollowed::Tail).await;
    eventually(SOON, async || b.has("orders").await && b.values("orders", 0).await.len() == 100).await;

    a.commit("billing", "orders", 0, 42).await;
    let drain_to = BTreeMap::from([(partition("orders", 0), SourceOffset::from_wire(100).unwrap())]);
    let epoch = FencingEpoch::from_wire(2).unwrap();
    let report = link.handle.seal(epoch, Duration::from_secs(5), drain_to).await.unwrap();

    assert_eq!(b.committed("billing", "orders", 0).await, Some(42));
    assert_eq!(report.groups[0].state, "committed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_ahead_of_the_mirror_goes_on_where_the_target_ends() {
    let (a, b) = (Region::start("a").await, Region::start("b").await);
    a.create("orders", 1, &[]).await;
    a.produce("orders", 0, 0..100).await;
    let link = Link::between(&a, &b).leave(1).looks_at_groups_every(Duration::from_secs(3600)).start().await;
    eventually(SOON, async || link.handle.status().groups == GroupsFollowed::Tail).await;
    eventually(SOON, async || b.has("orders").await && b.values("orders", 0).await.len() == 100).await;

    a.commit("billing", "orders", 0, 150).await;
    eventually(SOON, async || b.committed("billing", "orders", 0).await == Some(100)).await;
    let told = link.handle.groups();
    a.produce("orders", 0, 100..200).await;
    eventually(SOON, async || b.committed("billing", "orders", 0).await == Some(150)).await;

    assert_eq!(told[0].state, "waiting");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_seal_carries_a_group_ahead_of_the_mirror_to_the_targets_end() {
    let (a, b) = (Region::start("a").await, Region::start("b").await);
    a.create("orders", 1, &[]).await;
    a.produce("orders", 0, 0..100).await;
    let link = Link::between(&a, &b).leave(1).looks_at_groups_every(Duration::from_secs(3600)).start().await;
    eventually(SOON, async || link.handle.status().groups == GroupsFollowed::Tail).await;
    a.commit("billing", "orders", 0, 1150).await;
    eventually(SOON, async || b.committed("billing", "orders", 0).await == Some(100)).await;
    a.produce("orders", 0, 100..200).await;
    eventually(SOON, async || b.values("orders", 0).await.len() == 200).await;

    let epoch = FencingEpoch::from_wire(2).unwrap();
    link.handle.seal(epoch, Duration::from_secs(5), BTreeMap::new()).await.unwrap();

    assert_eq!(b.committed("billing", "orders", 0).await, Some(200));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn partitions_grow_and_new_topics_come_by_themselves() {
    let (a, b) = (Region::start("a").await, Region::start("b").await);
    a.create("orders", 1, &[]).await;
    let _link = Link::between(&a, &b).leave(1).start().await;
    eventually(SOON, async || b.has("orders").await).await;

    a.grow("orders", 3).await;
    a.create("later", 1, &[]).await;
    a.produce("orders", 2, 0..10).await;
    a.produce("later", 0, 0..10).await;

    eventually(SOON, async || {
        b.values("orders", 2).await.len() == 10 && b.values("later", 0).await.len() == 10
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_with_more_partitions_at_the_target_is_told_as_drift() {
    let (a, b) = (Region::start("a").await, Region::start("b").await);
    a.create("orders", 2, &[]).await;
    b.create("orders", 3, &[]).await;
    a.create("alike", 1, &[]).await;

    let link = Link::between(&a, &b).leave(1).start().await;

    let drift = PartitionDrift { topic: topic("orders"), source: 2, target: 3 };
    eventually(SOON, async || link.handle.status().drifts == Some(vec![drift.clone()])).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_that_is_dropped_and_started_again_copies_exactly_once() {
    let (a, b) = (Region::start("a").await, Region::start("b").await);
    a.create("orders", 1, &[]).await;
    let mut produced = 0;
    for _life in 0..5 {
        let link = Link::between(&a, &b).leave(1).start().await;
        a.produce("orders", 0, produced..produced + 200).await;
        produced += 200;
        eventually(SOON, async || !b.has("orders").await || !b.values("orders", 0).await.is_empty()).await;
        link.handle.shutdown().await;
    }
    let _link = Link::between(&a, &b).leave(1).start().await;

    eventually(SOON, async || b.values("orders", 0).await.len() >= produced).await;

    assert_eq!(b.values("orders", 0).await, a.values("orders", 0).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_that_a_rival_on_the_link_has_begun_is_gone_on_with() {
    let (a, b) = (Region::start("a").await, Region::start("b").await);
    let links = [Link::between(&a, &b).leave(1).start().await, Link::between(&a, &b).leave(1).start().await];
    for link in &links {
        eventually(SOON, async || link.handle.status().state == LinkState::Running).await;
    }
    a.create("orders", 1, &[]).await;
    a.produce("orders", 0, 0..100).await;

    for link in &links {
        let follows = async || {
            let status = link.handle.status();
            let orders = status.partitions.iter().find(|p| p.source.topic == topic("orders"));
            orders.is_some_and(|p| p.standing.state == "active" && p.standing.target_end.to_wire() == 100)
        };
        eventually(SOON, follows).await;
    }
    assert_eq!(b.values("orders", 0).await, a.values("orders", 0).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_foreign_write_is_named_and_stepped_over() {
    let (a, b) = (Region::start("a").await, Region::start("b").await);
    a.create("orders", 1, &[]).await;
    a.produce("orders", 0, 0..10).await;
    let link = Link::between(&a, &b).leave(1).start().await;
    eventually(SOON, async || b.has("orders").await && b.values("orders", 0).await.len() == 10).await;

    b.produce("orders", 0, 900..903).await;
    a.produce("orders", 0, 10..20).await;
    eventually(SOON, async || b.values("orders", 0).await.len() == 23).await;
    let named = async || {
        link.handle.events_after(0).iter().any(
            |event| matches!(event.notice, Notice::ForeignWrite { at, records: 3 } if at.to_wire() == 10),
        )
    };
    eventually(SOON, named).await;

    let position = SourceOffset::from_wire(15).unwrap();
    let translated = link.handle.to_target(partition("orders", 0), position).await.unwrap();
    assert_eq!(translated, Some(Translation::Exact(TargetOffset::from_wire(18).unwrap())));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_that_is_made_again_stops_its_partitions_visibly() {
    let (a, b) = (Region::start("a").await, Region::start("b").await);
    a.create("orders", 1, &[]).await;
    a.produce("orders", 0, 0..10).await;
    let link = Link::between(&a, &b).leave(1).start().await;
    eventually(SOON, async || b.has("orders").await && b.values("orders", 0).await.len() == 10).await;

    a.delete("orders").await;
    a.create("orders", 1, &[]).await;

    let stopped = async || {
        let status = link.handle.status();
        status.partitions.iter().any(|p| p.standing.stopped == Some(StopReason::TopicRecreated))
    };
    eventually(SOON, stopped).await;
    assert_eq!(b.values("orders", 0).await.len(), 10);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heartbeats_give_an_age_that_grows_while_the_source_is_dark() {
    let (a, b) = (Region::start("a").await, Region::start("b").await);
    let link = Link::between(&a, &b).leave(1).start().await;
    let heartbeat = || link.handle.status().last_durable_heartbeat;
    eventually(SOON, async || heartbeat().is_some()).await;

    a.stop().await;

    eventually(SOON, async || link.handle.status().state == LinkState::SourceDark).await;
    let last = heartbeat();
    tokio::time::timeout(Duration::from_millis(500), std::future::pending::<()>()).await.unwrap_err();
    assert_eq!(heartbeat(), last);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sealed_link_says_where_it_ended_and_runs_under_newer_epochs_only() {
    let (a, b) = (Region::start("a").await, Region::start("b").await);
    a.create("orders", 1, &[]).await;
    a.produce("orders", 0, 0..100).await;
    let link = Link::between(&a, &b).leave(1).start().await;
    eventually(SOON, async || b.has("orders").await && b.values("orders", 0).await.len() == 100).await;

    let epoch = |number| FencingEpoch::from_wire(number).unwrap();
    let report = link.handle.seal(epoch(2), Duration::from_secs(2), BTreeMap::new()).await.unwrap();
    a.produce("orders", 0, 100..110).await;
    let again = link.handle.give_leave(Leave::under(epoch(2))).await;

    let orders = report.watermarks.iter().find(|mark| mark.source.topic == topic("orders")).unwrap();
    assert_eq!((orders.replicated_to.to_wire(), orders.target_end.to_wire()), (100, 100));
    assert!(report.drained);
    assert!(again.is_err());
    assert_eq!(b.values("orders", 0).await.len(), 100);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_seal_is_taken_back_under_its_own_epoch_and_no_older_one() {
    let (a, b) = (Region::start("a").await, Region::start("b").await);
    a.create("orders", 1, &[]).await;
    a.produce("orders", 0, 0..100).await;
    let link = Link::between(&a, &b).leave(1).start().await;
    eventually(SOON, async || b.has("orders").await && b.values("orders", 0).await.len() == 100).await;
    let epoch = |number| FencingEpoch::from_wire(number).unwrap();
    let undone = |number| Leave { takes_back_seal: true, ..Leave::under(epoch(number)) };

    link.handle.seal(epoch(2), Duration::from_secs(2), BTreeMap::new()).await.unwrap();
    a.produce("orders", 0, 100..110).await;
    let refused = link.handle.give_leave(undone(1)).await;
    link.handle.give_leave(undone(2)).await.unwrap();
    eventually(SOON, async || b.values("orders", 0).await.len() == 110).await;
    link.handle.seal(epoch(3), Duration::from_secs(2), BTreeMap::new()).await.unwrap();
    let late = link.handle.give_leave(undone(2)).await;

    assert!(refused.is_err());
    assert!(late.is_err());
    assert_eq!(b.values("orders", 0).await, a.values("orders", 0).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_that_is_started_again_says_where_it_ended_while_its_source_is_dark() {
    let (a, b) = (Region::start("a").await, Region::start("b").await);
    a.create("orders", 1, &[]).await;
    a.produce("orders", 0, 0..100).await;
    let link = Link::between(&a, &b).leave(1).start().await;
    eventually(SOON, async || b.has("orders").await && b.values("orders", 0).await.len() == 100).await;
    let epoch = FencingEpoch::from_wire(2).unwrap();
    let before = link.handle.seal(epoch, Duration::from_secs(2), BTreeMap::new()).await.unwrap();

    a.stop().await;
    let link = link.start_again().await;
    let leave = Leave { takes_back_seal: true, ..Leave::under(epoch) };
    link.handle.give_leave(leave).await.unwrap();
    // Heartbeats may not have crossed before the seal; where nothing has, nothing can begin without the source.
    let known = async || {
        let partitions = link.handle.status().partitions;
        let orders = partitions.iter().find(|known| known.source == partition("orders", 0));
        orders.is_some_and(|orders| orders.standing.state != "starting")
    };
    eventually(SOON, known).await;
    let after = link.handle.seal(epoch, Duration::from_secs(2), BTreeMap::new()).await.unwrap();

    let orders = |report: &SealReport| {
        report.watermarks.iter().find(|mark| mark.source.topic == topic("orders")).cloned().unwrap()
    };
    assert_eq!(orders(&after), orders(&before));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_way_back_copies_only_what_is_new_and_translates_what_is_old() {
    let (a, b) = (Region::start("a").await, Region::start("b").await);
    a.create("orders", 1, &[]).await;
    a.produce("orders", 0, 0..100).await;
    let there = Link::between(&a, &b).leave(1).start().await;
    eventually(SOON, async || b.has("orders").await && b.values("orders", 0).await.len() == 100).await;
    let epoch = |number| FencingEpoch::from_wire(number).unwrap();
    there.handle.seal(epoch(2), Duration::from_secs(2), BTreeMap::new()).await.unwrap();
    a.produce("orders", 0, 500..507).await;
    b.produce("orders", 0, 100..150).await;

    let inverse_of = Some(LinkName::new("a-to-b").unwrap());
    let leave = Leave { inverse_of, ..Leave::under(epoch(2)) };
    let back = Link::between(&b, &a).leave_of(leave).start().await;
    eventually(SOON, async || a.values("orders", 0).await.len() == 157).await;
    let old =
        back.handle.to_target(partition("orders", 0), SourceOffset::from_wire(40).unwrap()).await.unwrap();
    let new =
        back.handle.to_target(partition("orders", 0), SourceOffset::from_wire(140).unwrap()).await.unwrap();
    back.handle.seal(epoch(3), Duration::from_secs(2), BTreeMap::new()).await.unwrap();
    a.produce("orders", 0, 150..160).await;
    let inverse_of = Some(LinkName::new("b-to-a").unwrap());
    there.handle.give_leave(Leave { inverse_of, ..Leave::under(epoch(3)) }).await.unwrap();
    eventually(SOON, async || b.values("orders", 0).await.len() == 160).await;

    assert_eq!(old.and_then(Translation::exact), TargetOffset::from_wire(40));
    assert_eq!(new.and_then(Translation::exact), TargetOffset::from_wire(147));
    assert_eq!(b.values("orders", 0).await, (0..160).map(|n| format!("value {n}")).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_way_there_goes_on_with_topics_that_the_way_back_made_anew() {
    const TOPICS: [&str; 4] = ["orders", "payments", "returns", "stock"];
    let (a, b) = (Region::start("a").await, Region::start("b").await);
    let reach = async |region: &Region, count| {
        for name in TOPICS {
            eventually(SOON, async || region.has(name).await && region.values(name, 0).await.len() == count)
                .await;
        }
    };
    for name in TOPICS {
        a.create(name, 1, &[]).await;
        a.produce(name, 0, 0..20).await;
    }
    let there = Link::between(&a, &b).leave(1).start().await;
    reach(&b, 20).await;
    let epoch = |number| FencingEpoch::from_wire(number).unwrap();
    there.handle.seal(epoch(2), Duration::from_secs(2), BTreeMap::new()).await.unwrap();
    for name in TOPICS {
        a.delete(name).await;
        b.produce(name, 0, 20..30).await;
    }
    let back = Link::between(&b, &a).leave(2).start().await;
    reach(&a, 30).await;
    back.handle.seal(epoch(3), Duration::from_secs(2), BTreeMap::new()).await.unwrap();

    let inverse_of = Some(LinkName::new("b-to-a").unwrap());
    there.handle.give_leave(Leave { inverse_of, ..Leave::under(epoch(3)) }).await.unwrap();
    for name in TOPICS {
        a.produce(name, 0, 30..40).await;
    }
    reach(&b, 40).await;

    assert_eq!(b.values("orders", 0).await, (0..40).map(|n| format!("value {n}")).collect::<Vec<_>>());
    assert!(there.handle.status().partitions.iter().all(|partition| partition.standing.stopped.is_none()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leave_for_topics_to_be_made_anew_copies_them_again_under_the_same_epoch() {
    let (a, b) = (Region::start("a").await, Region::start("b").await);
    a.create("orders", 1, &[]).await;
    a.produce("orders", 0, 0..20).await;
    let leave = Leave { topics_made_anew: true, ..Leave::under(FencingEpoch::from_wire(2).unwrap()) };
    let link = Link::between(&a, &b).leave_of(leave.clone()).start().await;
    let copied = async |count| b.has("orders").await && b.values("orders", 0).await.len() == count;
    eventually(SOON, async || copied(20).await).await;

    b.delete("orders").await;
    let stopped = async || {
        let status = link.handle.status();
        status.partitions.iter().any(|p| p.standing.stopped == Some(StopReason::TargetRecreated))
    };
    eventually(SOON, stopped).await;
    link.handle.give_leave(leave.clone()).await.unwrap();
    eventually(SOON, async || copied(20).await).await;
    link.handle.give_leave(leave).await.unwrap();
    a.produce("orders", 0, 20..30).await;
    eventually(SOON, async || copied(30).await).await;

    assert_eq!(b.values("orders", 0).await, a.values("orders", 0).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leave_for_topics_to_be_made_anew_forgets_what_an_earlier_life_of_the_link_wrote() {
    let (a, b) = (Region::start("a").await, Region::start("b").await);
    a.create("orders", 1, &[]).await;
    a.produce("orders", 0, 0..20).await;
    let link = Link::between(&a, &b).leave(1).start().await;
    eventually(SOON, async || b.has("orders").await && b.values("orders", 0).await.len() == 20).await;
    let epoch = |number| FencingEpoch::from_wire(number).unwrap();
    link.handle.seal(epoch(2), Duration::from_secs(2), BTreeMap::new()).await.unwrap();

    b.delete("orders").await;
    a.produce("orders", 0, 20..30).await;
    let leave = Leave { topics_made_anew: true, ..Leave::under(epoch(3)) };
    link.handle.give_leave(leave).await.unwrap();
    eventually(SOON, async || b.has("orders").await && b.values("orders", 0).await.len() == 30).await;

    assert_eq!(b.values("orders", 0).await, a.values("orders", 0).await);
}
