//! What the engine does unasked: renews leases, fails over a lost primary, fences one that came back.

use leeward_model::{Instant, RegionName};

use super::{Engine, Notice, Now, Step, Verb};
use crate::{
    decision::{self, Evidence, Gate, HeldReason, LinkSnapshot},
    detector::{Probe, Report, Vote},
    effect::OperationId,
    journal::{Decided, Entry, IdempotencyKey},
    level::Level,
    phases::{Kind, Phase, Trigger},
    quorum::{Cause, Verdict},
    state::Standing,
};

impl Engine {
    pub(super) fn observe(&mut self, report: &Report, now: Instant) {
        if !self.config.holds_data(&report.region) || !self.config.places.contains(&report.observer) {
            return;
        }
        self.detector.observe(report, now);
        let own = report.observer == report.region && !report.slipped;
        let mut telling = report.samples.iter().filter(|(level, _)| level.tells_loss()).peekable();
        let heard = telling.peek().is_some();
        let well = telling.all(|(_, probe)| *probe == Probe::Good);
        if own && heard && well && self.state.is_leased(&report.region) {
            self.leases.renew(&report.region, now);
        }
    }

    /// Looks at the regions and begins what automation may begin.
    pub(super) fn watch(&mut self, step: &mut Step, now: Now) {
        self.waiting = None;
        if self.state.operation.is_some() {
            return;
        }
        let primary = self.state.primary.clone();
        if self.health(&primary, now.monotonic).verdict == Verdict::Down {
            let evidence = self.evidence(now);
            match decision::pass(&self.config, &evidence, &Gate::ALL) {
                Ok(()) => self.begin(step, Kind::Failover, Trigger::Automatic, evidence, None, now),
                Err(reason) => self.waiting = Some(reason),
            }
            return;
        }
        if let Some(trigger) = self.state.switchover_due.clone() {
            let to = self.config.other(&primary).clone();
            if let Ok((kind, evidence)) = self.admit(&Verb::Switchover { to }, now) {
                self.begin(step, kind, trigger, evidence, None, now);
            }
            return;
        }
        self.bring_back_by_itself(step, now);
    }

    /// Fences a lost region that answers again, and makes a fenced one a standby where the policy says so.
    fn bring_back_by_itself(&mut self, step: &mut Step, now: Now) {
        let other = self.config.other(&self.state.primary).clone();
        let kind = match (self.state.standings.get(&other), self.config.resync) {
            (Some(Standing::Lost { .. }), _) => Kind::Return,
            (Some(Standing::Fenced { .. }), Some(tail)) if !self.state.paused => {
                Kind::Resync { tail, then_switchover: false }
            }
            (
                Some(Standing::Fenced { .. } | Standing::Primary | Standing::Standby | Standing::Resyncing)
                | None,
                _,
            ) => return,
        };
        let reached = |region: &RegionName| {
            let health = self.health(region, now.monotonic);
            health.votes.values().any(|vote| matches!(vote, Vote::Up | Vote::Gray(_)))
        };
        if !reached(&other) || !reached(&self.state.primary) {
            return;
        }
        self.begin_return(step, other, kind, now);
    }

    fn begin_return(&mut self, step: &mut Step, region: RegionName, kind: Kind, now: Now) {
        let decided = Decided {
            operation: self.state.operations,
            kind,
            trigger: Trigger::Automatic,
            to: self.config.other(&region).clone(),
            from: region,
            epoch: self.state.epoch,
            accept_loss: None,
            key: None,
            evidence: None,
            at: now.wall,
        };
        self.record(step, Entry::Decided(Box::new(decided)));
    }

    /// Everything a decision about the primary rests on, at one moment.
    pub fn evidence(&self, now: Now) -> Evidence {
        let from = self.state.primary.clone();
        let to = self.config.other(&from).clone();
        let link = self.links.get(&(from.clone(), to.clone())).map(|(at, report)| LinkSnapshot {
            age: now.monotonic.since(*at),
            lag: report.lag,
            offsets_age: report.offsets_age,
            partitions: report.partitions.clone(),
            drifts: report.drifts.clone(),
        });
        let on_wall = self.state.last_automatic_at.map(|at| now.wall.since(at));
        let on_own_clock = self.last_automatic.map(|at| now.monotonic.since(at));
        Evidence {
            from: self.health(&from, now.monotonic),
            to: self.health(&to, now.monotonic),
            to_is_standby: self.state.standings.get(&to) == Some(&Standing::Standby),
            link,
            standby_written_age: self.detector.good_age(&to, Level::ProduceCanary, now.monotonic),
            // A wall clock that jumped must not end a cooldown early.
            since_automatic: on_wall.map(|wall| on_own_clock.map_or(wall, |own| own.min(wall))),
            paused: self.state.paused,
        }
    }

    pub(super) fn begin(
        &mut self,
        step: &mut Step,
        kind: Kind,
        trigger: Trigger,
        evidence: Evidence,
        key: Option<IdempotencyKey>,
        now: Now,
    ) {
        let from = self.state.primary.clone();
        if trigger == Trigger::Automatic {
            self.last_automatic = Some(now.monotonic);
        }
        let decided = Decided {
            operation: self.state.operations,
            kind,
            trigger,
            to: self.config.other(&from).clone(),
            from,
            epoch: self.next_epoch(),
            accept_loss: None,
            key,
            evidence: Some(evidence),
            at: now.wall,
        };
        self.record(step, Entry::Decided(Box::new(decided)));
    }

    /// The phase as people see it.
    pub fn phase(&self, now: Instant) -> Phase {
        if let Some(running) = &self.state.operation {
            return running.phase();
        }
        if let Some(reason) = &self.waiting {
            return Phase::Held(reason.clone());
        }
        let health = self.health(&self.state.primary, now);
        match health.verdict {
            Verdict::Healthy | Verdict::Unknown => Phase::Steady,
            Verdict::Suspect | Verdict::Down => Phase::Suspect,
        }
    }

    pub(super) fn notice(&mut self, step: &mut Step, now: Instant) {
        for region in self.config.regions.clone() {
            let health = self.health(&region, now);
            let before = self.verdicts.insert(region.clone(), health.verdict).unwrap_or(Verdict::Unknown);
            if before != health.verdict {
                step.notices.push(Notice::Verdict { region, before, health });
            }
        }
        let mut before = self.phase.clone();
        if step.entries.iter().any(|entry| matches!(entry, Entry::Decided(_))) {
            step.notices.push(Notice::Phase { before, after: Phase::Deciding });
            before = Phase::Deciding;
        }
        let after = self.phase(now);
        // A reason that only ages is no other phase.
        if after.name() != before.name() {
            step.notices.push(Notice::Phase { before, after: after.clone() });
        }
        self.phase = after;
    }

    /// Which operation a key started before.
    pub(super) fn known(&self, key: Option<&IdempotencyKey>) -> Option<OperationId> {
        key.and_then(|key| self.state.operation_of(key))
    }

    /// Why automation does nothing, where the primary is lost.
    pub fn waiting(&self) -> Option<&HeldReason> {
        self.waiting.as_ref()
    }

    /// Whether both regions are up and only their link is cut.
    pub fn link_is_cut(&self, now: Instant) -> bool {
        self.config
            .regions
            .iter()
            .any(|region| matches!(self.health(region, now).cause, Cause::LinkLoss { .. }))
    }
}
