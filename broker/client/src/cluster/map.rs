//! What is known of a cluster: brokers, topics, leaders. A snapshot; each answer makes a new one.

use std::collections::BTreeMap;

use leeward_model::{ClusterId, PartitionIndex, TopicId, TopicName, TopicPartition};
use leeward_wire::{
    ErrorCode,
    api::{MetadataResponse, MetadataResponsePartition, MetadataResponseTopic},
};

use crate::{Address, limits::TOPICS_REMEMBERED_MAX};

/// A cluster as one of its brokers saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterMap {
    pub cluster_id: ClusterId,
    /// The broker that takes administrative requests, where one is told.
    pub controller: Option<i32>,
    pub brokers: BTreeMap<i32, Broker>,
    pub topics: BTreeMap<TopicName, Topic>,
}

/// One broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broker {
    pub id: i32,
    pub address: Address,
    pub rack: Option<String>,
}

/// One topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topic {
    pub name: TopicName,
    /// `None` where the broker tells none.
    pub id: Option<TopicId>,
    pub is_internal: bool,
    /// By index, from 0.
    pub partitions: Vec<Partition>,
}

/// One partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition {
    pub index: PartitionIndex,
    /// `None` while there is none.
    pub leader: Option<i32>,
    /// -1 where it is unknown.
    pub leader_epoch: i32,
    pub replicas: Vec<i32>,
    pub in_sync: Vec<i32>,
    /// What the broker found wrong with the partition.
    pub error: ErrorCode,
}

/// Where a partition is written and read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leader {
    pub broker: i32,
    /// -1 where it is unknown.
    pub epoch: i32,
    /// The id of the partition's topic, where the broker tells one.
    pub topic_id: Option<TopicId>,
}

/// A leader that a broker named in place of itself (KIP-951).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LeaderHint {
    pub(crate) partition: TopicPartition,
    pub(crate) leader: i32,
    pub(crate) epoch: i32,
}

impl ClusterMap {
    /// Reads an answer; topics that it has an error for are in the second part.
    pub(crate) fn read(answer: MetadataResponse) -> (Self, Vec<TopicTrouble>) {
        let mut trouble = Vec::new();
        let mut topics = BTreeMap::new();
        for topic in answer.topics {
            match read_topic(topic) {
                Ok(topic) => {
                    topics.insert(topic.name.clone(), topic);
                }
                Err(error) => trouble.push(error),
            }
        }
        let brokers = answer
            .brokers
            .into_iter()
            .filter_map(|broker| {
                let address = Address::new(broker.host, u16::try_from(broker.port).ok()?);
                Some((broker.node_id, Broker { id: broker.node_id, address, rack: broker.rack }))
            })
            .collect();
        let map = Self {
            cluster_id: ClusterId::new(answer.cluster_id.unwrap_or_default()),
            controller: (answer.controller_id >= 0).then_some(answer.controller_id),
            brokers,
            topics,
        };
        (map, trouble)
    }

    /// The partition's leader, where it is known.
    pub fn leader(&self, partition: &TopicPartition) -> Option<Leader> {
        let topic = self.topics.get(&partition.topic)?;
        let found = topic.partition(partition.partition)?;
        Some(Leader { broker: found.leader?, epoch: found.leader_epoch, topic_id: topic.id })
    }

    /// The topic with this id.
    pub fn topic_by_id(&self, id: TopicId) -> Option<&Topic> {
        self.topics.values().find(|topic| topic.id == Some(id))
    }

    /// Takes over brokers and topics of a newer answer; topics that it does not speak of stay, those in `gone` do not.
    /// An answer of another cluster replaces everything.
    pub(crate) fn merge(&self, mut newer: Self, gone: &[TopicTrouble]) -> Self {
        if self.cluster_id != newer.cluster_id {
            return newer;
        }
        for (name, topic) in &self.topics {
            let is_gone = gone.iter().any(|trouble| trouble.name.as_ref() == Some(name));
            let full = newer.topics.len() >= TOPICS_REMEMBERED_MAX;
            if !is_gone && !full && !newer.topics.contains_key(name) {
                newer.topics.insert(name.clone(), topic.clone());
            }
        }
        for topic in newer.topics.values_mut() {
            if let Some(older) = self.topics.get(&topic.name) {
                topic.keep_newer_epochs(older);
            }
        }
        newer
    }

    /// The same map with leaders that brokers named in passing; older epochs than the known ones are ignored.
    pub(crate) fn with_hints(&self, hints: &[LeaderHint], brokers: Vec<Broker>) -> Self {
        let mut map = self.clone();
        map.brokers.extend(brokers.into_iter().map(|broker| (broker.id, broker)));
        for hint in hints {
            let known = map.topics.get_mut(&hint.partition.topic).and_then(|topic| {
                let index = usize::try_from(hint.partition.partition.to_wire()).ok()?;
                topic.partitions.get_mut(index)
            });
            if let Some(known) = known
                && hint.epoch > known.leader_epoch
            {
                known.leader = Some(hint.leader);
                known.leader_epoch = hint.epoch;
            }
        }
        map
    }
}

impl Topic {
    /// The partition with this index.
    pub fn partition(&self, index: PartitionIndex) -> Option<&Partition> {
        self.partitions.get(usize::try_from(index.to_wire()).ok()?)
    }

    /// A broker that lags behind may tell a leader that has been replaced since.
    fn keep_newer_epochs(&mut self, older: &Self) {
        if self.id != older.id {
            return;
        }
        for (partition, known) in self.partitions.iter_mut().zip(&older.partitions) {
            if known.leader_epoch > partition.leader_epoch && partition.leader_epoch >= 0 {
                *partition = known.clone();
            }
        }
    }
}

/// A topic that a broker has an error for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TopicTrouble {
    pub(crate) name: Option<TopicName>,
    pub(crate) id: Option<TopicId>,
    pub(crate) code: ErrorCode,
}

fn read_topic(topic: MetadataResponseTopic) -> Result<Topic, TopicTrouble> {
    let id = TopicId::from_wire(topic.topic_id.0);
    let name = topic.name.as_deref().and_then(|name| TopicName::new(name).ok());
    let code = ErrorCode::new(topic.error_code);
    let Some(name) = name else {
        let code = if code.is_none() { ErrorCode::INVALID_TOPIC_EXCEPTION } else { code };
        return Err(TopicTrouble { name: None, id, code });
    };
    if !code.is_none() {
        return Err(TopicTrouble { name: Some(name), id, code });
    }
    let mut partitions: Vec<_> = topic.partitions.into_iter().filter_map(read_partition).collect();
    partitions.sort_by_key(|partition| partition.index);
    let gapless = partitions
        .iter()
        .enumerate()
        .all(|(at, partition)| i32::try_from(at) == Ok(partition.index.to_wire()));
    if !gapless {
        return Err(TopicTrouble { name: Some(name), id, code: ErrorCode::UNKNOWN_TOPIC_OR_PARTITION });
    }
    Ok(Topic { name, id, is_internal: topic.is_internal, partitions })
}

fn read_partition(partition: MetadataResponsePartition) -> Option<Partition> {
    Some(Partition {
        index: PartitionIndex::from_wire(partition.partition_index)?,
        leader: (partition.leader_id >= 0).then_some(partition.leader_id),
        leader_epoch: partition.leader_epoch,
        replicas: partition.replica_nodes,
        in_sync: partition.isr_nodes,
        error: ErrorCode::new(partition.error_code),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(cluster: &str, leader: i32, leader_epoch: i32) -> ClusterMap {
        let partition = MetadataResponsePartition { leader_id: leader, leader_epoch, ..Default::default() };
        let topic = MetadataResponseTopic {
            name: Some("orders".to_owned()),
            partitions: vec![partition],
            ..Default::default()
        };
        let cluster_id = Some(cluster.to_owned());
        ClusterMap::read(MetadataResponse { cluster_id, topics: vec![topic], ..Default::default() }).0
    }

    fn orders_0() -> TopicPartition {
        TopicPartition {
            topic: TopicName::new("orders").unwrap(),
            partition: PartitionIndex::from_wire(0).unwrap(),
        }
    }

    fn leader_of(map: &ClusterMap) -> i32 {
        map.leader(&orders_0()).unwrap().broker
    }

    #[test]
    fn a_leader_of_an_older_epoch_does_not_come_back() {
        let merged = map("c", 2, 8).merge(map("c", 1, 7), &[]);

        assert_eq!(leader_of(&merged), 2);
    }

    #[test]
    fn nothing_of_another_cluster_is_kept() {
        let merged = map("old", 2, 8).merge(map("new", 1, 0), &[]);

        assert_eq!(leader_of(&merged), 1);
    }

    #[test]
    fn a_hint_moves_the_leader_only_forward() {
        let hint = |leader, epoch| [LeaderHint { partition: orders_0(), leader, epoch }];
        let known = map("c", 1, 5);

        assert_eq!(leader_of(&known.with_hints(&hint(3, 6), vec![])), 3);
        assert_eq!(leader_of(&known.with_hints(&hint(3, 4), vec![])), 1);
    }

    #[test]
    fn a_deleted_topic_is_forgotten() {
        let answer = MetadataResponseTopic {
            name: Some("orders".to_owned()),
            error_code: ErrorCode::UNKNOWN_TOPIC_OR_PARTITION.code(),
            ..Default::default()
        };
        let cluster_id = Some("c".to_owned());
        let (newer, gone) =
            ClusterMap::read(MetadataResponse { cluster_id, topics: vec![answer], ..Default::default() });

        let merged = map("c", 1, 5).merge(newer, &gone);

        assert!(merged.topics.is_empty());
    }
}
