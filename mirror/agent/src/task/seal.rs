//! Ending a link: write what was received, stop, and say where it stopped.

use leeward_mirror_core::partition::Event;
use tokio::sync::oneshot;
use tokio::time::Instant;
use tracing::info;

use super::{SealOrder, Sealed, Task};
use crate::limits::SEAL_SETTLE_MAX;

/// A seal under way.
pub(super) struct Sealing {
    /// When draining is over.
    drained_by: Instant,
    /// When it is not waited any more for what became of batches in flight.
    over_by: Instant,
    at_once: bool,
    replies: Vec<oneshot::Sender<Sealed>>,
}

impl Task {
    pub(super) fn seal(&mut self, order: SealOrder) {
        if let Some(sealed) = &self.sealed {
            // Whoever asked may be gone.
            let _ = order.reply.send(sealed.clone());
            return;
        }
        if let Some(sealing) = &mut self.sealing {
            sealing.replies.push(order.reply);
            return;
        }
        let drained_by = Instant::now() + order.within;
        info!(link = %self.parts.config.name, within = ?order.within, "sealing");
        let planned = !order.drain_to.is_empty();
        for partition in self.slots.keys().cloned().collect::<Vec<_>>() {
            let drain_to = order.drain_to.get(&partition).copied();
            let event = match drain_to {
                None if planned => {
                    Event::Seal { drain_to: self.slots[&partition].machine.standing().source_end }
                }
                drain_to => Event::Seal { drain_to },
            };
            self.feed(&partition, event);
        }
        if !planned {
            self.parts.reading.cancel();
        }
        self.sealing = Some(Sealing {
            drained_by,
            over_by: drained_by + SEAL_SETTLE_MAX,
            at_once: false,
            replies: vec![order.reply],
        });
        self.continue_sealing();
    }

    pub(super) fn continue_sealing(&mut self) {
        let now = Instant::now();
        let ended = |state: &str| state == "sealed" || state == "stopped";
        let still = self.slots.values().filter(|slot| !ended(slot.machine.standing().state)).count();
        let Some(sealing) = &mut self.sealing else { return };
        if still > 0 && now < sealing.drained_by {
            return;
        }
        if still > 0 && !sealing.at_once {
            sealing.at_once = true;
            for partition in self.slots.keys().cloned().collect::<Vec<_>>() {
                self.feed(&partition, Event::SealAtOnce);
            }
            return;
        }
        if still > 0 && now < sealing.over_by {
            return;
        }
        // What a person has deleted leaves nothing to carry over.
        let stopped = self.slots.values().any(|slot| slot.machine.stopped().is_some() && !slot.is_deleted());
        let drained = !sealing.at_once && !stopped;
        self.parts.reading.cancel();
        self.publish_watermarks();
        let watermarks = self.parts.board.watermarks.borrow().as_ref().clone();
        let sealed = Sealed { watermarks, drained };
        let replies = self.sealing.take().map(|sealing| sealing.replies).unwrap_or_default();
        for reply in replies {
            let _ = reply.send(sealed.clone());
        }
        info!(link = %self.parts.config.name, drained, "sealed");
        self.sealed = Some(sealed);
        self.publish_status();
    }
}
