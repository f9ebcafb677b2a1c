//! How partitions come into a link's task, and what the source answers for them.

use leeward_client::{Fetched, TopicSelection};
use leeward_mirror_core::partition::{self, Event, MergePolicy, Settings, Start};
use leeward_model::{PartitionIndex, SourceOffset, TopicPartition};
use leeward_wire::record::split_batches;
use tokio::time::Instant;
use tracing::{debug, warn};

use super::{Task, slot::Slot};
use crate::{
    heartbeat::newest,
    input::{Input, MirroredTopic, Opening},
    limits::LATE_WITHIN,
    store::{Change, StoredPartition},
    target,
};

impl Task {
    /// Opens what the stored map knows, so that positions translate while the source is dark.
    pub(super) async fn open_stored(&mut self) {
        let names = self.parts.stored.lock().names.clone();
        let Ok(at_target) = self.parts.target.metadata(TopicSelection::All).await else { return };
        for (source_id, (source, target)) in names {
            let meant = source == self.heartbeat_partition.topic || self.parts.config.topics.matches(&source);
            if !meant {
                continue;
            }
            let Some(target_id) = at_target.topics.get(&target).and_then(|topic| topic.id) else { continue };
            let known = {
                let stored = self.parts.stored.lock();
                let of_topic = stored.partitions.keys().filter(|(topic, _)| *topic == source_id);
                of_topic.map(|(_, index)| index.to_wire().unsigned_abs() + 1).max().unwrap_or(0)
            };
            let topic = MirroredTopic { source, source_id, target, target_id, partitions: known };
            self.take_topic(&topic);
        }
    }

    pub(super) fn take_topic(&mut self, topic: &MirroredTopic) {
        if self.sealing.is_some() || self.sealed.is_some() {
            return;
        }
        self.remember_names(topic);
        for index in 0..topic.partitions {
            let index = i32::try_from(index).ok().and_then(PartitionIndex::from_wire);
            let Some(index) = index else { return };
            let partition = TopicPartition { topic: topic.source.clone(), partition: index };
            match self.slots.get(&partition) {
                None => self.add(&partition, topic, index),
                Some(slot) if slot.topic.source_id != topic.source_id => {
                    self.feed(&partition, Event::SourceTopicRecreated);
                }
                Some(slot) if slot.topic.target_id != topic.target_id => {
                    self.feed(&partition, Event::TargetTopicRecreated);
                }
                Some(_) => {}
            }
        }
    }

    fn remember_names(&mut self, topic: &MirroredTopic) {
        let names = (topic.source.clone(), topic.target.clone());
        let mut stored = self.parts.stored.lock();
        if stored.names.get(&topic.source_id) != Some(&names) {
            let (source, target) = names.clone();
            self.backlog.push_back(Change::Names { topic: topic.source_id, source, target });
            stored.names.insert(topic.source_id, names);
        }
    }

    fn add(&mut self, partition: &TopicPartition, topic: &MirroredTopic, index: PartitionIndex) {
        let config = &self.parts.config;
        let settings = Settings {
            link: config.name.clone(),
            topic: topic.source_id,
            partition: index,
            gap: config.gap,
            merge: MergePolicy::default(),
            late_within: LATE_WITHIN,
        };
        self.by_key.insert((topic.source_id, index), partition.clone());
        self.slots.insert(partition.clone(), Slot::new(topic.clone(), index, settings));
        self.open(partition);
    }

    /// Opens the partitions that could not begin yet.
    pub(super) fn open_waiting(&mut self) {
        let waiting = |slot: &Slot| !slot.opening && slot.machine.standing().state == "starting";
        let found: Vec<_> = self
            .slots
            .iter()
            .filter(|(_, slot)| waiting(slot))
            .map(|(partition, _)| partition.clone())
            .collect();
        for partition in found {
            self.open(&partition);
        }
    }

    /// Another process on this link has written: what is stored is read again.
    pub(super) fn reload(&mut self, partition: &TopicPartition) {
        warn!(link = %self.parts.config.name, %partition, "another process writes on this link");
        self.open(partition);
    }

    fn open(&mut self, partition: &TopicPartition) {
        let Some(slot) = self.slots.get_mut(partition) else { return };
        slot.opening = true;
        let key = (slot.topic.source_id, slot.index);
        let pair = (partition.clone(), slot.target());
        let maps = self.parts.maps.clone();
        let (cluster, source) = (self.parts.target.clone(), self.parts.source.borrow().clone());
        let inputs = self.parts.inputs.clone();
        tokio::spawn(async move {
            let stored = Box::pin(maps.partition(key));
            let opening = target::open(&cluster, source.as_ref(), (&pair.0, &pair.1), stored);
            let gathered = Box::pin(opening).await;
            let partition = pair.0.clone();
            let input = match gathered {
                Ok(opening) => Input::Opened { partition, opening },
                Err(error) => {
                    debug!(%partition, %error, "partition cannot begin yet");
                    tokio::time::sleep(crate::limits::CONNECT_RETRY).await;
                    Input::OpeningFailed { partition }
                }
            };
            // The link's task has ended where nobody listens.
            let _ = inputs.send(input).await;
        });
    }

    pub(super) fn opened(&mut self, partition: &TopicPartition, opening: Opening) {
        let Some(slot) = self.slots.get_mut(partition) else { return };
        slot.opening = false;
        let StoredPartition { runs, checkpoint } = opening.stored;
        if checkpoint.is_some_and(|(_, topic)| topic != slot.topic.target_id) {
            return self.feed(partition, Event::TargetTopicRecreated);
        }
        let begin = self.parts.config.begin;
        let start = Start {
            runs: runs.into_values().collect(),
            checkpoint: checkpoint.map(|(target, _)| target),
            target_end: opening.target_end,
            source_log_start: opening.source.map(|(start, _)| start),
            begin_at: opening.source.map(|range| target::begin_at(begin, range)),
        };
        self.feed(partition, Event::Started(start));
    }

    pub(super) fn fetched(&mut self, asked: &[TopicPartition], answers: Vec<Fetched>) {
        self.source_answered = Instant::now();
        self.moved = true;
        for answer in answers.into_iter().filter(|answer| answer.error.is_none()) {
            let partition = answer.partition.clone();
            if let Some(diverging) = answer.diverging {
                if let Some(end) = SourceOffset::from_wire(diverging.end_offset) {
                    self.feed(&partition, Event::SourceDiverged { end });
                }
                continue;
            }
            self.note_read(&partition, &answer);
            if let Some(fetched) = self.position(&partition).and_then(|from| to_core(from, answer)) {
                self.feed(&partition, Event::Fetched(fetched));
            }
        }
        for partition in asked {
            let end = self.slots.get(partition).and_then(|slot| {
                let standing = slot.machine.standing();
                standing.source_end.or(standing.cursors.map(|cursors| cursors.fetched))
            });
            if let Some(end) = end {
                self.heartbeats.answered(partition, end);
            }
        }
    }

    fn position(&self, partition: &TopicPartition) -> Option<SourceOffset> {
        self.slots.get(partition)?.machine.wanted()
    }

    fn note_read(&mut self, partition: &TopicPartition, answer: &Fetched) {
        let mut records = 0;
        let mut last_epoch = None;
        for batch in split_batches(answer.records.clone()).flatten() {
            records += u64::from(batch.record_count().unsigned_abs());
            last_epoch = Some(batch.partition_leader_epoch());
        }
        if let Some(slot) = self.slots.get_mut(partition) {
            slot.last_epoch = last_epoch.unwrap_or(slot.last_epoch);
        }
        self.parts.metrics.read(&partition.topic, records, answer.records.len() as u64);
        if *partition == self.heartbeat_partition
            && let Some((written, _)) = newest(answer.records.clone())
        {
            let counted = self.slots.iter().filter(|(_, slot)| !slot.is_deleted());
            let partitions: Vec<_> = counted.map(|(partition, _)| partition.clone()).collect();
            self.heartbeats.read(written, partitions.into_iter());
        }
    }

    pub(super) fn note_written(&mut self, partition: &TopicPartition) {
        if let Some(sent) = self.slots.get_mut(partition).and_then(Slot::note_written) {
            self.parts.metrics.written(&partition.topic, sent.records, sent.bytes, sent.written);
        }
    }

    pub(super) fn note_unwritten(&mut self, partition: &TopicPartition) {
        if let Some(slot) = self.slots.get_mut(partition) {
            slot.note_unwritten();
        }
    }
}

fn to_core(from: SourceOffset, answer: Fetched) -> Option<partition::Fetched> {
    let known = |offset| SourceOffset::from_wire(offset);
    let aborted = answer.aborted.iter().map(|aborted| partition::AbortedTransaction {
        producer_id: aborted.producer_id,
        first_offset: aborted.first_offset,
    });
    Some(partition::Fetched {
        from,
        aborted: aborted.collect(),
        records: answer.records,
        last_stable: known(answer.last_stable_offset).or(known(answer.high_watermark))?,
        log_start: known(answer.log_start_offset).unwrap_or(SourceOffset::FIRST),
    })
}
