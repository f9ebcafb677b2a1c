//! Reads record batches of many partitions from one broker, by long polls, within a fetch session where the broker has them.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use bytes::Bytes;
use leeward_model::{PartitionIndex, TopicId, TopicName, TopicPartition};
use leeward_wire::{
    ApiKey, ErrorCode, Uuid,
    api::{
        FetchRequest, FetchRequestForgottenTopic, FetchRequestPartition, FetchRequestTopic, FetchResponse,
        FetchResponsePartition,
    },
};

use crate::{Address, Broker, Cluster, ClusterError, Connection, Lane, RequestError, cluster::LeaderHint};

/// Newest version of `Fetch` that names topics; later ones take their ids.
const FETCH_BY_NAME: i16 = 12;
/// First version that tells a fetcher where its log and the leader's part.
const FETCH_DIVERGENCE: i16 = 12;
/// Session epoch of a request outside any session.
const NO_SESSION: i32 = -1;

/// Which records are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Isolation {
    /// All, of open and aborted transactions too.
    #[default]
    ReadUncommitted,
    /// Up to the first open transaction. Aborted ones are named, not taken out.
    ReadCommitted,
}

impl Isolation {
    pub(crate) fn to_wire(self) -> i8 {
        match self {
            Self::ReadUncommitted => 0,
            Self::ReadCommitted => 1,
        }
    }
}

/// How much to read at once, and how long to wait for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FetchPlan {
    pub isolation: Isolation,
    /// The broker answers after this time at the latest.
    pub max_wait: Duration,
    /// The broker answers as soon as it has this many bytes.
    pub min_bytes: i32,
    /// Bytes of one answer; the first batch comes whole even if it is larger.
    pub max_bytes: i32,
}

impl Default for FetchPlan {
    fn default() -> Self {
        Self {
            isolation: Isolation::ReadUncommitted,
            max_wait: Duration::from_millis(500),
            min_bytes: 1,
            max_bytes: 16 * 1024 * 1024,
        }
    }
}

/// Where to read one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FetchFrom {
    pub offset: i64,
    /// The leader epoch that the reader believes in, -1 for none: another is refused.
    pub leader_epoch: i32,
    /// The leader epoch of the last record read, -1 for none: the broker tells where the logs part.
    pub last_fetched_epoch: i32,
    /// Bytes of the partition in one answer.
    pub max_bytes: i32,
}

impl FetchFrom {
    /// Reads from `offset` on, whoever leads.
    pub fn offset(offset: i64) -> Self {
        Self { offset, leader_epoch: -1, last_fetched_epoch: -1, max_bytes: 4 * 1024 * 1024 }
    }
}

/// What an answer says about one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetched {
    pub partition: TopicPartition,
    /// Why there are no records; [`ErrorCode::NONE`] where nothing is wrong.
    pub error: ErrorCode,
    /// Batches as the broker stores them; the last may be cut off, the first may begin before the asked offset.
    pub records: Bytes,
    pub high_watermark: i64,
    /// -1 where the broker tells none.
    pub last_stable_offset: i64,
    /// -1 where the broker tells none.
    pub log_start_offset: i64,
    pub aborted: Vec<AbortedTransaction>,
    /// Where our log and the leader's part, where they do.
    pub diverging: Option<EpochEnd>,
}

/// A transaction whose records are not to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AbortedTransaction {
    pub producer_id: i64,
    pub first_offset: i64,
}

/// The end of a leader epoch in a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpochEnd {
    /// -1 where the broker knows none so old.
    pub epoch: i32,
    pub end_offset: i64,
}

/// Reads partitions that one broker leads, over a connection of its own.
#[derive(Debug)]
pub struct Fetcher {
    cluster: Cluster,
    broker: i32,
    lane: Lane,
    wanted: BTreeMap<TopicPartition, FetchFrom>,
    session: Session,
}

/// What the broker remembers of us.
#[derive(Debug)]
struct Session {
    /// The connection's address and identity change with a new connection; the session does not, but a broker that
    /// restarted has forgotten it and says so.
    id: i32,
    next_epoch: i32,
    told: BTreeMap<TopicPartition, (FetchFrom, Option<TopicId>)>,
    /// Set once the broker has no room for a session.
    unavailable: bool,
}

impl Session {
    const fn none() -> Self {
        Self { id: 0, next_epoch: 0, told: BTreeMap::new(), unavailable: false }
    }
}

impl Fetcher {
    /// Reads from the broker with this id.
    pub fn new(cluster: &Cluster, broker: i32) -> Self {
        Self {
            cluster: cluster.clone(),
            broker,
            lane: Lane::own(),
            wanted: BTreeMap::new(),
            session: Session::none(),
        }
    }

    /// The broker that is read from.
    pub fn broker(&self) -> i32 {
        self.broker
    }

    /// Reads `partition` from there on; also moves a partition that is read already.
    pub fn set(&mut self, partition: TopicPartition, from: FetchFrom) {
        self.wanted.insert(partition, from);
    }

    /// Stops reading `partition`.
    pub fn remove(&mut self, partition: &TopicPartition) {
        self.wanted.remove(partition);
    }

    /// Where `partition` is read next.
    pub fn position(&self, partition: &TopicPartition) -> Option<FetchFrom> {
        self.wanted.get(partition).copied()
    }

    /// All partitions that are read.
    pub fn partitions(&self) -> impl Iterator<Item = &TopicPartition> {
        self.wanted.keys()
    }

    /// True when there is nothing to read.
    pub fn is_empty(&self) -> bool {
        self.wanted.is_empty()
    }

    /// Asks once and waits for the answer. Positions stay where they are: the caller moves them by [`Fetcher::set`].
    /// Within a session, partitions without anything new are missing in the answer.
    ///
    /// # Errors
    ///
    /// [`ClusterError`]; the next call starts a new session.
    pub async fn fetch(&mut self, plan: &FetchPlan) -> Result<Vec<Fetched>, ClusterError> {
        match self.attempt(plan).await {
            Err(error) if is_session_error(&error) => {
                self.session = Session::none();
                self.attempt(plan).await
            }
            outcome => outcome,
        }
    }

    async fn attempt(&mut self, plan: &FetchPlan) -> Result<Vec<Fetched>, ClusterError> {
        let connection = self.cluster.connection(self.broker, self.lane).await?;
        let map = self.cluster.map();
        let id_of = |topic: &TopicName| map.topics.get(topic).and_then(|topic| topic.id);
        let ids_known = self.wanted.keys().all(|partition| id_of(&partition.topic).is_some());
        let cap = if ids_known { i16::MAX } else { FETCH_BY_NAME };
        let version = connection.version_up_to::<FetchRequest>(cap).map_err(RequestError::from)?;
        let now: BTreeMap<_, _> = self
            .wanted
            .iter()
            .map(|(partition, from)| (partition.clone(), (*from, id_of(&partition.topic))))
            .collect();
        let request = self.request(plan, &now, version);
        // Unless an answer says otherwise, the broker's session is not what we think it is.
        let session = std::mem::replace(&mut self.session, Session::none());
        let time = plan.max_wait + connection.request_timeout();
        let answer = connection.send_within(&request, version, time).await?;
        self.session = next_session(&session, &answer, now);
        let code = ErrorCode::new(answer.error_code);
        if !code.is_none() {
            return Err(refused(&connection, format!("{} partitions", self.wanted.len()), code));
        }
        Ok(read(&self.cluster, &self.session, answer))
    }

    fn request(
        &self,
        plan: &FetchPlan,
        now: &BTreeMap<TopicPartition, (FetchFrom, Option<TopicId>)>,
        version: i16,
    ) -> FetchRequest {
        let told = &self.session.told;
        let changed = now.iter().filter(|(partition, what)| told.get(*partition) != Some(*what));
        let mut topics: BTreeMap<&str, FetchRequestTopic> = BTreeMap::new();
        for (partition, (from, id)) in changed {
            let topic = topics.entry(partition.topic.as_str()).or_insert_with(|| FetchRequestTopic {
                topic: partition.topic.as_str().to_owned(),
                topic_id: wire_id(*id),
                partitions: Vec::new(),
            });
            topic.partitions.push(FetchRequestPartition {
                partition: partition.partition.to_wire(),
                current_leader_epoch: from.leader_epoch,
                fetch_offset: from.offset,
                last_fetched_epoch: if version >= FETCH_DIVERGENCE { from.last_fetched_epoch } else { -1 },
                partition_max_bytes: from.max_bytes,
                ..FetchRequestPartition::default()
            });
        }
        FetchRequest {
            max_wait_ms: i32::try_from(plan.max_wait.as_millis()).unwrap_or(i32::MAX),
            min_bytes: plan.min_bytes,
            max_bytes: plan.max_bytes,
            isolation_level: plan.isolation.to_wire(),
            session_id: self.session.id,
            session_epoch: if self.session.unavailable { NO_SESSION } else { self.session.next_epoch },
            topics: topics.into_values().collect(),
            forgotten_topics_data: forgotten(told, now),
            ..FetchRequest::default()
        }
    }
}

impl Drop for Fetcher {
    fn drop(&mut self) {
        self.cluster.forget_lane(self.lane);
    }
}

fn wire_id(id: Option<TopicId>) -> Uuid {
    id.map_or(Uuid::ZERO, |id| Uuid(id.to_wire()))
}

/// What the broker remembers and we no longer want, or want of a topic that has become another.
fn forgotten(
    told: &BTreeMap<TopicPartition, (FetchFrom, Option<TopicId>)>,
    now: &BTreeMap<TopicPartition, (FetchFrom, Option<TopicId>)>,
) -> Vec<FetchRequestForgottenTopic> {
    let mut topics: BTreeMap<(&str, Option<TopicId>), BTreeSet<i32>> = BTreeMap::new();
    for (partition, (_, id)) in told {
        if now.get(partition).is_none_or(|(_, id_now)| id_now != id) {
            let key = (partition.topic.as_str(), *id);
            topics.entry(key).or_default().insert(partition.partition.to_wire());
        }
    }
    topics
        .into_iter()
        .map(|((name, id), partitions)| FetchRequestForgottenTopic {
            topic: name.to_owned(),
            topic_id: wire_id(id),
            partitions: partitions.into_iter().collect(),
        })
        .collect()
}

fn next_session(
    before: &Session,
    answer: &FetchResponse,
    told: BTreeMap<TopicPartition, (FetchFrom, Option<TopicId>)>,
) -> Session {
    if answer.error_code != 0 || answer.session_id == 0 {
        // Without room for a session the broker answers as if none had been asked for.
        let unavailable = before.unavailable || (answer.error_code == 0 && before.id == 0);
        return Session { unavailable, ..Session::none() };
    }
    let next_epoch = if before.next_epoch == i32::MAX { 1 } else { before.next_epoch + 1 };
    Session { id: answer.session_id, next_epoch, told, unavailable: false }
}

fn is_session_error(error: &ClusterError) -> bool {
    matches!(
        error.code(),
        Some(
            ErrorCode::FETCH_SESSION_ID_NOT_FOUND
                | ErrorCode::INVALID_FETCH_SESSION_EPOCH
                | ErrorCode::FETCH_SESSION_TOPIC_ID_ERROR
        )
    )
}

fn refused(connection: &Connection, subject: String, code: ErrorCode) -> ClusterError {
    ClusterError::Refused {
        api: ApiKey::Fetch,
        address: connection.address().clone(),
        subject,
        code,
        message: None,
    }
}

fn read(cluster: &Cluster, session: &Session, answer: FetchResponse) -> Vec<Fetched> {
    let mut hints = Vec::new();
    let mut fetched = Vec::new();
    for topic in answer.responses {
        let told = session.told.iter().find(|(_, (_, id))| {
            topic.topic.is_empty() && id.is_some_and(|id| id.to_wire() == topic.topic_id.0)
        });
        let name = match told {
            Some((partition, _)) => Some(partition.topic.clone()),
            None => cluster.topic_name(&topic.topic, topic.topic_id),
        };
        let Some(name) = name else {
            continue;
        };
        for partition in topic.partitions {
            let Some(index) = PartitionIndex::from_wire(partition.partition_index) else {
                continue;
            };
            let of = TopicPartition { topic: name.clone(), partition: index };
            if partition.current_leader.leader_id >= 0 {
                hints.push(LeaderHint {
                    partition: of.clone(),
                    leader: partition.current_leader.leader_id,
                    epoch: partition.current_leader.leader_epoch,
                });
            }
            fetched.push(read_partition(of, partition));
        }
    }
    let brokers: Vec<_> = answer
        .node_endpoints
        .into_iter()
        .filter_map(|node| {
            let address = Address::new(node.host, u16::try_from(node.port).ok()?);
            Some(Broker { id: node.node_id, address, rack: node.rack })
        })
        .collect();
    cluster.take_hints(&hints, &brokers);
    fetched
}

fn read_partition(partition: TopicPartition, answer: FetchResponsePartition) -> Fetched {
    let diverging = answer.diverging_epoch;
    Fetched {
        partition,
        error: ErrorCode::new(answer.error_code),
        records: answer.records.unwrap_or_default(),
        high_watermark: answer.high_watermark,
        last_stable_offset: answer.last_stable_offset,
        log_start_offset: answer.log_start_offset,
        aborted: answer
            .aborted_transactions
            .unwrap_or_default()
            .into_iter()
            .map(|aborted| AbortedTransaction {
                producer_id: aborted.producer_id,
                first_offset: aborted.first_offset,
            })
            .collect(),
        diverging: (diverging.end_offset >= 0)
            .then_some(EpochEnd { epoch: diverging.epoch, end_offset: diverging.end_offset }),
    }
}
