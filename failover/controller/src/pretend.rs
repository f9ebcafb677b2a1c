//! A cluster of one broker that only pretends: for tests of what is asked of it, and in which order.

mod mirror;

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicBool, AtomicU64},
};

use bytes::Bytes;
use leeward_failover_core::{LogEnd, Tail};
use leeward_model::{
    ClusterId, GroupName, PartitionIndex, SourceOffset, TargetOffset, TopicName, TopicPartition,
};
use parking_lot::Mutex;
use std::sync::atomic::Ordering::Relaxed;

use crate::cluster::{
    BrokerId, Cluster, ClusterError, ClusterView, GroupCommit, LedPartition, QuarantineTopic,
    QuarantinedRecord, WriteProbe,
};

pub(crate) use mirror::PretendMirror;

const BROKER: BrokerId = BrokerId(1);

#[derive(Debug, Default)]
struct Inner {
    ends: BTreeMap<TopicPartition, i64>,
    bytes: BTreeMap<TopicName, u64>,
    default_bytes: Option<u64>,
    canaries: Vec<Bytes>,
    commits: Vec<(GroupName, Vec<(TopicPartition, TargetOffset)>)>,
    quarantined: u64,
    deaf: Vec<BrokerId>,
    seals: u64,
    /// Topics with a zero that only a value can replace.
    stubborn: Vec<TopicName>,
}

/// State that a test changes from outside.
#[derive(Debug)]
pub(crate) struct PretendCluster {
    name: String,
    dead: AtomicBool,
    moving: AtomicBool,
    /// Records that followers lack.
    unreplicated: AtomicU64,
    inner: Mutex<Inner>,
}

type Answer<'a, T> = futures::future::BoxFuture<'a, Result<T, ClusterError>>;

impl PretendCluster {
    pub(crate) fn new(name: &str, topics: &[&str]) -> Self {
        let partition = |topic: &&str| TopicPartition {
            topic: TopicName::new(topic).expect("legal"),
            partition: PartitionIndex::from_wire(0).expect("not negative"),
        };
        let ends = topics.iter().map(|topic| (partition(topic), 10)).collect();
        let inner = Inner { ends, ..Inner::default() };
        let (dead, moving, unreplicated) = (false.into(), false.into(), 0.into());
        Self { name: name.into(), dead, moving, unreplicated, inner: Mutex::new(inner) }
    }

    pub(crate) fn die(&self, dead: bool) {
        self.dead.store(dead, Relaxed);
    }

    pub(crate) fn lack(&self, records: u64) {
        self.unreplicated.store(records, Relaxed);
    }

    pub(crate) fn keep_moving(&self) {
        self.moving.store(true, Relaxed);
    }

    pub(crate) fn ignore_seals(&self, broker: BrokerId) {
        self.inner.lock().deaf.push(broker);
    }

    /// The topic's zero is a deleted topic's: there is nothing to take away.
    pub(crate) fn keep_zero_of_a_deleted_topic(&self, topic: &TopicName) {
        self.inner.lock().stubborn.push(topic.clone());
    }

    pub(crate) fn set_bytes(&self, topic: &TopicName, bytes: Option<u64>) {
        let mut inner = self.inner.lock();
        inner.seals += u64::from(bytes == Some(0));
        if bytes.is_none() && inner.stubborn.contains(topic) {
            return;
        }
        inner.stubborn.retain(|other| other != topic);
        match bytes {
            Some(bytes) => inner.bytes.insert(topic.clone(), bytes),
            None => inner.bytes.remove(topic),
        };
    }

    /// How often a topic was made to refuse writes.
    pub(crate) fn seals(&self) -> u64 {
        self.inner.lock().seals
    }

    pub(crate) fn bytes(&self, topic: &TopicName) -> Option<u64> {
        self.inner.lock().bytes.get(topic).copied()
    }

    pub(crate) fn default_bytes(&self) -> Option<u64> {
        self.inner.lock().default_bytes
    }

    pub(crate) fn set_default_bytes(&self, bytes: Option<u64>) {
        self.inner.lock().default_bytes = bytes;
    }

    pub(crate) fn append(&self, topic: &str, records: i64) {
        let mut inner = self.inner.lock();
        let end = inner.ends.iter_mut().find(|(partition, _)| partition.topic.as_str() == topic);
        *end.expect("the topic is there").1 += records;
    }

    fn answer<T: Send + 'static>(&self, value: T) -> Answer<'_, T> {
        let dead = self.dead.load(Relaxed);
        let cluster = self.name.clone();
        let answer =
            if dead { Err(ClusterError::Unreachable { cluster, reason: "dead".into() }) } else { Ok(value) };
        Box::pin(async move { answer })
    }

    /// Changes nothing where the cluster is dead.
    fn change<T: Send + Default + 'static>(&self, change: impl FnOnce(&mut Inner) -> T) -> Answer<'_, T> {
        if self.dead.load(Relaxed) {
            return self.answer(T::default());
        }
        let value = change(&mut self.inner.lock());
        self.answer(value)
    }
}

impl Cluster for PretendCluster {
    fn reach(&self) -> Answer<'_, ()> {
        self.answer(())
    }

    fn api_versions(&self) -> Answer<'_, ()> {
        self.answer(())
    }

    fn identify(&self) -> Answer<'_, ClusterId> {
        self.answer(ClusterId::new(self.name.clone()))
    }

    fn view(&self) -> Answer<'_, ClusterView> {
        let led =
            |partition: &TopicPartition| LedPartition { partition: partition.clone(), leader: Some(BROKER) };
        let partitions = self.inner.lock().ends.keys().map(led).collect();
        self.answer(ClusterView {
            cluster_id: ClusterId::new(self.name.clone()),
            brokers: vec![BROKER],
            partitions,
        })
    }

    fn produce_canary(&self, payload: Bytes) -> Answer<'_, SourceOffset> {
        let mut at = SourceOffset::FIRST;
        if !self.dead.load(Relaxed) {
            let mut inner = self.inner.lock();
            at = at.after(inner.canaries.len() as u64);
            inner.canaries.push(payload);
        }
        self.answer(at)
    }

    fn fetch_canary(&self, at: SourceOffset, payload: Bytes) -> Answer<'_, bool> {
        let index = usize::try_from(at.to_wire()).expect("not negative");
        let found = self.inner.lock().canaries.get(index) == Some(&payload);
        self.answer(found)
    }

    fn message_bytes_max<'a>(
        &'a self,
        topics: &'a [TopicName],
    ) -> Answer<'a, BTreeMap<TopicName, Option<u64>>> {
        let inner = self.inner.lock();
        let found = topics.iter().map(|topic| (topic.clone(), inner.bytes.get(topic).copied())).collect();
        drop(inner);
        self.answer(found)
    }

    fn set_message_bytes_max<'a>(&'a self, topics: &'a [(TopicName, Option<u64>)]) -> Answer<'a, ()> {
        if !self.dead.load(Relaxed) {
            for (topic, bytes) in topics {
                self.set_bytes(topic, *bytes);
            }
        }
        self.answer(())
    }

    fn default_message_bytes_max(&self) -> Answer<'_, Option<u64>> {
        let default = self.inner.lock().default_bytes;
        self.answer(default)
    }

    fn set_default_message_bytes_max(&self, bytes: Option<u64>) -> Answer<'_, ()> {
        self.change(|inner| inner.default_bytes = bytes)
    }

    fn probe_writes<'a>(
        &'a self,
        partitions: &'a [TopicPartition],
    ) -> Answer<'a, Vec<(TopicPartition, WriteProbe)>> {
        let inner = self.inner.lock();
        let probe = |partition: &TopicPartition| {
            let refused = inner.bytes.get(&partition.topic) == Some(&0) && !inner.deaf.contains(&BROKER);
            (partition.clone(), if refused { WriteProbe::Refused } else { WriteProbe::Open })
        };
        let probes = partitions.iter().map(probe).collect();
        drop(inner);
        self.answer(probes)
    }

    fn log_ends<'a>(&'a self, partitions: &'a [TopicPartition]) -> Answer<'a, Vec<LogEnd>> {
        let mut inner = self.inner.lock();
        if self.moving.load(Relaxed) {
            inner.ends.values_mut().for_each(|end| *end += 1);
        }
        let end = |partition: &TopicPartition| LogEnd {
            partition: partition.clone(),
            end: SourceOffset::from_wire(inner.ends.get(partition).copied().unwrap_or(0))
                .expect("not negative"),
        };
        let ends = partitions.iter().map(end).collect();
        drop(inner);
        self.answer(ends)
    }

    fn written_ends<'a>(&'a self, partitions: &'a [TopicPartition]) -> Answer<'a, Vec<LogEnd>> {
        let unreplicated = self.unreplicated.load(Relaxed);
        Box::pin(async move {
            let mut ends = self.log_ends(partitions).await?;
            for log in &mut ends {
                log.end = log.end.after(unreplicated);
            }
            Ok(ends)
        })
    }

    fn commit_group<'a>(
        &'a self,
        group: &'a GroupName,
        positions: &'a [(TopicPartition, TargetOffset)],
    ) -> Answer<'a, GroupCommit> {
        self.inner.lock().commits.push((group.clone(), positions.to_vec()));
        self.answer(GroupCommit::Committed)
    }

    fn delete_topics<'a>(&'a self, topics: &'a [TopicName]) -> Answer<'a, ()> {
        self.change(|inner| inner.ends.retain(|partition, _| !topics.contains(&partition.topic)))
    }

    fn copy_tail<'a>(
        &'a self,
        tail: &'a Tail,
        survivor: &'a dyn Cluster,
        into: &'a QuarantineTopic,
    ) -> Answer<'a, u64> {
        let record = QuarantinedRecord {
            origin: tail.partition.clone(),
            offset: tail.from,
            timestamp_millis: 0,
            key: None,
            value: None,
            headers: Vec::new(),
        };
        let records = vec![record; usize::try_from(tail.offsets()).expect("few")];
        Box::pin(async move {
            survivor.append_quarantine(into, records).await?;
            Ok(tail.offsets())
        })
    }

    fn quarantined_to<'a>(
        &'a self,
        _: &'a QuarantineTopic,
        _: &'a TopicPartition,
    ) -> Answer<'a, Option<SourceOffset>> {
        self.answer(None)
    }

    fn append_quarantine<'a>(
        &'a self,
        _: &'a QuarantineTopic,
        records: Vec<QuarantinedRecord>,
    ) -> Answer<'a, ()> {
        self.change(|inner| inner.quarantined += records.len() as u64)
    }
}
