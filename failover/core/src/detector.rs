//! What each observer sees of each region, level by level.
//!
//! A level turns `Down` after its own number of failures in a row and `Good` after one success. It does not know what
//! other observers say: that is `quorum`.

use std::{collections::BTreeMap, time::Duration};

use leeward_model::{Instant, RegionName};
use serde::{Deserialize, Serialize};

use crate::level::{Level, LevelRule};

/// How one probe ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Probe {
    Good,
    Failed,
}

/// What one observer saw of one region in one round.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Where the observer stands: a region's name, or the witness site's.
    pub observer: RegionName,
    pub region: RegionName,
    pub samples: Vec<(Level, Probe)>,
    /// The observer's own loop was late: its samples say more about itself, so it abstains.
    pub slipped: bool,
}

/// What one observer's samples of one level add up to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum LevelVerdict {
    Good,
    /// Failing, but not often enough yet.
    Suspect,
    Down,
    /// No sample, or none that is fresh.
    Unknown,
}

/// One observer's voice about one region.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Vote {
    Up,
    Suspect(Level),
    /// Reachable, but does not serve.
    Gray(Level),
    Down(Level),
    /// Nothing fresh was heard from this observer.
    Silent,
    /// It was heard, and cannot judge: its loop slipped, or it sees nothing at all.
    Abstains,
}

#[derive(Clone, Copy, Debug)]
struct Streak {
    failures: u32,
    last_at: Instant,
}

#[derive(Clone, Debug, Default)]
struct View {
    levels: BTreeMap<Level, Streak>,
    slipped: bool,
}

/// Samples of every observer about every region.
#[derive(Clone, Debug)]
pub struct Detector {
    rules: BTreeMap<Level, LevelRule>,
    views: BTreeMap<(RegionName, RegionName), View>,
}

impl Detector {
    pub fn new(rules: BTreeMap<Level, LevelRule>) -> Self {
        Self { rules, views: BTreeMap::new() }
    }

    /// Takes one round of samples. Levels without a rule are ignored.
    pub fn observe(&mut self, report: &Report, now: Instant) {
        let view = self.views.entry((report.observer.clone(), report.region.clone())).or_default();
        view.slipped = report.slipped;
        for (level, probe) in &report.samples {
            if !self.rules.contains_key(level) {
                continue;
            }
            let streak = view.levels.entry(*level).or_insert(Streak { failures: 0, last_at: now });
            streak.last_at = now;
            streak.failures = match probe {
                Probe::Good => 0,
                Probe::Failed => streak.failures.saturating_add(1),
            };
        }
    }

    /// One level as one observer sees it.
    pub fn level(
        &self,
        observer: &RegionName,
        region: &RegionName,
        level: Level,
        now: Instant,
    ) -> LevelVerdict {
        let Some(rule) = self.rules.get(&level) else { return LevelVerdict::Unknown };
        let view = self.views.get(&(observer.clone(), region.clone()));
        let Some(streak) = view.and_then(|view| view.levels.get(&level)) else {
            return LevelVerdict::Unknown;
        };
        if now.since(streak.last_at) > rule.stale_after() {
            return LevelVerdict::Unknown;
        }
        match streak.failures {
            0 => LevelVerdict::Good,
            failures if failures >= rule.fail_after.get() => LevelVerdict::Down,
            _ => LevelVerdict::Suspect,
        }
    }

    /// Time since the last sample of this level, from any of `observers`, that was good.
    pub fn good_age(&self, region: &RegionName, level: Level, now: Instant) -> Option<Duration> {
        self.views
            .iter()
            .filter(|((_, seen), _)| seen == region)
            .filter_map(|(_, view)| view.levels.get(&level))
            .filter(|streak| streak.failures == 0)
            .map(|streak| now.since(streak.last_at))
            .min()
    }

    /// One observer's voice about one region, before it is compared with what it says of others.
    pub fn vote(&self, observer: &RegionName, region: &RegionName, now: Instant) -> Vote {
        if self.views.get(&(observer.clone(), region.clone())).is_some_and(|view| view.slipped) {
            return Vote::Abstains;
        }
        let verdicts: Vec<(Level, LevelVerdict)> =
            self.rules.keys().map(|level| (*level, self.level(observer, region, *level, now))).collect();
        let first = |wanted: LevelVerdict, loss: bool| {
            verdicts
                .iter()
                .find(|(level, verdict)| level.tells_loss() == loss && *verdict == wanted)
                .map(|(level, _)| *level)
        };
        let heard =
            verdicts.iter().any(|(level, verdict)| level.tells_loss() && *verdict != LevelVerdict::Unknown);
        if !heard {
            return Vote::Silent;
        }
        if let Some(level) = first(LevelVerdict::Down, true) {
            return Vote::Down(level);
        }
        if let Some(level) = first(LevelVerdict::Suspect, true) {
            return Vote::Suspect(level);
        }
        if let Some(level) = first(LevelVerdict::Down, false) {
            return Vote::Gray(level);
        }
        match first(LevelVerdict::Suspect, false) {
            Some(level) => Vote::Suspect(level),
            None => Vote::Up,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::{name, rules};

    fn report(probes: &[(Level, Probe)]) -> Report {
        Report { observer: name("w"), region: name("a"), samples: probes.to_vec(), slipped: false }
    }

    fn at(millis: u64) -> Instant {
        Instant::from_start(Duration::from_millis(millis))
    }

    #[test]
    fn a_level_is_down_only_after_its_own_number_of_failures() {
        let mut detector = Detector::new(rules());
        let failed = report(&[(Level::Tcp, Probe::Failed)]);

        let verdicts: Vec<Vote> = [0, 200, 400]
            .into_iter()
            .map(|millis| {
                detector.observe(&failed, at(millis));
                detector.vote(&name("w"), &name("a"), at(millis))
            })
            .collect();

        assert_eq!(verdicts, [Vote::Suspect(Level::Tcp), Vote::Suspect(Level::Tcp), Vote::Down(Level::Tcp)]);
    }

    #[test]
    fn one_good_probe_clears_a_down_level() {
        let mut detector = Detector::new(rules());
        for millis in [0, 200, 400] {
            detector.observe(&report(&[(Level::Tcp, Probe::Failed)]), at(millis));
        }

        detector.observe(&report(&[(Level::Tcp, Probe::Good)]), at(600));

        assert_eq!(detector.vote(&name("w"), &name("a"), at(600)), Vote::Up);
    }

    #[test]
    fn an_observer_that_is_not_heard_is_silent_and_not_against() {
        let mut detector = Detector::new(rules());
        detector.observe(&report(&[(Level::Tcp, Probe::Good)]), at(0));

        assert_eq!(detector.vote(&name("w"), &name("a"), at(5_000)), Vote::Silent);
    }

    #[test]
    fn a_failing_canary_behind_good_metadata_is_gray() {
        let mut detector = Detector::new(rules());
        for millis in [0, 200, 400] {
            let samples = [(Level::Metadata, Probe::Good), (Level::ProduceCanary, Probe::Failed)];
            detector.observe(&report(&samples), at(millis));
        }

        assert_eq!(detector.vote(&name("w"), &name("a"), at(400)), Vote::Gray(Level::ProduceCanary));
    }

    #[test]
    fn an_observer_whose_loop_slipped_abstains() {
        let mut detector = Detector::new(rules());
        let late = Report { slipped: true, ..report(&[(Level::Tcp, Probe::Failed)]) };

        detector.observe(&late, at(0));

        assert_eq!(detector.vote(&name("w"), &name("a"), at(0)), Vote::Abstains);
    }
}
