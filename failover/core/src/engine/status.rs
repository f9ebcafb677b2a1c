//! A snapshot for people: who serves, what is at risk, why nothing happens.

use std::{collections::BTreeMap, time::Duration};

use leeward_model::{FencingEpoch, RegionName};

use super::{Engine, Now};
use crate::{
    decision::{Evidence, GateResult, evaluate},
    detector::LevelVerdict,
    level::Level,
    loss::LossStatement,
    phases::{Operation, Phase},
    quorum::RegionHealth,
    state::Standing,
};

/// One region in a status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegionStatus {
    pub standing: Standing,
    pub health: RegionHealth,
    pub levels: Vec<(RegionName, Level, LevelVerdict)>,
    pub lease_remaining: Duration,
    pub writable: bool,
}

/// The whole topology at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    pub phase: Phase,
    pub epoch: FencingEpoch,
    pub primary: RegionName,
    pub serving: Option<RegionName>,
    pub regions: BTreeMap<RegionName, RegionStatus>,
    pub evidence: Evidence,
    pub gates: Vec<GateResult>,
    pub operation: Option<Operation>,
    pub loss: Option<LossStatement>,
}

impl Engine {
    pub fn status(&self, now: Now) -> Status {
        let evidence = self.evidence(now);
        let regions = self.config.regions.iter().map(|region| (region.clone(), self.region(region, now)));
        Status {
            phase: self.phase(now.monotonic),
            epoch: self.state.epoch,
            primary: self.state.primary.clone(),
            serving: self.state.serving.clone(),
            regions: regions.collect(),
            gates: evaluate(&self.config, &evidence),
            evidence,
            operation: self.state.operation.clone(),
            loss: self.state.loss.clone(),
        }
    }

    fn region(&self, region: &RegionName, now: Now) -> RegionStatus {
        let now = now.monotonic;
        let levels = self.config.places.iter().flat_map(|place| {
            self.config
                .detect
                .keys()
                .map(|level| (place.clone(), *level, self.detector.level(place, region, *level, now)))
        });
        let serves = self.state.serving.as_ref() == Some(region);
        let canary = self.detector.good_age(region, Level::ProduceCanary, now);
        let fresh = self.config.detect.get(&Level::ProduceCanary).map(crate::LevelRule::stale_after);
        RegionStatus {
            standing: self.state.standings.get(region).cloned().unwrap_or(Standing::Resyncing),
            health: self.health(region, now),
            levels: levels.collect(),
            lease_remaining: if serves { self.leases.remaining(region, now) } else { Duration::ZERO },
            writable: serves && canary.zip(fresh).is_some_and(|(age, fresh)| age <= fresh),
        }
    }
}
