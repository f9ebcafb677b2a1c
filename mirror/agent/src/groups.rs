//! Carries consumer groups' positions over to the target, as soon as the target has what they have read.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use futures::{StreamExt, TryStreamExt, stream};
use leeward_client::{Cluster, ClusterError, CommitOffset};
use leeward_mirror_core::groups::{Carried, Decision, Occupancy, Question, decide};
use leeward_mirror_core::map::{NotThere, Translation};
use leeward_model::{GroupName, SourceOffset, TargetOffset, TopicPartition};
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::timeout;
use tracing::{debug, info, warn};

use crate::{LinkConfig, metrics::LinkMetrics, task::Verb};

/// Groups that are asked for at the same time.
const CONCURRENT: usize = 8;

/// A group's position as the link sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupStanding {
    pub group: GroupName,
    /// At the source.
    pub partition: TopicPartition,
    pub source: SourceOffset,
    /// `None` where it is not translated yet.
    pub target: Option<TargetOffset>,
    /// `committed`, `waiting`, `skipped-active`, `skipped-ahead` or `unmapped`.
    pub state: &'static str,
}

type Key = (GroupName, TopicPartition);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Position {
    source: SourceOffset,
    metadata: String,
}

/// What the link knows of groups.
pub(crate) struct Groups {
    config: Arc<LinkConfig>,
    source: watch::Receiver<Option<Cluster>>,
    target: Cluster,
    verbs: mpsc::Sender<Verb>,
    metrics: LinkMetrics,
    positions: BTreeMap<Key, Position>,
    carried: HashMap<Key, Carried>,
    standings: Arc<Mutex<BTreeMap<Key, GroupStanding>>>,
}

/// What others may read of it.
pub(crate) type Standings = Arc<Mutex<BTreeMap<(GroupName, TopicPartition), GroupStanding>>>;

impl Groups {
    pub(crate) fn new(
        config: Arc<LinkConfig>,
        source: watch::Receiver<Option<Cluster>>,
        target: Cluster,
        verbs: mpsc::Sender<Verb>,
        metrics: LinkMetrics,
        standings: Standings,
    ) -> Self {
        let (positions, carried) = Default::default();
        Self { config, source, target, verbs, metrics, positions, carried, standings }
    }

    /// Looks at all groups once; `within` bounds the reading of the source.
    pub(crate) async fn look(&mut self, within: Duration) {
        let source = self.source.borrow().clone();
        if let Some(source) = source {
            match timeout(within, self.read(&source)).await {
                Ok(Ok(positions)) => self.positions = positions,
                Ok(Err(error)) => {
                    debug!(link = %self.config.name, %error, "groups of the source are not readable");
                }
                Err(_) => debug!(link = %self.config.name, "groups of the source are not readable in time"),
            }
        }
        self.carry().await;
    }

    async fn read(&self, source: &Cluster) -> Result<BTreeMap<Key, Position>, ClusterError> {
        let Some(selector) = &self.config.groups else { return Ok(BTreeMap::new()) };
        let listed = source.list_groups().await?;
        let followed =
            listed.into_iter().map(|group| group.name).filter(|group| selector.matches_group(group));
        let read: Vec<_> = stream::iter(followed)
            .map(|group| async move {
                let offsets = source.fetch_offsets(&group, None).await?;
                Ok::<_, ClusterError>((group, offsets))
            })
            .buffer_unordered(CONCURRENT)
            .try_collect()
            .await?;
        let positions = read.into_iter().flat_map(|(group, offsets)| {
            offsets.into_iter().filter_map(move |(partition, committed)| {
                let source = SourceOffset::from_wire(committed.offset)?;
                Some(((group.clone(), partition), Position { source, metadata: committed.metadata }))
            })
        });
        Ok(positions.filter(|((_, partition), _)| !partition.topic.is_internal()).collect())
    }

    /// Positions that the target does not have yet.
    fn open(&self) -> Vec<(Key, Position)> {
        let done = |key: &Key, position: &Position| {
            self.carried.get(key).is_some_and(|carried| carried.source == position.source)
        };
        let open = self.positions.iter().filter(|(key, position)| !done(key, position));
        open.map(|(key, position)| (key.clone(), position.clone())).collect()
    }

    async fn carry(&mut self) {
        let open = self.open();
        let Some(translations) = self.translate(&open).await else { return };
        let mut by_group = BTreeMap::<GroupName, Vec<_>>::new();
        for ((key, position), translation) in open.into_iter().zip(translations) {
            match translation {
                Some(translation) => by_group.entry(key.0).or_default().push((key.1, position, translation)),
                None => self.show(&key, &position, None, "unmapped"),
            }
        }
        for (group, wanted) in by_group {
            if let Err(error) = self.carry_group(&group, wanted).await {
                warn!(link = %self.config.name, %group, %error, "positions are not carried over");
            }
        }
        let standings = self.standings.lock();
        let waiting = standings.values().filter(|standing| standing.state == "waiting").count();
        self.metrics.groups(standings.len() - waiting, waiting);
    }

    async fn translate(&self, open: &[(Key, Position)]) -> Option<Vec<Option<Translation<TargetOffset>>>> {
        let positions = open.iter().map(|(key, position)| (key.1.clone(), position.source)).collect();
        let (reply, answer) = oneshot::channel();
        self.verbs.send(Verb::ToTarget { positions, reply }).await.ok()?;
        answer.await.ok()
    }

    async fn carry_group(
        &mut self,
        group: &GroupName,
        wanted: Vec<(TopicPartition, Position, Translation<TargetOffset>)>,
    ) -> Result<(), ClusterError> {
        let not_yet = |translation: &Translation<TargetOffset>| {
            matches!(translation, Translation::NotThere(NotThere::NotYet { .. } | NotThere::Nothing))
        };
        let any_exact = wanted.iter().any(|(_, _, translation)| !not_yet(translation));
        let (occupancy, there) = if any_exact {
            let described = self.target.describe_group(group).await?;
            let occupancy = if described.is_empty() { Occupancy::Vacant } else { Occupancy::Live };
            (occupancy, self.target.fetch_offsets(group, None).await?)
        } else {
            (Occupancy::Unknown, BTreeMap::new())
        };
        let mut commits = Vec::new();
        for (partition, position, translation) in wanted {
            let key = (group.clone(), partition);
            let Some(at) = self.at_target(&key.1) else { continue };
            let question = Question {
                source: position.source,
                translation,
                carried: self.carried.get(&key).copied(),
                at_target: there.get(&at).and_then(|committed| TargetOffset::from_wire(committed.offset)),
                occupancy,
            };
            match decide(question) {
                Decision::Commit(target) => commits.push((key, at, position, target)),
                Decision::Done(target) => self.note_carried(&key, &position, target),
                Decision::Wait(_) | Decision::WaitForOccupancy => self.show(&key, &position, None, "waiting"),
                Decision::Skip(reason) => {
                    if self.shows_news(&key, &position, translation.exact(), reason.code()) {
                        info!(link = %self.config.name, %group, partition = %key.1, ?reason, "position left alone");
                        self.metrics.skipped_active(group.as_str());
                    }
                }
            }
        }
        self.commit(group, commits).await
    }

    async fn commit(
        &mut self,
        group: &GroupName,
        commits: Vec<(Key, TopicPartition, Position, TargetOffset)>,
    ) -> Result<(), ClusterError> {
        let offsets: Vec<_> = commits
            .iter()
            .map(|(_, at, position, target)| {
                let metadata = position.metadata.clone();
                (at.clone(), CommitOffset { metadata, ..CommitOffset::at(target.to_wire()) })
            })
            .collect();
        let outcomes = self.target.commit_offsets(group, &offsets).await?;
        for (key, at, position, target) in commits {
            match outcomes.get(&at) {
                Some(Err(error)) => {
                    debug!(%group, partition = %at, %error, "target refuses a position");
                    self.show(&key, &position, Some(target), "waiting");
                }
                _ => self.note_carried(&key, &position, target),
            }
        }
        Ok(())
    }

    fn at_target(&self, partition: &TopicPartition) -> Option<TopicPartition> {
        let topic = self.config.naming.at_target(&partition.topic).ok()?;
        Some(TopicPartition { topic, partition: partition.partition })
    }

    fn note_carried(&mut self, key: &Key, position: &Position, target: TargetOffset) {
        self.carried.insert(key.clone(), Carried { source: position.source, target });
        self.show(key, position, Some(target), "committed");
    }

    fn show(&self, key: &Key, position: &Position, target: Option<TargetOffset>, state: &'static str) {
        self.shows_news(key, position, target, state);
    }

    /// Shows a position; true where this is news.
    fn shows_news(
        &self,
        key: &Key,
        position: &Position,
        target: Option<TargetOffset>,
        state: &'static str,
    ) -> bool {
        let (group, partition) = key.clone();
        let standing = GroupStanding { group, partition, source: position.source, target, state };
        let before = self.standings.lock().insert(key.clone(), standing.clone());
        before != Some(standing)
    }
}
