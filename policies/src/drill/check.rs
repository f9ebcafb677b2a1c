//! What a drill means as a whole.

use leeward_model::RegionName;

use super::{Action, Drill, Fault, LinkEnds, Step, StepKind, Through};
use crate::{
    code::Code,
    diagnostics::Diagnostic,
    drill::ClientKind,
    node::Node,
    read::{Reader, nearest},
    topology::{Role, Topology},
};

/// Reports every contradiction within the drill; true where there is none.
pub(crate) fn check(drill: &Drill, node: &Node, reader: &mut Reader<'_>) -> bool {
    let mut errors = Vec::new();
    let mut error = |code: Code, path: &str, message: &str, help: &str| {
        errors.push(Diagnostic::error(code, node.span_at(path), message).help(help));
    };
    let spec = &drill.spec;
    if spec.steps.is_empty() {
        error(
            Code::EmptyList,
            "spec/steps",
            "the drill does nothing",
            "add a step, for example `{wait: 10s}`",
        );
    }
    let mut latest = std::time::Duration::ZERO;
    for (index, step) in spec.steps.iter().enumerate() {
        if let Some(at) = step.at {
            if at < latest {
                let path = format!("spec/steps/{index}/at");
                error(
                    Code::Step,
                    &path,
                    "this moment is before the one above it",
                    "steps run in order; sort them by `at`",
                );
            }
            latest = latest.max(at);
        }
        if let StepKind::Fault { fault: Fault::Pause { .. }, held_for: None } = step.kind {
            let path = format!("spec/steps/{index}/fault");
            error(Code::Step, &path, "a pause needs an end", "add `for: 5s`");
        }
    }
    if spec.load.clients.is_empty() {
        error(Code::EmptyList, "spec/load/clients", "no client is measured", "use `clients: [buffered]`");
    }
    let produce = &spec.load.produce;
    for (count, key) in [(produce.topics, "topics"), (produce.partitions, "partitions")] {
        if count == 0 {
            let path = format!("spec/load/produce/{key}");
            error(Code::Number, &path, "nothing is written", "use 1 or more");
        }
    }
    let has = |kind| spec.load.clients.contains(&kind);
    for (through, path) in
        [(spec.expect.lost.through, "lost"), (spec.expect.duplicates.through, "duplicates")]
    {
        let missing = match through {
            Through::Buffered if !has(ClientKind::Buffered) => "buffered",
            Through::Direct if !has(ClientKind::Direct) => "direct",
            Through::Buffered | Through::Direct | Through::Any => continue,
        };
        if spec.load.clients.is_empty() {
            continue;
        }
        let message = format!("`{path}` is about {missing} clients, and the load has none");
        let help = format!("add `{missing}` to `load.clients`, or say `through` which clients are meant");
        error(Code::Expectation, &format!("spec/expect/{path}/through"), &message, &help);
    }
    let passed = errors.is_empty();
    for finding in errors {
        reader.report(finding);
    }
    passed
}

/// What the drill names that the topology does not have.
pub(crate) fn targets(drill: &Drill, node: &Node, topology: &Topology) -> Vec<Diagnostic> {
    let mut targets = Targets { node, topology, errors: Vec::new() };
    if let Some(acting) = &drill.spec.given.acting {
        targets.data_region(acting, "spec/given/acting");
    }
    for (index, step) in drill.spec.steps.iter().enumerate() {
        targets.step(step, &format!("spec/steps/{index}"));
    }
    if drill.spec.load.clients.contains(&ClientKind::Buffered) && !topology.spec.buffer.enabled {
        let span = node.span_at("spec/load/clients");
        let message = format!("buffered clients need a gateway, and `{}` has none", topology.metadata.name);
        let help = "add `buffer: {enabled: true}` to the topology, or use `clients: [direct]`";
        targets.errors.push(Diagnostic::error(Code::DrillTarget, span, message).help(help));
    }
    targets.errors
}

struct Targets<'a> {
    node: &'a Node,
    topology: &'a Topology,
    errors: Vec<Diagnostic>,
}

impl Targets<'_> {
    fn step(&mut self, step: &Step, path: &str) {
        match &step.kind {
            StepKind::Fault { fault: Fault::RegionDown { region, .. }, .. }
            | StepKind::Action(Action::Heal { region }) => self.region(region, &format!("{path}/region")),
            StepKind::Fault { fault: Fault::Partition { link, .. } | Fault::Slow { link, .. }, .. } => {
                self.link(link, &format!("{path}/link"));
            }
            StepKind::Action(
                Action::Failover { to, .. } | Action::Switchover { to } | Action::Failback { to },
            ) => {
                self.data_region(to, &format!("{path}/to"));
            }
            StepKind::ExpectEvent { event, .. } => {
                if let Some(region) = &event.region {
                    self.region(region, &format!("{path}/region"));
                }
                if let Some(to) = &event.to {
                    self.data_region(to, &format!("{path}/to"));
                }
                if let Some(link) = &event.link {
                    self.link(link, &format!("{path}/link"));
                }
            }
            StepKind::Fault { fault: Fault::Kill { .. } | Fault::Pause { .. }, .. }
            | StepKind::Action(Action::HealAll)
            | StepKind::Wait(_) => {}
        }
    }

    fn link(&mut self, link: &LinkEnds, path: &str) {
        self.region(&link.from, path);
        self.region(&link.to, path);
    }

    fn region(&mut self, name: &RegionName, path: &str) {
        if self.topology.region(name).is_some() {
            return;
        }
        let known: Vec<&str> = self.topology.spec.regions.iter().map(|region| region.name.as_str()).collect();
        let message = format!("`{}` has no region `{name}`", self.topology.metadata.name);
        let finding = Diagnostic::error(Code::DrillTarget, self.node.span_at(path), message);
        let finding = match nearest(name.as_str(), &known) {
            Some(near) => finding.label(format!("did you mean `{near}`?")),
            None => finding,
        };
        self.errors.push(finding.help(format!("it has: {}", known.join(", "))));
    }

    fn data_region(&mut self, name: &RegionName, path: &str) {
        self.region(name, path);
        if self.topology.region(name).is_some_and(|region| region.role == Role::Witness) {
            let message = format!("`{name}` is a witness and cannot be primary");
            let finding = Diagnostic::error(Code::DrillTarget, self.node.span_at(path), message);
            self.errors.push(finding.help("name a region that holds data"));
        }
    }
}
