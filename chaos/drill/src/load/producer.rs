//! One producer for each partition and route: idempotent, one batch in flight, at a steady rate. What it is not told
//! it sends again, as any careful producer does.

use std::time::Duration;

use bytes::Bytes;
use leeward_client::{Cluster, ClusterError, Lane};
use leeward_model::TopicPartition;
use leeward_wire::{
    ErrorCode,
    api::{InitProducerIdRequest, ProduceRequest, ProduceRequestPartition, ProduceRequestTopic},
    record::{BatchBuilder, Compression},
};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::{Notes, Route};
use crate::{
    clock::DrillClock,
    ledger::{Found, StreamName},
    limits::{BATCH_EVERY, BATCH_RECORDS_MAX, LAST_BATCH_WAIT_MAX},
};

/// The newest `Produce` version that names topics; from 13 on they go by id, and ids differ between regions.
const PRODUCE_BY_NAME: i16 = 12;
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
    pub(crate) acks: i16,
}

/// A producer identity of the cluster that is written to just now.
struct Identity {
    cluster: String,
    id: i64,
    epoch: i16,
    sequence: i32,
}

/// Produces until `stop`, then finishes the batch at hand.
pub(crate) async fn produce(
    route: Route,
    plan: ProducerPlan,
    cluster: Cluster,
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
        let deliver = deliver(&route, &plan, &cluster, &mut identity, &numbers, &notes);
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
    cluster: &Cluster,
    identity: &mut Option<Identity>,
    numbers: &[u64],
    notes: &Notes,
) {
    let now = wall_millis();
    loop {
        match attempt(route, plan, cluster, identity, numbers, now).await {
            Ok(()) => return,
            Err(failure) => {
                if failure.identity_is_spent {
                    *identity = None;
                }
                // Whoever answered last may be gone, or may no longer be the one that the name means.
                if cluster.refresh().await.is_err() {
                    let _ = cluster.rebootstrap().await;
                }
                notes.with(|notes| {
                    *notes.failed.entry(route.name.clone()).or_default() += 1;
                    notes.last_error.insert(route.name.clone(), failure.what);
                });
                sleep(RETRY_AFTER).await;
            }
        }
    }
}

struct Failure {
    what: String,
    identity_is_spent: bool,
}

impl From<ClusterError> for Failure {
    fn from(error: ClusterError) -> Self {
        Self { what: error.to_string(), identity_is_spent: false }
    }
}

async fn attempt(
    route: &Route,
    plan: &ProducerPlan,
    cluster: &Cluster,
    identity: &mut Option<Identity>,
    numbers: &[u64],
    now: i64,
) -> Result<(), Failure> {
    let here = cluster.cluster_id().to_string();
    if identity.as_ref().is_none_or(|identity| identity.cluster != here) {
        let request = InitProducerIdRequest {
            transactional_id: None,
            transaction_timeout_ms: 60_000,
            ..Default::default()
        };

        let answer = cluster.request_any(&request).await?;
        check(answer.error_code)?;
        *identity = Some(Identity {
            cluster: here,
            id: answer.producer_id,
            epoch: answer.producer_epoch,
            sequence: 0,
        });
    }
    let Some(known) = identity else { return Ok(()) };
    let records = batch(route, plan, known, numbers, now);
    let request = ProduceRequest {
        acks: plan.acks,
        timeout_ms: 5_000,
        topic_data: vec![ProduceRequestTopic {
            name: plan.partition.topic.to_string(),
            partition_data: vec![ProduceRequestPartition {
                index: plan.partition.partition.to_wire(),
                records: Some(records),
            }],
            ..Default::default()
        }],
        ..Default::default()
    };
    let (_, connection) = cluster.leader_connection(&plan.partition, Lane::Produce).await?;
    let version = connection.version_up_to::<ProduceRequest>(PRODUCE_BY_NAME);
    let version = version.map_err(|error| Failure { what: error.to_string(), identity_is_spent: false })?;
    let answer = connection.send(&request, version).await;
    let answer = answer.map_err(|error| Failure { what: error.to_string(), identity_is_spent: false });
    let outcome = answer.and_then(|answer| {
        let partition = answer.responses.iter().flat_map(|topic| &topic.partition_responses).next();
        partition.map_or_else(
            || {
                Err(Failure {
                    what: "the broker answered for no partition".to_owned(),
                    identity_is_spent: false,
                })
            },
            |partition| check(partition.error_code),
        )
    });
    match outcome {
        Ok(()) => {
            let count = i64::try_from(numbers.len()).unwrap_or(i64::MAX);
            let next = (i64::from(known.sequence) + count) % (i64::from(i32::MAX) + 1);
            known.sequence = i32::try_from(next).expect("below 2^31");
            Ok(())
        }
        Err(failure) => Err(failure),
    }
}

fn check(code: i16) -> Result<(), Failure> {
    let code = ErrorCode::new(code);
    let duplicate = ErrorCode::DUPLICATE_SEQUENCE_NUMBER;
    if code == ErrorCode::NONE || code == duplicate {
        return Ok(());
    }
    let identity_is_spent = [
        ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER,
        ErrorCode::UNKNOWN_PRODUCER_ID,
        ErrorCode::INVALID_PRODUCER_EPOCH,
        ErrorCode::PRODUCER_FENCED,
    ]
    .contains(&code);
    Err(Failure { what: code.to_string(), identity_is_spent })
}

fn batch(route: &Route, plan: &ProducerPlan, identity: &Identity, numbers: &[u64], now: i64) -> Bytes {
    let mut builder =
        BatchBuilder::new(Compression::None).producer(identity.id, identity.epoch, identity.sequence);
    for number in numbers {
        let key = format!("key-{}", number % plan.keys.max(1));
        let value = Found::value(&route.name, *number, plan.value_bytes);
        builder.append(now, Some(key.as_bytes()), Some(&value), &[]).expect("small records fit a batch");
    }
    builder.build().expect("a batch with records").to_bytes()
}

fn wall_millis() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or(Duration::ZERO);
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
