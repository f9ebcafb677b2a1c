//! The arrows between crates point down only, and `docs/ARCHITECTURE.md` names every crate.

use std::collections::BTreeMap;

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand};

/// Each crate, its layer, and whether it is pure: no clock, no sockets, no files, no tokio.
///
/// A crate depends on crates of lower layers only. `leeward-log` and `leeward-wire` stand one above the other
/// because a log's unit is the wire's record batch.
const LAYERS: &[(&str, u8, Purity)] = &[
    ("leeward-model", 0, Purity::Pure),
    ("leeward-policies", 1, Purity::Pure),
    ("leeward-proto", 1, Purity::Shell),
    ("leeward-wire", 1, Purity::Pure),
    ("leeward-mirror-core", 2, Purity::Pure),
    ("leeward-failover-core", 2, Purity::Pure),
    ("leeward-buffer-core", 2, Purity::Pure),
    ("leeward-client", 2, Purity::Shell),
    ("leeward-log", 2, Purity::Shell),
    ("leeward-faults", 2, Purity::Shell),
    ("leeward-node", 3, Purity::Shell),
    ("leeward-buffer", 3, Purity::Shell),
    ("leeward-mirror", 3, Purity::Shell),
    ("leeward-failover", 3, Purity::Shell),
    ("leeward-drill", 3, Purity::Shell),
    ("leeward-sim", 3, Purity::Pure),
    ("leeward", 4, Purity::Shell),
    ("leeward-tests", 5, Purity::Shell),
];

/// What a pure crate may not link.
const IMPURE: &[&str] = &["tokio", "tokio-util", "futures", "socket2", "nix", "rand", "redb", "tonic"];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Purity {
    Pure,
    Shell,
}

fn metadata() -> Metadata {
    MetadataCommand::new().no_deps().exec().expect("cargo metadata runs in a workspace")
}

fn normal_dependencies(metadata: &Metadata) -> BTreeMap<String, Vec<String>> {
    metadata
        .packages
        .iter()
        .map(|package| {
            let names = package
                .dependencies
                .iter()
                .filter(|dependency| dependency.kind == DependencyKind::Normal)
                .map(|dependency| dependency.name.clone())
                .collect();
            (package.name.to_string(), names)
        })
        .collect()
}

fn layer(name: &str) -> Option<u8> {
    LAYERS.iter().find(|(known, ..)| *known == name).map(|(_, layer, _)| *layer)
}

#[test]
fn every_crate_has_a_layer() {
    let dependencies = normal_dependencies(&metadata());

    let unplaced: Vec<_> = dependencies.keys().filter(|name| layer(name).is_none()).collect();

    assert!(unplaced.is_empty(), "give these a line in LAYERS: {unplaced:?}");
}

#[test]
fn arrows_point_down_only() {
    let dependencies = normal_dependencies(&metadata());

    let upward: Vec<_> = dependencies
        .iter()
        .flat_map(|(from, names)| names.iter().map(move |to| (from, to)))
        .filter(|(from, to)| match (layer(from), layer(to)) {
            (Some(from), Some(to)) => to >= from,
            (_, None) | (None, _) => false,
        })
        .collect();

    assert!(upward.is_empty(), "arrows that do not point down: {upward:?}");
}

#[test]
fn the_two_brains_never_name_each_other() {
    let dependencies = normal_dependencies(&metadata());

    assert!(!dependencies["leeward-mirror-core"].iter().any(|name| name.starts_with("leeward-failover")));
    assert!(!dependencies["leeward-failover-core"].iter().any(|name| name.starts_with("leeward-mirror")));
}

#[test]
fn pure_crates_link_nothing_that_does_things() {
    let dependencies = normal_dependencies(&metadata());

    let impure: Vec<_> = LAYERS
        .iter()
        .filter(|(_, _, purity)| *purity == Purity::Pure)
        .flat_map(|(name, ..)| dependencies[*name].iter().map(move |dependency| (*name, dependency)))
        .filter(|(_, dependency)| IMPURE.contains(&dependency.as_str()))
        .collect();

    assert!(impure.is_empty(), "pure crates link {impure:?}");
}

#[test]
fn the_architecture_page_names_every_crate_and_its_folder() {
    let metadata = metadata();
    let root = &metadata.workspace_root;
    let page = std::fs::read_to_string(root.join("docs/ARCHITECTURE.md")).expect("the page is in the tree");

    let unnamed: Vec<_> = metadata
        .packages
        .iter()
        .map(|package| {
            let folder = package.manifest_path.parent().expect("a manifest stands in a folder");
            let folder = folder.strip_prefix(root).expect("members stand in the workspace");
            format!("| `{folder}` | `{}` |", package.name)
        })
        .filter(|row| !page.contains(row.as_str()))
        .collect();

    assert!(unnamed.is_empty(), "docs/ARCHITECTURE.md lacks the rows {unnamed:#?}");
}

/// What a feature `mutations` builds must never be shipped.
#[test]
fn only_the_simulation_can_plant_a_mutation() {
    let metadata = metadata();

    let planting: Vec<_> = metadata
        .packages
        .iter()
        .filter(|package| package.name.as_str() != "leeward-sim")
        .flat_map(|package| &package.dependencies)
        .filter(|dependency| dependency.features.iter().any(|feature| feature == "mutations"))
        .map(|dependency| &dependency.name)
        .collect();
    let by_default = metadata
        .packages
        .iter()
        .filter_map(|package| package.features.get("default"))
        .any(|features| features.iter().any(|feature| feature.contains("mutations")));

    assert!(planting.is_empty() && !by_default, "{planting:?}");
}
