//! A drill is checked against the file of its topology.

use std::{fs, io, path::Path};

use leeward_policies::{Policies, Source, load};

const DRILL: &str = "drills/region-loss.yaml";

/// What a drill's check says where its topology's file holds this text.
fn checked(topology: Option<&str>) -> Policies {
    let drill =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(DRILL)).expect("ships with the crate");
    let mut policies = load(vec![Source::new(DRILL, drill)], &|_| None);
    let read = |path: &Path| {
        assert_eq!(path, Path::new("drills/../examples/embedded.yaml"));
        topology.map(str::to_owned).ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
    };
    policies.check_topology_files(&read, &|_| None);
    policies
}

fn example() -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/embedded.yaml");
    fs::read_to_string(file).expect("ships with the crate")
}

#[test]
fn a_drill_whose_topology_is_right_is_right() {
    let policies = checked(Some(&example()));

    assert!(policies.diagnostics.is_empty(), "{}", policies.diagnostics);
}

#[test]
fn a_topology_file_that_is_not_there_is_said_at_its_name() {
    let said = checked(None).diagnostics.to_string();

    assert!(said.contains("E0304") && said.contains("drills/region-loss.yaml:7:13"), "{said}");
    assert!(said.contains("drills/../examples/embedded.yaml") && said.contains("not found"), "{said}");
    assert!(said.contains("the path counts from the drill's own file"), "{said}");
}

#[test]
fn a_topology_file_with_errors_is_said_with_the_way_to_see_them() {
    let wrong = example().replace("role: standby", "role: spare");

    let said = checked(Some(&wrong)).diagnostics.to_string();

    assert!(said.contains("E0304") && said.contains("1 error"), "{said}");
    assert!(said.contains("`leeward policy validate drills/../examples/embedded.yaml`"), "{said}");
}

#[test]
fn a_region_that_the_topology_file_lacks_is_said_where_the_drill_names_it() {
    let renamed = example().replace("eu-west", "eu-south");

    let said = checked(Some(&renamed)).diagnostics.to_string();

    assert!(said.contains("E0303") && said.contains("eu-west"), "{said}");
}
