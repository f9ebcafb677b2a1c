//! Whether to act: the gates, over one snapshot of evidence that is kept with the decision.

use std::time::Duration;

use leeward_model::{Lag, SourceOffset, TopicName, TopicPartition};
use serde::{Deserialize, Serialize};

use crate::{
    config::{Automation, Config},
    quorum::{RegionHealth, Verdict},
};

/// One partition as its mirror last saw it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionSample {
    pub partition: TopicPartition,
    /// The source's log end, where it was ever seen.
    pub source_end: Option<SourceOffset>,
    /// First offset of the source that is not durable at the target.
    pub replicated: SourceOffset,
}

/// A mirrored topic that has another number of partitions at the target: keys go elsewhere there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionDrift {
    /// As the source calls it.
    pub topic: TopicName,
    pub source: u32,
    /// 0 where the target does not have the topic.
    pub target: u32,
}

/// A link as last reported.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkSnapshot {
    /// Age of the report.
    pub age: Duration,
    pub lag: Lag,
    /// Age of the last carrying over of group positions.
    pub offsets_age: Option<Duration>,
    pub partitions: Vec<PartitionSample>,
    /// `None` where the mirror has not seen both sides' topics yet.
    #[serde(default)]
    pub drifts: Option<Vec<PartitionDrift>>,
}

impl LinkSnapshot {
    /// Data at risk in time. It keeps growing while nothing is heard.
    pub fn exposure(&self) -> Duration {
        self.lag.time.saturating_add(self.age)
    }
}

/// What a decision rests on: one snapshot, with ages.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    pub from: RegionHealth,
    pub to: RegionHealth,
    pub to_is_standby: bool,
    pub link: Option<LinkSnapshot>,
    /// Age of the last good produce canary at the standby.
    pub standby_written_age: Option<Duration>,
    /// Time since the last automatic failover.
    pub since_automatic: Option<Duration>,
    pub paused: bool,
}

impl Evidence {
    /// Data at risk in time; without any report of the link it is without bound.
    pub fn exposure(&self) -> Duration {
        self.link.as_ref().map_or(Duration::MAX, LinkSnapshot::exposure)
    }
}

/// A condition that automation waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Gate {
    NotPaused,
    Automation,
    Cooldown,
    StandbyHealthy,
    StandbyWritable,
    NoPartitionDrift,
    OffsetsFresh,
    RpoWithinBudget,
}

impl Gate {
    pub const ALL: [Self; 8] = [
        Self::NotPaused,
        Self::Automation,
        Self::Cooldown,
        Self::StandbyHealthy,
        Self::StandbyWritable,
        Self::NoPartitionDrift,
        Self::OffsetsFresh,
        Self::RpoWithinBudget,
    ];

    /// The name in policies, metrics and messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::NotPaused => "not-paused",
            Self::Automation => "automation",
            Self::Cooldown => "cooldown",
            Self::StandbyHealthy => "standby-healthy",
            Self::StandbyWritable => "standby-writable",
            Self::NoPartitionDrift => "no-partition-drift",
            Self::OffsetsFresh => "offsets-fresh",
            Self::RpoWithinBudget => "rpo-within-budget",
        }
    }
}

/// Why nothing is done, or why an operation stands still.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum HeldReason {
    #[error("automation is paused")]
    Paused,
    #[error("automation only observes")]
    OnlyObserving,
    #[error("automation is manual: a person starts a failover")]
    Manual,
    #[error("waiting for a person's approval")]
    AwaitingApproval,
    #[error("an automatic failover was {since:?} ago; cooldown is {cooldown:?}")]
    Cooldown { since: Duration, cooldown: Duration },
    #[error("standby is {verdict:?}, not healthy")]
    StandbyUnhealthy { verdict: Verdict },
    #[error(
        "the other region is no standby: it lacks what was written since it was left; `leeward failback` brings it back, with --standby-only without a move"
    )]
    NotAStandby,
    #[error("no produce canary succeeded at the standby within {age_max:?}")]
    StandbyNotWritable { age_max: Duration },
    #[error("partitions of the two regions were not compared yet")]
    PartitionsUnknown,
    #[error(
        "{topic} has {source_count} partitions at the primary and {target_count} at the standby; {others} more topics differ"
    )]
    PartitionDrift { topic: TopicName, source_count: u32, target_count: u32, others: usize },
    #[error("group positions were carried over {age:?} ago; at most {age_max:?} is allowed")]
    OffsetsStale { age: Option<Duration>, age_max: Duration },
    #[error("data at risk {:?} is over the budget of {budget:?}", in_millis(*exposure))]
    RpoOverBudget { exposure: Duration, budget: Duration },
    #[error("data at risk {:?} is more than the accepted {accepted:?}", in_millis(*exposure))]
    LossNotAccepted { exposure: Duration, accepted: Duration },
    #[error("data at risk {:?}: the loss must be named", in_millis(*exposure))]
    LossNotNamed { exposure: Duration },
    #[error("primary is {verdict:?}; a switchover needs it healthy")]
    PrimaryUnhealthy { verdict: Verdict },
    #[error("{step} failed {attempts} times: {error}")]
    StepFailed { step: String, attempts: u32, error: String },
    #[error("aborted by {by}")]
    AbortedByPerson { by: String },
}

/// A time for people, never less than it is.
fn in_millis(exact: Duration) -> Duration {
    u64::try_from(exact.as_nanos().div_ceil(1_000_000)).map_or(Duration::MAX, Duration::from_millis)
}

/// One gate and what it says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GateResult {
    pub gate: Gate,
    /// `None`: open.
    pub refusal: Option<HeldReason>,
}

/// Every gate that is asked for, over one snapshot: one that is not would look open.
pub fn evaluate(config: &Config, evidence: &Evidence) -> Vec<GateResult> {
    let asked = Gate::ALL.into_iter().filter(|gate| is_asked(config, *gate));
    asked.map(|gate| GateResult { gate, refusal: refusal(config, evidence, gate) }).collect()
}

fn is_asked(config: &Config, gate: Gate) -> bool {
    let gates = &config.gates;
    match gate {
        Gate::NotPaused | Gate::Automation | Gate::Cooldown | Gate::StandbyHealthy => true,
        Gate::StandbyWritable => gates.standby_writable,
        Gate::NoPartitionDrift => gates.no_partition_drift,
        Gate::OffsetsFresh => gates.offsets_max_age.is_some(),
        Gate::RpoWithinBudget => gates.rpo_max.is_some(),
    }
}

/// What the given gates say; the first refusal wins.
pub(crate) fn pass(config: &Config, evidence: &Evidence, gates: &[Gate]) -> Result<(), HeldReason> {
    gates.iter().find_map(|gate| refusal(config, evidence, *gate)).map_or(Ok(()), Err)
}

fn refusal(config: &Config, evidence: &Evidence, gate: Gate) -> Option<HeldReason> {
    if !is_asked(config, gate) {
        return None;
    }
    let gates = &config.gates;
    match gate {
        Gate::NotPaused => evidence.paused.then_some(HeldReason::Paused),
        Gate::Automation => match config.automation {
            Automation::Auto => None,
            Automation::Observe => Some(HeldReason::OnlyObserving),
            Automation::Manual => Some(HeldReason::Manual),
            Automation::Approve => Some(HeldReason::AwaitingApproval),
        },
        Gate::Cooldown => evidence
            .since_automatic
            .filter(|since| *since < config.cooldown)
            .map(|since| HeldReason::Cooldown { since, cooldown: config.cooldown }),
        Gate::StandbyHealthy if !evidence.to_is_standby => Some(HeldReason::NotAStandby),
        Gate::StandbyHealthy => (evidence.to.verdict != Verdict::Healthy)
            .then_some(HeldReason::StandbyUnhealthy { verdict: evidence.to.verdict }),
        Gate::StandbyWritable => {
            let fresh = evidence.standby_written_age.is_some_and(|age| age <= gates.evidence_max_age);
            (!fresh).then_some(HeldReason::StandbyNotWritable { age_max: gates.evidence_max_age })
        }
        Gate::NoPartitionDrift => drift(evidence.link.as_ref().and_then(|link| link.drifts.as_deref())),
        Gate::OffsetsFresh => gates.offsets_max_age.and_then(|age_max| {
            let link = evidence.link.as_ref();
            let age = link.and_then(|link| Some(link.offsets_age?.saturating_add(link.age)));
            age.is_none_or(|age| age > age_max).then_some(HeldReason::OffsetsStale { age, age_max })
        }),
        Gate::RpoWithinBudget => gates.rpo_max.and_then(|budget| {
            let exposure = evidence.exposure();
            (exposure > budget).then_some(HeldReason::RpoOverBudget { exposure, budget })
        }),
    }
}

fn drift(drifts: Option<&[PartitionDrift]>) -> Option<HeldReason> {
    match drifts {
        None => Some(HeldReason::PartitionsUnknown),
        Some([]) => None,
        Some([first, others @ ..]) => Some(HeldReason::PartitionDrift {
            topic: first.topic.clone(),
            source_count: first.source,
            target_count: first.target,
            others: others.len(),
        }),
    }
}

/// Whether a person's failover may go on: the loss is named and covers what is at risk.
pub(crate) fn accepts(evidence: &Evidence, accept_loss: Option<Duration>) -> Result<(), HeldReason> {
    let exposure = evidence.exposure();
    match accept_loss {
        None => Err(HeldReason::LossNotNamed { exposure }),
        Some(accepted) if exposure > accepted => Err(HeldReason::LossNotAccepted { exposure, accepted }),
        Some(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::{
        config::{Gates, tests::config},
        quorum::Cause,
    };

    fn evidence() -> Evidence {
        let health = |verdict, cause| RegionHealth { verdict, cause, votes: BTreeMap::new() };
        Evidence {
            from: health(Verdict::Down, Cause::RegionLoss),
            to: health(Verdict::Healthy, Cause::AllWell),
            to_is_standby: true,
            link: Some(LinkSnapshot {
                age: Duration::from_secs(1),
                lag: Lag { time: Duration::from_secs(2), ..Lag::default() },
                offsets_age: Some(Duration::from_secs(1)),
                partitions: Vec::new(),
                drifts: Some(Vec::new()),
            }),
            standby_written_age: Some(Duration::ZERO),
            since_automatic: None,
            paused: false,
        }
    }

    fn refused(config: &Config, evidence: &Evidence) -> Vec<Gate> {
        let results = evaluate(config, evidence);
        results.into_iter().filter(|result| result.refusal.is_some()).map(|result| result.gate).collect()
    }

    #[test]
    fn good_evidence_opens_every_gate() {
        assert_eq!(refused(&config(), &evidence()), []);
    }

    #[test]
    fn exposure_grows_with_the_silence_of_the_link() {
        let mut silent = evidence();
        silent.link.as_mut().expect("there").age = Duration::from_secs(9);

        assert_eq!(refused(&config(), &silent), [Gate::RpoWithinBudget]);
    }

    #[test]
    fn a_link_that_was_never_heard_of_closes_the_gates_on_data() {
        let unheard = Evidence { link: None, ..evidence() };

        assert_eq!(
            refused(&config(), &unheard),
            [Gate::NoPartitionDrift, Gate::OffsetsFresh, Gate::RpoWithinBudget]
        );
    }

    #[test]
    fn a_topic_with_other_partitions_at_the_standby_closes_its_gate() {
        let topic = TopicName::new("orders").expect("legal");
        let mut drifted = evidence();
        let drift = PartitionDrift { topic, source: 6, target: 12 };
        drifted.link.as_mut().expect("there").drifts = Some(vec![drift]);
        let allowed = Config { gates: Gates { no_partition_drift: false, ..config().gates }, ..config() };

        assert_eq!(refused(&config(), &drifted), [Gate::NoPartitionDrift]);
        assert_eq!(refused(&allowed, &drifted), []);
    }

    #[test]
    fn a_standby_that_takes_no_canary_is_not_promoted() {
        let unwritten = Evidence { standby_written_age: None, ..evidence() };

        assert_eq!(refused(&config(), &unwritten), [Gate::StandbyWritable]);
    }

    #[test]
    fn a_second_failover_within_the_cooldown_is_held() {
        let soon = Evidence { since_automatic: Some(Duration::from_mins(1)), ..evidence() };

        assert_eq!(refused(&config(), &soon), [Gate::Cooldown]);
    }

    #[test]
    fn a_pause_closes_its_gate() {
        let paused = Evidence { paused: true, ..evidence() };

        assert_eq!(refused(&config(), &paused), [Gate::NotPaused]);
    }

    #[test]
    fn an_accepted_loss_smaller_than_the_exposure_stops_a_person_too() {
        let refused = accepts(&evidence(), Some(Duration::from_secs(2)));

        assert!(matches!(refused, Err(HeldReason::LossNotAccepted { .. })));
    }
}
