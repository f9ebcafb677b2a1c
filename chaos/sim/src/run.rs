//! Runs one seed of one world and says what went wrong, with the command that repeats it.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::trace;
use crate::worlds::WorldKind;

/// Something that must always hold and does not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The invariant's name, as `docs/simulation.md` lists it.
    pub invariant: &'static str,
    pub detail: String,
}

impl Violation {
    /// # Errors
    ///
    /// The violation, where `holds` is false.
    pub fn unless(holds: bool, invariant: &'static str, detail: impl FnOnce() -> String) -> Result<(), Self> {
        if holds { Ok(()) } else { Err(Self { invariant, detail: detail() }) }
    }
}

/// Whether a world goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    GoesOn,
    Over,
}

/// Processes, regions and what lies between them, under one scheduler.
pub trait World {
    /// Lets the next thing happen and checks what must hold.
    ///
    /// # Errors
    ///
    /// The first [`Violation`].
    fn step(&mut self) -> Result<Progress, Violation>;
}

/// A seed that breaks an invariant.
#[derive(Clone, Debug)]
pub struct Failure {
    pub world: WorldKind,
    pub seed: u64,
    pub step: u64,
    pub violation: Violation,
    /// The last things that happened before.
    pub trace: Vec<String>,
}

impl Failure {
    /// The command that repeats the run.
    pub fn command(&self) -> String {
        format!("cargo run -p leeward-sim -- --world {} --seed {}", self.world.name(), self.seed)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.trace {
            writeln!(f, "  {line}")?;
        }
        let Violation { invariant, detail } = &self.violation;
        writeln!(f, "seed {} of world {} breaks at step {}:", self.seed, self.world.name(), self.step)?;
        writeln!(f, "  {invariant}: {detail}")?;
        write!(f, "repeat it with: {}", self.command())
    }
}

/// Runs a seed to its end; returns how many steps it took.
///
/// # Errors
///
/// The [`Failure`], with a trace, for which the seed is run once more.
pub fn run(world: WorldKind, seed: u64) -> Result<u64, Box<Failure>> {
    let (step, violation) = match attempt(world, seed) {
        Ok(steps) => return Ok(steps),
        Err(failed) => failed,
    };
    trace::begin();
    let again = attempt(world, seed);
    let trace = trace::end();
    let violation = match again {
        Err((same, _)) if same == step => violation,
        Ok(_) | Err(_) => Violation {
            invariant: "the same seed is the same run",
            detail: format!("broke at first: {violation:?}"),
        },
    };
    Err(Box::new(Failure { world, seed, step, violation, trace }))
}

fn attempt(world: WorldKind, seed: u64) -> Result<u64, (u64, Violation)> {
    let mut steps = 0;
    let run = AssertUnwindSafe(|| {
        let mut world = world.build(seed);
        loop {
            steps += 1;
            if world.step()? == Progress::Over {
                return Ok(());
            }
        }
    });
    let result = catch_unwind(run).unwrap_or_else(|panic| {
        let said = panic.downcast_ref::<String>().map(String::as_str);
        let said = said.or(panic.downcast_ref::<&str>().copied()).unwrap_or("a panic without words");
        Err(Violation { invariant: "a core's own assertions", detail: said.to_owned() })
    });
    result.map(|()| steps).map_err(|violation| (steps, violation))
}
