//! Policies that are wrong, each with everything that is said about it: file, line, column, cause, way out.

use std::{fs, path::Path};

use leeward_policies::{Format, Source, load};

fn findings(name: &str, format: Format) -> String {
    let file = format!("tests/broken/{name}.yaml");
    let text =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(&file)).expect("ships with the crate");

    let policies = load(vec![Source::new(format!("{name}.yaml"), text)], &|_| None);

    assert!(policies.diagnostics.has_errors(), "{name} loads");
    for finding in policies.diagnostics.iter() {
        assert!(finding.help.is_some(), "{} without a way out", finding.code);
    }
    policies.diagnostics.render(format)
}

macro_rules! broken {
    ($($name:ident,)*) => {
        $(
            #[test]
            fn $name() {
                insta::assert_snapshot!(findings(stringify!($name), Format::Text { colour: false }));
            }
        )*

        #[test]
        fn every_broken_policy_is_looked_at() {
            let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/broken");
            let files = fs::read_dir(directory).expect("ships with the crate").count();

            assert_eq!(files, [$(stringify!($name)),*].len());
        }
    };
}

broken! {
    automatic_without_witness,
    drill_order,
    drill_region_names,
    drill_steps,
    duplicate_document,
    duplicate_key,
    duplicate_region,
    empty_include,
    field_not_yet,
    half_a_listeners_tls,
    impossible_quorum,
    missing_fields,
    plaintext_gateway,
    regex_error,
    rpo_zero_without_buffer,
    secret_in_clear,
    shared_cluster,
    slow_fsync,
    syntax,
    unknown_field,
    unknown_region,
    unknown_words,
    unmeetable_rto,
    unset_variable,
    wrong_roles,
    wrong_unit,
}

#[test]
fn findings_are_json_for_machines() {
    insta::assert_snapshot!(findings("unmeetable_rto", Format::Json));
}

#[test]
fn findings_are_annotations_for_pull_requests() {
    insta::assert_snapshot!(findings("unmeetable_rto", Format::Github));
}

#[test]
fn a_secret_in_clear_is_never_repeated() {
    let said = findings("secret_in_clear", Format::Json);

    assert!(!said.contains("hunter2"));
}
