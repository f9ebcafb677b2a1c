//! From the raw document to domain values: one trait that reads, writes back and describes a value, so that
//! the parser, `show --defaults` and the JSON Schema cannot drift apart.

mod record;
mod scalar;
mod suggest;
mod word;

use std::collections::BTreeMap;

use schemars::{Schema, SchemaGenerator};

use crate::{
    code::Code,
    diagnostics::Diagnostic,
    limits::DIAGNOSTICS_MAX,
    node::{Entry, Node, Shape},
    plain::Plain,
    source::{Source, Span},
};
pub(crate) use record::record;
pub use scalar::Count;
pub(crate) use scalar::{duration_text, parse_duration, read_text, scalar_schema, unit_finding};
pub(crate) use suggest::nearest;
use suggest::ours;
pub(crate) use word::words;

/// A value that stands in a policy.
pub(crate) trait Value: Sized {
    /// Reads the value; `None` when a finding was reported.
    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self>;

    /// The value as a policy would write it.
    fn plain(&self) -> Plain;

    fn schema(generator: &mut SchemaGenerator) -> Schema;
}

/// What reading needs beside the text, and the findings so far.
pub(crate) struct Reader<'a> {
    source: &'a Source,
    environment: &'a dyn Fn(&str) -> Option<String>,
    findings: Vec<Diagnostic>,
    /// Fields that an unknown one was taken for, by mapping: they are not reported as missing as well.
    mistaken: Vec<(Span, String)>,
    /// Whether `${VAR}` is replaced.
    pub(crate) interpolate: bool,
    /// Whether secrets may stand in the file.
    pub(crate) demo: bool,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(source: &'a Source, environment: &'a dyn Fn(&str) -> Option<String>) -> Self {
        Self {
            source,
            environment,
            findings: Vec::new(),
            mistaken: Vec::new(),
            interpolate: false,
            demo: false,
        }
    }

    pub(crate) fn report(&mut self, finding: Diagnostic) {
        if self.findings.len() < DIAGNOSTICS_MAX {
            self.findings.push(finding);
        }
    }

    pub(crate) fn into_findings(self) -> Vec<Diagnostic> {
        self.findings
    }

    pub(crate) fn variable(&self, name: &str) -> Option<String> {
        (self.environment)(name)
    }

    /// The place of a part of a scalar's text, where the source has that text unescaped.
    pub(crate) fn part_of(&self, node: &Node, start: usize, end: usize) -> Span {
        let found = node.scalar().and_then(|text| self.source.slice(node.span).find(text));
        match found {
            Some(at) => node.span.part(at + start, at + end),
            None => node.span,
        }
    }

    /// Reports that another shape stands where `wanted` was needed.
    pub(crate) fn wrong_shape(&mut self, node: &Node, wanted: &str, example: &str) {
        let message = format!("{wanted} is needed here, and this is {}", node.shape_name());
        self.report(
            Diagnostic::error(Code::WrongShape, node.span, message).help(format!("for example: `{example}`")),
        );
    }

    /// The entries of a mapping, with a finding for each key that is not known or not yet done.
    pub(crate) fn entries<'n>(
        &mut self,
        node: &'n Node,
        what: &str,
        keys: &[&str],
        later: &[&str],
    ) -> Option<&'n [Entry]> {
        let Shape::Map(entries) = &node.shape else {
            let example = keys.first().map_or_else(String::new, |key| format!("{{{key}: ...}}"));
            self.wrong_shape(node, &format!("a mapping ({what})"), &example);
            return None;
        };
        for entry in entries {
            let key = entry.key.as_str();
            if later.contains(&key) {
                self.report(
                    Diagnostic::error(
                        Code::FieldNotYet,
                        entry.key_span,
                        format!("`{key}` is not yet implemented"),
                    )
                    .label("specified, but this version would ignore it")
                    .help("remove it; a field that does nothing must not look as if it did"),
                );
            } else if !keys.contains(&key) {
                self.unknown_field(node, entry, what, keys);
            }
        }
        Some(entries)
    }

    fn unknown_field(&mut self, node: &Node, entry: &Entry, what: &str, keys: &[&str]) {
        let finding = Diagnostic::error(
            Code::UnknownField,
            entry.key_span,
            format!("unknown field `{}` in {what}", entry.key),
        );
        let known = format!(
            "{what} has: {}",
            keys.iter().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", ")
        );
        let finding = finding.help(known);
        if let Some(ours) = ours(&entry.key) {
            self.report(finding.label(format!("other tools' word; here it is `{ours}`")));
            return;
        }
        let Some(key) = nearest(&entry.key, keys) else {
            self.report(finding);
            return;
        };
        self.mistaken.push((node.span, key.to_owned()));
        self.report(finding.label(format!("did you mean `{key}`?")));
    }

    /// One field of a mapping: read, or its default, or a finding that it is missing.
    pub(crate) fn field<T: Value>(
        &mut self,
        node: &Node,
        what: &str,
        key: &str,
        default: Option<fn() -> T>,
    ) -> Option<T> {
        match (node.entry(key), default) {
            (Some(entry), _) => T::read(&entry.value, self),
            (None, Some(default)) => Some(default()),
            (None, None) if self.mistaken.contains(&(node.span, key.to_owned())) => None,
            (None, None) => {
                let message = format!("{what} lacks `{key}`");
                let span = head_of(node);
                self.report(
                    Diagnostic::error(Code::MissingField, span, message)
                        .help(format!("add `{key}: ...`; it has no default")),
                );
                None
            }
        }
    }
}

/// A short mark for a mapping: its first key.
fn head_of(node: &Node) -> Span {
    match &node.shape {
        Shape::Map(entries) => entries.first().map_or(node.span, |entry| entry.key_span),
        Shape::List(_) | Shape::Scalar { .. } => node.span,
    }
}

impl<T: Value> Value for Option<T> {
    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        if node.is_null() { Some(None) } else { T::read(node, reader).map(Some) }
    }

    fn plain(&self) -> Plain {
        self.as_ref().map_or(Plain::Absent, Value::plain)
    }

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        T::schema(generator)
    }
}

impl<T: Value> Value for Vec<T> {
    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let Shape::List(items) = &node.shape else {
            let example = format!("[{}]", node.scalar().unwrap_or("..."));
            reader.wrong_shape(node, "a list", &example);
            return None;
        };
        let read: Vec<Option<T>> = items.iter().map(|item| T::read(item, reader)).collect();
        read.into_iter().collect()
    }

    fn plain(&self) -> Plain {
        Plain::List(self.iter().map(Value::plain).collect())
    }

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        let items = T::schema(generator);
        schemars::json_schema!({ "type": "array", "items": items })
    }
}

/// A mapping whose keys the user chooses.
impl<K: Value + Ord, V: Value> Value for BTreeMap<K, V> {
    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let Shape::Map(entries) = &node.shape else {
            reader.wrong_shape(node, "a mapping", "{key: value}");
            return None;
        };
        let read: Vec<Option<(K, V)>> = entries
            .iter()
            .map(|entry| {
                let shape = Shape::Scalar { text: entry.key.clone(), plain: false };
                let key = K::read(&Node { span: entry.key_span, shape }, reader);
                let value = V::read(&entry.value, reader);
                key.zip(value)
            })
            .collect();
        read.into_iter().collect()
    }

    fn plain(&self) -> Plain {
        let key = |key: &K| match key.plain() {
            Plain::Scalar(text) | Plain::Text(text) => text,
            Plain::Absent | Plain::List(_) | Plain::Map(_) => String::new(),
        };
        Plain::Map(self.iter().map(|(name, value)| (key(name), value.plain())).collect())
    }

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        let values = V::schema(generator);
        schemars::json_schema!({ "type": "object", "additionalProperties": values })
    }
}
