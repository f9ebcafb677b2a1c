//! When each phase of an operation began and ended, on the monotonic clock, and what came of it.

use std::{collections::VecDeque, time::Duration};

use leeward_failover_core::{
    Decided, Entry, FenceProof, Kind, Notice, Now, OperationId, OperationResult, Phase, Verdict,
};
use leeward_model::{FencingEpoch, Instant, RegionName, WallTime};

use crate::limits::SUMMARIES_KEPT;

/// One phase's share of an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PhaseTiming {
    pub(crate) phase: &'static str,
    /// Since the first symptom, or since the verb where there was none.
    pub(crate) started_after: Duration,
    pub(crate) took: Duration,
}

/// One operation, running or over.
#[derive(Clone, Debug)]
pub(crate) struct Summary {
    pub(crate) operation: OperationId,
    pub(crate) kind: Kind,
    pub(crate) from: RegionName,
    pub(crate) to: RegionName,
    pub(crate) epoch: FencingEpoch,
    pub(crate) fence: Option<FenceProof>,
    pub(crate) phases: Vec<PhaseTiming>,
    pub(crate) started_at: WallTime,
    pub(crate) finished_at: Option<WallTime>,
    pub(crate) result: Option<OperationResult>,
    /// Data at risk in time when it was decided.
    pub(crate) exposure: Option<Duration>,
}

#[derive(Clone, Copy, Debug)]
struct Open {
    phase: &'static str,
    since: Instant,
}

/// Summaries of the newest operations.
#[derive(Debug, Default)]
pub(crate) struct Timeline {
    symptom: Option<(Instant, WallTime)>,
    began: Instant0,
    open: Option<Open>,
    summaries: VecDeque<Summary>,
}

/// The zero of the running operation's timings.
#[derive(Clone, Copy, Debug)]
struct Instant0(Instant);

impl Default for Instant0 {
    fn default() -> Self {
        Self(Instant::ZERO)
    }
}

impl Timeline {
    /// A region began to fail, or is well again.
    pub(crate) fn noticed(&mut self, notice: &Notice, primary: &RegionName, now: Now) {
        let Notice::Verdict { region, health, .. } = notice else { return };
        if region != primary {
            return;
        }
        match health.verdict {
            Verdict::Suspect | Verdict::Down => {
                self.symptom.get_or_insert((now.monotonic, now.wall));
            }
            Verdict::Healthy | Verdict::Unknown => self.symptom = None,
        }
    }

    /// Takes an entry; the phase that it ends.
    pub(crate) fn recorded(&mut self, entry: &Entry, now: Now) -> Option<PhaseTiming> {
        match entry {
            Entry::Decided(decided) => self.decided(decided, now),
            Entry::Fenced { operation, proof, .. } => {
                if let Some(summary) = self.of(*operation) {
                    summary.fence = Some(proof.clone());
                }
            }
            Entry::Finished { operation, result, at } => {
                let ended = self.phase(&Phase::Steady, now);
                self.symptom = None;
                if let Some(summary) = self.of(*operation) {
                    summary.finished_at = Some(*at);
                    summary.result = Some(result.clone());
                }
                return ended;
            }
            Entry::Formed { .. }
            | Entry::Intent { .. }
            | Entry::Outcome { .. }
            | Entry::Held { .. }
            | Entry::Retried { .. }
            | Entry::Aborted { .. }
            | Entry::Paused { .. }
            | Entry::Resumed { .. } => {}
        }
        None
    }

    fn decided(&mut self, decided: &Decided, now: Now) {
        let symptom = if decided.kind == Kind::Failover { self.symptom } else { None };
        let (began, started_at) = symptom.unwrap_or((now.monotonic, now.wall));
        self.began = Instant0(began);
        self.open = None;
        let detect =
            PhaseTiming { phase: "detect", started_after: Duration::ZERO, took: now.monotonic.since(began) };
        if self.summaries.len() == SUMMARIES_KEPT {
            self.summaries.pop_front();
        }
        self.summaries.push_back(Summary {
            operation: decided.operation,
            kind: decided.kind,
            from: decided.from.clone(),
            to: decided.to.clone(),
            epoch: decided.epoch,
            fence: None,
            phases: symptom.map(|_| detect).into_iter().collect(),
            started_at,
            finished_at: None,
            result: None,
            exposure: decided.evidence.as_ref().map(leeward_failover_core::Evidence::exposure),
        });
    }

    /// The running operation is in this phase; the one before it is over.
    pub(crate) fn phase(&mut self, phase: &Phase, now: Now) -> Option<PhaseTiming> {
        let name = phase.name();
        if self.open.is_some_and(|open| open.phase == name) {
            return None;
        }
        let ended = self.open.take().map(|open| PhaseTiming {
            phase: open.phase,
            started_after: open.since.since(self.began.0),
            took: now.monotonic.since(open.since),
        });
        if let (Some(ended), Some(summary)) = (&ended, self.summaries.back_mut())
            && summary.finished_at.is_none()
        {
            summary.phases.push(ended.clone());
        }
        let rests = matches!(phase, Phase::Steady | Phase::Suspect | Phase::Deciding);
        self.open = (!rests).then_some(Open { phase: name, since: now.monotonic });
        ended
    }

    fn of(&mut self, operation: OperationId) -> Option<&mut Summary> {
        self.summaries.iter_mut().find(|summary| summary.operation == operation)
    }

    pub(crate) fn summary(&self, operation: OperationId) -> Option<Summary> {
        self.summaries.iter().find(|summary| summary.operation == operation).cloned()
    }

    /// The newest operation.
    pub(crate) fn last(&self) -> Option<&Summary> {
        self.summaries.back()
    }

    /// The newest operation that moved, or tried to move, the primary.
    pub(crate) fn last_promotion(&self) -> Option<Summary> {
        self.summaries.iter().rev().find(|summary| summary.kind.promotes()).cloned()
    }
}

impl Summary {
    /// From the first symptom, or the verb, until the end.
    pub(crate) fn took(&self) -> Duration {
        self.phases.iter().map(|phase| phase.started_after + phase.took).max().unwrap_or_default()
    }
}
