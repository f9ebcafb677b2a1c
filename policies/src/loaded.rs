//! What every document has: a name, and the text that it came from.

use std::collections::BTreeMap;

use leeward_model::TopologyName;

use crate::{node::Node, read::record, source::Source};

record! {
    /// What a document is called, and what its owners say about it.
    pub struct Metadata in "`metadata`" {
        /// Unique among the documents of its kind.
        name "name": TopologyName,
        /// Words for grouping and choosing; metrics carry them.
        labels "labels": BTreeMap<String, String> = BTreeMap::new(),
        /// Free notes. `leeward/demo: "true"` lets secrets stand in the file.
        annotations "annotations": BTreeMap<String, String> = BTreeMap::new(),
    }
}

/// A checked document with the text that it came from.
#[derive(Clone, Debug)]
pub struct Loaded<T> {
    pub document: T,
    pub(crate) source: Source,
    pub(crate) node: Node,
}

impl<T> Loaded<T> {
    pub fn source(&self) -> &Source {
        &self.source
    }
}
