//! Which topics and groups are meant. Exclude beats include; internal topics never match.

mod pattern;

use leeward_model::{GroupName, TopicName};
use schemars::{Schema, SchemaGenerator, json_schema};

use crate::{
    code::Code,
    diagnostics::Diagnostic,
    node::Node,
    plain::Plain,
    read::{Reader, Value},
};
pub use pattern::{InvalidRegex, Pattern};

/// A choice of names: what some pattern includes and no pattern excludes.
///
/// Invariant: `include` is not empty; "everything" is written `[{glob: "*"}]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Selector {
    include: Vec<Pattern>,
    exclude: Vec<Pattern>,
}

impl Selector {
    /// Everything but internal topics.
    pub fn everything() -> Self {
        Self { include: vec![Pattern::everything()], exclude: Vec::new() }
    }

    /// Everything that no pattern excludes.
    pub(crate) fn everything_but(exclude: Vec<Pattern>) -> Self {
        Self { include: vec![Pattern::everything()], exclude }
    }

    /// `None` where nothing is included.
    pub fn new(include: Vec<Pattern>, exclude: Vec<Pattern>) -> Option<Self> {
        (!include.is_empty()).then_some(Self { include, exclude })
    }

    pub fn include(&self) -> &[Pattern] {
        &self.include
    }

    pub fn exclude(&self) -> &[Pattern] {
        &self.exclude
    }

    /// Whether this topic is meant. Internal topics (`__...`) never are.
    pub fn matches(&self, topic: &TopicName) -> bool {
        !topic.is_internal() && self.matches_text(topic.as_str())
    }

    /// Whether this consumer group is meant.
    pub fn matches_group(&self, group: &GroupName) -> bool {
        self.matches_text(group.as_str())
    }

    /// The names of `literal` patterns: a literal that matches no topic is worth a warning.
    pub fn literals(&self) -> impl Iterator<Item = &str> {
        self.include.iter().filter_map(Pattern::literal)
    }

    fn matches_text(&self, name: &str) -> bool {
        let any = |patterns: &[Pattern]| patterns.iter().any(|pattern| pattern.matches(name));
        any(&self.include) && !any(&self.exclude)
    }
}

impl Value for Selector {
    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        reader.entries(node, "a selector", &["include", "exclude"], &[])?;
        let include = reader.field::<Vec<Pattern>>(node, "a selector", "include", None);
        let exclude = reader.field::<Vec<Pattern>>(node, "a selector", "exclude", Some(Vec::new));
        let include = include?;
        if include.is_empty() {
            let span = node.span_at("include");
            let finding = Diagnostic::error(Code::EmptyList, span, "`include` names nothing");
            reader.report(finding.help("to take everything write `include: [{glob: \"*\"}]`"));
            return None;
        }
        Some(Self { include, exclude: exclude? })
    }

    fn plain(&self) -> Plain {
        Plain::Map(vec![
            ("include".to_owned(), self.include.plain()),
            ("exclude".to_owned(), self.exclude.plain()),
        ])
    }

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        let pattern = Pattern::schema(generator);
        json_schema!({
            "type": "object",
            "properties": {
                "include": { "type": "array", "minItems": 1, "items": pattern },
                "exclude": { "type": "array", "items": pattern, "default": [] },
            },
            "required": ["include"],
            "additionalProperties": false,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topic(name: &str) -> TopicName {
        TopicName::new(name).expect("a legal name")
    }

    fn selector(include: &[Pattern], exclude: &[Pattern]) -> Selector {
        Selector::new(include.to_vec(), exclude.to_vec()).expect("something is included")
    }

    #[test]
    fn exclude_beats_include() {
        let prefix = Pattern::Prefix("orders.".to_owned());
        let suffix = Pattern::Suffix(".tmp".to_owned());

        let selector = selector(&[prefix], &[suffix]);

        assert!(selector.matches(&topic("orders.new")));
        assert!(!selector.matches(&topic("orders.new.tmp")));
    }

    #[test]
    fn internal_topics_never_match() {
        assert!(!Selector::everything().matches(&topic("__consumer_offsets")));
    }

    #[test]
    fn a_regex_matches_whole_names_only() {
        let regex = Pattern::regex("ledger-[0-9]{4}|audit").expect("compiles");

        let selector = selector(&[regex], &[]);

        assert!(selector.matches(&topic("ledger-2026")));
        assert!(!selector.matches(&topic("ledger-20267")));
        assert!(!selector.matches(&topic("old-audit")));
    }

    #[test]
    fn a_glob_takes_dots_literally() {
        let selector = selector(&[Pattern::glob("a.?x*")], &[]);

        assert!(selector.matches(&topic("a.bx-1")));
        assert!(!selector.matches(&topic("aabx-1")));
    }

    #[test]
    fn a_selector_without_include_does_not_exist() {
        assert_eq!(Selector::new(Vec::new(), vec![Pattern::everything()]), None);
    }
}
