//! What happens in a drill: faults, actions of people, waits, events that must come.

use std::time::Duration;

use leeward_model::RegionName;
use schemars::{Schema, SchemaGenerator, json_schema};

use crate::{
    code::Code,
    diagnostics::Diagnostic,
    drill::fault::{Fault, FaultStep, LinkEnds, fault_plain, read_fault},
    node::{Node, Shape},
    plain::Plain,
    read::{Reader, Value, record, words},
};

/// One step. Steps run in order; a step with `at` waits for that moment first.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// Time since the load began; nothing is waited for where not given.
    pub at: Option<Duration>,
    pub kind: StepKind,
}

/// What a step does.
#[derive(Clone, Debug, PartialEq)]
pub enum StepKind {
    /// Breaks something, and heals it after `held_for` where that is given.
    Fault { fault: Fault, held_for: Option<Duration> },
    /// Does what a person would do.
    Action(Action),
    /// Waits for an event since the last fault or action; without it the drill fails.
    ExpectEvent { event: AwaitedEvent, within: Duration },
    /// Lets time pass under load.
    Wait(Duration),
}

words! {
    /// What a person does.
    pub(crate) enum ActionKind in "action" {
        Heal = "heal",
        HealAll = "heal-all",
        Failover = "failover",
        Switchover = "switchover",
        Failback = "failback",
    }
    later ["approve", "abort", "pause", "resume"]
}

/// What a person does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Takes back what was broken in a region.
    Heal { region: RegionName },
    /// Takes back everything that was broken.
    HealAll,
    /// Emergency: promotes a region and names the loss that is accepted.
    Failover { to: RegionName, accept_loss: Option<Duration> },
    /// Planned: nothing is lost, or nothing happens.
    Switchover { to: RegionName },
    /// Planned, back to a region that was lost.
    Failback { to: RegionName },
}

words! {
    /// Something that a drill can wait for.
    pub enum EventKind in "event" {
        /// A region counts as lost.
        RegionDown = "region-down",
        /// A region that was lost answers again.
        RegionBack = "region-back",
        /// A region takes no writes: the fence was confirmed or assumed.
        RegionFenced = "region-fenced",
        /// Two regions do not see each other, and none is lost.
        LinkDown = "link-down",
        /// Two regions see each other again.
        LinkUp = "link-up",
        /// A failover was decided.
        FailoverStarted = "failover-started",
        /// A region was promoted.
        RegionPromoted = "region-promoted",
        /// Names point at the new primary.
        DnsMoved = "dns-moved",
        /// A failover is over and verified.
        FailoverFinished = "failover-finished",
        /// A planned switchover is over and verified.
        SwitchoverFinished = "switchover-finished",
        /// A failback is over and verified.
        FailbackFinished = "failback-finished",
        /// The engine stopped and asks a person.
        Held = "held",
        /// A controller started from its journal.
        ControllerRecovered = "controller-recovered",
        /// The mirror has caught up with its source.
        MirrorCaughtUp = "mirror-caught-up",
    }
}

/// An event with what it must say; what is not given may be anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AwaitedEvent {
    pub kind: EventKind,
    /// The region that the event is about.
    pub region: Option<RegionName>,
    /// The region that is promoted.
    pub to: Option<RegionName>,
    /// The link that the event is about.
    pub link: Option<LinkEnds>,
}

record! {
    /// Does what a person would do.
    pub(crate) struct ActionStep in "an action step" {
        /// Time since the load began.
        at "at": Option<Duration> = None,
        /// What is done.
        action "action": ActionKind,
        /// The region that is healed.
        region "region": Option<RegionName> = None,
        /// The region that becomes primary.
        to "to": Option<RegionName> = None,
        /// The loss that a failover accepts.
        accept_loss "acceptLoss": Option<Duration> = None,
    }
}

record! {
    /// Waits for an event.
    pub(crate) struct EventStep in "an expectEvent step" {
        /// Time since the load began.
        at "at": Option<Duration> = None,
        /// Which event.
        event "expectEvent": EventKind,
        /// The region that the event is about.
        region "region": Option<RegionName> = None,
        /// The region that is promoted.
        to "to": Option<RegionName> = None,
        /// The link that the event is about.
        link "link": Option<LinkEnds> = None,
        /// Longest wait.
        within "within": Duration,
    }
}

record! {
    /// Lets time pass.
    pub(crate) struct WaitStep in "a wait step" {
        /// Time since the load began.
        at "at": Option<Duration> = None,
        /// How long.
        wait "wait": Duration,
    }
}

const STEP_KINDS: [&str; 4] = ["fault", "action", "expectEvent", "wait"];

impl Value for Step {
    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let Shape::Map(entries) = &node.shape else {
            reader.wrong_shape(node, "a step", "{wait: 5s}");
            return None;
        };
        if let Some(entry) = entries.iter().find(|entry| entry.key == "parallel") {
            let finding =
                Diagnostic::error(Code::FieldNotYet, entry.key_span, "`parallel` is not yet implemented");
            reader.report(finding.help("write the steps one after the other"));
            return None;
        }
        let kinds: Vec<_> = entries.iter().filter(|entry| STEP_KINDS.contains(&entry.key.as_str())).collect();
        let [kind] = kinds.as_slice() else {
            let message = match kinds.as_slice() {
                [] => "this step does nothing".to_owned(),
                several => format!("this step does {} things", several.len()),
            };
            let span = entries.first().map_or(node.span, |entry| entry.key_span);
            let help = "a step has exactly one of `fault`, `action`, `expectEvent`, `wait`";
            reader.report(Diagnostic::error(Code::Step, span, message).help(help));
            return None;
        };
        match kind.key.as_str() {
            "fault" => read_fault(node, reader),
            "action" => {
                let step = ActionStep::read(node, reader)?;
                let kind = StepKind::Action(action(&step, node, reader)?);
                Some(Self { at: step.at, kind })
            }
            "expectEvent" => {
                let step = EventStep::read(node, reader)?;
                let event =
                    AwaitedEvent { kind: step.event, region: step.region, to: step.to, link: step.link };
                Some(Self { at: step.at, kind: StepKind::ExpectEvent { event, within: step.within } })
            }
            _ => {
                WaitStep::read(node, reader).map(|step| Self { at: step.at, kind: StepKind::Wait(step.wait) })
            }
        }
    }

    fn plain(&self) -> Plain {
        let mut entries = vec![("at".to_owned(), self.at.plain())];
        entries.extend(match &self.kind {
            StepKind::Fault { fault, held_for } => fault_plain(fault, *held_for),
            StepKind::Action(action) => action_plain(action),
            StepKind::ExpectEvent { event, within } => vec![
                ("expectEvent".to_owned(), event.kind.plain()),
                ("region".to_owned(), event.region.plain()),
                ("to".to_owned(), event.to.plain()),
                ("link".to_owned(), event.link.plain()),
                ("within".to_owned(), within.plain()),
            ],
            StepKind::Wait(time) => vec![("wait".to_owned(), time.plain())],
        });
        Plain::Map(entries)
    }

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        let (fault, action) = (FaultStep::schema(generator), ActionStep::schema(generator));
        let (event, wait) = (EventStep::schema(generator), WaitStep::schema(generator));
        json_schema!({ "anyOf": [fault, action, event, wait] })
    }
}

fn action(step: &ActionStep, node: &Node, reader: &mut Reader<'_>) -> Option<Action> {
    let what = step.action.as_str();
    let allowed: &[&str] = match step.action {
        ActionKind::Heal => &["region"],
        ActionKind::HealAll => &[],
        ActionKind::Failover => &["to", "acceptLoss"],
        ActionKind::Switchover | ActionKind::Failback => &["to"],
    };
    refuse_others(node, reader, what, &["region", "to", "acceptLoss"], allowed)?;
    let to = step.to.clone();
    Some(match step.action {
        ActionKind::Heal => {
            Action::Heal { region: required(step.region.clone(), "region", what, node, reader)? }
        }
        ActionKind::HealAll => Action::HealAll,
        ActionKind::Failover => {
            Action::Failover { to: required(to, "to", what, node, reader)?, accept_loss: step.accept_loss }
        }
        ActionKind::Switchover => Action::Switchover { to: required(to, "to", what, node, reader)? },
        ActionKind::Failback => Action::Failback { to: required(to, "to", what, node, reader)? },
    })
}

/// Reports fields that another kind of step has.
pub(super) fn refuse_others(
    node: &Node,
    reader: &mut Reader<'_>,
    what: &str,
    fields: &[&str],
    allowed: &[&str],
) -> Option<()> {
    let others = fields.iter().filter(|field| !allowed.contains(field)).filter_map(|field| node.entry(field));
    let mut passed = Some(());
    for entry in others {
        let message = format!("`{}` says nothing about `{what}`", entry.key);
        let help = match allowed {
            [] => format!("`{what}` takes no fields"),
            allowed => format!("`{what}` takes: {}", allowed.join(", ")),
        };
        reader.report(Diagnostic::error(Code::Step, entry.key_span, message).help(help));
        passed = None;
    }
    passed
}

pub(super) fn required<T>(
    value: Option<T>,
    field: &str,
    what: &str,
    node: &Node,
    reader: &mut Reader<'_>,
) -> Option<T> {
    if value.is_none() {
        let span = node.span_at(if node.entry("fault").is_some() { "fault" } else { "action" });
        let finding = Diagnostic::error(Code::Step, span, format!("`{what}` needs `{field}`"));
        reader.report(finding.help(format!("add `{field}: ...` to the step")));
    }
    value
}

fn action_plain(action: &Action) -> Vec<(String, Plain)> {
    let named = |kind: ActionKind, field: &str, region: &RegionName| {
        vec![("action".to_owned(), kind.plain()), (field.to_owned(), region.plain())]
    };
    match action {
        Action::Heal { region } => named(ActionKind::Heal, "region", region),
        Action::HealAll => vec![("action".to_owned(), ActionKind::HealAll.plain())],
        Action::Failover { to, accept_loss } => {
            let mut entries = named(ActionKind::Failover, "to", to);
            entries.push(("acceptLoss".to_owned(), accept_loss.plain()));
            entries
        }
        Action::Switchover { to } => named(ActionKind::Switchover, "to", to),
        Action::Failback { to } => named(ActionKind::Failback, "to", to),
    }
}

words! {
    /// What is done at the end in any case.
    pub enum CleanupAction in "action" {
        HealAll = "heal-all",
        Failback = "failback",
    }
}

words! {
    /// When it is done.
    pub enum CleanupCondition in "condition" {
        /// Only where another region than the declared one is primary.
        FailedOver = "failed-over",
    }
}

record! {
    /// What is done at the end in any case.
    pub struct Cleanup in "a cleanup" {
        /// What is done.
        action "action": CleanupAction,
        /// When; always where not given.
        condition "if": Option<CleanupCondition> = None,
    }
}
