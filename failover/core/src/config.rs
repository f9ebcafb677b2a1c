//! What the policy says, as the brain needs it, and the laws between its numbers.

use std::{collections::BTreeMap, time::Duration};

use leeward_model::RegionName;
use serde::{Deserialize, Serialize};

use crate::{
    level::{Level, LevelRule},
    limits::OBSERVERS_MIN,
    returning::TailPolicy,
};

/// Who starts a failover.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Automation {
    /// Records what it would have done.
    Observe,
    /// Only people's own verbs.
    Manual,
    /// Asks, and waits for a person's approval.
    Approve,
    Auto,
}

/// How long a region may write without being heard, and how much its clock may drift meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseRule {
    pub duration: Duration,
    /// Drift over one lease, plus the time that a region needs to stop its writers.
    pub margin: Duration,
}

/// What must hold before automation acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gates {
    /// `rpo-within-budget`: exposure above this stops automation. `None`: the gate is off.
    pub rpo_max: Option<Duration>,
    /// `standby-writable`: the standby's produce canary succeeds.
    pub standby_writable: bool,
    /// `no-partition-drift`: mirrored topics have as many partitions at the standby as at the primary.
    pub no_partition_drift: bool,
    /// `offsets-fresh`: group positions were carried over within this age. `None`: the gate is off.
    pub offsets_max_age: Option<Duration>,
    /// Oldest evidence that a decision may rest on.
    pub evidence_max_age: Duration,
}

/// What the policy says of one topology.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The two regions that hold data. The first is the declared primary.
    pub regions: [RegionName; 2],
    /// Places that observe: agents' regions and the witness.
    pub places: Vec<RegionName>,
    pub detect: BTreeMap<Level, LevelRule>,
    /// Observers that must agree before a region counts as lost.
    pub quorum: usize,
    pub automation: Automation,
    pub gates: Gates,
    pub cooldown: Duration,
    pub lease: LeaseRule,
    /// What becomes of a returned primary's tail when it is made a standby again by itself. `None`: a person asks.
    pub resync: Option<TailPolicy>,
}

/// A law between the policy's numbers that does not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    #[error("automation needs {OBSERVERS_MIN} observing places, a witness among them; there are {places}")]
    TooFewObservers { places: usize },
    #[error("quorum {quorum} is no majority of {places} observing places")]
    NoMajority { quorum: usize, places: usize },
    #[error("no level is probed that tells a region's loss")]
    NothingProbed,
    #[error("the two regions have one name, `{region}`")]
    SameRegion { region: RegionName },
    #[error("lease {lease:?} is shorter than one probe round of {every:?}: it would expire between renewals")]
    LeaseTooShort { lease: Duration, every: Duration },
}

impl Config {
    /// Holds the laws between the numbers.
    ///
    /// # Errors
    ///
    /// The first [`ConfigError`] found.
    pub fn checked(self) -> Result<Self, ConfigError> {
        let places = self.places.len();
        if self.regions[0] == self.regions[1] {
            return Err(ConfigError::SameRegion { region: self.regions[0].clone() });
        }
        if self.automation == Automation::Auto && places < OBSERVERS_MIN {
            return Err(ConfigError::TooFewObservers { places });
        }
        if self.quorum * 2 <= places || self.quorum > places {
            return Err(ConfigError::NoMajority { quorum: self.quorum, places });
        }
        let loss_every =
            self.detect.iter().filter(|(level, _)| level.tells_loss()).map(|(_, rule)| rule.every).max();
        let every = loss_every.ok_or(ConfigError::NothingProbed)?;
        if self.lease.duration <= every {
            return Err(ConfigError::LeaseTooShort { lease: self.lease.duration, every });
        }
        Ok(self)
    }

    /// The data region that `region` is paired with.
    pub fn other(&self, region: &RegionName) -> &RegionName {
        if *region == self.regions[0] { &self.regions[1] } else { &self.regions[0] }
    }

    pub fn holds_data(&self, region: &RegionName) -> bool {
        self.regions.contains(region)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::num::NonZeroU32;

    use super::*;

    pub(crate) fn name(name: &str) -> RegionName {
        RegionName::new(name).expect("legal name")
    }

    pub(crate) fn rules() -> BTreeMap<Level, LevelRule> {
        let rule = LevelRule {
            every: Duration::from_millis(200),
            fail_after: NonZeroU32::new(3).expect("not zero"),
        };
        Level::ALL.into_iter().map(|level| (level, rule)).collect()
    }

    pub(crate) fn config() -> Config {
        Config {
            regions: [name("a"), name("b")],
            places: vec![name("a"), name("b"), name("w")],
            detect: rules(),
            quorum: 2,
            automation: Automation::Auto,
            gates: Gates {
                rpo_max: Some(Duration::from_secs(10)),
                standby_writable: true,
                no_partition_drift: true,
                offsets_max_age: Some(Duration::from_secs(30)),
                evidence_max_age: Duration::from_secs(15),
            },
            cooldown: Duration::from_hours(1),
            lease: LeaseRule { duration: Duration::from_secs(1), margin: Duration::from_millis(100) },
            resync: None,
        }
    }

    #[test]
    fn automation_without_a_witness_is_refused() {
        let two = Config { places: vec![name("a"), name("b")], ..config() };

        assert_eq!(two.checked(), Err(ConfigError::TooFewObservers { places: 2 }));
    }

    #[test]
    fn a_quorum_that_is_no_majority_is_refused() {
        let one = Config { quorum: 1, ..config() };

        assert_eq!(one.checked(), Err(ConfigError::NoMajority { quorum: 1, places: 3 }));
    }
}
