//! A writer of maps, and what its topic at an embedded region has afterwards.

#![allow(clippy::unwrap_used)]

use std::{sync::Arc, time::Duration};

use leeward_client::{ClientConfig, Cluster, ConfigChange, ConfigResource};
use leeward_mirror_core::partition::ChangeNumber;
use leeward_model::LinkName;
use leeward_node::{Node, NodeConfig, RunningNode};
use tempfile::TempDir;
use tokio::sync::mpsc;

use super::*;
use crate::input::Input;

const SOON: Duration = Duration::from_secs(20);

struct World {
    _node: RunningNode,
    folder: TempDir,
    target: Cluster,
    link: LinkName,
    local: Arc<Local>,
    writing: SharedWriting,
    changes: mpsc::Sender<Change>,
    inputs: mpsc::Receiver<Input>,
}

fn key() -> (TopicId, PartitionIndex) {
    (TopicId::from_wire([7; 16]).unwrap(), PartitionIndex::from_wire(0).unwrap())
}

fn run(number: i64) -> Run {
    let source = SourceOffset::from_wire(2 * number).unwrap();
    let target = TargetOffset::from_wire(number).unwrap();
    Run { source, target, foreign_before: 0, anchor: number == 0 }
}

/// Runs with a hole behind each record.
fn runs(numbers: std::ops::Range<i64>) -> Change {
    let put = numbers.map(run).collect();
    let change = ChangeNumber::default();
    Change::Runs { key: key(), target_topic: key().0, change, put, remove: Vec::new(), checkpoint: None }
}

impl World {
    async fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let node = Node::start(NodeConfig::new(folder.path().join("node"))).await.unwrap();
        let target = Cluster::connect(ClientConfig::new(vec![node.addr().to_string()])).await.unwrap();
        let link = LinkName::new("a-to-b").unwrap();
        let topic = MapTopic::ensure(&target, &link, None).await.unwrap();
        let local = Arc::new(Local::open(&folder.path().join("link")).unwrap());
        let writing = SharedWriting::of(topic.name().clone());
        let (inputs, told) = mpsc::channel(64);
        let (changes, to_write) = mpsc::channel(64);
        let copy = LocalCopy::of(local.clone(), Stored::default()).await;
        let writer = Writer { topic, copy, writing: writing.clone(), inputs };
        tokio::spawn(writer.run(to_write));
        Self { _node: node, folder, target, link, local, writing, changes, inputs: told }
    }

    async fn limit_messages_to(&self, bytes: &str) {
        let resource = ConfigResource::Topic(topic::map_topic_of(&self.link).topic);
        let change = [("max.message.bytes", ConfigChange::Set(bytes.to_owned()))];
        self.target.incremental_alter_configs(&resource, &change).await.unwrap();
    }

    async fn write(&mut self, change: Change) -> Input {
        self.changes.send(change).await.unwrap();
        self.told().await
    }

    async fn told(&mut self) -> Input {
        tokio::time::timeout(SOON, self.inputs.recv()).await.expect("written in time").expect("writes")
    }

    /// The runs that one who reads the topic for the first time finds.
    async fn found(&self) -> Vec<Run> {
        let stored = SharedStored::default();
        MapTopic::existing(&self.target, &self.link).read(&stored).await.unwrap();
        let found = stored.lock().partitions.get(&key()).cloned().unwrap_or_default();
        found.runs.into_values().collect()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_that_no_batch_holds_is_written_and_told_once() {
    let mut world = World::new().await;

    let told = world.write(runs(0..30_000)).await;

    assert!(matches!(told, Input::Stored { .. }));
    assert!(world.inputs.try_recv().is_err());
    assert_eq!(world.found().await, (0..30_000).map(run).collect::<Vec<_>>());
    assert_eq!(world.local.load().unwrap().partitions[&key()].runs.len(), 30_000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_that_takes_single_records_only_gets_single_records() {
    let mut world = World::new().await;
    world.limit_messages_to("150").await;

    world.write(runs(0..20)).await;

    assert_eq!(world.found().await, (0..20).map(run).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_that_was_deleted_is_made_again_with_all_that_it_had() {
    let mut world = World::new().await;
    world.write(runs(0..20_000)).await;

    world.target.delete_topics(&[topic::map_topic_of(&world.link).topic], SOON).await.unwrap();
    world.write(runs(20_000..20_010)).await;

    assert_eq!(world.found().await, (0..20_010).map(run).collect::<Vec<_>>());
    assert!(!world.local.is_filling().unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_that_somebody_made_again_gets_all_that_the_one_before_had() {
    let mut world = World::new().await;
    world.write(runs(0..50)).await;

    world.target.delete_topics(&[topic::map_topic_of(&world.link).topic], SOON).await.unwrap();
    MapTopic::ensure(&world.target, &world.link, None).await.unwrap();
    world.write(runs(50..60)).await;

    assert_eq!(world.found().await, (0..60).map(run).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_map_that_is_not_written_is_named_with_the_reason_until_it_is() {
    let mut world = World::new().await;
    world.limit_messages_to("1").await;
    assert_eq!(world.writing.failure(), None);

    world.changes.send(runs(0..1)).await.unwrap();
    let failure = async {
        loop {
            if let Some(failure) = world.writing.failure() {
                return failure;
            }
            tokio::task::yield_now().await;
        }
    };
    let failure = tokio::time::timeout(SOON, failure).await.expect("named in time");
    world.limit_messages_to("1000").await;
    world.told().await;

    assert!(failure.starts_with("map topic __leeward_map.a-to-b is not written: "), "{failure}");
    assert!(failure.contains("MESSAGE_TOO_LARGE"), "{failure}");
    assert_eq!(world.writing.failure(), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_written_survives_a_kill_soon_though_nothing_follows_it() {
    let mut world = World::new().await;
    world.write(runs(0..50)).await;

    let after_a_kill = || {
        let next = TempDir::new().unwrap();
        std::fs::copy(world.folder.path().join("link/link.redb"), next.path().join("link.redb")).unwrap();
        Local::open(next.path()).and_then(|local| local.load()).is_ok_and(|stored| !stored.is_empty())
    };
    let survives = async {
        while !after_a_kill() {
            tokio::task::yield_now().await;
        }
    };

    tokio::time::timeout(SOON, survives).await.expect("durable in time");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_that_was_being_filled_when_its_link_was_killed_is_filled_to_the_end() {
    let world = World::new().await;
    let facts = |numbers: std::ops::Range<i64>| -> Facts {
        numbers.map(|number| (key().0, key().1, MapRecord::Run(run(number)))).collect()
    };
    world.local.write(&facts(0..50), true).unwrap();
    world.local.note_filling(true).unwrap();
    let mut topic = MapTopic::existing(&world.target, &world.link);
    topic.write(facts(0..20), 1).await.unwrap();
    let stored = SharedStored::default();
    topic.read(&stored).await.unwrap();

    fill_from_copy(&world.local, &topic, &stored).await.unwrap();

    assert_eq!(world.found().await, (0..50).map(run).collect::<Vec<_>>());
    assert_eq!(stored.lock().partitions[&key()].runs.len(), 50);
    assert!(!world.local.is_filling().unwrap());
}
