//! Fixed seeds of every world: the quick version of what `cargo run -p leeward-sim` does at length.

use leeward_sim::{WorldKind, run};

/// Seeds of each world, from 1 on.
const SEEDS: u64 = 200;

fn nothing_breaks(world: WorldKind) {
    for seed in 1..=SEEDS {
        if let Err(failure) = run(world, seed) {
            panic!("{failure}");
        }
    }
}

#[test]
fn mirrors_that_crash_and_rival_copy_exactly_once() {
    nothing_breaks(WorldKind::Mirror);
}
