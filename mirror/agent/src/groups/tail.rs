//! Reads the source's `__consumer_offsets` from its end on and hands its batches over as they come.
//!
//! What goes wrong ends the tail with its reason: it is begun anew then, with another look at all groups, so that no state of a
//! broken one has to be carried on.

use std::collections::BTreeMap;

use bytes::Bytes;
use futures::future::try_join_all;
use leeward_client::{Cluster, ClusterError, FetchFrom, FetchPlan, Fetched, Fetcher, Isolation, OffsetSpec};
use leeward_model::{TopicName, TopicPartition};
use leeward_wire::{ErrorCode, record::split_batches};
use tokio::sync::mpsc;

use super::Event;
use crate::limits::{COMMITS_FETCH_BYTES_MAX, FETCH_WAIT_MAX};

/// Kafka's name for the topic that keeps groups and their positions.
const OFFSETS_TOPIC: &str = "__consumer_offsets";

/// Which attempt to follow the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Life(u64);

impl Life {
    pub(super) fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// Why a tail ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum TailError {
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    #[error("{partition} cannot be read: {code}")]
    Refused { partition: TopicPartition, code: ErrorCode },
    #[error("link is ending")]
    NobodyListens,
}

impl TailError {
    /// Whether only a person can change that, by rights or settings.
    pub(super) fn lasts(&self) -> bool {
        let code = match self {
            Self::Cluster(error) => error.code(),
            Self::Refused { code, .. } => Some(*code),
            Self::NobodyListens => None,
        };
        matches!(code, Some(ErrorCode::TOPIC_AUTHORIZATION_FAILED | ErrorCode::CLUSTER_AUTHORIZATION_FAILED))
    }
}

/// Follows the log until something goes wrong, and says what.
pub(super) async fn follow(source: Cluster, life: Life, events: mpsc::Sender<Event>) {
    let error = match read_on(&source, life, &events).await {
        Ok(never) => match never {},
        Err(error) => error,
    };
    // The link's end is no news.
    let _ = events.send(Event::TailEnded { life, error }).await;
}

async fn read_on(
    source: &Cluster,
    life: Life,
    events: &mpsc::Sender<Event>,
) -> Result<std::convert::Infallible, TailError> {
    source.refresh().await?;
    let starts = ends(source, Isolation::ReadCommitted).await?;
    let by_index = starts.iter().map(|(partition, start)| (partition.partition.to_wire(), *start));
    tell(events, Event::TailBegins { life, starts: by_index.collect() }).await?;
    let mut by_broker = BTreeMap::<i32, BTreeMap<TopicPartition, i64>>::new();
    for (partition, start) in starts {
        let leader = source.leader(&partition).await?.broker;
        by_broker.entry(leader).or_default().insert(partition, start);
    }
    let readers = by_broker.into_iter().map(|(broker, positions)| {
        let reader = Reader { fetcher: Fetcher::new(source, broker), positions, life, events };
        reader.run()
    });
    let mut never = try_join_all(readers).await?;
    Ok(never.pop().expect("a topic has partitions, and a partition that is read has a leader"))
}

async fn tell(events: &mpsc::Sender<Event>, event: Event) -> Result<(), TailError> {
    events.send(event).await.map_err(|_| TailError::NobodyListens)
}

/// Where each partition of the offsets topic ends: for the committed, before the first open transaction.
pub(super) async fn ends(
    source: &Cluster,
    isolation: Isolation,
) -> Result<BTreeMap<TopicPartition, i64>, ClusterError> {
    let name = TopicName::new(OFFSETS_TOPIC).expect("a legal name");
    let topic = source.topic(&name).await?;
    let asked: Vec<_> = topic
        .partitions
        .iter()
        .map(|partition| {
            (TopicPartition { topic: name.clone(), partition: partition.index }, OffsetSpec::Latest)
        })
        .collect();
    let listed = source.list_offsets(&asked, isolation).await;
    listed.into_iter().map(|(partition, listed)| Ok((partition, listed?.offset))).collect()
}

/// The same, by the partitions' indexes.
pub(super) async fn ends_by_index(source: &Cluster) -> Result<BTreeMap<i32, i64>, ClusterError> {
    let ends = ends(source, Isolation::ReadUncommitted).await?;
    Ok(ends.into_iter().map(|(partition, end)| (partition.partition.to_wire(), end)).collect())
}

/// Reads the partitions that one broker leads.
struct Reader<'a> {
    fetcher: Fetcher,
    positions: BTreeMap<TopicPartition, i64>,
    life: Life,
    events: &'a mpsc::Sender<Event>,
}

impl Reader<'_> {
    async fn run(mut self) -> Result<std::convert::Infallible, TailError> {
        let plan = FetchPlan {
            isolation: Isolation::ReadUncommitted,
            max_wait: FETCH_WAIT_MAX,
            max_bytes: COMMITS_FETCH_BYTES_MAX,
            ..FetchPlan::default()
        };
        for (partition, start) in &self.positions {
            self.fetcher.set(partition.clone(), FetchFrom::offset(*start));
        }
        loop {
            for answer in self.fetcher.fetch(&plan).await? {
                self.take(answer).await?;
            }
        }
    }

    async fn take(&mut self, answer: Fetched) -> Result<(), TailError> {
        let partition = answer.partition;
        if !answer.error.is_none() {
            return Err(TailError::Refused { partition, code: answer.error });
        }
        let Some(next) = next_offset(&answer.records) else { return Ok(()) };
        self.fetcher.set(partition.clone(), FetchFrom::offset(next));
        let (life, records) = (self.life, answer.records);
        tell(self.events, Event::Committed { life, partition: partition.partition.to_wire(), records }).await
    }
}

/// What comes behind the whole batches of an answer. Bytes that are no batch are left to whoever reads them.
fn next_offset(records: &Bytes) -> Option<i64> {
    split_batches(records.clone()).map_while(Result::ok).last().map(|batch| batch.next_offset())
}
