//! What must hold of a failover, at each step.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use leeward_failover_core::{
    Automation, Effect, EffectId, Entry, FenceProof, Kind, OperationId, Stage, Standing, State, Tail,
    TailPolicy, UpperBound, check, check_history,
};
use leeward_model::FencingEpoch;

use super::data::Data;
use super::{FailoverWorld, LEASE, name, site};
use crate::run::{Progress, Violation};

pub(super) const REPLAYS: &str = "the journal replays";
const INVARIANTS: &str = "the failover core's own invariants";
const ONE_SERVES: &str = "no gateway forwards to a region that was replaced";
const FENCED: &str = "a fenced region takes no write";
const LEASE_STOPS: &str = "a region whose lease is over takes no write";
const GUARDED: &str = "no region takes writes before its agent keeps to a lease";
const JOURNALED: &str = "no effect before its intent is durable";
const PROVEN: &str = "no promotion without a proof of this epoch";
const NOTHING_LOST: &str = "a planned switchover loses nothing";
const LOSS_TOLD: &str = "the loss statement tells the truth";
const TAIL_KEPT: &str = "no topic is made anew before its tail is kept";
const NOT_THE_PRIMARY: &str = "the primary's topics are never deleted";
pub(super) const LINK_FITS: &str = "a link begins where both logs are the same";
const GETS_ON: &str = "a region that is lost is replaced";

/// What is known of everything, beside what any process believes.
#[derive(Debug, Default)]
pub(super) struct Truth {
    /// Entries of the journal that were looked at.
    looked_at: usize,
    state: Option<State>,
    intents: BTreeMap<EffectId, Effect>,
    /// Whether an operation's fence was confirmed over the wire.
    confirmed: BTreeMap<OperationId, bool>,
    /// Regions that take writes though their agents were not heard when they were opened, and heard nothing since.
    unguarded: BTreeSet<usize>,
    /// Records that stand in a quarantine.
    quarantined: BTreeSet<u64>,
}

impl<D: Data> FailoverWorld<D> {
    /// After each step: the new entries of the journal, and the state that they make.
    pub(super) fn check(&mut self) -> Result<(), Violation> {
        if self.truth.looked_at == self.journal.len() {
            return Ok(());
        }
        while let Some(entry) = self.journal.get(self.truth.looked_at).cloned() {
            self.look_at(&entry)?;
            self.truth.looked_at += 1;
        }
        let history = check_history(&self.journal, self.config.cooldown);
        history.map_err(|error| Violation { invariant: INVARIANTS, detail: error.to_string() })
    }

    fn look_at(&mut self, entry: &Entry) -> Result<(), Violation> {
        let broken = |error: String| Violation { invariant: INVARIANTS, detail: error };
        let loss_before = self.truth.state.as_ref().and_then(|state| state.loss.clone());
        match &mut self.truth.state {
            None => self.truth.state = Some(State::formed(entry).map_err(|error| broken(error.to_string()))?),
            Some(state) => state
                .apply(entry)
                .map_err(|error| Violation { invariant: REPLAYS, detail: error.to_string() })?,
        }
        match entry {
            Entry::Intent { id, effect, .. } => {
                self.truth.intents.insert(*id, effect.clone());
                self.check_guard(effect)?;
            }
            Entry::Fenced { operation, proof, .. } => {
                self.truth.confirmed.insert(*operation, proof.is_confirmed());
            }
            // On its way back to being a standby, a region's topics belong to the mirror.
            Entry::Decided(decided) if matches!(decided.kind, Kind::Resync { .. }) => {
                self.regions[site(&decided.from)].open_to_clients = false;
            }
            _ => {}
        }
        let Some(state) = &self.truth.state else { return Ok(()) };
        check(state).map_err(|error| broken(error.to_string()))?;
        let loss = state.loss.clone();
        if loss == loss_before { Ok(()) } else { self.check_loss() }
    }

    /// A region is promoted, or gone back to, once its agent keeps to a lease. One that is not heard for a lease is not
    /// waited for: `docs/simulation.md` lists what follows as a known limit.
    fn check_guard(&mut self, effect: &Effect) -> Result<(), Violation> {
        let (region, epoch) = match effect {
            Effect::Promote { region, fence } => (site(region), fence.epoch()),
            Effect::UnsealRegion { region, epoch } if self.is_aborting() => (site(region), *epoch),
            _ => return Ok(()),
        };
        let agent = &self.agents[region];
        if agent.keeps_a_lease_of(epoch) {
            return Ok(());
        }
        self.truth.unguarded.insert(region);
        let silent = self.schedule.now().saturating_sub(agent.heard_at);
        Violation::unless(silent >= LEASE.duration, GUARDED, || {
            format!("region {region}, silent for {silent:?}")
        })
    }

    pub(super) fn is_guarded(&mut self, region: usize) {
        self.truth.unguarded.remove(&region);
    }

    fn is_aborting(&self) -> bool {
        self.running().is_some_and(|running| matches!(running.stage, Stage::Aborting { .. }))
    }

    /// What a statement says against what is in the old primary's log and not in the survivor's.
    fn check_loss(&self) -> Result<(), Violation> {
        let Some(loss) = self.truth.state.as_ref().and_then(|state| state.loss.as_ref()) else {
            return Ok(());
        };
        let log = self.data.records(site(&loss.region)).len() as u64;
        for bounds in &loss.partitions {
            let lost = log.saturating_sub(bounds.from.to_wire().unsigned_abs());
            let upper = match bounds.upper {
                UpperBound::Offsets(upper) => upper,
                UpperBound::Unbounded => u64::MAX,
            };
            Violation::unless(bounds.lower <= lost && lost <= upper, LOSS_TOLD, || {
                format!("{lost} records of {} are lost, told was {bounds:?}", loss.region)
            })?;
        }
        Ok(())
    }

    fn running(&self) -> Option<&leeward_failover_core::Operation> {
        self.truth.state.as_ref().and_then(|state| state.operation.as_ref())
    }

    pub(super) fn is_planned(&self) -> bool {
        self.running().is_some_and(|running| running.kind == Kind::Switchover)
    }

    /// Whether the operation that leaves a region has its fence.
    fn is_fenced(&self, region: usize) -> bool {
        let fenced = |stage: &Stage| {
            matches!(
                stage,
                Stage::Draining { .. }
                    | Stage::Promoting { .. }
                    | Stage::Redirecting { .. }
                    | Stage::Verifying { .. }
            )
        };
        self.running().is_some_and(|running| running.from == name(region) && fenced(&running.stage))
    }

    /// A gateway sends a batch at this moment.
    pub(super) fn check_forwarding(&self, gateway: usize, region: usize) -> Result<(), Violation> {
        let Some(state) = &self.truth.state else { return Ok(()) };
        let replaced = state.serving.as_ref().is_some_and(|serving| *serving != name(region));
        Violation::unless(!replaced && !self.is_fenced(region), ONE_SERVES, || {
            format!(
                "gateway {gateway} forwards to {region} under epoch {}; {:?}, {:?}",
                self.gateways[gateway].epoch, state.epoch, state.serving
            )
        })
    }

    /// A client's write was taken.
    pub(super) fn check_client_write(&self, region: usize) -> Result<(), Violation> {
        let Some(state) = &self.truth.state else { return Ok(()) };
        let standing = state.standings.get(&name(region));
        let fenced = matches!(standing, Some(Standing::Fenced { .. }));
        let lost = matches!(standing, Some(Standing::Lost { .. })) && state.must_be_sealed(&name(region));
        let running = self.running().filter(|_| self.is_fenced(region));
        let confirmed = running.is_some_and(|running| self.truth.confirmed.get(&running.id) == Some(&true));
        Violation::unless(!confirmed && !fenced, FENCED, || {
            format!("region {region}: {:?}", self.running())
        })?;
        let agent = &self.agents[region];
        let watched = agent.alive
            && !self.truth.unguarded.contains(&region)
            && agent.undisturbed_since + LEASE.duration + LEASE.margin < self.schedule.now()
            && self.regions[region].down_until + LEASE.duration + LEASE.margin < self.schedule.now();
        let stopped = running.is_some() || lost;
        Violation::unless(!stopped || !watched, LEASE_STOPS, || format!("region {region}"))
    }

    pub(super) fn check_journaled(&self, id: EffectId, effect: &Effect) -> Result<(), Violation> {
        let durable = self.journal.iter().any(|entry| {
            matches!(entry, Entry::Intent { id: known, effect: intended, .. } if *known == id && intended == effect)
        });
        Violation::unless(durable, JOURNALED, || format!("{} {id}", effect.name()))
    }

    pub(super) fn check_promotion(&self, region: usize, fence: &FenceProof) -> Result<(), Violation> {
        let other = 1 - region;
        let Some(running) = self.running() else { return Ok(()) };
        let proven = fence.epoch() == running.epoch && *fence.region() == name(other);
        Violation::unless(proven, PROVEN, || format!("{fence:?} for {region}"))?;
        if running.kind != Kind::Switchover {
            return Ok(());
        }
        let (survivor, left) = (self.data.records(region), self.data.records(other));
        Violation::unless(survivor == left, NOTHING_LOST, || {
            format!("{} of {} records", survivor.len(), left.len())
        })
    }

    /// A seal is lifted where an operation goes back, or where the region takes part again.
    pub(super) fn check_unsealing(&mut self, region: usize, epoch: FencingEpoch) -> Result<(), Violation> {
        let running = self.running();
        let aborting = self.is_aborting();
        let relinking = running.is_some_and(|running| matches!(running.stage, Stage::Relinking { .. }));
        Violation::unless(aborting || relinking, FENCED, || format!("region {region} is opened at {epoch}"))?;
        if aborting {
            D::taken_back(self, region);
        }
        Ok(())
    }

    pub(super) fn quarantine(&mut self, region: usize, tails: &[Tail]) -> u64 {
        let log = self.data.records(region);
        let mut copied = 0;
        for tail in tails {
            let (from, to) = (tail.from.to_wire() as usize, tail.to.to_wire() as usize);
            for record in log.get(from..to.min(log.len())).unwrap_or_default() {
                self.truth.quarantined.insert(*record);
                copied += 1;
            }
        }
        copied
    }

    pub(super) fn check_recreation(&self, region: usize) -> Result<(), Violation> {
        let Some(state) = &self.truth.state else { return Ok(()) };
        Violation::unless(state.primary != name(region), NOT_THE_PRIMARY, || format!("region {region}"))?;
        let kept: BTreeSet<u64> = self.data.records(1 - region).into_iter().collect();
        let discards = self
            .running()
            .is_some_and(|running| matches!(running.kind, Kind::Resync { tail: TailPolicy::Discard, .. }));
        let records = self.data.records(region);
        let lost =
            records.iter().find(|record| !kept.contains(record) && !self.truth.quarantined.contains(record));
        Violation::unless(discards || lost.is_none(), TAIL_KEPT, || {
            format!("record {lost:?} of region {region}")
        })
    }

    /// What the journal adds up to.
    pub(super) fn state(&self) -> Option<&State> {
        self.truth.state.as_ref()
    }

    pub(super) fn primary(&self) -> Option<usize> {
        self.truth.state.as_ref().map(|state| site(&state.primary))
    }

    pub(super) fn is_busy(&self) -> bool {
        self.running().is_some()
    }

    /// Whether the loss of the primary must lead to a failover.
    pub(super) fn is_ready(&self) -> bool {
        let Some(state) = &self.truth.state else { return false };
        let standby = self.config.other(&state.primary);
        let last = state.last_automatic_at.map_or(Duration::MAX, |at| self.wall().since(at));
        self.config.automation == Automation::Auto
            && state.operation.is_none()
            && state.switchover_due.is_none()
            && state.standings.get(standby) == Some(&Standing::Standby)
            && last > self.config.cooldown
            && self.home != site(&state.primary)
    }

    pub(super) fn too_late(&mut self) -> Result<(), Violation> {
        self.is_late = true;
        Violation::unless(self.lost.is_none(), GETS_ON, || {
            let waits_for = self.controller.as_ref().and_then(|controller| controller.engine.waiting());
            format!("waits for {waits_for:?}: {:?}", self.truth.state)
        })
    }
}

/// Whether the other region serves in the place of the one that was lost for good, or none could be lost.
pub(super) fn is_over<D: Data>(world: &FailoverWorld<D>) -> Progress {
    let over = match world.lost {
        Some(lost) => world.primary().is_some_and(|primary| primary != lost) && !world.is_busy(),
        None => world.is_late,
    };
    if over { Progress::Over } else { Progress::GoesOn }
}

/// An entry in one line.
pub(super) fn in_short(entry: &Entry) -> String {
    match entry {
        Entry::Decided(decided) => format!(
            "Decided {} {:?} {:?} {} -> {} epoch {}",
            decided.operation, decided.kind, decided.trigger, decided.from, decided.to, decided.epoch
        ),
        Entry::Intent { id, effect, .. } => format!("Intent {id} {}", effect.name()),
        other => format!("{other:?}"),
    }
}
