//! The pure cores under one seeded scheduler: crashes, pauses, reordering, duplicates, partitions, drifting clocks.
//!
//! A world is made of the cores that we ship and of models of everything around them. All that happens is decided by
//! one seed, and what must hold is checked at each step. `docs/simulation.md` says how to run it and what it finds.

mod broker;
mod gateway;
mod mirrors;
mod mutation;
mod random;
mod run;
mod schedule;
mod sites;
mod trace;
mod worlds;

pub use mutation::{Lie, lie};
pub use run::{Failure, Progress, Violation, World, run};
pub use worlds::WorldKind;
