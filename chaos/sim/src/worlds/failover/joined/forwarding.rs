//! The gateway between controller and regions: the grants that its buffer is told of, and when they are over.

use std::time::Duration;

use leeward_buffer_core::partition::{Event, Grant, Marks, Promoted};
use leeward_model::FencingEpoch;

use super::{Carrying, FailoverWorld, Joined, LEASE_LOOK};
use crate::gateway::Gateway;
use crate::run::Violation;
use crate::sites::name;
use crate::worlds::failover::gateway::Forwards;

impl FailoverWorld<Joined> {
    pub(super) fn begin_gateway(&mut self) {
        self.with_gateway(Gateway::begin);
        self.watch_lease();
    }

    fn watch_lease(&mut self) {
        self.data.lapsed = true;
        self.later(LEASE_LOOK, Carrying::LeaseLook(self.data.gateway.life));
    }

    pub(super) fn feed_gateway(&mut self, event: Event) -> Result<(), Violation> {
        self.with_gateway(|gateway, around| gateway.feed(event, around))
    }

    pub(super) fn forwards(&self) -> Forwards {
        let gateway = &self.gateways[0];
        gateway.forwards(gateway.clock.read(self.schedule.now()))
    }

    /// The gateway was told something. Nothing of an earlier grant lives on in the one that follows.
    pub(super) fn gateway_is_told(&mut self, before: Forwards) -> Result<(), Violation> {
        if !self.data.gateway.alive {
            return Ok(());
        }
        let told = self.forwards();
        if !before.lives {
            self.lapse()?;
        }
        if told == before && told.lives {
            return Ok(());
        }
        if before.region != told.region {
            self.with_gateway(Gateway::cut)?;
        }
        match self.granted().filter(|_| told.lives) {
            Some(grant) => {
                self.data.lapsed = false;
                self.feed_gateway(Event::Granted(grant))?;
            }
            None => self.lapse()?,
        }
        self.data.grants += 1;
        Ok(())
    }

    fn granted(&self) -> Option<Grant> {
        let gateway = &self.gateways[0];
        let promoted = gateway.promotion.as_ref().map(|promotion| {
            let position = promotion.positions.first();
            let marks = position.map_or(Marks { replicated_to: 0, target_end: 0 }, |position| Marks {
                replicated_to: position.source.to_wire(),
                target_end: position.target.to_wire(),
            });
            Promoted { from: promotion.from.clone(), marks }
        });
        let epoch = FencingEpoch::from_wire(gateway.epoch)?;
        Some(Grant { epoch, region: name(gateway.region?), promoted })
    }

    fn lapse(&mut self) -> Result<(), Violation> {
        self.data.lapsed = true;
        self.feed_gateway(Event::Lapsed)
    }

    pub(super) fn look_at_lease(&mut self, life: u64) -> Result<(), Violation> {
        if !self.data.gateway.lives(life) {
            return Ok(());
        }
        self.later(LEASE_LOOK, Carrying::LeaseLook(life));
        if self.forwards().lives || self.data.lapsed { Ok(()) } else { self.lapse() }
    }

    /// A link's watermark. What was said before the newest grant is not listened to, and asked for anew.
    pub(super) fn marks_heard(
        &mut self,
        (life, grants): (u64, u64),
        source: usize,
        marks: Marks,
    ) -> Result<(), Violation> {
        if !self.data.gateway.lives(life) || grants != self.data.grants {
            return Ok(());
        }
        if !self.forwards().lives {
            self.lapse()?;
        }
        self.feed_gateway(Event::Replicated { region: name(source), topic: None, marks })
    }

    pub(super) fn crash_gateway(&mut self) {
        if self.with_gateway(Gateway::crash) {
            let wait = self.schedule.random.mostly_short(5, 3_000);
            self.later(wait, Carrying::GatewayStarts);
        }
    }

    /// A gateway that is started again knows what is on its disk, and waits to be told the rest.
    pub(super) fn restart_gateway(&mut self) {
        if self.data.gateway.alive {
            return;
        }
        let clock = self.clock();
        self.gateways[0].restart(clock);
        self.with_gateway(Gateway::restart);
        self.watch_lease();
    }

    pub(super) fn cut_gateway(&mut self) -> Result<(), Violation> {
        if self.data.gateway.alive { self.with_gateway(Gateway::cut) } else { Ok(()) }
    }

    pub(super) fn pause_gateway(&mut self, long: Duration) {
        let until = self.schedule.now() + long;
        let paused_until = &mut self.gateways[0].paused_until;
        *paused_until = until.max(*paused_until);
    }
}
