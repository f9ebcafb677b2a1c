//! The effective document: every field with its value, and where each value came from.

use crate::{
    API_VERSION,
    drill::Drill,
    loaded::Loaded,
    node::Node,
    plain::{Plain, quoted},
    read::Value,
    source::Source,
    topology::Topology,
};

/// Column at which comments begin, where the value leaves room.
const COMMENT_COLUMN: usize = 48;

impl Loaded<Topology> {
    /// The whole document as YAML. With `origins`, each value says whether the file or a default set it.
    pub fn show(&self, origins: bool) -> String {
        let topology = &self.document;
        self.shown(
            "Topology",
            topology.metadata.plain(),
            topology.interpolate,
            topology.spec.plain(),
            origins,
        )
    }
}

impl Loaded<Drill> {
    /// The whole document as YAML. With `origins`, each value says whether the file or a default set it.
    pub fn show(&self, origins: bool) -> String {
        let drill = &self.document;
        self.shown("Drill", drill.metadata.plain(), drill.interpolate, drill.spec.plain(), origins)
    }
}

impl<T> Loaded<T> {
    fn shown(&self, kind: &str, metadata: Plain, interpolate: bool, spec: Plain, origins: bool) -> String {
        // What was replaced once must not be taken for a variable again.
        let spec = if interpolate { spec.map_texts(&|text| text.replace("${", "$${")) } else { spec };
        let document = Plain::Map(vec![
            ("apiVersion".to_owned(), Plain::Scalar(API_VERSION.to_owned())),
            ("kind".to_owned(), Plain::Scalar(kind.to_owned())),
            ("metadata".to_owned(), metadata),
            ("interpolate".to_owned(), interpolate.plain()),
            ("spec".to_owned(), spec),
        ]);
        let mut writer = Writer { text: String::new(), source: &self.source, origins };
        writer.entries(&document, Some(&self.node), 0);
        writer.text
    }
}

struct Writer<'a> {
    text: String,
    source: &'a Source,
    origins: bool,
}

impl Writer<'_> {
    fn entries(&mut self, value: &Plain, node: Option<&Node>, depth: usize) {
        let Plain::Map(entries) = value else { return };
        for (key, value) in entries.iter().filter(|(_, value)| *value != Plain::Absent) {
            let below = node.and_then(|node| node.at(key));
            // A shorthand such as `rpo: 10s` is written out, and all of it came from that one place.
            let below = below.or(node.filter(|node| node.scalar().is_some()));
            let head = format!("{}{}:", "  ".repeat(depth), quoted(key));
            self.value(&head, value, below, depth);
        }
    }

    fn value(&mut self, head: &str, value: &Plain, node: Option<&Node>, depth: usize) {
        match value {
            Plain::Map(entries) if entries.iter().any(|(_, value)| *value != Plain::Absent) => {
                self.head(head);
                self.entries(value, node, depth + 1);
            }
            Plain::List(items) if items.iter().any(is_large) => {
                self.head(head);
                for (index, item) in items.iter().enumerate() {
                    self.item(item, node.and_then(|node| node.at(&index.to_string())), depth);
                }
            }
            Plain::Absent | Plain::Scalar(_) | Plain::Text(_) | Plain::List(_) | Plain::Map(_) => {
                self.line(&format!("{head} {}", value.flow()), node);
            }
        }
    }

    /// One item of a list of mappings: its first line begins with `- `.
    fn item(&mut self, item: &Plain, node: Option<&Node>, depth: usize) {
        if !is_large(item) {
            self.line(&format!("{}- {}", "  ".repeat(depth), item.flow()), node);
            return;
        }
        let start = self.text.len();
        self.entries(item, node, depth + 1);
        let dash = start + 2 * depth;
        self.text.replace_range(dash..=dash, "-");
    }

    /// A line with a value, and where the value came from.
    fn line(&mut self, line: &str, node: Option<&Node>) {
        self.text.push_str(line);
        if self.origins {
            let room = COMMENT_COLUMN.saturating_sub(line.chars().count()).max(1);
            self.text.push_str(&" ".repeat(room));
            self.text.push_str("# ");
            self.text.push_str(&node.map_or_else(|| "default".to_owned(), |node| self.origin(node)));
        }
        self.text.push('\n');
    }

    /// A line that only opens what stands below it.
    fn head(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
    }

    fn origin(&self, node: &Node) -> String {
        let place = self.source.place(node.span);
        format!("{}:{}", place.file, place.line)
    }
}

/// Whether a value is a mapping that deserves lines of its own.
fn is_large(value: &Plain) -> bool {
    matches!(value, Plain::Map(entries) if entries.len() > 1)
}
