//! What flows between the regions while the failover's brain decides: counted by a model, or carried by the real cores.

use std::fmt::Debug;
use std::time::Duration;

use leeward_failover_core::Drain;
use leeward_model::FencingEpoch;

use super::FailoverWorld;
use super::effects::Tried;
use super::gateway::Forwards;
use crate::run::{Progress, Violation};

/// The regions' logs, the links between them, and who writes.
pub(crate) trait Data: Debug + Default + Sized {
    type Happening: Debug;

    /// Looks after which an effect that waits has failed.
    const LOOKS_MAX: u32;

    fn begin(world: &mut FailoverWorld<Self>);

    fn happen(world: &mut FailoverWorld<Self>, happening: Self::Happening) -> Result<(), Violation>;

    /// Until when the process is paused that something is meant for.
    fn paused_until(world: &FailoverWorld<Self>, happening: &Self::Happening) -> Duration;

    /// After each thing that happened.
    fn check(world: &mut FailoverWorld<Self>) -> Result<(), Violation>;

    fn progress(world: &FailoverWorld<Self>) -> Progress;

    /// What readers see of a region's log.
    fn records(&self, region: usize) -> Vec<u64>;

    /// A gateway was told something; before that it forwarded as `before` says.
    fn told(world: &mut FailoverWorld<Self>, gateway: usize, before: Forwards) -> Result<(), Violation>;

    /// Seals the link, once it has what `drain` asks for.
    fn drain(
        world: &mut FailoverWorld<Self>,
        link: (usize, usize),
        epoch: FencingEpoch,
        drain: &Drain,
        tries: u32,
    ) -> Result<Tried, Violation>;

    /// `resumes`: behind what the link in the other direction wrote; else into new topics.
    fn start_link(
        world: &mut FailoverWorld<Self>,
        link: (usize, usize),
        epoch: FencingEpoch,
        resumes: bool,
        tries: u32,
    ) -> Result<Tried, Violation>;

    fn is_caught_up(world: &FailoverWorld<Self>, target: usize) -> bool;

    /// Whether the loss of the primary must lead to a failover, as far as the data goes.
    fn may_lose(world: &FailoverWorld<Self>) -> bool;

    fn delete_topics(world: &mut FailoverWorld<Self>, region: usize);

    /// An operation goes back, and its region takes writes again.
    fn taken_back(world: &mut FailoverWorld<Self>, region: usize);

    /// A region's brokers and all that runs beside them are down for so long.
    fn region_is_lost(world: &mut FailoverWorld<Self>, region: usize, long: Duration);

    fn calm_down(world: &mut FailoverWorld<Self>);
}
