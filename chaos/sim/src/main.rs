//! Runs seeds: `cargo run -p leeward-sim -- [--world NAME] [--first N] [--seeds N] | --world NAME --seed N`.

use leeward_sim::{WorldKind, run};

/// Seeds of each world where nobody says how many.
const SEEDS: u64 = 1000;

const USAGE: &str = "usage: leeward-sim [--world NAME] [--first N] [--seeds N] [--seed N]\n\
    --world NAME  only this world (mirror, failover, buffer, joined, log)\n\
    --first N     the first seed; 1 where it is left out\n\
    --seeds N     how many seeds; 1000 where it is left out\n\
    --seed N      this seed alone";

struct Asked {
    worlds: Vec<WorldKind>,
    first: u64,
    seeds: u64,
}

fn asked(mut words: impl Iterator<Item = String>) -> Result<Asked, String> {
    let mut asked = Asked { worlds: WorldKind::ALL.to_vec(), first: 1, seeds: SEEDS };
    while let Some(word) = words.next() {
        let value = words.next().ok_or_else(|| format!("{word} needs a value\n{USAGE}"))?;
        let number = || value.parse().map_err(|_| format!("{word} needs a number, not `{value}`\n{USAGE}"));
        match word.as_str() {
            "--world" => {
                let world = WorldKind::named(&value);
                asked.worlds = vec![world.ok_or_else(|| format!("there is no world `{value}`\n{USAGE}"))?];
            }
            "--first" => asked.first = number()?,
            "--seeds" => asked.seeds = number()?,
            "--seed" => (asked.first, asked.seeds) = (number()?, 1),
            _ => return Err(format!("`{word}` is unknown\n{USAGE}")),
        }
    }
    Ok(asked)
}

fn main() {
    let asked = match asked(std::env::args().skip(1)) {
        Ok(asked) => asked,
        Err(error) => panic!("{error}"),
    };
    for world in asked.worlds {
        let mut steps = 0;
        for seed in asked.first..asked.first + asked.seeds {
            match run(world, seed) {
                Ok(taken) => steps += taken,
                Err(failure) => panic!("{failure}"),
            }
        }
        println!("{}: {} seeds, {steps} steps, nothing broken", world.name(), asked.seeds);
    }
}
