//! Whatever stands in a file, reading it ends with findings and not with a panic.

use leeward_policies::{Format, Source, Topology, load};
use proptest::prelude::*;

fn read(text: &str) {
    let policies = load(vec![Source::new("any.yaml", text)], &|_| Some("value".to_owned()));

    for format in [Format::Text { colour: true }, Format::Json, Format::Github] {
        let _ = policies.diagnostics.render(format);
    }
    for topology in &policies.topologies {
        let _ = topology.show(true);
    }
    for drill in &policies.drills {
        let _ = drill.show(true);
    }
}

const EXAMPLES: [&str; 4] = [
    include_str!("../examples/payments.yaml"),
    include_str!("../examples/embedded.yaml"),
    include_str!("../drills/region-loss.yaml"),
    include_str!("../drills/link-partition.yaml"),
];

fn any_value() -> impl Strategy<Value = String> {
    prop_oneof![
        "[ -~]{0,12}",
        Just("[]".to_owned()),
        Just("{}".to_owned()),
        Just("~".to_owned()),
        Just("-1".to_owned()),
        Just("99999999999999999999".to_owned()),
        Just("99999999999d".to_owned()),
        Just("0s".to_owned()),
        Just("\"${\"".to_owned()),
        Just("*a".to_owned()),
        Just("&a [*a]".to_owned()),
        Just("{{}: []}".to_owned()),
        Just("ü\u{1F600}".to_owned()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_bytes_are_answered(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        read(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn any_text_of_yaml_signs_is_answered(text in "[-a-z0-9:{}\\[\\],&*!|>'\"%@`#?~$ \n\té]{0,200}") {
        read(&text);
    }

    #[test]
    fn an_example_with_a_value_replaced_is_answered(
        example in prop::sample::select(EXAMPLES.to_vec()),
        at in any::<prop::sample::Index>(),
        value in any_value(),
    ) {
        let colons: Vec<usize> = example.match_indices(": ").map(|(at, _)| at + 2).collect();
        let start = colons[at.index(colons.len())];
        let length = example[start..].find([',', '}', ']', '\n']).unwrap_or(0);

        read(&format!("{}{value}{}", &example[..start], &example[start + length..]));
    }

    #[test]
    fn an_example_cut_anywhere_is_answered(
        example in prop::sample::select(EXAMPLES.to_vec()),
        at in any::<prop::sample::Index>(),
    ) {
        let ends: Vec<usize> = example.char_indices().map(|(at, _)| at).collect();

        read(&example[..ends[at.index(ends.len())]]);
    }

    #[test]
    fn a_duration_that_is_shown_reads_back(millis in 0_u64..10_000_000_000) {
        let duration = std::time::Duration::from_millis(millis);
        let text = include_str!("../examples/hello.yaml").replace("rpo: 10s", &format!("rpo: {millis}ms"));
        let loaded = Topology::parse(Source::new("hello.yaml", text), &|_| None);

        let loaded = if millis == 0 { return Ok(()) } else { loaded.expect("a budget") };

        prop_assert_eq!(loaded.document.spec.budgets.rpo.max, duration);
        let shown = Topology::parse(Source::new("shown.yaml", loaded.show(false)), &|_| None).expect("shown");
        prop_assert_eq!(shown.document.spec.budgets.rpo.max, duration);
    }
}

#[test]
fn aliases_of_aliases_are_refused_before_they_grow() {
    let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let before = format!("*a{}", level - 1);
        let line = format!("a{level}: &a{level} [{}]\n", [before.as_str(); 10].join(", "));
        text.push_str(&line);
    }

    let policies = load(vec![Source::new("bomb.yaml", text)], &|_| None);

    let said = policies.diagnostics.render(Format::Text { colour: false });
    assert!(said.contains("E0105"), "{said}");
}

#[test]
fn deep_nesting_is_refused() {
    let policies = load(vec![Source::new("deep.yaml", "[".repeat(40) + &"]".repeat(40))], &|_| None);

    assert!(policies.diagnostics.render(Format::Json).contains("E0105"));
}
