//! Gateways and what the controller knows of them: a grant counts from before it was asked for, and runs out.

use std::time::Duration;

use leeward_failover_core::{GatewaysCut, Promotion};
use leeward_model::{FencingEpoch, Instant};

use super::data::Data;
use super::{FailoverWorld, Happening, LEASE, site};
use crate::run::Violation;
use crate::schedule::Clock;
use crate::trace;

const REPORT: Duration = Duration::from_millis(250);
const RENEWAL: Duration = Duration::from_millis(375);

/// What a gateway is told.
#[derive(Clone, Debug)]
pub(super) struct Leave {
    pub(super) epoch: u64,
    pub(super) region: Option<usize>,
    pub(super) promotion: Option<Promotion>,
    /// The number of the report that this answers.
    pub(super) answers: u64,
}

/// Where a gateway forwards to, and under which epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Forwards {
    pub(super) epoch: u64,
    pub(super) region: Option<usize>,
    /// Whether its grant lives.
    pub(super) lives: bool,
}

#[derive(Debug)]
pub(super) struct Gateway {
    pub(super) site: usize,
    pub(super) paused_until: Duration,
    pub(super) clock: Clock,
    number: u64,
    /// When each report was sent; a few are remembered.
    sent: Vec<(u64, Instant)>,
    pub(super) epoch: u64,
    pub(super) region: Option<usize>,
    lives_until: Instant,
    pub(super) promotion: Option<Promotion>,
    /// The first report of this life: what answers an earlier one was meant for another.
    first: u64,
}

/// What the controller knows of a gateway.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    number: u64,
    epoch: u64,
    forwarding_to: Option<usize>,
    granted_until: Instant,
}

impl Gateway {
    pub(super) fn at(site: usize) -> Self {
        let clock = Clock::started(Duration::ZERO, 0, &mut crate::random::Random::new(0));
        let lives_until = Instant::ZERO;
        Self {
            site,
            paused_until: Duration::ZERO,
            clock,
            number: 0,
            sent: Vec::new(),
            epoch: 0,
            region: None,
            lives_until,
            promotion: None,
            first: 0,
        }
    }

    pub(super) fn forwards(&self, now: Instant) -> Forwards {
        Forwards { epoch: self.epoch, region: self.region, lives: self.forwards_to(now).is_some() }
    }

    /// Another life, that was told nothing yet.
    pub(super) fn restart(&mut self, clock: Clock) {
        let next = self.number + 1;
        *self = Self { clock, number: next, first: next, ..Self::at(self.site) };
    }

    /// Where it forwards to at this moment.
    pub(super) fn forwards_to(&self, now: Instant) -> Option<usize> {
        self.region.filter(|_| now < self.lives_until)
    }
}

impl<D: Data> FailoverWorld<D> {
    pub(super) fn gateway_reports(&mut self, index: usize) {
        let now = self.schedule.now();
        let gateway = &mut self.gateways[index];
        let local = gateway.clock.read(now);
        gateway.number += 1;
        gateway.sent.push((gateway.number, local));
        if gateway.sent.len() > 8 {
            gateway.sent.remove(0);
        }
        let forwarding_to = gateway.forwards_to(local);
        let heard = Happening::GatewayHeard {
            gateway: index,
            number: gateway.number,
            epoch: gateway.epoch,
            forwarding_to,
        };
        let (at, wait) = (gateway.site, gateway.clock.stretch(REPORT));
        self.schedule.after(wait, Happening::GatewayReports(index));
        if self.passes(at, self.home) {
            let delay = self.schedule.random.mostly_short(1, 300);
            self.schedule.after(delay, heard);
        }
    }

    /// The controller hears a gateway, and grants in answer.
    pub(super) fn gateway_heard(
        &mut self,
        index: usize,
        number: u64,
        epoch: u64,
        forwarding_to: Option<usize>,
    ) {
        let now = self.schedule.now();
        let Some(controller) = &mut self.controller else { return };
        let local = controller.clock.read(now);
        let seen = controller.gateways.entry(index).or_insert(Seen {
            number,
            epoch,
            forwarding_to,
            granted_until: local,
        });
        if number < seen.number {
            return;
        }
        (seen.number, seen.epoch, seen.forwarding_to) = (number, epoch, forwarding_to);
        let life = controller.life;
        self.grant(index);
        self.schedule.after(RENEWAL, Happening::Renewal(index, life));
    }

    pub(super) fn renewal(&mut self, index: usize, life: u64) {
        if self.controller.as_ref().is_some_and(|controller| controller.life == life) {
            self.grant(index);
        }
    }

    /// Tells a gateway who serves; the grant counts as held from now.
    pub(super) fn grant(&mut self, index: usize) {
        let now = self.schedule.now();
        let Some(controller) = &mut self.controller else { return };
        let local = controller.clock.read(now);
        let state = controller.engine.state();
        let region = state.serving.as_ref().map(site);
        let epoch = state.epoch.to_wire();
        let promotion = state.promotion.clone();
        let Some(seen) = controller.gateways.get_mut(&index) else { return };
        if region.is_some() {
            seen.granted_until = local.after(LEASE.duration).after(LEASE.margin);
        }
        let leave = Leave { epoch, region, promotion, answers: seen.number };
        if self.passes(self.gateways[index].site, self.home) {
            let delay = self.schedule.random.mostly_short(1, 300);
            self.schedule.after(delay, Happening::LeaveArrives(index, leave));
        }
    }

    pub(super) fn leave_arrives(&mut self, index: usize, leave: Leave) -> Result<(), Violation> {
        let now = self.schedule.now();
        let gateway = &mut self.gateways[index];
        if leave.epoch < gateway.epoch || leave.answers < gateway.first {
            return Ok(());
        }
        let counts_from = gateway.sent.iter().find(|(number, _)| *number == leave.answers).map(|(_, at)| *at);
        let local = gateway.clock.read(now);
        let before = gateway.forwards(local);
        if (gateway.epoch, gateway.region) != (leave.epoch, leave.region) {
            trace::note(|| format!("{now:?} gateway {index} is told {leave:?}"));
        }
        gateway.epoch = leave.epoch;
        gateway.region = leave.region;
        gateway.promotion = leave.promotion;
        gateway.lives_until = counts_from.map_or(local, |from| from.after(LEASE.duration));
        D::told(self, index, before)
    }

    /// What is cut off of an epoch's predecessors; `None` while somebody may still forward.
    pub(super) fn look_cut(&self, epoch: FencingEpoch) -> Option<GatewaysCut> {
        let controller = self.controller.as_ref()?;
        let local = controller.clock.read(self.schedule.now());
        let mut cut = GatewaysCut { acknowledged: 0, lapsed: 0 };
        for seen in controller.gateways.values() {
            if seen.epoch >= epoch.to_wire() && seen.forwarding_to.is_none() {
                cut.acknowledged += 1;
            } else if seen.granted_until <= local {
                cut.lapsed += 1;
            } else {
                return None;
            }
        }
        (controller.unknown_until <= local).then_some(cut)
    }
}
