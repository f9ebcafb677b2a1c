//! Where a link's maps are kept: a compacted topic at the target, which is the truth, and a local copy.

mod copy;
mod local;
mod parts;
mod reader;
#[cfg(test)]
mod tests;
mod topic;
mod writer;
mod writing;

use std::collections::{BTreeMap, HashMap};

use leeward_mirror_core::map::{MapRecord, Run};
use leeward_model::{PartitionIndex, SourceOffset, TargetOffset, TopicId, TopicName};

pub(crate) use copy::{LocalCopy, fill_from_copy};
pub(crate) use local::Local;
pub(crate) use reader::MapReader;
pub(crate) use topic::{MapTopic, SharedStored};
pub(crate) use writer::{Change, Writer};
pub(crate) use writing::SharedWriting;

/// What is to be written about a partition of a source topic.
pub(crate) type Fact = (TopicId, PartitionIndex, MapRecord);

pub(crate) type Facts = Vec<Fact>;

/// What is stored about one partition.
#[derive(Clone, Debug, Default)]
pub(crate) struct StoredPartition {
    pub(crate) runs: BTreeMap<SourceOffset, Run>,
    pub(crate) checkpoint: Option<(TargetOffset, TopicId)>,
}

/// What is stored about all partitions of a link.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stored {
    pub(crate) partitions: HashMap<(TopicId, PartitionIndex), StoredPartition>,
    /// Source and target names.
    pub(crate) names: HashMap<TopicId, (TopicName, TopicName)>,
}

impl Stored {
    pub(crate) fn is_empty(&self) -> bool {
        self.partitions.is_empty() && self.names.is_empty()
    }

    pub(crate) fn apply(&mut self, topic: TopicId, partition: PartitionIndex, record: MapRecord) {
        match record {
            MapRecord::Names { source, target } => {
                self.names.insert(topic, (source, target));
            }
            MapRecord::NamesRemoved => {
                self.names.remove(&topic);
            }
            MapRecord::Run(run) => {
                self.partition(topic, partition).runs.insert(run.source, run);
            }
            MapRecord::RunRemoved(source) => {
                self.partition(topic, partition).runs.remove(&source);
            }
            MapRecord::Checkpoint { target, target_topic } => {
                self.partition(topic, partition).checkpoint = Some((target, target_topic));
            }
            MapRecord::CheckpointRemoved => self.partition(topic, partition).checkpoint = None,
        }
    }

    /// All of it as records.
    pub(crate) fn facts(&self) -> Facts {
        let first = PartitionIndex::from_wire(0).expect("0 is an index");
        let names = self.names.iter().map(|(topic, (source, target))| {
            (*topic, first, MapRecord::Names { source: source.clone(), target: target.clone() })
        });
        let runs = self.partitions.iter().flat_map(|((topic, index), partition)| {
            let checkpoint = partition
                .checkpoint
                .map(|(target, target_topic)| MapRecord::Checkpoint { target, target_topic });
            let runs = partition.runs.values().map(|run| MapRecord::Run(*run));
            runs.chain(checkpoint).map(|record| (*topic, *index, record))
        });
        names.chain(runs).collect()
    }

    /// What takes away a source topic's partitions that are gone, and its names where none is left.
    ///
    /// The names come last, so that half of it is found again.
    pub(crate) fn removal(&self, topic: TopicId, gone: impl Fn(&StoredPartition) -> bool) -> Facts {
        let first = PartitionIndex::from_wire(0).expect("0 is an index");
        let of_topic = self.partitions.iter().filter(|((of, _), _)| *of == topic);
        let (gone, left): (Vec<_>, Vec<_>) = of_topic.partition(|(_, partition)| gone(partition));
        let partitions = gone.into_iter().flat_map(|((_, index), partition)| {
            let runs = partition.runs.keys().map(|source| MapRecord::RunRemoved(*source));
            runs.chain([MapRecord::CheckpointRemoved]).map(|record| (topic, *index, record))
        });
        let names = left.is_empty().then_some((topic, first, MapRecord::NamesRemoved));
        partitions.chain(names).collect()
    }

    /// What takes away the maps into target topics that are not `present` under the id that was written to.
    pub(crate) fn removal_of_deleted(&self, present: impl Fn(&TopicName) -> Option<TopicId>) -> Facts {
        let removals = self.names.iter().map(|(topic, (_, target))| {
            let present = present(target);
            let other = |(_, written)| Some(written) != present;
            self.removal(*topic, |partition| present.is_none() || partition.checkpoint.is_some_and(other))
        });
        removals.flatten().collect()
    }

    fn partition(&mut self, topic: TopicId, partition: PartitionIndex) -> &mut StoredPartition {
        self.partitions.entry((topic, partition)).or_default()
    }
}
