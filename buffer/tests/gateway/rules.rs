//! What topics demand of batches, and what becomes of records that a region takes no more.

use std::path::Path;

use bytes::Bytes;
use leeward_buffer::Gateway;
use leeward_client::{
    Cluster, ConfigChange, ConfigResource, NewRecord, Producer, ProducerError, TopicSelection,
};
use leeward_wire::ErrorCode;

use super::harness::*;
use super::remade::until;

const LIMIT: &str = "max.message.bytes";
const LARGE: usize = 1_500_000;

async fn limit(at: &Cluster, bytes: usize) {
    let topic = ConfigResource::Topic(orders().topic);
    at.incremental_alter_configs(&topic, &[(LIMIT, ConfigChange::Set(bytes.to_string()))]).await.unwrap();
}

async fn offer(producer: &Producer, bytes: usize) -> Result<(), Option<ErrorCode>> {
    let large = NewRecord { value: Some(Bytes::from(vec![b'x'; bytes])), ..record("") };
    let sent = Box::pin(producer.send(&orders(), &[large])).await;
    sent.map(|_| ()).map_err(|error| match error {
        ProducerError::Cluster { source, .. } => source.code(),
        ProducerError::Build { .. } | ProducerError::TooManyPartitions => None,
    })
}

async fn knows_orders(through: &Cluster) -> bool {
    let name = orders().topic;
    let told = through.metadata(TopicSelection::Named(std::slice::from_ref(&name))).await.unwrap();
    told.topics.contains_key(&name)
}

/// A region, and a gateway that knows its topic.
async fn one_region(dir: &Path) -> (leeward_node::RunningNode, Gateway, Cluster) {
    let node = node(&dir.join("a")).await;
    let mut config = config(&dir.join("buffer"), &[("a", node.addr())]);
    config.acting = Some(region("a"));
    let (gateway, through) = start(config).await;
    produce(&producer(&through), 0, 1).await;
    until("the first record arrives", || gateway.status().unforwarded_records == 0).await;
    (node, gateway, through)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_limit_that_a_client_changes_counts_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let (_node, _gateway, through) = one_region(dir.path()).await;
    let producer = producer(&through);

    let before = offer(&producer, LARGE).await;
    limit(&through, 2 * LARGE).await;
    let raised = offer(&producer, LARGE).await;
    limit(&through, 1_000).await;
    let lowered = offer(&producer, 2_000).await;

    let too_large = Err(Some(ErrorCode::MESSAGE_TOO_LARGE));
    assert_eq!((before, raised, lowered), (too_large, Ok(()), too_large));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_limit_that_is_changed_at_the_region_counts_soon() {
    let dir = tempfile::tempdir().unwrap();
    let (node, _gateway, through) = one_region(dir.path()).await;
    let producer = producer(&through);

    limit(&connect(node.addr()).await, 2 * LARGE).await;

    let deadline = tokio::time::Instant::now() + PATIENCE;
    while offer(&producer, LARGE).await.is_err() && tokio::time::Instant::now() < deadline {
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    assert_eq!(offer(&producer, LARGE).await, Ok(()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_that_starts_while_its_region_is_dark_knows_the_limits() {
    let dir = tempfile::tempdir().unwrap();
    let (node, gateway, _) = one_region(dir.path()).await;
    let address = node.addr();
    gateway.shutdown().await;
    node.shutdown().await;

    let mut config = config(&dir.path().join("buffer"), &[("a", address)]);
    config.acting = Some(region("a"));
    let (gateway, through) = start(config).await;
    let producer = producer(&through);

    assert_eq!(offer(&producer, LARGE).await, Err(Some(ErrorCode::MESSAGE_TOO_LARGE)));
    assert_eq!(offer(&producer, 10).await, Ok(()));
    assert_eq!(gateway.status().buffered_records, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_partition_that_stands_still_is_told_and_goes_on_once_it_can() {
    let dir = tempfile::tempdir().unwrap();
    let (node, gateway, through) = one_region(dir.path()).await;
    let at_a = connect(node.addr()).await;
    limit(&at_a, 0).await;

    assert_eq!(offer(&producer(&through), 10).await, Ok(()));
    until("the partition is held", || !gateway.status().held.is_empty()).await;
    let held = gateway.status().held;
    limit(&at_a, 1_000_000).await;

    let said =
        "orders-0: 1 records wait, a refuses the first: MESSAGE_TOO_LARGE, as a region does that is sealed";
    assert_eq!(held, [said]);
    until("it goes on", || gateway.status().unforwarded_records == 0 && gateway.status().held.is_empty())
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_buffered_of_a_topic_is_set_aside_once_a_client_deletes_it() {
    let dir = tempfile::tempdir().unwrap();
    let (node, gateway, through) = one_region(dir.path()).await;
    limit(&connect(node.addr()).await, 0).await;
    assert_eq!(offer(&producer(&through), 10).await, Ok(()));
    assert_eq!(gateway.status().unforwarded_records, 1);

    let deleted = through.delete_topics(&[orders().topic], PATIENCE).await.unwrap();

    assert!(deleted.values().all(Result::is_ok), "{deleted:?}");
    until("nothing is buffered", || gateway.status().buffered_records == 0).await;
    assert!(dir.path().join("buffer/set-aside/orders-0-1.batch").exists());
    assert!(!knows_orders(&through).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_that_is_deleted_at_the_region_is_not_told_any_more() {
    let dir = tempfile::tempdir().unwrap();
    let (node, gateway, through) = one_region(dir.path()).await;
    until("nothing is buffered", || gateway.status().buffered_records == 0).await;

    let _ = connect(node.addr()).await.delete_topics(&[orders().topic], PATIENCE).await.unwrap();

    assert!(!knows_orders(&through).await);
}
