//! The gateway's bench: one process a verb, one line of JSON for each answer. `tests/bench/gateway.py` drives it.
//!
//! `node DIR` and `serve DIR NODE` run until their input ends; `load` drives a gateway, or any cluster; `raw` and
//! `journal` write and sync groups of one size, without and with our journal around it.

mod disk;
mod load;
mod serve;

use std::collections::HashMap;

/// The binary's own allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The words behind the verb: `name=value`.
pub(crate) struct Words(HashMap<String, String>);

impl Words {
    fn read(words: impl Iterator<Item = String>) -> Self {
        let pair = |word: String| {
            let (name, value) = word.split_once('=').expect("words are name=value");
            (name.to_owned(), value.to_owned())
        };
        Self(words.map(pair).collect())
    }

    pub(crate) fn text(&self, name: &str) -> &str {
        self.0.get(name).unwrap_or_else(|| panic!("{name}= is missing"))
    }

    pub(crate) fn number(&self, name: &str) -> u64 {
        self.text(name).parse().unwrap_or_else(|_| panic!("{name} is no number"))
    }

    pub(crate) fn number_or(&self, name: &str, default: u64) -> u64 {
        if self.0.contains_key(name) { self.number(name) } else { default }
    }
}

/// The value below which `share` of the sorted values lie.
pub(crate) fn percentile(sorted: &[u64], share: f64) -> u64 {
    let at = (sorted.len() as f64 * share) as usize;
    sorted.get(at.min(sorted.len().saturating_sub(1))).copied().unwrap_or(0)
}

fn main() {
    let mut words = std::env::args().skip(1).filter(|word| word != "--bench");
    let verb = words.next().unwrap_or_default();
    let words = Words::read(words);
    match verb.as_str() {
        "node" => serve::node(&words),
        "serve" => serve::gateway(&words),
        "load" => load::load(&words),
        "raw" => disk::raw(&words),
        "journal" => disk::journal(&words),
        _ => println!("usage: gateway node|serve|load|raw|journal NAME=VALUE...; see tests/bench/gateway.py"),
    }
}
