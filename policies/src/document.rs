//! Documents: reading files of them.

use std::{collections::BTreeMap, io, path::Path};

use crate::{
    API_VERSION,
    code::Code,
    diagnostics::{Diagnostic, Diagnostics},
    drill::{self, Drill},
    loaded::{Loaded, Metadata},
    node::{self, Node},
    read::{Reader, nearest},
    source::{Source, Span},
    topology::{self, Topology},
};

/// All documents of some files. Documents with errors are left out.
#[derive(Clone, Debug)]
pub struct Policies {
    pub topologies: Vec<Loaded<Topology>>,
    pub drills: Vec<Loaded<Drill>>,
    pub diagnostics: Diagnostics,
}

/// Reads and checks all documents of some files. `environment` answers `${VAR}`.
pub fn load(sources: Vec<Source>, environment: &dyn Fn(&str) -> Option<String>) -> Policies {
    let mut loading = Loading::default();
    for (index, source) in sources.iter().enumerate() {
        loading.source(index, source, environment);
    }
    loading.check_drills();
    let diagnostics = Diagnostics::new(sources, loading.findings);
    Policies { topologies: loading.topologies, drills: loading.drills, diagnostics }
}

impl Policies {
    /// Checks each drill against its topology's file: whether it can be read, is right, and has what the drill names. `read`
    /// gives a file's text.
    pub fn check_topology_files(
        &mut self,
        read: &dyn Fn(&Path) -> io::Result<String>,
        environment: &dyn Fn(&str) -> Option<String>,
    ) {
        for drill in &self.drills {
            let Some(path) = drill.document.spec.topology.path(Path::new(drill.source.name())) else {
                continue;
            };
            let file = path.display().to_string();
            let wrong = |message: String| {
                Diagnostic::error(Code::DrillTopology, drill.node.span_at("spec/topology"), message)
            };
            match read(&path).map(|text| Topology::parse(Source::new(file.as_str(), text), environment)) {
                Ok(Ok(topology)) => {
                    self.diagnostics.extend(drill::check_targets(drill, &topology.document));
                }
                Ok(Err(findings)) => {
                    let finding = wrong(format!("{file}, the drill's topology, has {}", findings.summary()));
                    let help = format!("`leeward policy validate {file}` names them");
                    self.diagnostics.extend([finding.help(help)]);
                }
                Err(error) => {
                    let finding = wrong(format!("{file}, the drill's topology, cannot be read: {error}"));
                    self.diagnostics.extend([finding.help("the path counts from the drill's own file")]);
                }
            }
        }
    }
}

impl Topology {
    /// Reads the one topology of a file.
    ///
    /// # Errors
    ///
    /// [`Diagnostics`] that hold at least one error. Warnings of a topology that loads are dropped here;
    /// [`load`] keeps them.
    pub fn parse(
        source: Source,
        environment: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Loaded<Self>, Diagnostics> {
        let policies = load(vec![source], environment);
        only("Topology", policies.topologies, policies.diagnostics)
    }
}

impl Drill {
    /// Reads the one drill of a file.
    ///
    /// # Errors
    ///
    /// [`Diagnostics`] that hold at least one error.
    pub fn parse(
        source: Source,
        environment: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Loaded<Self>, Diagnostics> {
        let policies = load(vec![source], environment);
        only("Drill", policies.drills, policies.diagnostics)
    }
}

fn only<T>(
    kind: &str,
    mut found: Vec<Loaded<T>>,
    diagnostics: Diagnostics,
) -> Result<Loaded<T>, Diagnostics> {
    if diagnostics.has_errors() {
        return Err(diagnostics);
    }
    match (found.pop(), found.is_empty()) {
        (Some(loaded), true) => Ok(loaded),
        (last, _) => {
            let count = found.len() + usize::from(last.is_some());
            let message =
                format!("the file has {count} documents of kind {kind}; exactly one is needed here");
            let finding = Diagnostic::error(Code::UnknownKind, Span { source: 0, start: 0, end: 0 }, message);
            Err(diagnostics
                .with(finding.help(format!("begin it with `apiVersion: {API_VERSION}` and `kind: {kind}`"))))
        }
    }
}

#[derive(Default)]
struct Loading {
    topologies: Vec<Loaded<Topology>>,
    drills: Vec<Loaded<Drill>>,
    findings: Vec<Diagnostic>,
    names: BTreeMap<(String, String), Span>,
}

impl Loading {
    fn source(&mut self, index: usize, source: &Source, environment: &dyn Fn(&str) -> Option<String>) {
        let nodes = match node::parse(index, source.text()) {
            Ok((nodes, findings)) => {
                self.findings.extend(findings);
                nodes
            }
            Err(finding) => {
                self.findings.push(*finding);
                return;
            }
        };
        let documents: Vec<Node> = nodes.into_iter().filter(|node| !node.is_null()).collect();
        if documents.is_empty() {
            let span = Span { source: index, start: 0, end: 0 };
            let help = format!("begin with `apiVersion: {API_VERSION}` and `kind: Topology`");
            self.findings
                .push(Diagnostic::error(Code::UnknownKind, span, "the file holds no document").help(help));
        }
        for node in documents {
            let mut reader = Reader::new(source, environment);
            self.document(source, node, &mut reader);
            self.findings.extend(reader.into_findings());
        }
    }

    fn document(&mut self, source: &Source, node: Node, reader: &mut Reader<'_>) {
        let fields = ["apiVersion", "kind", "metadata", "interpolate", "spec"];
        if reader.entries(&node, "a document", &fields, &[]).is_none() {
            return;
        }
        reader.demo = is_demo(&node);
        let kind = read_kind(&node, reader);
        reader.interpolate =
            reader.field::<bool>(&node, "a document", "interpolate", Some(|| false)).unwrap_or_default();
        let metadata = reader.field::<Metadata>(&node, "a document", "metadata", None);
        let Some(kind) = kind else { return };
        if let Some(metadata) = &metadata {
            self.claim(kind, metadata, &node);
        }
        let source = source.clone();
        match kind {
            Kind::Topology => {
                if let Some(document) = topology::read(metadata, &node, reader) {
                    self.topologies.push(Loaded { document, source, node });
                }
            }
            Kind::Drill => {
                if let Some(document) = drill::read(metadata, &node, reader) {
                    self.drills.push(Loaded { document, source, node });
                }
            }
        }
    }

    /// Takes a name for its kind, or reports who has it.
    fn claim(&mut self, kind: Kind, metadata: &Metadata, node: &Node) {
        let span = node.span_at("metadata/name");
        let key = (format!("{kind:?}"), metadata.name.to_string());
        if let Some(first) = self.names.insert(key, span) {
            let message = format!("{kind:?} `{}` is declared twice", metadata.name);
            let finding = Diagnostic::error(Code::DuplicateDocument, span, message);
            self.findings
                .push(finding.related(first, "declared here first").help("rename or remove one of them"));
        }
    }

    /// Checks drills against the topologies that were read with them and that they name.
    fn check_drills(&mut self) {
        for drill in &self.drills {
            let named = drill.document.spec.topology.name();
            let topology =
                self.topologies.iter().find(|topology| Some(&topology.document.metadata.name) == named);
            if let Some(topology) = topology {
                self.findings.extend(drill::check_targets(drill, &topology.document));
            }
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Topology,
    Drill,
}

fn is_demo(node: &Node) -> bool {
    let annotations = node.get("metadata").and_then(|metadata| metadata.get("annotations"));
    annotations.and_then(|annotations| annotations.get("leeward/demo")).and_then(Node::scalar) == Some("true")
}

fn read_kind(node: &Node, reader: &mut Reader<'_>) -> Option<Kind> {
    let version = reader.field::<String>(node, "a document", "apiVersion", None);
    let kind = reader.field::<String>(node, "a document", "kind", None);
    if let Some(version) = version.filter(|version| version != API_VERSION) {
        let finding = Diagnostic::error(
            Code::UnknownKind,
            node.span_at("apiVersion"),
            format!("unknown apiVersion `{version}`"),
        );
        reader.report(finding.help(format!("this version reads `apiVersion: {API_VERSION}`")));
    }
    let span = node.span_at("kind");
    match kind?.as_str() {
        "Topology" => Some(Kind::Topology),
        "Drill" => Some(Kind::Drill),
        "DrillSuite" => {
            let finding =
                Diagnostic::error(Code::ValueNotYet, span, "kind `DrillSuite` is not yet implemented");
            reader.report(finding.help("run its drills one by one: `leeward drill run FILE`"));
            None
        }
        other => {
            let finding = Diagnostic::error(Code::UnknownKind, span, format!("unknown kind `{other}`"));
            let finding = match nearest(other, &["Topology", "Drill"]) {
                Some(near) => finding.label(format!("did you mean `{near}`?")),
                None => finding,
            };
            reader.report(finding.help("one of: `Topology`, `Drill`"));
            None
        }
    }
}
