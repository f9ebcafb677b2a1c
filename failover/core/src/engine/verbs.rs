//! What people ask for. A verb is taken once per key, and only at the epoch that its caller believes in.

use std::time::Duration;

use leeward_model::{FencingEpoch, RegionName};

use super::{Engine, Now, Step};
use crate::{
    decision::{self, Evidence, Gate, HeldReason},
    effect::OperationId,
    journal::{Decided, Entry, IdempotencyKey},
    phases::{Kind, Trigger},
    quorum::Verdict,
    returning::TailPolicy,
    state::Standing,
};

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verb {
    /// Emergency. The loss must be named; `Duration::MAX` accepts any.
    Failover {
        to: RegionName,
        accept_loss: Option<Duration>,
    },
    /// Planned: loses nothing, or goes back.
    Switchover {
        to: RegionName,
    },
    /// Makes a fenced old primary a standby again, and then, where asked for, the primary.
    Failback {
        to: RegionName,
        tail: TailPolicy,
        then_switchover: bool,
    },
    /// Lets the failover that automation waits with go on.
    Approve,
    /// Tries a held operation's step again.
    Retry,
    /// Takes a switchover back before its promotion.
    Abort,
    /// Automation stops.
    Pause,
    Resume,
}

/// A verb with its guards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    pub verb: Verb,
    pub by: String,
    /// `None`: whatever the epoch is.
    pub expected_epoch: Option<FencingEpoch>,
    pub key: Option<IdempotencyKey>,
}

/// Why a verb was not taken. Nothing changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejected {
    #[error("epoch is {actual}, and you decided at epoch {expected}")]
    Conflict { expected: FencingEpoch, actual: FencingEpoch },
    #[error("operation {operation} ({kind}) is under way")]
    Busy { operation: OperationId, kind: &'static str },
    #[error("no region `{region}` holds data here")]
    UnknownRegion { region: RegionName },
    #[error("`{region}` is the primary already")]
    AlreadyPrimary { region: RegionName },
    #[error(transparent)]
    Held(#[from] HeldReason),
    #[error("nothing waits for an approval")]
    NothingToApprove,
    #[error("no operation is held")]
    NothingHeld,
    #[error("there is no operation that can still be taken back")]
    CannotAbort,
    #[error(
        "`{region}` is no fenced old primary: it is the primary or a standby, or was lost and has not been heard since"
    )]
    NothingToBringBack { region: RegionName },
}

impl Engine {
    pub(super) fn request(&mut self, request: Request, step: &mut Step, now: Now) -> Result<(), Rejected> {
        if let Some(known) = self.known(request.key.as_ref()) {
            step.operation = Some(known);
            return Ok(());
        }
        let actual = self.state.epoch;
        if let Some(expected) = request.expected_epoch.filter(|expected| *expected != actual) {
            return Err(Rejected::Conflict { expected, actual });
        }
        let Request { verb, by, key, .. } = request;
        let at = now.wall;
        match verb {
            Verb::Failover { .. } | Verb::Switchover { .. } | Verb::Approve => {
                let (kind, evidence) = self.admit(&verb, now)?;
                step.operation = Some(self.state.operations);
                self.begin(step, kind, Trigger::Person { name: by }, evidence, key, now);
            }
            // A standby has nothing left to be brought back: what remains is the switchover.
            Verb::Failback { to, then_switchover: true, .. } if self.is_standby(&to) => {
                let (kind, evidence) = self.admit(&Verb::Switchover { to }, now)?;
                step.operation = Some(self.state.operations);
                self.begin(step, kind, Trigger::Person { name: by }, evidence, key, now);
            }
            Verb::Failback { to, tail, then_switchover } => {
                let decided = self.bring_back(to, Kind::Resync { tail, then_switchover }, by, key, now)?;
                step.operation = Some(decided.operation);
                self.record(step, Entry::Decided(Box::new(decided)));
            }
            Verb::Retry => {
                let held = self.state.operation.as_ref().filter(|running| running.held.is_some());
                let operation = held.ok_or(Rejected::NothingHeld)?.id;
                step.operation = Some(operation);
                self.retry_at = now.monotonic;
                self.record(step, Entry::Retried { operation, by, at });
            }
            Verb::Abort => {
                let running = self.state.operation.as_ref().filter(|running| running.may_abort());
                let operation = running.ok_or(Rejected::CannotAbort)?.id;
                let reason = HeldReason::AbortedByPerson { by };
                self.record(step, Entry::Aborted { operation, reason, at });
            }
            Verb::Pause => self.record(step, Entry::Paused { by, at }),
            Verb::Resume => self.record(step, Entry::Resumed { by, at }),
        }
        Ok(())
    }

    /// What would be refused if this verb came now: the same checks, and nothing is done.
    ///
    /// # Errors
    ///
    /// The [`Rejected`] that the verb would meet.
    pub fn would_take(&self, verb: &Verb, now: Now) -> Result<(), Rejected> {
        match verb {
            Verb::Failover { .. } | Verb::Switchover { .. } | Verb::Approve => {
                self.admit(verb, now).map(|_| ())
            }
            Verb::Failback { to, then_switchover: true, .. } if self.is_standby(to) => {
                self.admit(&Verb::Switchover { to: to.clone() }, now).map(|_| ())
            }
            Verb::Failback { to, tail, then_switchover } => {
                let kind = Kind::Resync { tail: *tail, then_switchover: *then_switchover };
                self.bring_back(to.clone(), kind, String::new(), None, now).map(|_| ())
            }
            Verb::Retry | Verb::Abort | Verb::Pause | Verb::Resume => Ok(()),
        }
    }

    pub(super) fn admit(&self, verb: &Verb, now: Now) -> Result<(Kind, Evidence), Rejected> {
        self.not_busy()?;
        let evidence = self.evidence(now);
        let gates = |gates: &[Gate]| decision::pass(&self.config, &evidence, gates);
        let kind = match verb {
            Verb::Failover { to, accept_loss } => {
                self.may_become_primary(to)?;
                gates(&[Gate::StandbyHealthy, Gate::StandbyWritable])?;
                decision::accepts(&evidence, *accept_loss)?;
                Kind::Failover
            }
            Verb::Approve => {
                if evidence.from.verdict != Verdict::Down {
                    return Err(Rejected::NothingToApprove);
                }
                gates(&[
                    Gate::Cooldown,
                    Gate::StandbyHealthy,
                    Gate::StandbyWritable,
                    Gate::NoPartitionDrift,
                    Gate::OffsetsFresh,
                    Gate::RpoWithinBudget,
                ])?;
                Kind::Failover
            }
            Verb::Switchover { .. }
            | Verb::Failback { .. }
            | Verb::Retry
            | Verb::Abort
            | Verb::Pause
            | Verb::Resume => {
                if let Verb::Switchover { to } = verb {
                    self.may_become_primary(to)?;
                }
                if evidence.from.verdict != Verdict::Healthy {
                    return Err(HeldReason::PrimaryUnhealthy { verdict: evidence.from.verdict }.into());
                }
                gates(&[
                    Gate::StandbyHealthy,
                    Gate::StandbyWritable,
                    Gate::NoPartitionDrift,
                    Gate::OffsetsFresh,
                    Gate::RpoWithinBudget,
                ])?;
                Kind::Switchover
            }
        };
        Ok((kind, evidence))
    }

    fn bring_back(
        &self,
        region: RegionName,
        kind: Kind,
        by: String,
        key: Option<IdempotencyKey>,
        now: Now,
    ) -> Result<Decided, Rejected> {
        self.not_busy()?;
        self.may_become_primary(&region)?;
        match self.state.standings.get(&region) {
            Some(Standing::Fenced { .. } | Standing::Resyncing) => {}
            Some(Standing::Primary | Standing::Standby | Standing::Lost { .. }) | None => {
                return Err(Rejected::NothingToBringBack { region });
            }
        }
        Ok(Decided {
            operation: self.state.operations,
            kind,
            trigger: Trigger::Person { name: by },
            to: self.config.other(&region).clone(),
            from: region,
            epoch: self.state.epoch,
            accept_loss: None,
            key,
            evidence: None,
            at: now.wall,
        })
    }

    fn is_standby(&self, region: &RegionName) -> bool {
        self.state.standings.get(region) == Some(&Standing::Standby)
    }

    fn not_busy(&self) -> Result<(), Rejected> {
        let running = self.state.operation.as_ref().filter(|running| !running.may_be_superseded());
        running.map_or(Ok(()), |running| {
            Err(Rejected::Busy { operation: running.id, kind: running.kind.name() })
        })
    }

    fn may_become_primary(&self, to: &RegionName) -> Result<(), Rejected> {
        if !self.config.holds_data(to) {
            return Err(Rejected::UnknownRegion { region: to.clone() });
        }
        if *to == self.state.primary {
            return Err(Rejected::AlreadyPrimary { region: to.clone() });
        }
        Ok(())
    }
}
