//! The `Drill` document: what is broken, under which load, and what must hold.

mod bound;
mod check;
mod expect;
mod fault;
mod load;
mod step;

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use leeward_model::{RegionName, TopologyName};
use schemars::{Schema, SchemaGenerator, json_schema};

use crate::{
    diagnostics::{Diagnostic, Diagnostics},
    loaded::{Loaded, Metadata},
    node::Node,
    plain::Plain,
    read::{Count, Reader, Value, read_text, record, words},
    topology::Topology,
};
pub use bound::{Bound, Comparison};
pub use expect::{DuplicatesExpected, Expect, Lost, Order, PhasesExpected, Through};
pub use fault::{Fault, LinkDirection, LinkEnds, ProcessTarget, RegionDownHow};
pub use load::{Acks, ClientKind, ConsumeLoad, Load, ProduceLoad, Rate};
pub use step::{Action, AwaitedEvent, Cleanup, CleanupAction, CleanupCondition, EventKind, Step, StepKind};

/// A checked drill. Whether its regions exist is checked by [`check_targets`], with the topology at hand.
#[derive(Clone, Debug, PartialEq)]
pub struct Drill {
    pub metadata: Metadata,
    pub interpolate: bool,
    pub spec: DrillSpec,
}

words! {
    /// How much the drill may break.
    pub enum Scope in "scope" {
        /// Regions that the drill starts and throws away.
        Embedded = "embedded",
        /// The regions of the topology itself.
        Real = "real",
    }
    later ["canary"]
}

record! {
    /// What is broken, under which load, and what must hold.
    pub struct DrillSpec in "`spec`" {
        /// The topology: a file relative to this one, or the name of a topology that is read with it.
        topology "topology": TopologyRef,
        /// How much the drill may break.
        scope "scope": Scope = Scope::Embedded,
        /// Same seed, same schedule.
        seed "seed": u64 = 1,
        /// What must hold before anything is broken; else the drill is inconclusive.
        given "given": Given = Given::default(),
        /// Traffic that is measured.
        load "load": Load = Load::default(),
        /// What happens, in order.
        steps "steps": Vec<Step>,
        /// What must hold. Budgets that are not given are the topology's.
        expect "expect": Expect = Expect::default(),
        /// What is done at the end in any case, Ctrl-C included.
        always "always": Vec<Cleanup> = Vec::new(),
        /// What is written.
        report "report": Report = Report::default(),
    }
    later ["stopIf", "schedule"]
}

/// Which topology a drill is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TopologyRef {
    /// A file, relative to the drill's own.
    File(PathBuf),
    /// A topology that is read together with the drill.
    Name(TopologyName),
}

impl TopologyRef {
    pub(crate) fn name(&self) -> Option<&TopologyName> {
        match self {
            Self::Name(name) => Some(name),
            Self::File(_) => None,
        }
    }

    /// The topology's file, given the drill's.
    pub fn path(&self, drill: &Path) -> Option<PathBuf> {
        match self {
            Self::File(path) => Some(drill.parent().unwrap_or(Path::new("")).join(path)),
            Self::Name(_) => None,
        }
    }
}

impl Value for TopologyRef {
    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let text = read_text(node, reader, "a topology")?;
        let path = Path::new(&text);
        let is_file = text.contains('/') || path.extension().is_some_and(|end| end == "yaml" || end == "yml");
        if is_file {
            Some(Self::File(path.to_owned()))
        } else {
            TopologyName::read(node, reader).map(Self::Name)
        }
    }

    fn plain(&self) -> Plain {
        match self {
            Self::File(path) => Plain::Text(path.to_string_lossy().into_owned()),
            Self::Name(name) => name.plain(),
        }
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "examples": ["../examples/embedded.yaml"] })
    }
}

words! {
    /// How regions must be before anything is broken.
    pub enum RegionsState in "regions" {
        /// Every region answers all its probes.
        Healthy = "healthy",
    }
}

record! {
    /// What must hold before anything is broken; else the drill is inconclusive.
    pub struct Given in "`given`" with default {
        /// How far the standby may be behind.
        rpo "rpo": Option<Bound<Duration>> = None,
        /// How regions must be.
        regions "regions": Option<RegionsState> = Some(RegionsState::Healthy),
        /// How long it must have held without a break.
        held_for "for": Duration = Duration::from_secs(1),
        /// Which region must be acting as primary; the declared one where not given.
        acting "acting": Option<RegionName> = None,
    }
}

words! {
    /// A form of the report.
    pub enum ReportFormat in "report format" {
        Html = "html",
        Json = "json",
        Junit = "junit",
    }
    later ["markdown"]
}

record! {
    /// What is written.
    pub struct Report in "`report`" with default {
        /// In which forms.
        formats "formats": Vec<ReportFormat> = all_formats(),
        /// Where; each run gets a directory of its own in it.
        dir "dir": String = "runs".to_owned(),
    }
}

fn all_formats() -> Vec<ReportFormat> {
    vec![ReportFormat::Html, ReportFormat::Json, ReportFormat::Junit]
}

/// Reads and checks a drill; `None` when an error was reported.
pub(crate) fn read(metadata: Option<Metadata>, node: &Node, reader: &mut Reader<'_>) -> Option<Drill> {
    let spec = reader.field::<DrillSpec>(node, "a document", "spec", None);
    let drill = Drill { metadata: metadata?, interpolate: reader.interpolate, spec: spec? };
    check::check(&drill, node, reader).then_some(drill)
}

/// What a drill names that the topology does not have.
pub(crate) fn check_targets(drill: &Loaded<Drill>, topology: &Topology) -> Vec<Diagnostic> {
    check::targets(&drill.document, &drill.node, topology)
}

impl Loaded<Drill> {
    /// Checks every region that the drill names against the topology.
    ///
    /// # Errors
    ///
    /// [`Diagnostics`] with one finding per unknown name.
    pub fn check_against(&self, topology: &Topology) -> Result<(), Diagnostics> {
        let findings = check_targets(self, topology);
        if findings.is_empty() {
            return Ok(());
        }
        // Spans count sources as they were when the file was read; the drill's own is the last that is needed.
        Err(Diagnostics::new(vec![self.source.clone(); self.node.span.source + 1], findings))
    }
}

/// A count in a drill's bounds, written without comparison: exactly that many.
pub(crate) fn exactly(count: u64) -> Bound<Count> {
    Bound { comparison: Comparison::Equal, value: Count::of(count) }
}
