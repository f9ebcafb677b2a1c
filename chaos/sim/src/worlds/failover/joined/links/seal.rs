//! Ending a link for the controller: opened where it has to be, drained, stopped, and where that was.

use std::time::Duration;

use leeward_buffer_core::partition::Marks;
use leeward_failover_core::{Drain, FinalPosition, Outcome};
use leeward_mirror_core::partition::Event;
use leeward_model::SourceOffset;

use super::Leave;
use crate::mirrors::{source, target as target_offset};
use crate::run::Violation;
use crate::worlds::failover::effects::{Tried, failed};
use crate::worlds::failover::joined::Joined;
use crate::worlds::failover::{FailoverWorld, partition};

/// Looks at a link that was opened to be sealed, after which an emergency goes on without it.
const OPENS_LOOKS: u32 = 50;
const DRAINS_LOOKS: u32 = 90;
/// How long a seal drains what was received, and how long it waits then for what is in flight.
const DRAINS_FOR: Duration = Duration::from_millis(500);
const SETTLES_FOR: Duration = Duration::from_secs(2);

/// A seal under way.
#[derive(Debug)]
pub(super) struct Sealing {
    drained_by: Duration,
    at_once: bool,
}

/// Where a link ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sealed {
    position: Option<Marks>,
    drained: bool,
}

impl FailoverWorld<Joined> {
    fn mirror_state(&self, target: usize) -> &'static str {
        self.data.mirrors.processes[target].partition.standing().state
    }

    pub(in super::super) fn seal_link(
        &mut self,
        target: usize,
        epoch: u64,
        drain: &Drain,
        tries: u32,
    ) -> Result<Tried, Violation> {
        let link = &self.data.links[target];
        if !link.is_up {
            return Ok(failed("no mirror agent"));
        }
        let as_far = *drain == Drain::AsFarAsItCame;
        if link.waits() && link.running.as_ref().is_none_or(|running| running.leave.epoch != epoch) {
            let leave =
                Leave { epoch, behind_inverse: false, takes_back_seal: true, topics_made_anew: false };
            return Ok(match self.give_leave(target, leave) {
                Ok(()) => Tried::Waits,
                Err(error) => failed(error),
            });
        }
        let Some(running) = &link.running else { return Ok(failed("the link does not run")) };
        let opened_to_be_sealed = running.leave.epoch == epoch;
        let opening = running.topics.is_none() || self.mirror_state(target) == "starting";
        if running.sealed.is_none() && opened_to_be_sealed && opening && (tries < OPENS_LOOKS || !as_far) {
            return Ok(if tries > OPENS_LOOKS { failed("the link has not begun") } else { Tried::Waits });
        }
        let drain_to = match drain {
            Drain::AsFarAsItCame => None,
            Drain::To(ends) => ends.first().map(|end| end.end),
        };
        let acknowledged = self.data.links[target].board.map_or(0, |marks| marks.replicated_to);
        if drain_to.is_some_and(|end| end > SourceOffset::FIRST && acknowledged < end.to_wire()) {
            return Ok(if tries > DRAINS_LOOKS { failed("records are left") } else { Tried::Waits });
        }
        if let Some(sealed) = running.sealed {
            return Ok(report(sealed, as_far));
        }
        if epoch < running.leave.epoch {
            return Ok(failed("link is fenced"));
        }
        if running.sealing.is_some() {
            return Ok(Tried::Waits);
        }
        self.begin_sealing(target, epoch, drain_to)?;
        Ok(Tried::Waits)
    }

    /// What a process that died had sent into the region is there on all replicas, or never comes: where it came once the
    /// link's end was told, it would stand there beside its replay.
    pub(in super::super) fn none_is_late(&mut self, target: usize) {
        self.data.mirrors.forget_late(target);
        let broker = &mut self.data.logs[target].broker;
        broker.commit(broker.end());
    }

    fn begin_sealing(
        &mut self,
        target: usize,
        epoch: u64,
        drain_to: Option<SourceOffset>,
    ) -> Result<(), Violation> {
        let drained_by = self.schedule.now() + DRAINS_FOR;
        self.none_is_late(target);
        let link = &mut self.data.links[target];
        link.required = epoch + 1;
        let waits = link.waits();
        if let Some(running) = &mut link.running {
            running.sealing = Some(Sealing { drained_by, at_once: false });
        }
        if !waits {
            self.feed_mirror(target, Event::Seal { drain_to })?;
        }
        self.go_on_sealing(target)
    }

    pub(in super::super) fn go_on_sealing(&mut self, target: usize) -> Result<(), Violation> {
        let now = self.schedule.now();
        let waits = self.data.links[target].waits();
        let state = self.mirror_state(target);
        let ended = waits || state == "sealed" || state == "stopped";
        let link = &mut self.data.links[target];
        let position = link.board.filter(|_| !waits);
        let Some(running) = &mut link.running else { return Ok(()) };
        let Some(sealing) = &mut running.sealing else { return Ok(()) };
        if !ended && now < sealing.drained_by {
            return Ok(());
        }
        if !ended && !sealing.at_once {
            sealing.at_once = true;
            return self.feed_mirror(target, Event::SealAtOnce);
        }
        if !ended && now < sealing.drained_by + SETTLES_FOR {
            return Ok(());
        }
        let drained = !sealing.at_once && state != "stopped";
        running.sealed = Some(Sealed { position, drained });
        running.sealing = None;
        Ok(())
    }
}

fn report(sealed: Sealed, as_far: bool) -> Tried {
    if !as_far && !sealed.drained {
        return failed("records are left");
    }
    let position = sealed.position.map(|marks| FinalPosition {
        partition: partition(),
        source: source(marks.replicated_to),
        target: target_offset(marks.target_end),
    });
    Tried::Ends(Outcome::LinkDrained { positions: position.into_iter().collect() })
}
