//! The cluster's port against an embedded node.

use std::{sync::Arc, time::Duration};

use leeward_node::{Node, NodeConfig, RunningNode};

use super::*;
use crate::{Protected, RedbLog, fencer::Fencer};

struct Region {
    node: RunningNode,
    cluster: Arc<KafkaCluster>,
    folder: tempfile::TempDir,
}

fn topic(name: &str) -> TopicName {
    TopicName::new(name).expect("legal")
}

fn partition(name: &str) -> TopicPartition {
    TopicPartition { topic: topic(name), partition: PartitionIndex::from_wire(0).expect("not negative") }
}

impl Region {
    async fn start(name: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let node = Node::start(NodeConfig::new(folder.path().join("node"))).await.expect("started");
        let region = RegionName::new(name).expect("legal");
        let config = ClientConfig::new(vec![node.addr().to_string()]);
        Self { node, cluster: Arc::new(KafkaCluster::new(&region, config)), folder }
    }

    async fn write(&self, name: &str, records: usize) {
        let client = self.cluster.client().await.expect("connected");
        self.cluster.make_topic(&client, &topic(name), &[]).await.expect("made");
        for index in 0..records {
            let batch = batch_of(format!("record {index}").as_bytes()).expect("built");
            let within = Duration::from_secs(5);
            client.produce(&partition(name), &batch, Acks::All, within).await.expect("written");
        }
    }

    fn fencer(&self) -> Fencer {
        let notes = RedbLog::open(&self.folder.path().join("notes")).expect("opened");
        let cluster: Arc<dyn Cluster> = self.cluster.clone();
        Fencer::new(RegionName::new("a").expect("legal"), cluster, Protected::new(|_| true), true, notes)
    }
}

#[tokio::test]
async fn a_canary_is_written_and_read_back() {
    let region = Region::start("a").await;

    let payload = Bytes::from_static(b"tweet");
    let first = region.cluster.produce_canary(payload.clone()).await.expect("written");
    let second = region.cluster.produce_canary(Bytes::from_static(b"chirp")).await.expect("written");

    assert!(second > first);
    assert!(region.cluster.fetch_canary(first, payload.clone()).await.expect("read"));
    assert!(!region.cluster.fetch_canary(second, payload).await.expect("read"));
}

#[tokio::test]
async fn a_seal_over_the_wire_is_complete_appends_nothing_and_is_lifted() {
    let region = Region::start("a").await;
    region.write("orders", 3).await;
    let fencer = region.fencer();

    let seal = fencer.seal().await.expect("sealed");
    let client = region.cluster.client().await.expect("connected");
    let batch = batch_of(b"late").expect("built");
    let late = client.produce(&partition("orders"), &batch, Acks::All, Duration::from_secs(2)).await;
    let canary = region.cluster.produce_canary(Bytes::from_static(b"alive")).await;
    fencer.unseal(|| true).await.expect("opened");
    let after = client.produce(&partition("orders"), &batch, Acks::All, Duration::from_secs(2)).await;

    assert!(seal.is_complete(), "{seal:?}");
    assert_eq!(seal.log_ends[0].end.to_wire(), 3);
    assert_eq!(late.expect_err("sealed").code(), Some(ErrorCode::MESSAGE_TOO_LARGE));
    assert!(canary.is_ok(), "{canary:?}");
    assert_eq!(after.expect("open").base_offset, 3);
}

#[tokio::test]
async fn a_write_probe_of_an_open_topic_appends_nothing() {
    let region = Region::start("a").await;
    region.write("orders", 2).await;

    let probes = region.cluster.probe_writes(&[partition("orders")]).await.expect("probed");
    let ends = region.cluster.log_ends(&[partition("orders")]).await.expect("read");

    assert_eq!((probes[0].1, ends[0].end.to_wire()), (WriteProbe::Open, 2));
}

#[tokio::test]
async fn a_tail_is_quarantined_once_even_when_copied_twice() {
    let (old, survivor) = (Region::start("a").await, Region::start("b").await);
    old.write("orders", 5).await;
    let at = |offset| SourceOffset::from_wire(offset).expect("not negative");
    let tail = Tail { partition: partition("orders"), from: at(2), to: at(5) };
    let headers = vec![("leeward-region".to_owned(), "a".to_owned())];
    let into = QuarantineTopic { topic: topic("__leeward_quarantine.a.2"), headers };

    let first = old.cluster.copy_tail(&tail, survivor.cluster.as_ref(), &into).await.expect("copied");
    let second = old.cluster.copy_tail(&tail, survivor.cluster.as_ref(), &into).await.expect("copied");

    let ends = survivor.cluster.log_ends(&[partition("__leeward_quarantine.a.2")]).await.expect("read");
    assert_eq!((first, second, ends[0].end.to_wire()), (3, 0, 3));
}

#[tokio::test]
async fn a_groups_position_is_committed_where_nobody_is_a_member() {
    let region = Region::start("a").await;
    region.write("orders", 5).await;
    let position = TargetOffset::from_wire(4).expect("not negative");
    let group = GroupName::new("billing");

    let done = region.cluster.commit_group(&group, &[(partition("orders"), position)]).await;

    let client = region.cluster.client().await.expect("connected");
    let found = client.fetch_offsets(&group, None).await.expect("read");
    assert_eq!(done, Ok(GroupCommit::Committed));
    assert_eq!(found[&partition("orders")].offset, 4);
}

#[tokio::test]
async fn deleted_topics_are_gone_when_the_call_returns() {
    let region = Region::start("a").await;
    region.write("orders", 1).await;

    region.cluster.delete_topics(&[topic("orders")]).await.expect("deleted");

    let view = region.cluster.view().await.expect("seen");
    assert!(!view.partitions.iter().any(|led| led.partition.topic == topic("orders")));
}

#[tokio::test]
async fn a_topic_that_is_made_anew_at_once_does_not_hold_up_its_deletion() {
    let region = Region::start("a").await;
    region.write("orders", 1).await;
    let mirror = Arc::clone(&region.cluster);
    let makes = tokio::spawn(async move {
        let client = mirror.client().await.expect("connected");
        loop {
            // While the deletion is under way it may be refused.
            let _ = mirror.make_topic(&client, &topic("orders"), &[]).await;
            tokio::task::yield_now().await;
        }
    });

    let topics = [topic("orders")];
    let deleted = tokio::time::timeout(Duration::from_secs(20), region.cluster.delete_topics(&topics)).await;
    makes.abort();

    region.write("orders", 0).await;
    let ends = region.cluster.log_ends(&[partition("orders")]).await;
    assert!(matches!(deleted, Ok(Ok(()))), "{deleted:?}");
    assert!(ends.is_ok_and(|ends| ends[0].end.to_wire() == 0), "the new topic is empty");
}

#[tokio::test]
async fn a_dead_region_is_unreachable_at_every_level() {
    let Region { node, cluster, folder: _folder } = Region::start("a").await;
    cluster.view().await.expect("seen");
    node.shutdown().await;

    assert!(cluster.reach().await.is_err());
    assert!(cluster.api_versions().await.is_err());
    assert!(cluster.produce_canary(Bytes::from_static(b"x")).await.is_err());
}
