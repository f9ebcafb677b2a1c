//! What must hold of a mirror, at each step.

use leeward_mirror_core::map::{NotThere, Translation};

use super::{MirrorWorld, Regions};
use crate::broker::{FOREIGNER, Record};
use crate::mirrors::{Process, source, target};
use crate::run::{Progress, Violation};

const ONCE_IN_ORDER: &str = "the target's log is the source's, once and in order";
const NOTHING_LEFT_OUT: &str = "only what the source deleted is left out";
const CURSORS: &str = "fetched >= sent >= acknowledged >= checkpointed";
const ACKNOWLEDGED: &str = "the target has everything below the replicated watermark";
const NO_STEP_BACK: &str = "the replicated watermark does not go back";
const TRANSLATES: &str = "a position translates there and back";
const CHECKPOINT: &str = "the checkpoint is not ahead of the target";
const STORED_MAP: &str = "the stored map tells the truth below the checkpoint";
const GETS_ON: &str = "once nothing goes wrong, the mirror gets to the end";

/// Records at the end of what is mirrored whose positions are translated at each step; all of them are at the end.
const LOOKED_AT: usize = 12;

impl Regions {
    fn own(&self) -> impl DoubleEndedIterator<Item = (i64, &Record)> {
        let places = self.target.records().iter().enumerate().map(|(at, record)| (at as i64, record));
        places.filter(|(_, record)| record.producer != FOREIGNER)
    }

    /// A batch was appended at `base`: it goes on where the log before it ended.
    pub(super) fn check_appended(&self, base: i64, values: &[u64]) -> Result<(), Violation> {
        let before = self.own().rev().find(|(at, _)| *at < base).map(|(_, record)| record.value as i64);
        let committed = &self.source.committed;
        let mut next = before.map_or(0, |before| committed.partition_point(|offset| *offset <= before));
        for value in values {
            let value = *value as i64;
            let known = committed.binary_search(&value);
            let at = known.ok().filter(|at| *at >= next);
            let Some(at) = at else {
                let detail = format!("source offset {value} comes behind {before:?}, at {base}");
                return Err(Violation { invariant: ONCE_IN_ORDER, detail });
            };
            let left_out = committed[next..at].iter().find(|offset| **offset >= self.source.log_start);
            Violation::unless(left_out.is_none(), NOTHING_LEFT_OUT, || {
                format!("source offset {left_out:?} is left out before {value}")
            })?;
            next = at + 1;
        }
        Ok(())
    }

    /// The process has taken an event.
    pub(super) fn check(&self, who: usize, process: &mut Process) -> Result<(), Violation> {
        let standing = process.partition.standing();
        let Some(cursors) = standing.cursors else { return Ok(()) };
        let ordered = cursors.fetched >= cursors.sent
            && cursors.sent >= cursors.acknowledged
            && cursors.acknowledged >= cursors.checkpointed;
        Violation::unless(ordered, CURSORS, || format!("{cursors:?}"))?;
        if process.deceived {
            return Ok(());
        }
        let acknowledged = cursors.acknowledged;
        let forward = process.replicated_to.is_none_or(|before| before <= acknowledged);
        Violation::unless(forward, NO_STEP_BACK, || {
            format!("{:?} then {acknowledged}", process.replicated_to)
        })?;
        let end = standing.target_end.to_wire();
        let there = end <= self.target.committed();
        Violation::unless(there, ACKNOWLEDGED, || {
            format!("process {who} says {end}, the target has {}", self.target.committed())
        })?;
        self.check_acknowledged(who, acknowledged.to_wire())?;
        self.check_translation(who, process, end)?;
        process.replicated_to = Some(acknowledged);
        Ok(())
    }

    fn check_acknowledged(&self, who: usize, acknowledged: i64) -> Result<(), Violation> {
        let below = self.source.committed.partition_point(|offset| *offset < acknowledged);
        let newest = below.checked_sub(1).map(|at| self.source.committed[at]);
        let Some(newest) = newest.filter(|newest| *newest >= self.source.log_start) else { return Ok(()) };
        let there = |value: i64| {
            let mut committed = self.own().rev().skip_while(|(at, _)| *at >= self.target.committed());
            committed
                .find(|(_, record)| record.value as i64 <= value)
                .is_some_and(|(_, record)| record.value as i64 == value)
        };
        Violation::unless(there(newest), ACKNOWLEDGED, || {
            format!("process {who} says {acknowledged}, and the target lacks {newest}")
        })
    }

    fn check_translation(&self, who: usize, process: &Process, end: i64) -> Result<(), Violation> {
        let partition = &process.partition;
        for (place, record) in self.own().rev().skip_while(|(at, _)| *at >= end).take(LOOKED_AT) {
            let offset = source(record.value as i64);
            let (there, back) =
                (partition.to_target(offset).exact(), partition.to_source(target(place)).exact());
            Violation::unless(there == Some(target(place)) && back == Some(offset), TRANSLATES, || {
                format!("process {who}: source {offset} stands at {place}; map says {there:?} and {back:?}")
            })?;
        }
        Ok(())
    }

    pub(super) fn check_store(&self) -> Result<(), Violation> {
        let Some(checkpoint) = self.store.checkpoint else { return Ok(()) };
        let deceived = self.unclean;
        let end = checkpoint.to_wire();
        Violation::unless(deceived || end <= self.target.committed(), CHECKPOINT, || {
            format!("checkpoint {end}, target ends at {}", self.target.committed())
        })?;
        let Some(map) = self.store.map(checkpoint) else {
            let detail = format!("runs contradict each other below {end}: {:?}", self.store.runs);
            return Err(Violation { invariant: STORED_MAP, detail });
        };
        for (place, record) in self.own().filter(|(place, _)| *place < end) {
            let back = map.to_source(target(place), checkpoint).exact();
            Violation::unless(back == Some(source(record.value as i64)), STORED_MAP, || {
                format!("target {place} is source {}, stored map says {back:?}", record.value)
            })?;
        }
        Ok(())
    }
}

impl MirrorWorld {
    pub(super) fn progress(&self) -> Result<Progress, Violation> {
        let process = &self.mirrors.processes[0];
        if !self.regions.calm {
            return Ok(Progress::GoesOn);
        }
        let standing = process.partition.standing();
        let stopped = standing.stopped.is_some();
        let reached = process.partition.replicated_to() == Some(source(self.regions.source.end));
        let quiet = process.storing.is_empty()
            && self.mirrors.connections.values().all(|known| known.sent.is_empty());
        if stopped {
            return self.too_late().map(|()| Progress::Over);
        }
        if reached && quiet { self.over() } else { Ok(Progress::GoesOn) }
    }

    pub(super) fn too_late(&self) -> Result<(), Violation> {
        let standing = self.mirrors.processes[0].partition.standing();
        let detail = format!("source ends at {}: {standing:?}", self.regions.source.end);
        Err(Violation { invariant: GETS_ON, detail })
    }

    /// The whole, at the end.
    pub(super) fn over(&self) -> Result<Progress, Violation> {
        let partition = &self.mirrors.processes[0].partition;
        let regions = &self.regions;
        let values: Vec<i64> = regions.own().map(|(_, record)| record.value as i64).collect();
        let missing = regions
            .source
            .committed
            .iter()
            .find(|offset| **offset >= regions.source.log_start && values.binary_search(offset).is_err());
        Violation::unless(missing.is_none(), NOTHING_LEFT_OUT, || {
            format!("source offset {missing:?} is missing")
        })?;
        let places: Vec<i64> = regions.own().map(|(place, _)| place).collect();
        for offset in 0..regions.source.end {
            let next = values.partition_point(|value| *value < offset);
            let expected = places.get(next).copied().unwrap_or(regions.target.end());
            let translated = match partition.to_target(source(offset)) {
                Translation::Exact(there)
                | Translation::NotThere(NotThere::BeforeStart { target: there, .. }) => Some(there),
                Translation::NotThere(_) => None,
            };
            Violation::unless(translated == Some(target(expected)), TRANSLATES, || {
                format!("position {offset} lies before {expected}, the map says {translated:?}")
            })?;
        }
        for (place, value) in places.iter().zip(&values) {
            let back = partition.to_source(target(*place)).exact();
            Violation::unless(back == Some(source(*value)), TRANSLATES, || {
                format!("target {place} is source {value}, the map says {back:?}")
            })?;
        }
        regions.check_store()?;
        Ok(Progress::Over)
    }
}
