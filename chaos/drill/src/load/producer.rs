//! One producer for each partition and route: idempotent, one batch in flight, at a steady rate. What it is not told
//! it sends again, as any careful producer does.

use std::time::Duration;

use leeward_client::{Acks, ClusterError};
use leeward_model::{ClusterId, ProducerIdentity, Sequence, TopicPartition};
use leeward_wire::{
    ErrorCode,
    record::{BatchBuilder, Compression, RecordBatch},
};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::{Notes, Reached, Route};
use crate::{
    clock::{DrillClock, now},
    ledger::{Found, StreamName},
    limits::{BATCH_EVERY, BATCH_RECORDS_MAX, LAST_BATCH_WAIT_MAX},
};

/// How long a broker may take for one attempt.
const ATTEMPT_WITHIN: Duration = Duration::from_secs(5);
/// Pause after a failed attempt.
const RETRY_AFTER: Duration = Duration::from_millis(25);

/// What one producer does.
#[derive(Clone, Debug)]
pub(crate) struct ProducerPlan {
    pub(crate) partition: TopicPartition,
    /// Records a second.
    pub(crate) rate: f64,
    pub(crate) value_bytes: usize,
    pub(crate) keys: u64,
    pub(crate) acks: Acks,
}

/// A producer identity of the cluster that is written to just now, and the next batch's sequence. It is this
/// program's own, and not [`leeward_client::Producer`]'s, so that each failed attempt is counted.
struct Identity {
    cluster: ClusterId,
    producer: ProducerIdentity,
    next: Sequence,
}

/// Produces until `stop`, then finishes the batch at hand.
pub(crate) async fn produce(
    route: Route,
    plan: ProducerPlan,
    reached: Reached,
    notes: Notes,
    clock: DrillClock,
    stop: CancellationToken,
) {
    let stream = StreamName {
        route: route.name.clone(),
        topic: plan.partition.topic.to_string(),
        partition: plan.partition.partition.to_wire(),
    };
    let began = Instant::now();
    let mut produced = 0;
    let mut identity = None;
    while !stop.is_cancelled() {
        let due = (began.elapsed().as_secs_f64() * plan.rate) as u64;
        let records = due.saturating_sub(produced).min(BATCH_RECORDS_MAX);
        if records == 0 {
            let next = Duration::from_secs_f64(1.0 / plan.rate).max(BATCH_EVERY);
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                () = sleep_until(Instant::now() + next) => continue,
            }
        }
        let sent_at = clock.micros();
        let numbers: Vec<_> =
            notes.with(|notes| (0..records).map(|_| notes.ledger.sent(&stream, sent_at)).collect());
        produced += records;
        let deliver = deliver(&route, &plan, &reached, &mut identity, &numbers, &notes);
        tokio::select! {
            biased;
            () = deliver => {}
            () = last_call(stop.clone()) => break,
        }
        let acked_at = clock.micros();
        notes.with(|notes| {
            for number in &numbers {
                notes.ledger.acked(&stream, *number, acked_at);
                notes.took(&route.name, acked_at.saturating_sub(sent_at));
            }
        });
    }
}

/// Ends when the last batch has had its time.
async fn last_call(stop: CancellationToken) {
    stop.cancelled_owned().await;
    sleep(LAST_BATCH_WAIT_MAX).await;
}

/// Tries until the batch is acknowledged.
async fn deliver(
    route: &Route,
    plan: &ProducerPlan,
    reached: &Reached,
    identity: &mut Option<Identity>,
    numbers: &[u64],
    notes: &Notes,
) {
    let now = now().as_millis();
    loop {
        let Err(error) = attempt(route, plan, reached, identity, numbers, now).await else { return };
        if error.code().is_some_and(|code| SPENT.contains(&code)) {
            *identity = None;
        }
        reached.learn_anew().await;
        notes.with(|notes| {
            *notes.failed.entry(route.name.clone()).or_default() += 1;
            notes.last_error.insert(route.name.clone(), in_words(&error));
        });
        sleep(RETRY_AFTER).await;
    }
}

/// Refusals after which a producer needs another identity.
const SPENT: [ErrorCode; 4] = [
    ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER,
    ErrorCode::UNKNOWN_PRODUCER_ID,
    ErrorCode::INVALID_PRODUCER_EPOCH,
    ErrorCode::PRODUCER_FENCED,
];

fn in_words(error: &ClusterError) -> String {
    error.code().map_or_else(|| error.to_string(), |code| code.to_string())
}

async fn attempt(
    route: &Route,
    plan: &ProducerPlan,
    reached: &Reached,
    identity: &mut Option<Identity>,
    numbers: &[u64],
    now: i64,
) -> Result<(), ClusterError> {
    let cluster = reached.cluster();
    let here = cluster.cluster_id();
    let known = match identity.take().filter(|identity| identity.cluster == here) {
        Some(known) => known,
        None => {
            let producer = cluster.init_producer_id().await?;
            Identity { cluster: here, producer, next: Sequence::FIRST }
        }
    };
    let known = identity.insert(known);
    let records = batch(route, plan, known, numbers, now);
    let sent = cluster.submit_produce(&plan.partition, &records, plan.acks, ATTEMPT_WITHIN).await?;
    match sent.ack().await {
        // The broker has it: only the answer to an earlier attempt was lost.
        Err(error) if error.code() == Some(ErrorCode::DUPLICATE_SEQUENCE_NUMBER) => {}
        answered => {
            answered?;
        }
    }
    known.next = known.next.after(u32::try_from(numbers.len()).unwrap_or(u32::MAX));
    Ok(())
}

fn batch(route: &Route, plan: &ProducerPlan, identity: &Identity, numbers: &[u64], now: i64) -> RecordBatch {
    let producer = identity.producer;
    let mut builder = BatchBuilder::new(Compression::None).producer(
        producer.id.to_wire(),
        producer.epoch.to_wire(),
        identity.next.to_wire(),
    );
    for number in numbers {
        let key = format!("key-{}", number % plan.keys.max(1));
        let value = Found::value(&route.name, *number, plan.value_bytes);
        builder.append(now, Some(key.as_bytes()), Some(&value), &[]).expect("small records fit a batch");
    }
    builder.build().expect("a batch with records")
}
