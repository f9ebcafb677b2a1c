//! The fuzz targets' bodies over their kept inputs, and over each of them changed a little, always in the same way.
//!
//! `tests/fuzz/run` looks for new findings; what it once found stays here.

#[path = "../fuzz/src/targets.rs"]
mod targets;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use targets::{INPUT_BYTES_MAX, TARGETS, Target};

/// Inputs that each kept one is changed into.
const CHANGES_EACH: usize = 8;
/// Time for the changed inputs of one target: a bound, not what is needed.
const CHANGED_WAIT_MAX: Duration = Duration::from_secs(10);

fn corpus(target: &Target) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target.name);
    let files = fs::read_dir(&folder).unwrap_or_else(|_| panic!("{} is in the tree", folder.display()));
    let mut inputs: Vec<_> = files
        .map(|file| file.expect("readable").path())
        .map(|path| (path.clone(), fs::read(path).expect("readable")))
        .collect();
    inputs.sort();
    inputs
}

/// SplitMix64: the same numbers in every run.
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// One change of the kinds that find most: a flipped bit, an extreme number, a cut, a repeated piece, another's end.
fn changed(input: &[u8], other: &[u8], random: &mut u64) -> Vec<u8> {
    let mut bytes = input.to_vec();
    let at = next(random) as usize % bytes.len().max(1);
    match next(random) % 5 {
        0 if !bytes.is_empty() => bytes[at] ^= 1 << (next(random) % 8),
        1 if bytes.len() >= at + 4 => {
            let extremes = [u32::MAX, 0, i32::MAX as u32, 1 << 31, 0x7f, 0xffff];
            let extreme = extremes[next(random) as usize % extremes.len()];
            bytes[at..at + 4].copy_from_slice(&extreme.to_be_bytes());
        }
        2 => bytes.truncate(at),
        3 => bytes.extend_from_within(at..),
        _ => {
            bytes.truncate(at);
            bytes.extend_from_slice(&other[other.len().min(at)..]);
        }
    }
    bytes.truncate(INPUT_BYTES_MAX);
    bytes
}

/// The name of the input is what a failure needs to be found again.
fn run(target: &Target, named: &str, input: &[u8]) {
    let ran = std::panic::catch_unwind(|| (target.run)(input));
    assert!(ran.is_ok(), "target {} fails on {named}: {}", target.name, input.escape_ascii());
}

#[test]
fn every_kept_input_is_taken() {
    for target in TARGETS {
        let inputs = corpus(target);
        assert!(!inputs.is_empty(), "target {} has no kept input", target.name);
        for (path, input) in inputs {
            run(target, &path.display().to_string(), &input);
        }
    }
}

#[test]
fn every_kept_input_is_taken_when_changed() {
    for target in TARGETS {
        let inputs = corpus(target);
        let mut random = 4;
        let began = Instant::now();
        for (at, (path, input)) in inputs.iter().enumerate() {
            let other = &inputs[(at + 1) % inputs.len()].1;
            for change in 0..CHANGES_EACH {
                let input = changed(input, other, &mut random);
                run(target, &format!("{} changed, {change}", path.display()), &input);
            }
            if began.elapsed() > CHANGED_WAIT_MAX {
                break;
            }
        }
    }
}

#[test]
fn the_page_names_every_target() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/hostile-input.md");
    let page = fs::read_to_string(page).expect("the page is in the tree");

    let unnamed: Vec<_> =
        TARGETS.iter().filter(|target| !page.contains(&format!("`{}`", target.name))).collect();

    assert!(unnamed.is_empty(), "docs/hostile-input.md lacks {unnamed:?}");
}
