//! A target that does not keep what it was given: how soon it has it again, and what is left alone there.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use leeward_client::{ClientConfig, Cluster, CommitOffset, NewTopic};
use leeward_mirror_core::{
    groups::{Look, Position},
    map::Translation,
};
use leeward_model::{
    GroupName, PartitionIndex, RegionName, SourceOffset, TargetOffset, TopicName, TopicPartition,
};
use leeward_node::{Node, NodeConfig, RunningNode};
use tokio::sync::{mpsc, watch};

use super::*;
use crate::{
    LinkConfig, MirrorMetrics,
    groups::{GroupParts, tail::ends_by_index},
    limits::CARRY_AGAIN_EVERY,
    status::Board,
    task::Verb,
};

fn group() -> GroupName {
    GroupName::new("billing")
}

fn orders() -> TopicPartition {
    let topic = TopicName::new("orders").unwrap();
    TopicPartition { topic, partition: PartitionIndex::from_wire(0).unwrap() }
}

fn key() -> Key {
    (group(), orders())
}

/// A group that stands still at 37 at the source, and a target that was given that.
struct World {
    _node: RunningNode,
    _folder: tempfile::TempDir,
    target: Cluster,
    groups: Groups,
}

impl World {
    async fn carried() -> Self {
        let folder = tempfile::TempDir::new().unwrap();
        let node = Node::start(NodeConfig::new(folder.path())).await.unwrap();
        let at = ClientConfig::new(vec![node.addr().to_string()]);
        let target = Cluster::connect(at.clone()).await.unwrap();
        let (name, configs) = (orders().topic, BTreeMap::new());
        let topic = NewTopic { name, partitions: 1, replication_factor: None, configs };
        target.create_topic(&topic, Duration::from_secs(10)).await.unwrap();
        let region = |name| (RegionName::new(name).unwrap(), at.clone());
        let config = LinkConfig::between(region("a"), region("b"), folder.path());
        let metrics = MirrorMetrics::register(&prometheus::Registry::new()).unwrap().of(&config);
        let groups = Groups::new(GroupParts {
            config: Arc::new(config),
            source: watch::channel(None).1,
            target: target.clone(),
            verbs: same_offsets(),
            metrics,
            board: Arc::new(Board::new()),
            standings: Arc::default(),
        });
        let mut world = Self { _node: node, _folder: folder, target, groups };
        world.stand_at(37);
        world.groups.carry().await;
        assert_eq!(world.at_target().await, Some(37));
        world
    }

    /// A look at the source finds the group there.
    fn stand_at(&mut self, offset: i64) {
        let position = Position { source: SourceOffset::from_wire(offset).unwrap(), metadata: String::new() };
        let look = Look { positions: BTreeMap::from([(key(), position)]), ..Look::default() };
        self.groups.positions.looked(look, None);
        let changed = self.groups.positions.take_changed();
        self.groups.open.extend(changed.into_iter().map(|key| (key, Standby::Due)));
    }

    async fn lose_group(&self) {
        let outcomes = self.target.delete_groups(&[group()]).await;
        assert!(outcomes.values().all(Result::is_ok));
    }

    async fn move_at_target(&self, offset: i64) {
        let outcome =
            self.target.commit_offsets(&group(), &[(orders(), CommitOffset::at(offset))]).await.unwrap();
        assert!(outcome.values().all(Result::is_ok));
    }

    async fn pass(&mut self, time: Duration) {
        let now = self.groups.clock.now().after(time);
        self.groups.renew(now);
        self.groups.carry().await;
    }

    async fn at_target(&self) -> Option<i64> {
        let offsets = self.target.fetch_last_offsets(&group()).await.unwrap();
        offsets.get(&orders()).map(|committed| committed.offset)
    }

    /// How many commits the target has written down.
    async fn commits_at_target(&self) -> i64 {
        ends_by_index(&self.target).await.unwrap().values().sum()
    }

    fn state(&self) -> &'static str {
        self.groups.standings.lock()[&key()].state
    }
}

/// A link whose target has each record at the offset that it has at the source.
fn same_offsets() -> mpsc::Sender<Verb> {
    let (verbs, mut asked) = mpsc::channel(1);
    tokio::spawn(async move {
        while let Some(Verb::ToTarget { positions, reply }) = asked.recv().await {
            let same = |(_, source): (_, SourceOffset)| {
                TargetOffset::from_wire(source.to_wire()).map(Translation::Exact)
            };
            reply.send(positions.into_iter().map(same).collect()).unwrap();
        }
    });
    verbs
}

#[tokio::test]
async fn a_position_that_stands_still_is_committed_again_within_the_limit_and_not_before() {
    let mut world = World::carried().await;
    let first = world.commits_at_target().await;

    world.pass(Duration::ZERO).await;
    let before = world.commits_at_target().await;
    world.pass(CARRY_AGAIN_EVERY).await;
    let after = world.commits_at_target().await;

    assert_eq!((before, after), (first, first + 1));
}

#[tokio::test]
async fn a_position_that_the_target_has_forgotten_is_written_again_within_the_limit() {
    let mut world = World::carried().await;
    world.lose_group().await;

    world.pass(CARRY_AGAIN_EVERY).await;

    assert_eq!((world.at_target().await, world.state()), (Some(37), "committed"));
}

#[tokio::test]
async fn a_position_is_renewed_each_time_that_the_limit_has_passed() {
    let mut world = World::carried().await;
    world.pass(CARRY_AGAIN_EVERY).await;
    world.lose_group().await;

    world.pass(2 * CARRY_AGAIN_EVERY).await;

    assert_eq!(world.at_target().await, Some(37));
}

#[tokio::test]
async fn a_position_that_has_gone_on_at_the_target_is_told_and_left_there() {
    let mut world = World::carried().await;
    world.move_at_target(50).await;

    world.pass(CARRY_AGAIN_EVERY).await;

    assert_eq!((world.at_target().await, world.state()), (Some(50), "skipped-ahead"));
}

#[tokio::test]
async fn a_group_that_is_gone_at_the_source_is_not_written_again() {
    let mut world = World::carried().await;
    world.groups.positions.looked(Look::default(), None);
    world.lose_group().await;

    world.pass(CARRY_AGAIN_EVERY).await;

    assert_eq!(world.at_target().await, None);
    assert_eq!(world.groups.renewals.next(), None);
}
