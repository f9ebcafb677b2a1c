//! A rival on the same link stores a run and then writes the records that it places; what an opening reads between the two
//! must not have the records without the run.

use std::collections::BTreeMap;
use std::time::Duration;

use leeward_client::{Acks, ClientConfig, NewTopic};
use leeward_mirror_core::map::{MapRecord, Run};
use leeward_model::{LinkName, PartitionIndex, TopicId, TopicName};
use leeward_node::{Node, NodeConfig, RunningNode};
use leeward_wire::record::{BatchBuilder, Compression};

use super::*;
use crate::store::{MapReader, MapTopic, SharedStored};

const WITHIN: Duration = Duration::from_secs(10);

struct World {
    _node: RunningNode,
    _folder: tempfile::TempDir,
    target: Cluster,
    maps: MapReader,
    /// The rival's hold on the map.
    map: MapTopic,
    partition: TopicPartition,
}

fn key() -> (TopicId, PartitionIndex) {
    (TopicId::from_wire([7; 16]).unwrap(), PartitionIndex::from_wire(0).unwrap())
}

impl World {
    /// A target with an empty topic, and a link whose map was read before a rival began.
    async fn new() -> Self {
        let folder = tempfile::TempDir::new().unwrap();
        let node = Node::start(NodeConfig::new(folder.path())).await.unwrap();
        let target = Cluster::connect(ClientConfig::new(vec![node.addr().to_string()])).await.unwrap();
        let topic = TopicName::new("orders").unwrap();
        let new = NewTopic {
            name: topic.clone(),
            partitions: 1,
            replication_factor: None,
            configs: BTreeMap::new(),
        };
        target.create_topic(&new, WITHIN).await.unwrap();
        let link = LinkName::new("a-to-b").unwrap();
        let mut read = MapTopic::ensure(&target, &link, None).await.unwrap();
        let stored = SharedStored::default();
        read.read(&stored).await.unwrap();
        let partition = TopicPartition { topic, partition: key().1 };
        let map = read.clone();
        Self { _node: node, _folder: folder, maps: MapReader::new(read, stored), target, map, partition }
    }

    async fn rival_stores_a_run(&self) {
        let offset = |wire| (SourceOffset::from_wire(wire).unwrap(), TargetOffset::from_wire(wire).unwrap());
        let (source, target) = offset(0);
        let run = Run { source, target, foreign_before: 0, anchor: true };
        self.map.write(vec![(key().0, key().1, MapRecord::Run(run))], 1).await.unwrap();
    }

    async fn rival_writes_a_record(&self) {
        let mut builder = BatchBuilder::new(Compression::None);
        builder.append(1, None, Some(b"record"), &[]).unwrap();
        let batch = builder.build().unwrap();
        self.target.produce(&self.partition, &batch, Acks::All, WITHIN).await.unwrap();
    }

    async fn open(&self, stored: impl Future<Output = Result<StoredPartition, LinkError>>) -> Opening {
        let pair = (&self.partition, &self.partition);
        Box::pin(open(&self.target, None, pair, Box::pin(stored))).await.unwrap()
    }
}

#[tokio::test]
async fn what_is_stored_is_read_behind_the_targets_end() {
    let world = World::new().await;

    let opening = world
        .open(Box::pin(async {
            world.rival_stores_a_run().await;
            world.rival_writes_a_record().await;
            Ok(StoredPartition::default())
        }))
        .await;

    assert_eq!(opening.target_end, TargetOffset::FIRST);
}

#[tokio::test]
async fn an_opening_has_the_run_of_a_record_that_a_rival_wrote_before_it() {
    let world = World::new().await;
    world.rival_stores_a_run().await;
    world.rival_writes_a_record().await;

    let opening = world.open(Box::pin(world.maps.partition(key()))).await;

    assert_eq!((opening.target_end.to_wire(), opening.stored.runs.len()), (1, 1));
}

#[tokio::test]
async fn each_question_is_answered_by_a_reading_that_began_behind_it() {
    let world = World::new().await;
    let first = world.maps.partition(key()).await.unwrap();

    world.rival_stores_a_run().await;
    let (one, other) = tokio::join!(world.maps.partition(key()), world.maps.partition(key()));

    assert_eq!((first.runs.len(), one.unwrap().runs.len(), other.unwrap().runs.len()), (0, 1, 1));
}
