//! Every policy and drill that ships loads, and says what it should.

use std::{fs, path::Path, time::Duration};

use leeward_model::TopicName;
use leeward_policies::{Drill, Loaded, Source, Topology, load};

fn environment(name: &str) -> Option<String> {
    (name == "USE_BOOTSTRAP").then(|| "k1.use.example.com:9093".to_owned())
}

/// The files of a directory of this crate, each by its name within the crate.
fn sources(directory: &str) -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut names: Vec<String> = fs::read_dir(root.join(directory))
        .expect("the directory ships with the crate")
        .map(|entry| entry.expect("readable").file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names.iter().map(|name| source(&format!("{directory}/{name}"))).collect()
}

fn source(name: &str) -> Source {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    Source::new(name, fs::read_to_string(path).expect("ships with the crate"))
}

fn topology(name: &str) -> Loaded<Topology> {
    Topology::parse(source(name), &environment).unwrap_or_else(|diagnostics| panic!("{diagnostics}"))
}

fn drill(source: Source) -> Loaded<Drill> {
    Drill::parse(source, &environment).unwrap_or_else(|diagnostics| panic!("{diagnostics}"))
}

#[test]
fn every_example_loads_without_a_warning() {
    let policies = load(sources("examples"), &environment);

    assert!(policies.diagnostics.is_empty(), "{}", policies.diagnostics);
    assert_eq!(policies.topologies.len(), 3);
}

#[test]
fn every_drill_loads_and_names_only_what_its_topology_has() {
    for source in sources("drills") {
        let name = source.name().to_owned();

        let drill = drill(source);

        let path = drill.document.spec.topology.path(Path::new(&name)).expect("a file");
        let topology = topology(path.to_str().expect("a plain path"));
        drill.check_against(&topology.document).unwrap_or_else(|diagnostics| panic!("{diagnostics}"));
        assert_eq!(
            Path::new(&name).file_stem().and_then(|stem| stem.to_str()),
            Some(drill.document.metadata.name.as_str())
        );
    }
}

#[test]
fn hello_observes_only_and_mirrors_everything_but_internal_topics() {
    let hello = topology("examples/hello.yaml").document;

    let topics = &hello.spec.replication.topics;

    assert_eq!(hello.spec.failover.automation, leeward_policies::Automation::Observe);
    assert!(topics.matches(&TopicName::new("orders").expect("legal")));
    assert!(!topics.matches(&TopicName::new("__consumer_offsets").expect("legal")));
}

#[test]
fn the_embedded_example_knows_its_worst_case() {
    let arithmetic = topology("examples/embedded.yaml").document.rto_arithmetic();

    assert_eq!(arithmetic.total, Duration::from_millis(12_800));
    assert_eq!(
        arithmetic.to_string(),
        "detect 1s400ms (200ms x 7) + agents 400ms (200ms x 2) + fence lease 1s + drain 2s + promote 5s + dns ttl 1s + \
         confirm 2s = 12s800ms"
    );
}

#[test]
fn what_is_shown_loads_again_as_the_same_topology() {
    for source in sources("examples") {
        let loaded = Topology::parse(source, &environment).expect("an example");

        let shown = Topology::parse(Source::new("shown.yaml", loaded.show(false)), &environment);

        let shown = shown.unwrap_or_else(|diagnostics| panic!("{diagnostics}"));
        assert_eq!(shown.document, loaded.document);
    }
}

#[test]
fn a_shown_drill_loads_again_as_the_same_drill() {
    for source in sources("drills") {
        let loaded = drill(source);

        let shown = drill(Source::new("shown.yaml", loaded.show(true)));

        assert_eq!(shown.document, loaded.document);
    }
}

#[test]
fn show_says_where_each_value_came_from() {
    insta::assert_snapshot!(topology("examples/hello.yaml").show(true));
}
