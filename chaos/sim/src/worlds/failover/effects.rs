//! What the effects do to the world, and what comes back. Each may be tried again under its id.

use std::time::Duration;

use leeward_failover_core::{Effect, EffectId, Outcome, SealEvidence};

use super::data::Data;
use super::{FailoverWorld, Happening, site};
use crate::run::Violation;
use crate::trace;

/// Between two looks of an effect that waits for something.
const LOOK: Duration = Duration::from_millis(40);
/// Looks after which a broker that does not answer has failed.
const LOOKS_MAX: u32 = 30;

/// What became of one try.
pub(crate) enum Tried {
    Ends(Outcome),
    /// Look again soon.
    Waits,
}

pub(super) fn failed(error: &str) -> Tried {
    Tried::Ends(Outcome::Failed { error: error.to_owned() })
}

impl<D: Data> FailoverWorld<D> {
    pub(super) fn try_effect(&mut self, life: u64, id: EffectId, tries: u32) -> Result<(), Violation> {
        let Some(controller) = self.controller.as_ref().filter(|controller| controller.life == life) else {
            return Ok(());
        };
        let Some(effect) = controller.effects.get(&id).cloned() else { return Ok(()) };
        self.check_journaled(id, &effect)?;
        let unlucky = !self.calm && tries == 0 && self.schedule.random.one_in(15);
        let tried = if unlucky { failed("unlucky") } else { self.attempt(&effect, tries)? };
        match tried {
            Tried::Ends(outcome) => {
                trace::note(|| {
                    format!("{:?} {} {id} is done at the site", self.schedule.now(), effect.name())
                });
                let delay = self.schedule.random.mostly_short(1, 600);
                self.schedule.after(delay, Happening::EffectDone(life, id, outcome));
            }
            Tried::Waits if tries > D::LOOKS_MAX && !matches!(effect, Effect::CutGateways { .. }) => {
                let outcome = Outcome::Failed { error: "waited too long".to_owned() };
                self.schedule.after(LOOK, Happening::EffectDone(life, id, outcome));
            }
            Tried::Waits => self.schedule.after(LOOK, Happening::EffectTried(life, id, tries + 1)),
        }
        Ok(())
    }

    fn attempt(&mut self, effect: &Effect, tries: u32) -> Result<Tried, Violation> {
        Ok(match effect {
            Effect::CutGateways { epoch, .. } => match self.look_cut(*epoch) {
                Some(cut) => Tried::Ends(Outcome::GatewaysCut(cut)),
                None => Tried::Waits,
            },
            Effect::SealRegion { region, .. } => self.seal(site(region), tries),
            Effect::UnsealRegion { region, epoch } => {
                let region = site(region);
                if !self.reaches(self.home, region) {
                    return Ok(failed("not reached"));
                }
                self.check_unsealing(region, *epoch)?;
                self.regions[region].sealed = false;
                Tried::Ends(Outcome::Done)
            }
            Effect::DrainLink { source, target, drain, epoch } => {
                if !self.reaches(self.home, site(target)) {
                    return Ok(failed("no mirror agent"));
                }
                D::drain(self, (site(source), site(target)), *epoch, drain, tries)?
            }
            Effect::Promote { region, fence } => {
                let region = site(region);
                if !self.reaches(self.home, region) {
                    return Ok(failed("not reached"));
                }
                self.check_promotion(region, fence)?;
                // From a planned move on the old primary's topics belong to the mirror; a lost one takes what it gets.
                self.regions[1 - region].open_to_clients &= !self.is_planned();
                self.regions[region].sealed = false;
                Tried::Ends(Outcome::Promoted { topics: 1, groups: 0 })
            }
            Effect::MoveGateways { .. } => Tried::Ends(Outcome::Done),
            Effect::UpdateDns { region, epoch } => {
                if self.dns.1 > *epoch {
                    return Ok(failed("names belong to a later epoch"));
                }
                self.dns = (site(region), *epoch);
                self.regions[site(region)].open_to_clients = true;
                Tried::Ends(Outcome::Done)
            }
            Effect::Verify { region, .. } => {
                if self.reaches(self.home, site(region)) {
                    Tried::Ends(Outcome::Done)
                } else {
                    failed("not reached")
                }
            }
            Effect::Quarantine { region, survivor, tails, .. } => {
                let (region, survivor) = (site(region), site(survivor));
                if !(self.reaches(self.home, region) && self.reaches(self.home, survivor)) {
                    return Ok(failed("not reached"));
                }
                Tried::Ends(Outcome::Quarantined { records: self.quarantine(region, tails) })
            }
            Effect::RecreateTopics { region, .. } => {
                let region = site(region);
                if !self.reaches(self.home, region) {
                    return Ok(failed("not reached"));
                }
                self.check_recreation(region)?;
                D::delete_topics(self, region);
                self.regions[region].open_to_clients = false;
                Tried::Ends(Outcome::Done)
            }
            Effect::StartLink { source, target, resume, epoch } => {
                let (source, target) = (site(source), site(target));
                if !self.reaches(self.home, target) {
                    return Ok(failed("no mirror agent"));
                }
                self.regions[target].open_to_clients = false;
                D::start_link(self, (source, target), *epoch, !resume.is_empty(), tries)?
            }
            Effect::AwaitCaughtUp { target, .. } => {
                if D::is_caught_up(self, site(target)) {
                    Tried::Ends(Outcome::Done)
                } else {
                    Tried::Waits
                }
            }
        })
    }

    /// Refuses every write, and looks at the next try whether it holds.
    fn seal(&mut self, region: usize, tries: u32) -> Tried {
        if !self.reaches(self.home, region) {
            return if tries > LOOKS_MAX { failed("not reached") } else { Tried::Waits };
        }
        if !self.regions[region].sealed {
            self.regions[region].sealed = true;
            return Tried::Waits;
        }
        let still = self.calm || !self.schedule.random.one_in(10);
        let log_ends = self.log_ends(region);
        Tried::Ends(Outcome::Sealed(SealEvidence { brokers: 1, brokers_refusing: 1, log_ends, still }))
    }
}
