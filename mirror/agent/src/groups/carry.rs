//! Carries positions over: translates them, asks the target what it has, commits.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use futures::{StreamExt, stream};
use leeward_client::{Cluster, ClusterError, CommitOffset, CommittedOffset, PerPartition};
use leeward_mirror_core::groups::{Carried, Decision, Key, Occupancy, Position, Question, decide};
use leeward_mirror_core::map::{NotThere, Translation};
use leeward_model::{GroupName, SourceOffset, TargetOffset, TopicPartition};
use leeward_wire::ErrorCode;
use tokio::{sync::oneshot, time::Instant};
use tracing::{debug, info, warn};

use super::{GroupStanding, Groups};
use crate::{limits::GROUPS_ASKED_MAX, task::Verb};

/// Time after which a position that was left alone, or refused, is tried again.
const AGAIN_AFTER: Duration = Duration::from_secs(1);

/// Time after which a position in a partition that is not mirrored, or not yet, is tried again.
const UNMAPPED_AGAIN_AFTER: Duration = Duration::from_millis(200);

/// Least time between two commits of a position that the target does not have yet, each as far as it has the records.
const SO_FAR_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// What a position that the target does not have yet waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standby {
    Due,
    /// The target does not have the records yet.
    Records,
    /// The same; but then it is carried as far as the target has them.
    RecordsUntil(Instant),
    /// It was left alone or refused.
    Until(Instant),
}

impl Standby {
    pub(super) fn waits_for_records(self) -> bool {
        match self {
            Self::Records | Self::RecordsUntil(_) => true,
            Self::Due | Self::Until(_) => false,
        }
    }
}

/// A position with its place at the target.
struct Wanted {
    key: Key,
    at: TopicPartition,
    position: Position,
    /// The position at the source that is carried over: where the target does not have the records yet, its end.
    source: SourceOffset,
    translation: Translation<TargetOffset>,
}

/// A position that is to be committed.
struct Move {
    key: Key,
    at: TopicPartition,
    position: Position,
    source: SourceOffset,
    target: TargetOffset,
}

/// What the target says of a group.
struct AtTarget {
    occupancy: Occupancy,
    positions: BTreeMap<TopicPartition, CommittedOffset>,
}

impl Groups {
    /// Carries over what is due.
    pub(super) async fn carry(&mut self) {
        let due = self.take_due();
        let Some(translations) = self.translate(&due).await else { return };
        let mut by_group = BTreeMap::<GroupName, Vec<Wanted>>::new();
        let mut ahead = Vec::new();
        for ((key, position), translation) in due.into_iter().zip(translations) {
            match translation.zip(self.at_target(&key.1)) {
                None => {
                    self.show(&key, &position, None, "unmapped");
                    self.open.insert(key, Standby::Until(Instant::now() + UNMAPPED_AGAIN_AFTER));
                }
                Some((Translation::NotThere(NotThere::NotYet { replicated_to }), at)) => {
                    if self.waits_for_records(&key, &position, replicated_to) {
                        ahead.push((key, at, position, replicated_to));
                    }
                }
                Some((Translation::NotThere(NotThere::Nothing), _)) => {
                    self.show(&key, &position, None, "waiting");
                    self.open.insert(key, Standby::Records);
                }
                Some((translation, at)) => {
                    let (group, source) = (key.0.clone(), position.source);
                    by_group.entry(group).or_default().push(Wanted {
                        key,
                        at,
                        position,
                        source,
                        translation,
                    });
                }
            }
        }
        for wanted in self.as_far_as_replicated(ahead).await {
            by_group.entry(wanted.key.0.clone()).or_default().push(wanted);
        }
        let moves = self.decide_all(by_group).await;
        self.commit_all(moves).await;
        self.count();
    }

    /// Lets a position wait for its records; true where it is to be carried as far as the target has them.
    ///
    /// The group has read all that the target has, so that nothing is skipped there; and a group that commits faster than the
    /// link copies would otherwise never get a position.
    fn waits_for_records(&mut self, key: &Key, position: &Position, replicated_to: SourceOffset) -> bool {
        let end = Position { source: replicated_to, metadata: position.metadata.clone() };
        let stands_still = self.stands_still(key, &end);
        let target = self.carried.get(key).map(|given| given.carried.target);
        self.show(key, position, target, "waiting");
        let now = Instant::now();
        let standby = match self.so_far.get(key).map(|last| *last + SO_FAR_AGAIN_AFTER) {
            _ if stands_still => Standby::Records,
            Some(again) if now < again && !self.finishing => Standby::RecordsUntil(again),
            Some(_) | None => {
                self.so_far.insert(key.clone(), now);
                self.open.insert(key.clone(), Standby::Records);
                return true;
            }
        };
        self.open.insert(key.clone(), standby);
        false
    }

    /// Positions beyond what the target has, with the place at the target up to which it has all of the source.
    async fn as_far_as_replicated(
        &self,
        ahead: Vec<(Key, TopicPartition, Position, SourceOffset)>,
    ) -> Vec<Wanted> {
        let ends: Vec<_> = ahead
            .iter()
            .map(|(key, _, position, replicated_to)| {
                (key.clone(), Position { source: *replicated_to, metadata: position.metadata.clone() })
            })
            .collect();
        let Some(translations) = self.translate(&ends).await else { return Vec::new() };
        let translated = ahead.into_iter().zip(translations);
        let wanted = translated.filter_map(|((key, at, position, source), translation)| {
            Some(Wanted { key, at, position, source, translation: translation? })
        });
        wanted.collect()
    }

    /// Positions that are due, as they are at the source. They stay open until it is known what became of them, so that nothing is
    /// forgotten where a round is broken off.
    fn take_due(&mut self) -> Vec<(Key, Position)> {
        let now = Instant::now();
        let is_due = |standby: &Standby| match standby {
            Standby::Due => true,
            Standby::Records => false,
            Standby::RecordsUntil(then) | Standby::Until(then) => *then <= now,
        };
        let keys: Vec<_> =
            self.open.iter().filter(|(_, standby)| is_due(standby)).map(|(key, _)| key.clone()).collect();
        let mut due = Vec::with_capacity(keys.len());
        for key in keys {
            let Some(position) = self.positions.get(&key).cloned() else {
                self.open.remove(&key);
                self.so_far.remove(&key);
                self.again.remove(&key);
                self.standings.lock().remove(&key);
                continue;
            };
            if self.stands_still(&key, &position) {
                self.open.remove(&key);
                let target = self.carried.get(&key).map(|given| given.carried.target);
                self.show(&key, &position, target, "committed");
            } else {
                due.push((key, position));
            }
        }
        due
    }

    /// Whether the target was given just that position, and need not be looked at again.
    fn stands_still(&self, key: &Key, position: &Position) -> bool {
        let same =
            |given: &Given| given.carried.source == position.source && given.metadata == position.metadata;
        self.carried.get(key).is_some_and(same) && !self.again.contains(key)
    }

    async fn translate(&self, due: &[(Key, Position)]) -> Option<Vec<Option<Translation<TargetOffset>>>> {
        if due.is_empty() {
            return Some(Vec::new());
        }
        let positions = due.iter().map(|(key, position)| (key.1.clone(), position.source)).collect();
        let (reply, answer) = oneshot::channel();
        self.verbs.send(Verb::ToTarget { positions, reply }).await.ok()?;
        answer.await.ok()
    }

    async fn decide_all(
        &mut self,
        by_group: BTreeMap<GroupName, Vec<Wanted>>,
    ) -> BTreeMap<GroupName, Vec<Move>> {
        let target = &self.target;
        let asked: Vec<_> = stream::iter(by_group)
            .map(|(group, wanted)| async move {
                let there = ask(target, &group).await;
                (group, wanted, there)
            })
            .buffer_unordered(GROUPS_ASKED_MAX)
            .collect()
            .await;
        let mut moves = BTreeMap::<GroupName, Vec<Move>>::new();
        for (group, wanted, there) in asked {
            match there {
                Ok(there) => {
                    let of_group = wanted.into_iter().filter_map(|wanted| self.decide(wanted, &there));
                    moves.insert(group, of_group.collect());
                }
                Err(error) => {
                    warn!(link = %self.config.name, %group, %error, "positions are not carried over");
                    for Wanted { key, position, .. } in wanted {
                        self.show(&key, &position, None, "waiting");
                        self.try_later(key);
                    }
                }
            }
        }
        moves
    }

    fn decide(&mut self, wanted: Wanted, there: &AtTarget) -> Option<Move> {
        let Wanted { key, at, position, source, translation } = wanted;
        let committed = there.positions.get(&at);
        let differs = committed.is_some_and(|committed| committed.metadata != position.metadata);
        // At a seal only what is not right is written: it ends the sooner.
        let renewed = self.again.contains(&key) && !self.finishing;
        let question = Question {
            source,
            translation,
            carried: self.carried.get(&key).map(|given| given.carried),
            at_target: committed.and_then(|committed| TargetOffset::from_wire(committed.offset)),
            occupancy: there.occupancy,
            anew: differs || renewed,
        };
        match decide(question) {
            Decision::Commit(target) => return Some(Move { key, at, position, source, target }),
            Decision::Done(target) => self.note_carried(&key, &position, Carried { source, target }),
            Decision::Wait(_) | Decision::WaitForOccupancy => {
                self.show(&key, &position, None, "waiting");
                self.try_later(key);
            }
            Decision::Skip(reason) => {
                self.leave_alone(key, &position, translation.exact(), reason.code());
            }
        }
        None
    }

    async fn commit_all(&mut self, moves: BTreeMap<GroupName, Vec<Move>>) {
        let target = &self.target;
        let committed: Vec<_> = stream::iter(moves)
            .map(|(group, moves)| async move {
                let outcomes = commit(target, &group, &moves).await;
                (group, moves, outcomes)
            })
            .buffer_unordered(GROUPS_ASKED_MAX)
            .collect()
            .await;
        for (group, moves, outcomes) in committed {
            if let Err(error) = &outcomes {
                warn!(link = %self.config.name, %group, %error, "positions are not carried over");
            }
            for Move { key, at, position, source, target } in moves {
                let refused = match &outcomes {
                    Ok(outcomes) => outcomes.get(&at).and_then(|outcome| outcome.as_ref().err()),
                    Err(error) => Some(error),
                };
                match refused {
                    None => self.note_carried(&key, &position, Carried { source, target }),
                    Some(error) if has_members(error) => {
                        self.leave_alone(key, &position, Some(target), "skipped-active");
                    }
                    Some(error) => {
                        debug!(%group, partition = %at, %error, "target refuses a position");
                        self.show(&key, &position, Some(target), "waiting");
                        self.try_later(key);
                    }
                }
            }
        }
    }

    fn at_target(&self, partition: &TopicPartition) -> Option<TopicPartition> {
        let topic = self.config.naming.at_target(&partition.topic).ok()?;
        Some(TopicPartition { topic, partition: partition.partition })
    }

    fn try_later(&mut self, key: Key) {
        self.open.insert(key, Standby::Until(Instant::now() + AGAIN_AFTER));
    }

    fn leave_alone(
        &mut self,
        key: Key,
        position: &Position,
        target: Option<TargetOffset>,
        why: &'static str,
    ) {
        if self.show(&key, position, target, why) {
            let (group, partition) = &key;
            info!(link = %self.config.name, %group, %partition, why, "position left alone");
            self.metrics.skipped_active(group.as_str());
        }
        self.try_later(key);
    }

    /// Notes what the target has of a position now; where that is not all of it, the rest stays open.
    fn note_carried(&mut self, key: &Key, position: &Position, carried: Carried) {
        self.carried.insert(key.clone(), Given { carried, metadata: position.metadata.clone() });
        self.again.remove(key);
        self.renewals.carried(&key.0, self.clock.now());
        if carried.source == position.source {
            self.open.remove(key);
            self.so_far.remove(key);
            self.show(key, position, Some(carried.target), "committed");
        } else {
            self.show(key, position, Some(carried.target), "waiting");
        }
    }

    /// Shows a position; true where this is news.
    fn show(
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

    pub(super) fn count(&self) {
        let standings = self.standings.lock();
        let waiting = standings.values().filter(|standing| standing.state == "waiting").count();
        self.metrics.groups(standings.len() - waiting, waiting);
    }
}

async fn ask(target: &Cluster, group: &GroupName) -> Result<AtTarget, ClusterError> {
    let described = target.describe_group(group).await?;
    let occupancy = if described.is_empty() { Occupancy::Vacant } else { Occupancy::Live };
    Ok(AtTarget { occupancy, positions: target.fetch_last_offsets(group).await? })
}

async fn commit(
    target: &Cluster,
    group: &GroupName,
    moves: &[Move],
) -> Result<PerPartition<()>, ClusterError> {
    let offsets: Vec<_> = moves
        .iter()
        .map(|step| {
            let metadata = step.position.metadata.clone();
            (step.at.clone(), CommitOffset { metadata, ..CommitOffset::at(step.target.to_wire()) })
        })
        .collect();
    target.commit_offsets(group, &offsets).await
}

/// Whether a commit from outside was refused because the group has members.
fn has_members(error: &ClusterError) -> bool {
    matches!(
        error.code(),
        Some(
            ErrorCode::UNKNOWN_MEMBER_ID
                | ErrorCode::ILLEGAL_GENERATION
                | ErrorCode::STALE_MEMBER_EPOCH
                | ErrorCode::REBALANCE_IN_PROGRESS
        )
    )
}

/// A position as the target was given it.
pub(super) struct Given {
    carried: Carried,
    metadata: String,
}

/// What the link committed, by position.
pub(super) type CarriedPositions = HashMap<Key, Given>;
