//! One libFuzzer program for all targets; `LEEWARD_FUZZ_TARGET` names the one that runs.

#![no_main]

mod memory;
mod targets;

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use targets::{INPUT_BYTES_MAX, Target};

#[global_allocator]
static ALLOCATOR: memory::Counted = memory::Counted;

static CHOSEN: OnceLock<&Target> = OnceLock::new();

fn chosen() -> &'static Target {
    let name = std::env::var("LEEWARD_FUZZ_TARGET").unwrap_or_default();
    let found = targets::TARGETS.iter().find(|target| target.name == name);
    found.unwrap_or_else(|| panic!("LEEWARD_FUZZ_TARGET={name:?} is no target"))
}

fuzz_target!(|input: &[u8]| {
    let target = CHOSEN.get_or_init(chosen);
    if input.len() > INPUT_BYTES_MAX {
        return;
    }
    let peak = memory::peak_of(|| (target.run)(input));
    let allowed = target.memory_bytes_max;
    assert!(
        peak <= allowed,
        "{} bytes of input took {peak} bytes of memory, {allowed} are allowed",
        input.len()
    );
});
