//! House rules that a tool can hold: file length, no `unwrap` outside tests, pure crates without clocks.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Lines that a file may have before somebody asks what two things it became.
const FILE_LINES_MAX: usize = 500;

/// Files that are longer, each with its reason.
const LONGER_FILES: &[(&str, &str)] = &[];

/// Folders of crates that take `now` as an argument and return commands.
const PURE: &[&str] = &[
    "model/src",
    "policies/src",
    "broker/wire/src",
    "buffer/core/src",
    "mirror/core/src",
    "failover/core/src",
    "chaos/sim/src",
];

/// What must not stand in a pure crate.
const EFFECTS: &[&str] =
    &["Instant::now", "SystemTime", "std::net", "std::fs", "std::thread", "std::process", "tokio::"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ stands in the workspace").to_owned()
}

fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in
        fs::read_dir(folder).expect("a folder of the workspace").map(|entry| entry.expect("readable"))
    {
        let path = entry.path();
        let name = entry.file_name();
        if path.is_dir() {
            if name != "target" && !name.to_string_lossy().starts_with('.') {
                rust_files(&path, found);
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

fn all_rust_files() -> Vec<(String, String)> {
    let root = root();
    let mut files = Vec::new();
    rust_files(&root, &mut files);
    files
        .into_iter()
        .map(|path| {
            let text = fs::read_to_string(&path).expect("source is UTF-8");
            let name = path.strip_prefix(&root).expect("found below the root").to_string_lossy().into_owned();
            (name, text)
        })
        .collect()
}

/// The part of a file above its unit tests.
fn above_tests(text: &str) -> &str {
    text.split("#[cfg(test)]").next().unwrap_or(text)
}

fn is_test(name: &str) -> bool {
    name.starts_with("tests/")
        || name.contains("/tests/")
        || name.contains("/benches/")
        || name.ends_with("tests.rs")
}

#[test]
fn no_file_is_two_things() {
    let long: Vec<_> = all_rust_files()
        .into_iter()
        .filter(|(name, text)| {
            text.lines().count() > FILE_LINES_MAX && !LONGER_FILES.iter().any(|(known, _)| known == name)
        })
        .map(|(name, text)| format!("{name}: {} lines", text.lines().count()))
        .collect();

    assert!(long.is_empty(), "split these, or give a reason in LONGER_FILES: {long:#?}");
}

#[test]
fn every_file_says_what_it_is() {
    let silent: Vec<_> = all_rust_files()
        .into_iter()
        .filter(|(_, text)| !text.trim_start().starts_with("//!"))
        .map(|(name, _)| name)
        .collect();

    assert!(silent.is_empty(), "these do not open with `//!`: {silent:#?}");
}

#[test]
fn nothing_unwraps_outside_tests() {
    let unwrapping: Vec<_> = all_rust_files()
        .into_iter()
        .filter(|(name, text)| !is_test(name) && above_tests(text).contains(".unwrap()"))
        .map(|(name, _)| name)
        .collect();

    assert!(unwrapping.is_empty(), "say with `expect` why it cannot happen: {unwrapping:#?}");
}

#[test]
fn no_test_is_ignored_and_nothing_is_left_to_do() {
    let marks = [
        concat!("#[", "ignore"),
        concat!("todo", "!("),
        concat!("unimplemented", "!("),
        concat!("FIX", "ME"),
    ];

    let marked: Vec<_> = all_rust_files()
        .into_iter()
        .filter(|(_, text)| marks.iter().any(|mark| text.contains(mark)))
        .map(|(name, _)| name)
        .collect();

    assert!(marked.is_empty(), "{marked:#?}");
}

#[test]
fn pure_crates_touch_no_clock_file_or_socket() {
    let impure: Vec<_> = all_rust_files()
        .into_iter()
        .filter(|(name, _)| PURE.iter().any(|pure| name.starts_with(pure)))
        .flat_map(|(name, text)| {
            let text = above_tests(&text).to_owned();
            EFFECTS
                .iter()
                .filter(move |effect| text.contains(*effect))
                .map(move |effect| format!("{name}: {effect}"))
        })
        .collect();

    assert!(impure.is_empty(), "{impure:#?}");
}
