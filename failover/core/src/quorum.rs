//! Observers' votes to one verdict per region; a region's loss told apart from a link's.

use std::collections::BTreeMap;

use leeward_model::{Instant, RegionName};
use serde::{Deserialize, Serialize};

use crate::{
    config::Config,
    detector::{Detector, Vote},
    level::Level,
    limits::OBSERVERS_MIN,
};

/// What the observers together say of a region.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verdict {
    Healthy,
    Suspect,
    /// Lost: a quorum says so, and nobody says otherwise.
    Down,
    Unknown,
}

/// Why the verdict is what it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Cause {
    AllWell,
    /// Failing, not long enough or not for enough observers yet.
    Failing,
    /// Fine, but some places cannot reach it.
    LinkLoss {
        cut_off: Vec<RegionName>,
    },
    RegionLoss,
    /// Reachable, and does not serve.
    Gray {
        level: Level,
    },
    /// Nobody outside reaches it, but its own agent reports that it is well: its lease lives.
    Isolated,
    Disagreement,
    /// Two observers never decide alone.
    TooFewObservers,
    NothingHeard,
}

impl std::fmt::Display for Cause {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::AllWell => f.write_str("all is well"),
            Self::Failing => f.write_str("probes fail, not long enough or at too few places yet"),
            Self::LinkLoss { cut_off } => {
                let places: Vec<_> = cut_off.iter().map(RegionName::as_str).collect();
                write!(f, "it is well, but {} cannot reach it", places.join(", "))
            }
            Self::RegionLoss => f.write_str("enough places find it dead"),
            Self::Gray { level } => write!(f, "reachable, and fails at {}", level.name()),
            Self::Isolated => f.write_str("nobody outside reaches it, and its own agent finds it well"),
            Self::Disagreement => f.write_str("places disagree"),
            Self::TooFewObservers => f.write_str("too few places look"),
            Self::NothingHeard => f.write_str("nothing heard yet"),
        }
    }
}

/// A region's verdict with the votes that it rests on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegionHealth {
    pub verdict: Verdict,
    pub cause: Cause,
    pub votes: BTreeMap<RegionName, Vote>,
}

/// The verdict on one region from one snapshot of votes.
pub(crate) fn health(
    config: &Config,
    detector: &Detector,
    region: &RegionName,
    now: Instant,
) -> RegionHealth {
    let votes: BTreeMap<RegionName, Vote> = config
        .places
        .iter()
        .map(|place| (place.clone(), vote_of(config, detector, place, region, now)))
        .collect();
    let (verdict, cause) = judge(config, region, &votes);
    RegionHealth { verdict, cause, votes }
}

/// An observer to whom every region is down is more likely cut off itself: it abstains.
fn vote_of(
    config: &Config,
    detector: &Detector,
    place: &RegionName,
    region: &RegionName,
    now: Instant,
) -> Vote {
    let sees_nothing =
        config.regions.iter().all(|seen| matches!(detector.vote(place, seen, now), Vote::Down(_)));
    if sees_nothing { Vote::Abstains } else { detector.vote(place, region, now) }
}

fn judge(config: &Config, region: &RegionName, votes: &BTreeMap<RegionName, Vote>) -> (Verdict, Cause) {
    let down: Vec<&RegionName> =
        votes.iter().filter(|(_, vote)| matches!(vote, Vote::Down(_))).map(|(place, _)| place).collect();
    let reaches = |vote: &Vote| matches!(vote, Vote::Up | Vote::Gray(_));
    let gray = votes.values().find_map(|vote| match vote {
        Vote::Gray(level) => Some(*level),
        Vote::Up | Vote::Suspect(_) | Vote::Down(_) | Vote::Silent | Vote::Abstains => None,
    });
    let suspecting = votes.values().filter(|vote| matches!(vote, Vote::Suspect(_))).count();
    let reached = votes.values().any(reaches);

    if down.len() >= config.quorum {
        return if votes.get(region).is_some_and(reaches) {
            (Verdict::Suspect, Cause::Isolated)
        } else if reached {
            (Verdict::Suspect, Cause::Disagreement)
        } else if suspecting > 0 {
            (Verdict::Suspect, Cause::Failing)
        } else if votes.len() < OBSERVERS_MIN {
            (Verdict::Suspect, Cause::TooFewObservers)
        } else {
            (Verdict::Down, Cause::RegionLoss)
        };
    }
    if let Some(level) = gray {
        return (Verdict::Suspect, Cause::Gray { level });
    }
    match (down.is_empty(), reached) {
        // One observer's one bad round says more about the observer.
        (true, true) if suspecting < config.quorum => (Verdict::Healthy, Cause::AllWell),
        (true, false) if suspecting == 0 => (Verdict::Unknown, Cause::NothingHeard),
        // Who is down to one observer and failing for another may be about to be lost: no link's loss yet.
        (false, true) if suspecting == 0 => {
            (Verdict::Healthy, Cause::LinkLoss { cut_off: down.into_iter().cloned().collect() })
        }
        (true | false, true | false) => (Verdict::Suspect, Cause::Failing),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::{config, name};

    fn judged(own: Vote, standby: Vote, witness: Vote) -> (Verdict, Cause) {
        let votes = [(name("a"), own), (name("b"), standby), (name("w"), witness)].into_iter().collect();
        judge(&config(), &name("a"), &votes)
    }

    const DOWN: Vote = Vote::Down(Level::Tcp);

    #[test]
    fn a_cut_link_between_the_regions_is_no_region_loss() {
        let verdict = judged(Vote::Up, DOWN, Vote::Up);

        assert_eq!(verdict, (Verdict::Healthy, Cause::LinkLoss { cut_off: vec![name("b")] }));
    }

    #[test]
    fn a_region_that_fails_for_a_second_observer_is_suspect_and_no_link_loss() {
        let verdict = judged(Vote::Up, Vote::Suspect(Level::Tcp), DOWN);

        assert_eq!(verdict, (Verdict::Suspect, Cause::Failing));
    }

    #[test]
    fn one_observers_bad_round_is_no_suspicion() {
        let verdict = judged(Vote::Up, Vote::Suspect(Level::Metadata), Vote::Up);

        assert_eq!(verdict, (Verdict::Healthy, Cause::AllWell));
    }

    #[test]
    fn a_region_that_standby_and_witness_lost_and_that_is_silent_is_down() {
        assert_eq!(judged(Vote::Silent, DOWN, DOWN), (Verdict::Down, Cause::RegionLoss));
    }

    #[test]
    fn a_region_whose_own_agent_is_well_is_isolated_and_not_down() {
        assert_eq!(judged(Vote::Up, DOWN, DOWN), (Verdict::Suspect, Cause::Isolated));
    }

    #[test]
    fn one_observer_against_is_never_enough() {
        assert_eq!(judged(Vote::Silent, DOWN, Vote::Silent), (Verdict::Suspect, Cause::Failing));
    }

    #[test]
    fn observers_that_disagree_decide_nothing() {
        assert_eq!(judged(DOWN, Vote::Up, DOWN), (Verdict::Suspect, Cause::Disagreement));
    }

    #[test]
    fn a_gray_region_is_suspect_and_not_down() {
        let gray = Vote::Gray(Level::ProduceCanary);

        let verdict = judged(gray, gray, gray);

        assert_eq!(verdict, (Verdict::Suspect, Cause::Gray { level: Level::ProduceCanary }));
    }

    #[test]
    fn silence_of_all_observers_is_unknown() {
        let silent = Vote::Silent;

        assert_eq!(judged(silent, silent, silent), (Verdict::Unknown, Cause::NothingHeard));
    }

    #[test]
    fn two_observers_never_fail_over_alone() {
        let votes = [(name("a"), DOWN), (name("b"), DOWN)].into_iter().collect();

        let verdict = judge(&config(), &name("a"), &votes);

        assert_eq!(verdict, (Verdict::Suspect, Cause::TooFewObservers));
    }
}
