//! The raw document: a tree of YAML values, each with its place. Knows YAML, not policies.
//!
//! The tree keeps every scalar's own text, so that `no`, `007` and `4L6g` stay what the user wrote.

mod build;

use crate::source::Span;
pub(crate) use build::parse;

/// A YAML value and where it stands.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) span: Span,
    pub(crate) shape: Shape,
}

#[derive(Clone, Debug)]
pub(crate) enum Shape {
    Scalar { text: String, plain: bool },
    List(Vec<Node>),
    Map(Vec<Entry>),
}

#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) key_span: Span,
    pub(crate) value: Node,
}

impl Node {
    pub(crate) fn is_null(&self) -> bool {
        matches!(&self.shape, Shape::Scalar { text, plain: true } if matches!(text.as_str(), "" | "~" | "null"))
    }

    /// What a person would call it.
    pub(crate) fn shape_name(&self) -> &'static str {
        match &self.shape {
            Shape::Scalar { .. } if self.is_null() => "nothing",
            Shape::Scalar { .. } => "a single value",
            Shape::List(_) => "a list",
            Shape::Map(_) => "a mapping",
        }
    }

    pub(crate) fn scalar(&self) -> Option<&str> {
        match &self.shape {
            Shape::Scalar { text, .. } => Some(text),
            Shape::List(_) | Shape::Map(_) => None,
        }
    }

    pub(crate) fn entry(&self, key: &str) -> Option<&Entry> {
        match &self.shape {
            Shape::Map(entries) => entries.iter().find(|entry| entry.key == key),
            Shape::Scalar { .. } | Shape::List(_) => None,
        }
    }

    pub(crate) fn get(&self, key: &str) -> Option<&Self> {
        self.entry(key).map(|entry| &entry.value)
    }

    pub(crate) fn at(&self, step: &str) -> Option<&Self> {
        match &self.shape {
            Shape::List(items) => items.get(step.parse::<usize>().ok()?),
            Shape::Map(_) | Shape::Scalar { .. } => self.get(step),
        }
    }

    /// The place of the value at a path such as `spec/regions/0/name`, or of the nearest value above it
    /// that the file has.
    pub(crate) fn span_at(&self, path: &str) -> Span {
        let mut node = self;
        let mut span = self.span;
        for step in path.split('/').filter(|step| !step.is_empty()) {
            let Some(next) = node.at(step) else { break };
            span = match (&next.shape, node.entry(step)) {
                (Shape::Map(_) | Shape::List(_), Some(entry)) => entry.key_span,
                _ => next.span,
            };
            node = next;
        }
        span
    }

    /// The place of the value at exactly this path.
    pub(crate) fn span_of(&self, path: &str) -> Option<Span> {
        let mut steps = path.split('/').filter(|step| !step.is_empty());
        steps.try_fold(self, |node, step| node.at(step)).map(|node| node.span)
    }

    pub(crate) fn size(&self) -> usize {
        match &self.shape {
            Shape::Scalar { .. } => 1,
            Shape::List(items) => 1 + items.iter().map(Self::size).sum::<usize>(),
            Shape::Map(entries) => 1 + entries.iter().map(|entry| entry.value.size()).sum::<usize>(),
        }
    }
}
