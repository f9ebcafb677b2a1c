//! A target that refuses a setting, because it does not know it or the value is too small.

use std::sync::Arc;

use leeward_client::{ClientConfig, Cluster, TopicSelection};
use leeward_model::RegionName;
use leeward_node::{Node, NodeConfig, RunningNode};

use super::*;
use crate::{
    LinkConfig,
    topics::{entries, overrides},
};

/// A target, and what carries changes out there.
struct World {
    _node: RunningNode,
    _folder: tempfile::TempDir,
    follower: Follower,
}

fn orders() -> TopicName {
    TopicName::new("orders").unwrap()
}

fn configs(pairs: &[(&str, &str)]) -> Configs {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

impl World {
    async fn new() -> Self {
        let folder = tempfile::TempDir::new().unwrap();
        let mut config = NodeConfig::new(folder.path());
        config.auto_create_topics = false;
        let node = Node::start(config).await.unwrap();
        let at = ClientConfig::new(vec![node.addr().to_string()]);
        let target = Cluster::connect(at.clone()).await.unwrap();
        let region = |name| (RegionName::new(name).unwrap(), at.clone());
        let config = LinkConfig::between(region("a"), region("b"), folder.path());
        let follower = Follower::new(Arc::new(config), target.clone(), target);
        Self { _node: node, _folder: folder, follower }
    }

    async fn create(&mut self, partitions: u32, pairs: &[(&str, &str)]) {
        let configs = configs(pairs);
        self.follower.carry_out(TopicCommand::Create { name: orders(), partitions, configs }).await;
    }

    async fn set(&mut self, pairs: &[(&str, &str)]) {
        let (set, unset) = (configs(pairs), Vec::new());
        self.follower.carry_out(TopicCommand::Configure { name: orders(), set, unset }).await;
    }

    async fn has_topic(&self) -> bool {
        let map = self.follower.target.metadata(TopicSelection::All).await.unwrap();
        map.topics.contains_key(&orders())
    }

    async fn settings(&self) -> Configs {
        overrides(entries(&self.follower.target, &orders()).await.unwrap())
    }

    fn refused(&self) -> Vec<Change> {
        self.follower.refusals.told().map(|(_, change, _)| change.clone()).collect()
    }
}

fn setting(key: &str, value: &str) -> Change {
    Change::Setting { key: key.to_owned(), value: Some(value.to_owned()) }
}

#[tokio::test]
async fn a_topic_is_made_without_the_setting_that_the_target_refuses() {
    let mut world = World::new().await;

    world.create(1, &[KEEPS_TIMES, ("retention.ms", "5"), ("segment.bytes", "1")]).await;

    assert_eq!(world.settings().await, configs(&[KEEPS_TIMES, ("retention.ms", "5")]));
    assert_eq!(world.refused(), [setting("segment.bytes", "1")]);
}

#[tokio::test]
async fn a_setting_that_the_target_refuses_keeps_back_no_other() {
    let mut world = World::new().await;
    world.create(1, &[KEEPS_TIMES]).await;

    world.set(&[("no.such.setting", "1"), ("retention.ms", "5")]).await;

    assert_eq!(world.settings().await, configs(&[KEEPS_TIMES, ("retention.ms", "5")]));
    assert_eq!(world.refused(), [setting("no.such.setting", "1")]);
}

#[tokio::test]
async fn a_refusal_is_told_in_the_brokers_words() {
    let mut world = World::new().await;

    world.create(1, &[KEEPS_TIMES, ("no.such.setting", "1")]).await;

    let told: Vec<_> = world.follower.refusals.told().map(|(_, _, reason)| reason.to_owned()).collect();
    assert!(told.len() == 1 && told[0].contains("no.such.setting"), "{told:?}");
}

#[tokio::test]
async fn a_topic_that_the_target_does_not_make_at_all_is_told() {
    let mut world = World::new().await;

    world.create(0, &[KEEPS_TIMES]).await;

    assert!(!world.has_topic().await);
    assert_eq!(world.refused(), [Change::Creation]);
}
