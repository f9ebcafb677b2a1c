//! Which source offset became which target offset: runs, one for each gap, exact for every offset of any age.
//!
//! A run says that from a source offset and a target offset on, both count up together. It ends where the next one
//! begins, the last one at the target's end.

mod ahead;
mod changes;
mod record;
mod translate;

use leeward_model::{SourceOffset, TargetOffset};

use ahead::Ahead;
pub(crate) use changes::Changes;
pub use record::{MapRecord, RecordError, decode, encode_key, encode_value};
pub use translate::{NotThere, Translation};

/// From here on, source and target count up together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    pub source: SourceOffset,
    pub target: TargetOffset,
    /// Target offsets directly before `target` that hold no record of this mirror.
    pub foreign_before: u64,
    /// Writes from here on are a new producer epoch's, and its sequences count from 0 (decision 17).
    pub anchor: bool,
}

impl Run {
    fn at(&self, source: SourceOffset) -> TargetOffset {
        self.target.after(source.since(self.source))
    }

    fn back(&self, target: TargetOffset) -> SourceOffset {
        self.source.after(target.since(self.target))
    }

    /// First target offset that is not the previous run's.
    fn boundary(&self) -> TargetOffset {
        TargetOffset::from_wire(self.target.to_wire() - self.foreign_before as i64)
            .expect("a run's foreign offsets lie behind it")
    }
}

/// What the sequences of writes at a partition's end count from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lineage {
    /// How many anchors were left behind.
    pub(crate) epoch: u64,
    pub(crate) anchor: TargetOffset,
    /// Offsets behind the anchor that are somebody else's.
    pub(crate) foreign: u64,
}

/// Why stored runs are no map.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("run {0:?} does not follow the one before")]
pub struct Damaged(pub Run);

/// The runs of one partition.
///
/// Invariant: both offsets rise from run to run, and no run reaches past the next one's source offset.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OffsetMap {
    runs: Vec<Run>,
    ahead: Ahead,
}

impl OffsetMap {
    /// Takes the stored runs of a partition whose target ends at `target_end`.
    ///
    /// # Errors
    ///
    /// [`Damaged`] where they contradict each other below the target's end.
    pub fn load(mut stored: Vec<Run>, target_end: TargetOffset) -> Result<Self, Damaged> {
        stored.sort_by_key(|run| (run.target, run.source));
        let reached = stored.partition_point(|run| run.target <= target_end);
        let mut ahead = Ahead::default();
        ahead.add(stored.split_off(reached));
        let mut map = Self { runs: Vec::with_capacity(stored.len()), ahead };
        for run in stored {
            map.check(&run)?;
            map.runs.push(run);
        }
        Ok(map)
    }

    fn check(&self, run: &Run) -> Result<(), Damaged> {
        if u64::try_from(run.target.to_wire()).is_ok_and(|target| run.foreign_before > target) {
            return Err(Damaged(*run));
        }
        let Some(last) = self.runs.last() else { return Ok(()) };
        let follows = run.boundary() > last.target && run.source >= last.back(run.boundary());
        if follows { Ok(()) } else { Err(Damaged(*run)) }
    }

    pub fn runs(&self) -> &[Run] {
        &self.runs
    }

    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// The source offset to go on from when the target ends at `target_end`; `None` where nothing was ever written.
    pub fn resume_at(&self, target_end: TargetOffset) -> Option<SourceOffset> {
        self.runs.iter().rev().find(|run| run.target <= target_end).map(|run| run.back(target_end))
    }

    /// What the sequences of writes at the end count from.
    pub(crate) fn lineage(&self) -> Lineage {
        let anchors = self.runs.iter().filter(|run| run.anchor).count();
        let latest = self.runs.iter().rposition(|run| run.anchor);
        let anchor = latest.map_or(TargetOffset::FIRST, |index| self.runs[index].target);
        let behind = latest.map_or(0, |index| index + 1);
        let foreign = self.runs[behind..].iter().map(|run| run.foreign_before).sum();
        Lineage { epoch: anchors.saturating_sub(1) as u64, anchor, foreign }
    }

    /// Whether a target offset is known to hold somebody else's record.
    pub(crate) fn is_foreign(&self, target: TargetOffset) -> bool {
        let behind = self.runs.partition_point(|run| run.target <= target);
        self.runs.get(behind).is_some_and(|run| run.boundary() <= target)
    }

    /// Forgets what lies beyond a target that ends earlier than was thought; the runs stay stored until others replace them.
    pub(crate) fn cut(&mut self, target_end: TargetOffset) {
        let reached = self.runs.partition_point(|run| run.target <= target_end);
        self.ahead.add(self.runs.split_off(reached));
    }

    /// Appends `records` that are dense at the source and will stand at `target`, which is the end of what is mapped.
    pub(crate) fn extend(&mut self, source: SourceOffset, target: TargetOffset, records: u64) -> Changes {
        let mut changes = Changes::default();
        if let Some(run) = self.opened(source, target, &mut changes) {
            self.runs.push(run);
            if !self.ahead.contains(&run) {
                changes.put(run);
            }
        }
        let (source_end, target_end) = (source.after(records), target.after(records));
        for stale in self.ahead.take_passed(target_end, source_end) {
            if !self
                .runs
                .iter()
                .rev()
                .take_while(|run| run.source >= stale.source)
                .any(|run| run.source == stale.source)
            {
                changes.remove(stale.source);
            }
        }
        changes
    }

    fn opened(&mut self, source: SourceOffset, target: TargetOffset, changes: &mut Changes) -> Option<Run> {
        let Some(last) = self.runs.last().copied() else {
            return Some(Run {
                source,
                target,
                foreign_before: target.to_wire().unsigned_abs(),
                anchor: true,
            });
        };
        debug_assert!(target >= last.target && source >= last.back(target));
        if last.back(target) == source {
            return None;
        }
        if last.target == target {
            self.runs.pop();
            changes.replace(last.source);
            return Some(Run { source, ..last });
        }
        Some(Run { source, target, foreign_before: 0, anchor: false })
    }

    /// Makes room for `records` that somebody else wrote at `at`: what was mapped from there on stands that much further on.
    pub(crate) fn insert_foreign(&mut self, at: TargetOffset, records: u64) -> Changes {
        let mut changes = Changes::default();
        self.runs.extend(self.ahead.take_reached(at));
        let behind = self.runs.partition_point(|run| run.target < at);
        let merged = self.runs.get(behind).is_some_and(|run| run.boundary() <= at);
        for run in &mut self.runs[behind..] {
            run.target = run.target.after(records);
        }
        self.ahead.shift(records);
        if merged {
            let run = &mut self.runs[behind];
            run.foreign_before += records;
        } else if let Some(split) = behind.checked_sub(1).map(|index| self.runs[index]) {
            let run = Run {
                source: split.back(at),
                target: at.after(records),
                foreign_before: records,
                anchor: false,
            };
            self.runs.insert(behind, run);
        }
        for run in self.runs[behind..].iter().chain(self.ahead.iter()) {
            changes.put(*run);
        }
        changes
    }

    /// The runs of the opposite direction: the target's content up to `target_end` is the source's, so it need not be copied back.
    ///
    /// The last run is where that direction begins to write: behind `source_end`, the end of the log that was read here. What
    /// it holds beyond its mirrored part stays and is nobody's.
    pub fn inverse(&self, target_end: TargetOffset, source_end: SourceOffset) -> Vec<Run> {
        let mut inverse = Vec::with_capacity(self.runs.len() + 1);
        let mut written = SourceOffset::FIRST;
        for (index, run) in self.runs.iter().enumerate().filter(|(_, run)| run.target < target_end) {
            let end = self.runs.get(index + 1).map_or(target_end, |next| next.boundary().min(target_end));
            inverse.push(Run {
                source: turned(run.target.to_wire()),
                target: turned_back(run.source.to_wire()),
                foreign_before: run.source.since(written),
                anchor: false,
            });
            written = run.back(end);
        }
        if source_end < written {
            inverse.retain(|run| run.target.to_wire() < source_end.to_wire());
            let last = inverse.last().copied();
            let source = last.map_or(SourceOffset::FIRST, |run| run.back(turned_back(source_end.to_wire())));
            inverse.push(Run {
                source,
                target: turned_back(source_end.to_wire()),
                foreign_before: 0,
                anchor: true,
            });
            return inverse;
        }
        inverse.push(Run {
            source: turned(target_end.to_wire()),
            target: turned_back(source_end.to_wire()),
            foreign_before: source_end.since(written),
            anchor: true,
        });
        inverse
    }
}

/// The runs of a link that starts again after the opposite one had run: its own up to `from`, where it was sealed, then what
/// the opposite direction wrote, turned round.
fn continued(own: &[Run], inverse: &[Run], from: TargetOffset) -> Vec<Run> {
    let mut runs: Vec<_> = own.iter().filter(|run| run.target < from).copied().collect();
    let later = inverse.partition_point(|run| run.target < from);
    let spans = inverse.get(later).is_none_or(|next| next.boundary() > from);
    if let Some(run) = later.checked_sub(1).map(|index| inverse[index]).filter(|_| spans) {
        runs.push(Run { source: run.back(from), target: from, foreign_before: 0, anchor: false });
    }
    for run in &inverse[later..] {
        runs.push(Run { foreign_before: run.foreign_before.min(run.target.since(from)), ..*run });
    }
    runs
}

/// The runs that a link begins with into a log that ends at `end_here` and that the opposite link read until it was sealed, at
/// `sealed_at` of its own target; `theirs` are that link's runs. `None` where this link has begun behind that seal already.
///
/// # Errors
///
/// [`Damaged`] where the opposite link's runs contradict each other.
pub fn begun_behind(
    (theirs, sealed_at): (Vec<Run>, TargetOffset),
    (own, own_end): (&[Run], Option<TargetOffset>),
    end_here: SourceOffset,
) -> Result<Option<Vec<Run>>, Damaged> {
    let begins = turned(sealed_at.to_wire());
    if own.iter().any(|run| run.source == begins && run.anchor) {
        return Ok(None);
    }
    let inverse = OffsetMap::load(theirs, sealed_at)?.inverse(sealed_at, end_here);
    Ok(Some(match own_end {
        Some(from) if !own.is_empty() => continued(own, &inverse, from),
        _ => inverse,
    }))
}

fn turned(target: i64) -> SourceOffset {
    SourceOffset::from_wire(target).expect("offsets are not negative")
}

fn turned_back(source: i64) -> TargetOffset {
    TargetOffset::from_wire(source).expect("offsets are not negative")
}
