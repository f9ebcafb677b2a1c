//! Cuts what is to be written about maps into parts that a broker takes, each of which is a whole step for whoever reads them.
//!
//! A change that is small enough stays in one part. One that is not is cut in order: what goes, then what is put, then the
//! checkpoint. Whatever of that is durable when everything ends is a map as long as a run that goes stays with the one that is put
//! in its place: batches that need the change are not sent before all of it is durable, and runs beyond the target's end count
//! for nothing.
//!
//! Not so where somebody else's records move so many runs further on that no batch holds them, and batches of these are in the
//! target already: in part, that is mostly a map that contradicts itself, which stops the partition, but not always.

use leeward_mirror_core::map::MapRecord;

use super::{Fact, Facts};
use crate::limits::MAP_BATCH_BYTES_MAX;

/// Facts that become durable in one step.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) facts: Facts,
    /// How many changes are whole with this part.
    pub(crate) ended: usize,
}

/// Puts changes together to parts, in order.
pub(crate) fn parts(changes: impl IntoIterator<Item = Facts>) -> Vec<Part> {
    let mut parts = vec![Part::default()];
    let mut room = MAP_BATCH_BYTES_MAX;
    for change in changes {
        let size: usize = change.iter().map(bytes).sum();
        if size > room && room < MAP_BATCH_BYTES_MAX {
            parts.push(Part::default());
            room = MAP_BATCH_BYTES_MAX;
        }
        for fact in change {
            let part = parts.last_mut().expect("there is a first");
            let size = bytes(&fact);
            let fits = size <= room || part.facts.is_empty();
            room = room.saturating_sub(size);
            if fits || part.facts.last().is_some_and(|before| stays_with(before, &fact)) {
                part.facts.push(fact);
            } else {
                room = MAP_BATCH_BYTES_MAX - size;
                parts.push(Part { facts: vec![fact], ended: 0 });
            }
        }
        parts.last_mut().expect("there is a first").ended += 1;
    }
    parts
}

/// Two parts in place of one that is too large; `None` where it is a single fact.
pub(super) fn halves(facts: &[Fact]) -> Option<(&[Fact], &[Fact])> {
    let middle = facts.len() / 2;
    let before = middle.checked_sub(1)?;
    let torn = stays_with(&facts[before], &facts[middle]) && before > 0;
    Some(facts.split_at(if torn { before } else { middle }))
}

/// Whether a run that goes is followed by what may be put in its place.
fn stays_with(before: &Fact, after: &Fact) -> bool {
    matches!((&before.2, &after.2), (MapRecord::RunRemoved(_), MapRecord::Run(_)))
}

/// Bytes of a fact in a batch, or a few less than that.
fn bytes((_, _, record): &Fact) -> usize {
    match record {
        MapRecord::Names { source, target } => 80 + source.as_str().len() + target.as_str().len(),
        MapRecord::Run(_)
        | MapRecord::RunRemoved(_)
        | MapRecord::Checkpoint { .. }
        | MapRecord::CheckpointRemoved
        | MapRecord::NamesRemoved => 80,
    }
}

#[cfg(test)]
mod tests {
    use leeward_mirror_core::map::Run;
    use leeward_model::{PartitionIndex, SourceOffset, TargetOffset, TopicId};

    use super::*;

    const FACTS_MAX: usize = MAP_BATCH_BYTES_MAX / 80;

    fn fact(record: MapRecord) -> Fact {
        let topic = TopicId::from_wire([7; 16]).expect("not the zero id");
        (topic, PartitionIndex::from_wire(0).expect("an index"), record)
    }

    fn removed(source: usize) -> Fact {
        fact(MapRecord::RunRemoved(SourceOffset::from_wire(source as i64).expect("not negative")))
    }

    fn run(source: usize) -> Fact {
        let target = TargetOffset::from_wire(source as i64).expect("not negative");
        let source = SourceOffset::from_wire(source as i64).expect("not negative");
        fact(MapRecord::Run(Run { source, target, foreign_before: 0, anchor: false }))
    }

    fn shape(parts: &[Part]) -> Vec<(usize, usize)> {
        parts.iter().map(|part| (part.facts.len(), part.ended)).collect()
    }

    #[test]
    fn small_changes_go_together_and_none_is_cut() {
        let third = FACTS_MAX / 3 + 1;

        let parts = parts((0..3).map(|_| (0..third).map(run).collect()));

        assert_eq!(shape(&parts), [(2 * third, 2), (third, 1)]);
    }

    #[test]
    fn a_change_that_is_too_large_is_over_with_its_last_part() {
        let large: Facts = (0..2 * FACTS_MAX + 5).map(run).collect();

        let parts = parts([vec![run(0)], large.clone(), vec![run(0)]]);

        assert_eq!(shape(&parts), [(1, 1), (FACTS_MAX, 0), (FACTS_MAX, 0), (6, 2)]);
        let written: Facts =
            parts.into_iter().skip(1).flat_map(|part| part.facts).take(large.len()).collect();
        assert_eq!(written, large);
    }

    #[test]
    fn what_is_put_stays_with_what_goes_for_it() {
        let change: Facts = (0..FACTS_MAX).map(removed).chain([run(FACTS_MAX), run(FACTS_MAX + 1)]).collect();

        let parts = parts([change.clone()]);

        assert_eq!(shape(&parts), [(FACTS_MAX + 1, 0), (1, 1)]);
        let pair = [removed(0), removed(1), run(2), run(3)];
        let (first, second) = halves(&pair).expect("more than one");
        assert_eq!((first, second), (&pair[..1], &pair[1..]));
    }

    #[test]
    fn a_single_fact_is_not_halved() {
        assert_eq!(halves(&[run(0)]), None);
        assert_eq!(halves(&[removed(0), run(1)]), Some((&[removed(0)][..], &[run(1)][..])));
    }
}
