//! Builds the tree from parser events, without recursion and within bounds.

use std::collections::BTreeMap;

use serde_saphyr::granit_parser::{Event, Parser, ScalarStyle, Span as ParserSpan};

use super::{Entry, Node, Shape};
use crate::{
    code::Code,
    diagnostics::Diagnostic,
    limits::{DEPTH_MAX, NODES_MAX, SOURCE_BYTES_MAX},
    source::Span,
};

/// Reads all documents of one source; findings beside the documents are duplicate keys.
///
/// # Errors
///
/// The finding that made the rest unreadable.
pub(crate) fn parse(source: usize, text: &str) -> Result<(Vec<Node>, Vec<Diagnostic>), Box<Diagnostic>> {
    let start = Span { source, start: 0, end: 0 };
    if text.len() > SOURCE_BYTES_MAX {
        let message = format!("the file has {} bytes; at most {SOURCE_BYTES_MAX} are read", text.len());
        return Err(Diagnostic::error(Code::Refused, start, message)
            .help("split it: documents of several files are read together")
            .into());
    }
    let mut builder = Builder { source, ..Builder::default() };
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| {
            let at = error.marker().byte_offset().unwrap_or(text.len()).min(text.len());
            let span = Span { source, start: at, end: (at + 1).min(text.len()) };
            Diagnostic::error(Code::Syntax, span, "this is not valid YAML")
                .label(error.to_string())
                .help("the fault is at or before this place: look for a bracket, a quote or an indent")
        })?;
        builder.take(event, builder.span(&span))?;
    }
    Ok((builder.documents, builder.findings))
}

#[derive(Default)]
struct Builder {
    source: usize,
    documents: Vec<Node>,
    findings: Vec<Diagnostic>,
    open: Vec<Open>,
    anchors: BTreeMap<usize, Node>,
    nodes: usize,
}

/// A collection whose end has not come yet.
struct Open {
    span: Span,
    anchor: usize,
    content: Content,
}

enum Content {
    List(Vec<Node>),
    Map { entries: Vec<Entry>, key: Option<(String, Span)> },
}

impl Builder {
    fn span(&self, span: &ParserSpan) -> Span {
        let range = span.byte_range().unwrap_or(0..0);
        Span { source: self.source, start: range.start, end: range.end }
    }

    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), Box<Diagnostic>> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                refuse_tag(tag.is_some(), span)?;
                let plain = style == ScalarStyle::Plain;
                let shape = Shape::Scalar { text: text.into_owned(), plain };
                self.place(Node { span, shape }, anchor, 1)
            }
            Event::SequenceStart(_, anchor, tag) => {
                refuse_tag(tag.is_some(), span)?;
                self.open(Open { span, anchor, content: Content::List(Vec::new()) })
            }
            Event::MappingStart(_, anchor, tag) => {
                refuse_tag(tag.is_some(), span)?;
                self.open(Open { span, anchor, content: Content::Map { entries: Vec::new(), key: None } })
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(span),
            Event::Alias(anchor) => {
                let Some(node) = self.anchors.get(&anchor).cloned() else {
                    return Err(Diagnostic::error(Code::Refused, span, "this alias refers to itself").into());
                };
                let weight = node.size();
                self.place(node, 0, weight)
            }
            Event::DocumentEnd => {
                self.anchors.clear();
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn open(&mut self, open: Open) -> Result<(), Box<Diagnostic>> {
        if self.open.len() >= DEPTH_MAX {
            let message = format!("values are nested deeper than {DEPTH_MAX} levels");
            return Err(Diagnostic::error(Code::Refused, open.span, message)
                .help("no policy needs that depth")
                .into());
        }
        self.open.push(open);
        Ok(())
    }

    fn close(&mut self, end: Span) -> Result<(), Box<Diagnostic>> {
        let Some(open) = self.open.pop() else { return Ok(()) };
        let span = Span { end: end.end.max(open.span.end), ..open.span };
        let shape = match open.content {
            Content::List(items) => Shape::List(items),
            Content::Map { entries, .. } => Shape::Map(entries),
        };
        self.place(Node { span, shape }, open.anchor, 1)
    }

    fn place(&mut self, node: Node, anchor: usize, weight: usize) -> Result<(), Box<Diagnostic>> {
        self.nodes += weight;
        if self.nodes > NODES_MAX {
            let message = format!("the file holds more than {NODES_MAX} values, aliases counted in full");
            return Err(Diagnostic::error(Code::Refused, node.span, message).into());
        }
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        match self.open.last_mut().map(|open| &mut open.content) {
            None => self.documents.push(node),
            Some(Content::List(items)) => items.push(node),
            Some(Content::Map { entries, key }) => match key.take() {
                None => *key = Some(key_of(node)?),
                Some((key, key_span)) => match entries.iter().find(|entry| entry.key == key) {
                    Some(first) => self.findings.push(duplicate(&key, key_span, first.key_span)),
                    None => entries.push(Entry { key, key_span, value: node }),
                },
            },
        }
        Ok(())
    }
}

fn key_of(node: Node) -> Result<(String, Span), Box<Diagnostic>> {
    let span = node.span;
    match node.shape {
        Shape::Scalar { text, .. } => Ok((text, span)),
        Shape::List(_) | Shape::Map(_) => {
            Err(Diagnostic::error(Code::WrongShape, span, "a key must be a text")
                .help("a text that begins with `{` or `[` needs quotes")
                .into())
        }
    }
}

fn duplicate(key: &str, span: Span, first: Span) -> Diagnostic {
    Diagnostic::error(Code::DuplicateKey, span, format!("`{key}` is given twice"))
        .label("the second time")
        .related(first, "the first time")
        .help("remove one of them; neither would silently win")
}

fn refuse_tag(tagged: bool, span: Span) -> Result<(), Box<Diagnostic>> {
    if tagged {
        return Err(Diagnostic::error(Code::Refused, span, "YAML tags (`!...`) are not used in policies")
            .help("remove the tag, or put the text in quotes")
            .into());
    }
    Ok(())
}
