//! The engine's words as gateways, agents and people read them.

use std::sync::Arc;

use leeward_failover_core::{Entry, Kind, Notice, OperationResult, Promotion, Standing, State, Verdict};
use leeward_model::{LinkName, RegionName};
use leeward_proto::control::PromotedPartition;

use crate::{events::NewEvent, gateways::Leave, timeline::Timeline};

/// Who may be written to, as gateways are told.
pub(crate) fn leave(state: &State) -> Leave {
    let promoted = state.promotion.as_ref().map(promoted).unwrap_or_default();
    Leave {
        epoch: state.epoch,
        serving: state.serving.clone(),
        replay_from: state.promotion.as_ref().map(|promotion| promotion.from.clone()),
        promoted: Arc::new(promoted),
    }
}

fn promoted(promotion: &Promotion) -> Vec<PromotedPartition> {
    let partition = |position: &leeward_failover_core::FinalPosition| PromotedPartition {
        topic: position.partition.topic.as_str().to_owned(),
        partition: position.partition.partition.to_wire(),
        replicated_to: position.source.to_wire(),
        target_end: position.target.to_wire(),
    };
    promotion.positions.iter().map(partition).collect()
}

/// What a region is to its topology, in one word.
pub(crate) fn role(standing: &Standing) -> &'static str {
    match standing {
        Standing::Primary => "primary",
        Standing::Standby => "standby",
        Standing::Lost { .. } => "lost",
        Standing::Fenced { .. } => "fenced",
        Standing::Resyncing => "resyncing",
    }
}

/// A region's health in one word, as metrics and status have it.
pub(crate) fn health(standing: &Standing, verdict: Verdict) -> &'static str {
    match (standing, verdict) {
        (Standing::Fenced { .. }, Verdict::Healthy | Verdict::Suspect) => "fenced",
        (_, Verdict::Healthy) => "healthy",
        (_, Verdict::Suspect) => "suspect",
        (_, Verdict::Down) => "down",
        (_, Verdict::Unknown) => "unknown",
    }
}

/// The events that an entry is to people. Most entries are only the journal's business.
pub(crate) fn entry_events(
    entry: &Entry,
    state: &State,
    timeline: &Timeline,
    declared_primary: &RegionName,
) -> Vec<NewEvent> {
    match entry {
        Entry::Decided(decided) => {
            let code = match decided.kind {
                Kind::Failover => "failover-started",
                Kind::Switchover => "switchover-started",
                Kind::Return => "region-back",
                Kind::Resync { .. } => "resync-started",
            };
            let text = format!("{} from {} to {}", decided.kind.name(), decided.from, decided.to);
            let event = NewEvent::new(code, text).with("from", &decided.from).with("to", &decided.to);
            vec![event.with("region", &decided.from).with("operation", decided.operation)]
        }
        Entry::Fenced { proof, operation, .. } => {
            let fence = if proof.is_confirmed() { "confirmed" } else { "assumed" };
            let text = format!("{} takes no writes of earlier epochs: {fence}", proof.region());
            let event = NewEvent::new("region-fenced", text).with("region", proof.region());
            vec![event.with("fence", fence).with("operation", operation)]
        }
        Entry::Held { reason, operation, .. } => {
            vec![NewEvent::new("held", reason.to_string()).with("operation", operation)]
        }
        Entry::Aborted { reason, operation, .. } => {
            vec![NewEvent::new("switchover-aborted", reason.to_string()).with("operation", operation)]
        }
        Entry::Finished { operation, result, .. } => {
            finished(*operation, result, state, timeline, declared_primary)
        }
        Entry::Paused { by, .. } => vec![NewEvent::new("paused", format!("automation paused by {by}"))],
        Entry::Resumed { by, .. } => {
            vec![NewEvent::new("resumed", format!("automation resumed by {by}"))]
        }
        Entry::Formed { .. } | Entry::Intent { .. } | Entry::Outcome { .. } | Entry::Retried { .. } => {
            Vec::new()
        }
    }
}

fn finished(
    operation: leeward_failover_core::OperationId,
    result: &OperationResult,
    state: &State,
    timeline: &Timeline,
    declared_primary: &RegionName,
) -> Vec<NewEvent> {
    let Some(summary) = timeline.summary(operation) else { return Vec::new() };
    let (from, to) = (&summary.from, &summary.to);
    let took = summary.took();
    let event = |code, text: String| {
        let event = NewEvent::new(code, text).with("from", from).with("to", to);
        event.with("operation", operation).with("took_millis", took.as_millis())
    };
    if let OperationResult::Aborted(reason) = result {
        return vec![
            event("switchover-finished", format!("went back to {from}: {reason}")).with("result", "aborted"),
        ];
    }
    match summary.kind {
        Kind::Failover => {
            vec![event(
                "failover-finished",
                format!("{to} serves, {} ms after the first symptom", took.as_millis()),
            )]
        }
        Kind::Switchover => {
            let failback = to == declared_primary;
            let code = if failback { "failback-finished" } else { "switchover-finished" };
            vec![event(code, format!("{to} serves, nothing lost"))]
        }
        Kind::Return => {
            // By the same reading of the log ends that sealed the region.
            let own = state.loss.as_ref().filter(|loss| loss.region == *from);
            let tail = own.map_or(0, leeward_failover_core::LossStatement::lower);
            let text = format!("{from} is back and sealed; {tail} offsets of it never left it");
            vec![event("region-fenced", text).with("region", from).with("tail_offsets", tail)]
        }
        Kind::Resync { .. } => {
            let link = LinkName::between(to, from);
            let text = format!("{from} has everything that {to} has");
            vec![event("mirror-caught-up", text).with("region", from).with("link", link)]
        }
    }
}

pub(crate) fn notice_event(notice: &Notice) -> NewEvent {
    match notice {
        Notice::Verdict { region, health, .. } => {
            let code = match health.verdict {
                Verdict::Healthy => "region-healthy",
                Verdict::Suspect => "region-suspect",
                Verdict::Down => "region-down",
                Verdict::Unknown => "region-unknown",
            };
            let event = NewEvent::new(code, format!("{region}: {}", health.cause)).with("region", region);
            let votes = health.votes.iter();
            votes
                .fold(event, |event, (place, vote)| event.with(&format!("vote.{place}"), format!("{vote:?}")))
        }
        Notice::Phase { before, after } => {
            let text = format!("{} -> {}", before.name(), after.name());
            NewEvent::new("phase", text).with("before", before.name()).with("after", after.name())
        }
    }
}

/// What the end of an effect is to people.
pub(crate) fn effect_event(effect: &leeward_failover_core::Effect) -> Option<NewEvent> {
    use leeward_failover_core::Effect;
    match effect {
        Effect::Promote { region, .. } => {
            let event = NewEvent::new("region-promoted", format!("{region} takes writes"));
            Some(event.with("region", region).with("to", region))
        }
        Effect::UpdateDns { region, .. } => {
            let event = NewEvent::new("dns-moved", format!("names answer {region}"));
            Some(event.with("region", region).with("to", region))
        }
        Effect::CutGateways { .. }
        | Effect::SealRegion { .. }
        | Effect::UnsealRegion { .. }
        | Effect::DrainLink { .. }
        | Effect::MoveGateways { .. }
        | Effect::Verify { .. }
        | Effect::Quarantine { .. }
        | Effect::RecreateTopics { .. }
        | Effect::StartLink { .. }
        | Effect::AwaitCaughtUp { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use leeward_failover_core::Entry;
    use leeward_model::WallTime;

    use super::*;

    #[test]
    fn nobody_is_to_be_sealed_when_a_topology_is_formed() {
        let [primary, standby] = ["a", "b"].map(|name| RegionName::new(name).expect("legal"));
        let formed = Entry::Formed {
            primary: primary.clone(),
            standby: standby.clone(),
            at: WallTime::from_millis(0),
        };
        let state = State::formed(&formed).expect("it is the first entry");

        assert!(!state.must_be_sealed(&primary) && !state.must_be_sealed(&standby));
    }
}
