//! One region: what clients write through the gateway arrives, and what they read comes from there.

use std::net::SocketAddr;
use std::time::Duration;

use leeward_buffer::{Acknowledge, Gateway};
use leeward_client::{Cluster, FetchFrom, FetchPlan, Fetcher, GroupConfig, GroupConsumer, Lane};
use leeward_model::GroupName;
use leeward_wire::api::{FetchRequest, FetchRequestPartition, FetchRequestTopic, FindCoordinatorRequest};
use leeward_wire::{ErrorCode, encode_request};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpSocket, TcpStream};

use super::harness::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_produced_through_the_gateway_arrives_once_and_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let node = node(&dir.path().join("a")).await;
    let mut config = config(&dir.path().join("buffer"), &[("a", node.addr())]);
    config.acting = Some(region("a"));
    let (_gateway, through) = start(config).await;

    produce(&producer(&through), 0, 200).await;

    let arrived = await_values(&connect(node.addr()).await, &orders(), 200).await;
    assert_eq!(arrived, numbered(0, 200));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_acknowledged_after_kafka_has_its_offset() {
    let dir = tempfile::tempdir().unwrap();
    let node = node(&dir.path().join("a")).await;
    let mut config = config(&dir.path().join("buffer"), &[("a", node.addr())]);
    config.acting = Some(region("a"));
    config.acknowledge = Acknowledge::AfterKafka;
    let (_gateway, through) = start(config).await;
    let producer = producer(&through);

    Box::pin(producer.send(&orders(), &[record("first"), record("second")])).await.unwrap();
    let acknowledged = Box::pin(producer.send(&orders(), &[record("third")])).await.unwrap();

    assert_eq!(acknowledged.base_offset, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_reads_through_the_gateway() {
    let dir = tempfile::tempdir().unwrap();
    let node = node(&dir.path().join("a")).await;
    let mut config = config(&dir.path().join("buffer"), &[("a", node.addr())]);
    config.acting = Some(region("a"));
    let (_gateway, through) = start(config).await;
    produce(&producer(&through), 0, 50).await;

    let group = GroupConfig::new(GroupName::new("readers"), vec![orders().topic]);
    let mut consumer = GroupConsumer::new(&through, group);
    let mut read = Vec::new();
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while read.len() < 50 && tokio::time::Instant::now() < deadline {
        let records = consumer.poll(Duration::from_millis(200)).await.unwrap();
        read.extend(records.into_iter().filter_map(|record| record.value));
    }

    assert_eq!(read.len(), 50);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transactional_id_that_the_region_refuses_is_refused_as_the_region_does() {
    let dir = tempfile::tempdir().unwrap();
    let node = node(&dir.path().join("a")).await;
    let mut config = config(&dir.path().join("buffer"), &[("a", node.addr())]);
    config.acting = Some(region("a"));
    let (_gateway, through) = start(config).await;
    let connection = through.connection(1, Lane::own()).await.unwrap();
    let asked = |version: i16| FindCoordinatorRequest {
        key: if version < 4 { "billing".to_owned() } else { String::new() },
        key_type: 1,
        coordinator_keys: if version < 4 { Vec::new() } else { vec!["billing".to_owned()] },
    };

    let ask = async || connection.send_within(&asked(3), 3, PATIENCE).await.unwrap();
    // Until the gateway has reached the region, it says to try again.
    reached(async || ask().await.error_code != ErrorCode::COORDINATOR_NOT_AVAILABLE.code()).await;
    let alone = ask().await;
    let listed = connection.send_within(&asked(4), 4, PATIENCE).await.unwrap();

    let refused = ErrorCode::TRANSACTIONAL_ID_AUTHORIZATION_FAILED.code();
    assert_eq!((alone.error_code, listed.coordinators[0].error_code), (refused, refused));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_are_accepted_while_no_region_is_reachable_and_arrive_later() {
    let dir = tempfile::tempdir().unwrap();
    let first = node(&dir.path().join("a")).await;
    let address = first.addr();
    let mut config = config(&dir.path().join("buffer"), &[("a", address)]);
    config.acting = Some(region("a"));
    let (gateway, through) = start(config).await;
    let producer = producer(&through);
    produce(&producer, 0, 5).await;
    first.shutdown().await;

    produce(&producer, 5, 20).await;
    let mut again = leeward_node::NodeConfig::new(dir.path().join("a"));
    again.listen = address;
    let _node = leeward_node::Node::start(again).await.unwrap();

    let arrived = await_values(&connect(address).await, &orders(), 20).await;
    assert_eq!(arrived, numbered(0, 20));
    gateway.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_gateway_on_the_same_directory_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let _first = Gateway::start(config(&dir.path().join("buffer"), &[])).await.unwrap();

    let second = Gateway::start(config(&dir.path().join("buffer"), &[])).await;

    assert!(second.unwrap_err().to_string().contains("buffer directory"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_that_nobody_takes_leave_others_little_room_until_their_clients_go() {
    let dir = tempfile::tempdir().unwrap();
    let node = node(&dir.path().join("a")).await;
    let direct = producer(&connect(node.addr()).await);
    let large = record(&"v".repeat(900_000));
    for _ in 0..26 {
        Box::pin(direct.send(&orders(), std::slice::from_ref(&large))).await.unwrap();
    }
    let mut config = config(&dir.path().join("buffer"), &[("a", node.addr())]);
    config.acting = Some(region("a"));
    let (gateway, through) = start(config).await;
    // Until the gateway knows the leader, its answers are empty.
    reached(async || fetched_bytes(&through).await > 0).await;
    let mut deaf = Vec::new();
    for _ in 0..3 {
        let client = ask_for_everything(gateway.address()).await;
        client.readable().await.unwrap();
        deaf.push(client);
    }

    let beside = fetched_bytes(&through).await;
    drop(deaf);
    reached(async || fetched_bytes(&through).await > 23_000_000).await;

    assert!((1..1_000_000).contains(&beside), "{beside}");
}

/// Tries until it holds.
async fn reached(holds: impl AsyncFn() -> bool) {
    let trying = async { while !holds().await {} };
    tokio::time::timeout(PATIENCE, trying).await.expect("it holds in time");
}

/// A connection on which all records were asked for, and into which few of them go unread.
async fn ask_for_everything(address: SocketAddr) -> TcpStream {
    let partition =
        FetchRequestPartition { partition_max_bytes: i32::MAX, ..FetchRequestPartition::default() };
    let topic = FetchRequestTopic {
        topic: orders().topic.to_string(),
        partitions: vec![partition],
        ..FetchRequestTopic::default()
    };
    let request = FetchRequest { topics: vec![topic], ..FetchRequest::default() };
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut stream = socket.connect(address).await.unwrap();
    stream.write_all(&encode_request(11, 1, None, &request).unwrap()).await.unwrap();
    stream
}

/// Bytes of records that one fetch brings of what it asks for: everything.
async fn fetched_bytes(cluster: &Cluster) -> usize {
    let leader = cluster.leader(&orders()).await.unwrap().broker;
    let mut fetcher = Fetcher::new(cluster, leader);
    fetcher.set(orders(), FetchFrom { max_bytes: i32::MAX, ..FetchFrom::offset(0) });
    let plan = FetchPlan { max_bytes: i32::MAX, ..FetchPlan::default() };
    fetcher.fetch(&plan).await.unwrap()[0].records.len()
}
