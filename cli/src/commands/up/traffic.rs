//! Sample traffic through the gateway: one producer, one consumer group, a line about both now and then.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use leeward_client::{
    ClientConfig, Cluster, GroupConfig, GroupConsumer, NewRecord, NewTopic, Producer, ProducerConfig,
};
use leeward_model::{GroupName, PartitionIndex, TopicName, TopicPartition};
use leeward_wire::ErrorCode;
use tokio::time::{MissedTickBehavior, interval, sleep};
use tracing::warn;

const TOPIC: &str = "sample-orders";
const GROUP: &str = "sample-billing";

/// Between two batches.
const BATCH_EVERY: Duration = Duration::from_millis(100);
const BATCH_RECORDS: u64 = 10;

/// Between two lines.
const TELL_EVERY: Duration = Duration::from_secs(15);

/// Between two tries to begin.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// How long the topic may take to be made.
const CREATE_WAIT_MAX: Duration = Duration::from_secs(10);

/// How long one poll waits for records.
const POLL_WAIT: Duration = Duration::from_millis(500);

#[derive(Debug, Default)]
struct Counted {
    acknowledged: AtomicU64,
    read: AtomicU64,
}

/// Runs for as long as it is polled.
pub(super) async fn run(gateway: String) {
    let mut config = ClientConfig::new(vec![gateway]);
    "leeward-sample".clone_into(&mut config.client_id);
    let counted = Counted::default();
    tokio::join!(
        again("producer", || produce(&config, &counted)),
        again("consumer", || consume(&config, &counted)),
        tell(&counted),
    );
}

async fn again<F: Future<Output = anyhow::Result<()>>>(what: &str, work: impl Fn() -> F) {
    loop {
        if let Err(error) = work().await {
            warn!(what, error = format!("{error:#}"), "sample traffic begins again");
        }
        sleep(RETRY_AFTER).await;
    }
}

/// The topic's one partition; makes the topic where it is missing.
async fn partition(cluster: &Cluster) -> anyhow::Result<TopicPartition> {
    let topic = TopicName::new(TOPIC)?;
    let new =
        NewTopic { name: topic.clone(), partitions: 1, replication_factor: None, configs: BTreeMap::new() };
    match cluster.create_topic(&new, CREATE_WAIT_MAX).await {
        Err(error) if error.code() != Some(ErrorCode::TOPIC_ALREADY_EXISTS) => return Err(error.into()),
        Ok(()) | Err(_) => {}
    }
    let partition = PartitionIndex::from_wire(0).expect("0 is not negative");
    Ok(TopicPartition { topic, partition })
}

async fn produce(config: &ClientConfig, counted: &Counted) -> anyhow::Result<()> {
    let cluster = Cluster::connect(config.clone()).await?;
    let partition = partition(&cluster).await?;
    let producer = Producer::new(&cluster, ProducerConfig::default());
    let mut ticks = interval(BATCH_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
        let first = counted.acknowledged.load(Ordering::Relaxed);
        let records: Vec<_> = (first..first + BATCH_RECORDS)
            .map(|number| NewRecord {
                timestamp_ms: i64::try_from(now.as_millis()).unwrap_or(i64::MAX),
                key: Some(Bytes::from(format!("customer-{}", number % 100))),
                value: Some(Bytes::from(format!("{{\"order\":{number}}}"))),
                headers: Vec::new(),
            })
            .collect();
        Box::pin(producer.send(&partition, &records)).await?;
        counted.acknowledged.fetch_add(BATCH_RECORDS, Ordering::Relaxed);
    }
}

async fn consume(config: &ClientConfig, counted: &Counted) -> anyhow::Result<()> {
    let cluster = Cluster::connect(config.clone()).await?;
    let group = GroupConfig::new(GroupName::new(GROUP), vec![TopicName::new(TOPIC)?]);
    let mut consumer = GroupConsumer::new(&cluster, group);
    loop {
        let records = consumer.poll(POLL_WAIT).await?;
        if !records.is_empty() {
            counted.read.fetch_add(records.len() as u64, Ordering::Relaxed);
            consumer.commit().await?;
        }
    }
}

async fn tell(counted: &Counted) {
    let mut ticks = interval(TELL_EVERY);
    ticks.tick().await;
    loop {
        ticks.tick().await;
        println!(
            "  {:<22} {} acknowledged, {} read by group {GROUP}",
            "sample traffic",
            counted.acknowledged.load(Ordering::Relaxed),
            counted.read.load(Ordering::Relaxed),
        );
    }
}
