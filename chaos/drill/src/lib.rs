//! Drills: rehearses a failover with the failover's own code, and judges it by a ledger of its own.

pub mod checker;
mod clock;
pub mod estate;
mod expect;
pub mod ledger;
mod limits;
mod load;
mod progress;
pub mod report;
mod runner;
mod watch;

pub use clock::now;
pub use load::{ForeignClient, ForeignError, LookError};
pub use progress::{EstateStanding, Progress, RouteStanding, Standing};
pub use runner::{DrillRun, RunError, run, run_folder};
