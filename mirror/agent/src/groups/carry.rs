//! Carries positions over: translates them, asks the target what it has, commits.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use futures::{StreamExt, stream};
use leeward_client::{Cluster, ClusterError, CommitOffset, CommittedOffset, PerPartition};
use leeward_mirror_core::groups::{Carried, Decision, Key, Occupancy, Position, Question, decide};
use leeward_mirror_core::map::{NotThere, Translation};
use leeward_model::{GroupName, TargetOffset, TopicPartition};
use leeward_wire::ErrorCode;
use tokio::{sync::oneshot, time::Instant};
use tracing::{debug, info, warn};

use super::{GroupStanding, Groups};
use crate::{limits::GROUPS_ASKED_MAX, task::Verb};

/// Time after which a position that was left alone, or refused, is tried again.
const AGAIN_AFTER: Duration = Duration::from_secs(1);

/// Time after which a position in a partition that is not mirrored, or not yet, is tried again.
const UNMAPPED_AGAIN_AFTER: Duration = Duration::from_millis(200);

/// What a position that the target does not have yet waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standby {
    Due,
    /// The target does not have the records yet.
    Records,
    /// It was left alone or refused.
    Until(Instant),
}

/// A position with its place at the target.
struct Wanted {
    key: Key,
    at: TopicPartition,
    position: Position,
    translation: Translation<TargetOffset>,
}

/// A position that is to be committed.
struct Move {
    key: Key,
    at: TopicPartition,
    position: Position,
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
        for ((key, position), translation) in due.into_iter().zip(translations) {
            match translation.zip(self.at_target(&key.1)) {
                None => {
                    self.show(&key, &position, None, "unmapped");
                    self.open.insert(key, Standby::Until(Instant::now() + UNMAPPED_AGAIN_AFTER));
                }
                Some((Translation::NotThere(NotThere::NotYet { .. } | NotThere::Nothing), _)) => {
                    self.show(&key, &position, None, "waiting");
                    self.open.insert(key, Standby::Records);
                }
                Some((translation, at)) => {
                    let group = key.0.clone();
                    by_group.entry(group).or_default().push(Wanted { key, at, position, translation });
                }
            }
        }
        let moves = self.decide_all(by_group).await;
        self.commit_all(moves).await;
        self.count();
    }

    /// Positions that are due, as they are at the source. They stay open until it is known what became of them, so that nothing is
    /// forgotten where a round is broken off.
    fn take_due(&mut self) -> Vec<(Key, Position)> {
        let now = Instant::now();
        let is_due = |standby: &Standby| match standby {
            Standby::Due => true,
            Standby::Records => false,
            Standby::Until(then) => *then <= now,
        };
        let keys: Vec<_> =
            self.open.iter().filter(|(_, standby)| is_due(standby)).map(|(key, _)| key.clone()).collect();
        let mut due = Vec::with_capacity(keys.len());
        for key in keys {
            let Some(position) = self.positions.get(&key).cloned() else {
                self.open.remove(&key);
                self.standings.lock().remove(&key);
                continue;
            };
            if self.carried.get(&key).is_some_and(|carried| carried.source == position.source) {
                self.open.remove(&key);
            } else {
                due.push((key, position));
            }
        }
        due
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
        let Wanted { key, at, position, translation } = wanted;
        let question = Question {
            source: position.source,
            translation,
            carried: self.carried.get(&key).copied(),
            at_target: there
                .positions
                .get(&at)
                .and_then(|committed| TargetOffset::from_wire(committed.offset)),
            occupancy: there.occupancy,
        };
        match decide(question) {
            Decision::Commit(target) => return Some(Move { key, at, position, target }),
            Decision::Done(target) => self.note_carried(&key, &position, target),
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
            for Move { key, at, position, target } in moves {
                let refused = match &outcomes {
                    Ok(outcomes) => outcomes.get(&at).and_then(|outcome| outcome.as_ref().err()),
                    Err(error) => Some(error),
                };
                match refused {
                    None => self.note_carried(&key, &position, target),
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

    fn note_carried(&mut self, key: &Key, position: &Position, target: TargetOffset) {
        self.open.remove(key);
        self.carried.insert(key.clone(), Carried { source: position.source, target });
        self.show(key, position, Some(target), "committed");
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

/// What the link committed, by position.
pub(super) type CarriedPositions = HashMap<Key, Carried>;
