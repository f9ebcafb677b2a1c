//! Questions to the target: where does a partition end, and who wrote what is there.

use leeward_client::{Cluster, ClusterError, FetchFrom, FetchPlan, Fetcher, Isolation, OffsetSpec};
use leeward_mirror_core::partition::{AuditedBatch, Question};
use leeward_model::{SourceOffset, TargetOffset, TopicPartition};
use leeward_wire::record::split_batches;
use tokio::{sync::mpsc, time::timeout};
use tracing::debug;

#[cfg(test)]
mod tests;

use crate::{
    LinkError,
    config::Begin,
    input::{Input, Opening},
    limits::{FETCH_WAIT_MAX, QUESTION_WAIT_MAX},
    store::StoredPartition,
};

/// Asks for the target's end and tells the link's task.
pub(crate) async fn ask_end(
    cluster: Cluster,
    (source, target): (TopicPartition, TopicPartition),
    question: Question,
    inputs: mpsc::Sender<Input>,
) {
    let asked = timeout(QUESTION_WAIT_MAX, end_of(&cluster, &target)).await;
    let input = match asked {
        Ok(Ok(end)) => Input::TargetEnd { partition: source, question, end },
        Ok(Err(error)) => failed(&error, source, question),
        Err(_) => Input::QuestionFailed { partition: source, question },
    };
    // The link's task has ended where nobody listens.
    let _ = inputs.send(input).await;
}

/// Reads back the headers of what stands in the target and tells the link's task.
pub(crate) async fn audit(
    cluster: Cluster,
    (source, target): (TopicPartition, TopicPartition),
    question: Question,
    (from, to): (TargetOffset, TargetOffset),
    inputs: mpsc::Sender<Input>,
) {
    let input = match headers(&cluster, &target, from, to).await {
        Ok(batches) => Input::Audited { partition: source, question, batches },
        Err(error) => failed(&error, source, question),
    };
    let _ = inputs.send(input).await;
}

fn failed(error: &LinkError, partition: TopicPartition, question: Question) -> Input {
    debug!(%error, %partition, "target did not answer");
    Input::QuestionFailed { partition, question }
}

async fn end_of(cluster: &Cluster, target: &TopicPartition) -> Result<TargetOffset, LinkError> {
    let end = cluster.list_offset(target, OffsetSpec::Latest).await?.offset;
    Ok(TargetOffset::from_wire(end).unwrap_or(TargetOffset::FIRST))
}

async fn headers(
    cluster: &Cluster,
    target: &TopicPartition,
    from: TargetOffset,
    to: TargetOffset,
) -> Result<Vec<AuditedBatch>, LinkError> {
    let unreadable = |error: &dyn std::fmt::Display| LinkError::Unreadable {
        topic: target.topic.clone(),
        why: error.to_string(),
    };
    let log_start = cluster.list_offset(target, OffsetSpec::Earliest).await?.offset;
    let leader = cluster.leader(target).await?;
    let mut fetcher = Fetcher::new(cluster, leader.broker);
    let plan =
        FetchPlan { isolation: Isolation::ReadUncommitted, max_wait: FETCH_WAIT_MAX, ..FetchPlan::default() };
    let mut position = from.to_wire().max(log_start);
    let mut found = Vec::new();
    while position < to.to_wire() {
        fetcher.set(target.clone(), FetchFrom::offset(position));
        for answer in fetcher.fetch(&plan).await? {
            if !answer.error.is_none() {
                return Err(unreadable(&answer.error));
            }
            for batch in split_batches(answer.records) {
                let batch = batch.map_err(|error| unreadable(&error))?;
                position = position.max(batch.next_offset());
                let base = TargetOffset::from_wire(batch.base_offset()).filter(|base| *base >= from);
                let Some(base) = base else { continue };
                let offsets = batch.next_offset().abs_diff(batch.base_offset());
                found.push(AuditedBatch { base, offsets, producer_id: batch.producer_id() });
            }
        }
    }
    Ok(found)
}

/// Gathers what a partition's mirror has to know to begin. What is stored is read last: a rival stores a run before it
/// writes the records that the run places, so that nothing below the end that was read before lacks one.
pub(crate) async fn open(
    target: &Cluster,
    source: Option<&Cluster>,
    (source_partition, target_partition): (&TopicPartition, &TopicPartition),
    stored: impl Future<Output = Result<StoredPartition, LinkError>>,
) -> Result<Opening, LinkError> {
    let target_end = end_of(target, target_partition).await?;
    let source = match source {
        Some(source) => range(source, source_partition).await.ok(),
        None => None,
    };
    Ok(Opening { stored: stored.await?, target_end, source })
}

/// First and next offset of a partition of the source.
pub(crate) async fn range(
    cluster: &Cluster,
    partition: &TopicPartition,
) -> Result<(SourceOffset, SourceOffset), ClusterError> {
    let asked = [(partition.clone(), OffsetSpec::Earliest)];
    let earliest = cluster.list_offsets(&asked, Isolation::ReadCommitted).await;
    let asked = [(partition.clone(), OffsetSpec::Latest)];
    let latest = cluster.list_offsets(&asked, Isolation::ReadCommitted).await;
    let one = |mut answers: leeward_client::PerPartition<leeward_client::ListedOffset>| {
        answers.remove(partition).expect("each partition asked for has an outcome")
    };
    let offset = |wire| SourceOffset::from_wire(wire).unwrap_or(SourceOffset::FIRST);
    Ok((offset(one(earliest)?.offset), offset(one(latest)?.offset)))
}

/// Where a mirror begins that never wrote.
pub(crate) fn begin_at(begin: Begin, range: (SourceOffset, SourceOffset)) -> SourceOffset {
    match begin {
        Begin::Earliest => range.0,
        Begin::Latest => range.1,
    }
}
