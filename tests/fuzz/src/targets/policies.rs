//! Policy and drill files: read, checked, and shown with what is wrong with them.

use leeward_policies::{Format, Source, load};

/// Any text as a policy file; every environment variable that it names is set.
pub(crate) fn policies(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let policies = load(vec![Source::new("any.yaml", text.as_ref())], &|_| Some("value".to_owned()));
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
