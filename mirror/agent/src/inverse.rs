//! Starting a link against the direction of one that was sealed: what that one wrote need not be copied back.

use std::collections::HashSet;

use leeward_client::{Cluster, OffsetSpec, TopicSelection};
use leeward_mirror_core::map::{MapRecord, Run, begun_behind};
use leeward_model::{LinkName, SourceOffset, TargetOffset, TopicId, TopicName, TopicPartition};
use parking_lot::Mutex;
use tracing::info;

use crate::{
    LinkConfig, LinkError,
    clock::wall,
    store::{Facts, MapTopic, SharedStored, Stored, StoredPartition},
};

/// Writes the runs of `opposite`, turned round, into this link's map, where it does not have them yet.
///
/// The opposite link's map stands in the cluster that it wrote to: this link's source.
pub(crate) async fn seed_inverse(
    config: &LinkConfig,
    opposite: &LinkName,
    (source, target): (&Cluster, &Cluster),
    (topic, stored): (&MapTopic, &SharedStored),
) -> Result<(), LinkError> {
    let theirs = Mutex::new(Stored::default());
    MapTopic::existing(source, opposite).read(&theirs).await?;
    let theirs = theirs.into_inner();
    let here = target.metadata(TopicSelection::All).await?;
    let there = source.metadata(TopicSelection::All).await?;
    let mut facts = Facts::new();
    for ((their_source, index), partition) in &theirs.partitions {
        let Some((name_here, name_there)) = theirs.names.get(their_source) else { continue };
        let same_life = here.topics.get(name_here).and_then(|topic| topic.id) == Some(*their_source);
        let fits = config.topics.matches(name_there)
            && config.naming.at_target(name_there).as_ref() == Ok(name_here);
        let Some((sealed_at, our_source)) = partition.checkpoint.filter(|_| same_life && fits) else {
            continue;
        };
        let at = TopicPartition { topic: name_here.clone(), partition: *index };
        let end_here = target.list_offset(&at, OffsetSpec::Latest).await?.offset;
        let own = stored.lock().partitions.get(&(our_source, *index)).cloned().unwrap_or_default();
        let Some(runs) = turned(partition, &own, sealed_at, end_here)? else { continue };
        info!(link = %config.name, partition = %at, runs = runs.len(), "begins behind what {opposite} wrote");
        let mut add = |record| facts.push((our_source, *index, record));
        let kept = |source: &SourceOffset| runs.iter().any(|run| run.source == *source);
        own.runs.keys().filter(|source| !kept(source)).for_each(|source| add(MapRecord::RunRemoved(*source)));
        for run in &runs {
            add(MapRecord::Run(*run));
        }
        let target = TargetOffset::from_wire(end_here).unwrap_or(TargetOffset::FIRST);
        add(MapRecord::Checkpoint { target, target_topic: *their_source });
        add(MapRecord::Names { source: name_there.clone(), target: name_here.clone() });
    }
    let is_here = |name: &TopicName| here.topics.get(name).and_then(|topic| topic.id);
    let is_there = |name: &TopicName| there.topics.get(name).and_then(|topic| topic.id);
    facts.extend(replaced(&theirs, &stored.lock(), is_here, is_there));
    topic.write_stored(facts, stored, wall().as_millis()).await
}

/// Takes away what is stored about topics in whose place the opposite link made others: two of one name would stop both. It made
/// what it has written to, and what it knows by name and has written nothing to.
///
/// A topic that somebody else made again is not what the opposite link wrote to, and keeps what stops it.
fn replaced(
    theirs: &Stored,
    own: &Stored,
    is_here: impl Fn(&TopicName) -> Option<TopicId>,
    is_there: impl Fn(&TopicName) -> Option<TopicId>,
) -> Facts {
    let checkpoints =
        theirs.partitions.iter().filter_map(|((of, _), partition)| Some((*of, partition.checkpoint?.1)));
    let (begun, mut written): (HashSet<TopicId>, HashSet<TopicId>) = checkpoints.unzip();
    let untouched = theirs
        .names
        .iter()
        .filter(|(topic, (here, _))| is_here(here) == Some(**topic) && !begun.contains(*topic));
    written.extend(untouched.filter_map(|(_, (_, there))| is_there(there)));
    let gone = own.names.iter().filter(|(topic, (name, _))| {
        is_there(name).is_some_and(|present| present != **topic && written.contains(&present))
    });
    gone.flat_map(|(topic, _)| own.removal(*topic, |_| true)).collect()
}

/// The runs to begin with; `None` where this link has begun behind that seal already.
fn turned(
    theirs: &StoredPartition,
    own: &StoredPartition,
    sealed_at: TargetOffset,
    end_here: i64,
) -> Result<Option<Vec<Run>>, LinkError> {
    let runs = |partition: &StoredPartition| partition.runs.values().copied().collect::<Vec<_>>();
    let own_end = own.checkpoint.map(|(end, _)| end);
    let end_here = SourceOffset::from_wire(end_here).unwrap_or(SourceOffset::FIRST);
    let begun = begun_behind((runs(theirs), sealed_at), (&runs(own), own_end), end_here);
    begun.map_err(|error| LinkError::Map(error.to_string()))
}

#[cfg(test)]
mod tests {
    use leeward_model::PartitionIndex;

    use super::*;

    const HERE: u8 = 1;
    const BEFORE: u8 = 2;
    const AFTER: u8 = 3;

    fn id(number: u8) -> TopicId {
        TopicId::from_wire([number; 16]).expect("not the zero id")
    }

    fn orders() -> TopicName {
        TopicName::new("orders").expect("a name")
    }

    fn knowing(topic: u8, written: Option<u8>) -> Stored {
        let first = PartitionIndex::from_wire(0).expect("an index");
        let mut stored = Stored::default();
        stored.apply(id(topic), first, MapRecord::Names { source: orders(), target: orders() });
        if let Some(target_topic) = written.map(id) {
            stored.apply(
                id(topic),
                first,
                MapRecord::Checkpoint { target: TargetOffset::FIRST, target_topic },
            );
        }
        stored
    }

    fn forgets(theirs: &Stored) -> bool {
        let own = knowing(BEFORE, Some(HERE));
        !replaced(theirs, &own, |_| Some(id(HERE)), |_| Some(id(AFTER))).is_empty()
    }

    #[test]
    fn a_topic_that_the_opposite_link_made_and_wrote_to_takes_the_place_of_the_one_before() {
        assert!(forgets(&knowing(HERE, Some(AFTER))));
    }

    #[test]
    fn a_topic_that_the_opposite_link_made_without_a_record_does_too() {
        assert!(forgets(&knowing(HERE, None)));
    }

    #[test]
    fn a_topic_that_somebody_else_made_again_keeps_what_stops_it() {
        assert!(!forgets(&knowing(HERE, Some(BEFORE))));
        assert!(!forgets(&Stored::default()));
    }
}
