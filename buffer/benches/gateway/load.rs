//! Many idempotent producers, each with its own connection and several batches on their way.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures::{StreamExt, stream::FuturesOrdered};
use leeward_client::{Acks, ClientConfig, Cluster, Lane, NewTopic};
use leeward_model::{PartitionIndex, ProducerIdentity, Sequence, TopicName, TopicPartition};
use leeward_wire::record::{BatchBuilder, Compression, Patch, RecordBatch};
use tokio::time::{Instant, sleep_until};

use super::{Words, percentile};

const PATIENCE: Duration = Duration::from_secs(30);

struct Plan {
    topic: TopicName,
    partitions: u64,
    /// Batches of one producer that wait for their acknowledgement.
    window: usize,
    records: u64,
    value_bytes: u64,
    /// Batches a second of one producer; 0 for as many as there can be.
    rate: u64,
    warm_up: Duration,
    measured: Duration,
}

/// Acknowledged batches of the measured time, with the microseconds that each took.
#[derive(Default)]
struct Seen {
    micros: Vec<u64>,
}

/// Drives `address` and says what was acknowledged.
pub(crate) fn load(words: &Words) {
    let plan = Arc::new(Plan {
        topic: TopicName::new(words.text("topic")).expect("a topic's name"),
        partitions: words.number("partitions"),
        window: words.number("window") as usize,
        records: words.number("records"),
        value_bytes: words.number("bytes"),
        rate: words.number_or("rate", 0),
        warm_up: Duration::from_secs(words.number("warm_up")),
        measured: Duration::from_secs(words.number("seconds")),
    });
    let producers = words.number("producers");
    let runtime = tokio::runtime::Runtime::new().expect("the system has threads left");
    let (seen, batch_bytes) = runtime.block_on(drive(plan.clone(), words.text("address"), producers));
    let mut micros: Vec<u64> = seen.into_iter().flat_map(|seen| seen.micros).collect();
    micros.sort_unstable();
    let seconds = plan.measured.as_secs_f64();
    let batches = micros.len() as f64 / seconds;
    println!(
        r#"{{"batches_a_second":{batches:.1},"records_a_second":{:.0},"bytes_a_second":{:.0},"batch_bytes":{batch_bytes},"p50_us":{},"p99_us":{},"max_us":{}}}"#,
        batches * plan.records as f64,
        batches * (plan.records * plan.value_bytes) as f64,
        percentile(&micros, 0.5),
        percentile(&micros, 0.99),
        percentile(&micros, 1.0),
    );
}

async fn drive(plan: Arc<Plan>, address: &str, producers: u64) -> (Vec<Seen>, usize) {
    let cluster = Cluster::connect(ClientConfig::new(vec![address.to_owned()])).await.expect("it answers");
    let topic = NewTopic {
        name: plan.topic.clone(),
        partitions: i32::try_from(plan.partitions).expect("few partitions"),
        replication_factor: None,
        configs: BTreeMap::new(),
    };
    // One of an earlier run serves as well.
    let _ = cluster.create_topic(&topic, PATIENCE).await;
    cluster.topic(&plan.topic).await.expect("the topic is there");
    let began = Instant::now();
    let mut running = Vec::new();
    for number in 0..producers {
        let identity = cluster.init_producer_id().await.expect("ids are given");
        let partition = PartitionIndex::from_wire((number % plan.partitions) as i32).expect("small");
        let partition = TopicPartition { topic: plan.topic.clone(), partition };
        let batch = batch(&plan, identity);
        running.push(tokio::spawn(produce(plan.clone(), cluster.clone(), partition, identity, batch, began)));
    }
    let mut seen = Vec::new();
    for producer in running {
        seen.push(producer.await.expect("producers do not panic"));
    }
    let template = ProducerIdentity::clone(&cluster.init_producer_id().await.expect("ids are given"));
    (seen, batch(&plan, template).size_bytes())
}

async fn produce(
    plan: Arc<Plan>,
    cluster: Cluster,
    partition: TopicPartition,
    identity: ProducerIdentity,
    template: RecordBatch,
    began: Instant,
) -> Seen {
    let lane = Lane::own();
    let from = began + plan.warm_up;
    let until = from + plan.measured;
    let pause = Duration::from_secs(1).checked_div(u32::try_from(plan.rate).unwrap_or(u32::MAX));
    let mut next_at = Instant::now();
    let mut sequence = Sequence::FIRST;
    let mut seen = Seen::default();
    let mut open = FuturesOrdered::new();
    loop {
        let more = open.len() < plan.window && next_at < until && Instant::now() < until;
        tokio::select! {
            biased;
            Some((sent_at, acked_at)) = open.next(), if !open.is_empty() => {
                if (from..until).contains(&acked_at) {
                    let took: Duration = acked_at - sent_at;
                    seen.micros.push(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
                }
            }
            () = sleep_until(next_at), if more => {
                next_at += pause.unwrap_or_default();
                let batch = template.patched(Patch {
                    producer_id: identity.id.to_wire(),
                    producer_epoch: identity.epoch.to_wire(),
                    base_sequence: sequence.to_wire(),
                    ..Patch::default()
                });
                sequence = sequence.after(u32::try_from(plan.records).expect("few records"));
                let sent_at = Instant::now();
                let pending = cluster.submit_produce_on(lane, &partition, &batch, Acks::All, PATIENCE).await;
                let pending = pending.expect("the gateway is there");
                open.push_back(async move {
                    pending.ack().await.expect("the gateway takes every batch");
                    (sent_at, Instant::now())
                });
            }
            else => return seen,
        }
    }
}

fn batch(plan: &Plan, identity: ProducerIdentity) -> RecordBatch {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970");
    let now = i64::try_from(since.as_millis()).expect("it is not that late");
    let mut builder =
        BatchBuilder::new(Compression::None).producer(identity.id.to_wire(), identity.epoch.to_wire(), 0);
    for number in 0..plan.records {
        let value: Vec<u8> = (0..plan.value_bytes).map(|at| (at * 31 + number * 17) as u8).collect();
        builder.append(now, None, Some(&value), &[]).expect("a small record");
    }
    builder.build().expect("a batch with records")
}
