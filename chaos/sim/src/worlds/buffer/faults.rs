//! What goes wrong around the gateway, and how it ends.

use leeward_buffer_core::partition::{Event, Promoted};

use super::{BufferWorld, FINISH_WITHIN, Happening};
use crate::broker::Broker;
use crate::run::Violation;
use crate::sites::name;
use crate::trace;

impl BufferWorld {
    pub(super) fn restart(&mut self) {
        if !self.gateway.alive {
            self.gateway.restart(&mut self.regions);
            self.say_grant();
        }
    }

    fn crash(&mut self) {
        if self.gateway.crash(&mut self.regions) {
            let schedule = &mut self.regions.schedule;
            let wait = schedule.random.mostly_short(5, 2_000);
            schedule.after(wait, Happening::Starts);
        }
    }

    fn cut(&mut self) -> Result<(), Violation> {
        self.gateway.cut(&mut self.regions)
    }

    /// The acting region dies and the other is promoted, once no grant lives. The dead one comes back empty and is
    /// mirrored to anew.
    fn fail_over(&mut self) -> Result<(), Violation> {
        if self.regions.mirrored < self.regions.must_mirror {
            return Ok(());
        }
        self.lapse()?;
        self.gateway.forget_ghosts();
        let regions = &mut self.regions;
        let (from, marks) = (regions.acting, regions.marks());
        regions.must_mirror = regions.logs[1 - from].committed();
        regions.acting = 1 - from;
        regions.epoch += 1;
        regions.promoted = Some(Promoted { from: name(from), marks });
        regions.note_promotion();
        regions.logs[from] = Broker::default();
        regions.mirrored = 0;
        self.say_grant();
        Ok(())
    }

    fn lapse(&mut self) -> Result<(), Violation> {
        if self.gateway.alive {
            self.cut()?;
            self.feed(Event::Lapsed)?;
        }
        Ok(())
    }

    /// Planned moves that went back: each is a new epoch for the same region, and of two the gateway may hear at once.
    fn abort_moves(&mut self) -> Result<(), Violation> {
        self.lapse()?;
        self.regions.epoch += if self.regions.schedule.random.one_in(3) { 2 } else { 1 };
        self.say_grant();
        Ok(())
    }

    pub(super) fn go_wrong(&mut self) -> Result<(), Violation> {
        if self.regions.calm {
            return Ok(());
        }
        let wait = self.regions.schedule.random.millis(20, 600);
        self.regions.schedule.after(wait, Happening::Fault);
        let choice = self.regions.schedule.random.below(16);
        let now = self.regions.schedule.now();
        trace::note(|| format!("{now:?} fault {choice}"));
        match choice {
            0..=2 => self.crash(),
            3..=5 if self.gateway.alive => self.cut()?,
            6 | 7 => self.fail_over()?,
            8 if self.gateway.alive => self.feed(Event::Lapsed)?,
            9 => self.regions.refuses_until = now + self.regions.schedule.random.mostly_short(10, 1_500),
            10 => self.abort_moves()?,
            11 if self.regions.foreigners => self.regions.logs[self.regions.acting].write_foreign(1),
            _ => self.say_grant(),
        }
        Ok(())
    }

    pub(super) fn calm_down(&mut self) {
        let now = self.regions.schedule.now();
        trace::note(|| format!("{now:?} nothing goes wrong any more"));
        self.regions.calm = true;
        self.regions.refuses_until = now;
        self.restart();
        self.say_grant();
        self.regions.schedule.after(FINISH_WITHIN, Happening::TooLate);
    }
}
