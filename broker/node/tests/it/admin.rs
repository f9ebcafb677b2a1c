//! Topics and settings.

use std::time::Duration;

use leeward_node::{Node, NodeConfig, StartError};
use leeward_wire::ErrorCode;
use leeward_wire::api::{
    CreatePartitionsRequest, CreatePartitionsRequestTopic, CreateTopicsRequest, CreateTopicsRequestTopic,
    DeleteTopicsRequest, DescribeConfigsRequest, DescribeConfigsRequestResource, MetadataRequest,
    MetadataRequestTopic, MetadataResponse,
};
use leeward_wire::record::Compression;

use crate::support::{Client, batch, node};

const TOPIC: i8 = 2;
const BROKER: i8 = 4;

async fn metadata(client: &mut Client, topic: &str) -> MetadataResponse {
    let asked = MetadataRequestTopic { name: Some(topic.to_owned()), ..Default::default() };
    let request =
        MetadataRequest { topics: Some(vec![asked]), allow_auto_topic_creation: false, ..Default::default() };
    client.call(12, &request).await
}

#[tokio::test]
async fn a_restart_keeps_cluster_id_topic_ids_partitions_settings_and_records() {
    let folder = tempfile::tempdir().unwrap();
    let first = node(folder.path()).await;
    let mut client = Client::connect(first.addr()).await;
    client.create_topic("t", 2, &[("retention.ms", "1234567")]).await;
    client.produce("t", &batch(Compression::None, &["v"])).await.unwrap();
    let before = metadata(&mut client, "t").await;
    let cluster_id = first.cluster_id();
    first.shutdown().await;

    let second = node(folder.path()).await;

    let mut client = Client::connect(second.addr()).await;
    let after = metadata(&mut client, "t").await;
    assert_eq!(second.cluster_id(), cluster_id);
    assert_eq!(after.cluster_id.as_deref(), Some(cluster_id.as_str()));
    assert_eq!(after.topics, before.topics);
    assert_eq!(client.values("t").await, [&b"v"[..]]);
    let resource = DescribeConfigsRequestResource {
        resource_type: TOPIC,
        resource_name: "t".to_owned(),
        configuration_keys: Some(vec!["retention.ms".to_owned()]),
    };
    let request = DescribeConfigsRequest { resources: vec![resource], ..Default::default() };
    let described = client.call(4, &request).await;
    assert_eq!(described.results[0].configs[0].value.as_deref(), Some("1234567"));
}

#[tokio::test]
async fn a_directory_serves_one_node_at_a_time_and_one_cluster_only() {
    let folder = tempfile::tempdir().unwrap();
    let first = node(folder.path()).await;

    let second = Node::start(NodeConfig::new(folder.path())).await;
    first.shutdown().await;
    let other = leeward_model::ClusterId::new("AAAAAAAAAAAAAAAAAAAAAA");
    let third = Node::start(NodeConfig { cluster_id: Some(other), ..NodeConfig::new(folder.path()) }).await;

    assert!(matches!(second, Err(StartError::Locked { .. })));
    assert!(matches!(third, Err(StartError::OtherCluster { .. })));
}

#[tokio::test]
async fn what_a_crash_left_of_a_deleted_topic_is_removed_at_the_next_start() {
    let folder = tempfile::tempdir().unwrap();
    node(folder.path()).await.shutdown().await;
    let left = folder.path().join("topics/AAAAAAAAAAAAAAAAAAAAAQ/0");
    std::fs::create_dir_all(&left).unwrap();

    let _node = node(folder.path()).await;

    assert!(!left.parent().unwrap().exists());
}

#[tokio::test]
async fn a_topic_made_again_has_another_id_and_no_records() {
    let folder = tempfile::tempdir().unwrap();
    let node = node(folder.path()).await;
    let mut client = Client::connect(node.addr()).await;
    client.create_topic("t", 1, &[]).await;
    client.produce("t", &batch(Compression::None, &["v"])).await.unwrap();
    let before = metadata(&mut client, "t").await.topics[0].topic_id;

    let request = DeleteTopicsRequest { topic_names: vec!["t".to_owned()], ..Default::default() };
    assert_eq!(client.call(5, &request).await.responses[0].error_code, 0);
    let gone = metadata(&mut client, "t").await.topics[0].error_code;
    client.create_topic("t", 1, &[]).await;

    assert_eq!(ErrorCode::new(gone), ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
    assert_ne!(metadata(&mut client, "t").await.topics[0].topic_id, before);
    assert!(client.values("t").await.is_empty());
}

#[tokio::test]
async fn partitions_can_be_added_and_not_taken_away() {
    let folder = tempfile::tempdir().unwrap();
    let node = node(folder.path()).await;
    let mut client = Client::connect(node.addr()).await;
    client.create_topic("t", 2, &[]).await;
    let grow = |count| CreatePartitionsRequest {
        topics: vec![CreatePartitionsRequestTopic { name: "t".to_owned(), count, assignments: None }],
        ..Default::default()
    };

    assert_eq!(client.call(3, &grow(5)).await.results[0].error_code, 0);
    assert_eq!(
        ErrorCode::new(client.call(3, &grow(4)).await.results[0].error_code),
        ErrorCode::INVALID_PARTITIONS
    );
    assert_eq!(metadata(&mut client, "t").await.topics[0].partitions.len(), 5);
}

#[tokio::test]
async fn topics_that_kafka_refuses_are_refused_with_kafkas_code() {
    let folder = tempfile::tempdir().unwrap();
    let node = node(folder.path()).await;
    let mut client = Client::connect(node.addr()).await;
    client.create_topic("there", 1, &[]).await;
    let cases = [
        ("there", 1, 1, ErrorCode::TOPIC_ALREADY_EXISTS),
        ("a/b", 1, 1, ErrorCode::INVALID_TOPIC_EXCEPTION),
        ("none", 0, 1, ErrorCode::INVALID_PARTITIONS),
        ("three", 1, 3, ErrorCode::INVALID_REPLICATION_FACTOR),
    ];

    for (name, num_partitions, replication_factor, error) in cases {
        let topic = CreateTopicsRequestTopic {
            name: name.to_owned(),
            num_partitions,
            replication_factor,
            ..Default::default()
        };
        let request = CreateTopicsRequest { topics: vec![topic], ..Default::default() };
        let answer = client.call(7, &request).await;
        assert_eq!(ErrorCode::new(answer.topics[0].error_code), error, "{name}");
    }
}

#[tokio::test]
async fn a_topics_fence_stops_every_write_on_a_live_connection_and_no_read() {
    let folder = tempfile::tempdir().unwrap();
    let node = node(folder.path()).await;
    let mut writer = Client::connect(node.addr()).await;
    let mut admin = Client::connect(node.addr()).await;
    writer.create_topic("t", 1, &[]).await;
    writer.create_topic("other", 1, &[]).await;
    let one = batch(Compression::None, &["v"]);
    writer.produce("t", &one).await.unwrap();

    assert_eq!(admin.set(TOPIC, "t", "max.message.bytes", Some("0")).await, 0);

    assert_eq!(writer.produce("t", &one).await, Err(ErrorCode::MESSAGE_TOO_LARGE));
    assert_eq!(writer.produce("other", &one).await, Ok(0));
    assert_eq!(writer.values("t").await, [&b"v"[..]]);
    assert_eq!(admin.set(TOPIC, "t", "max.message.bytes", None).await, 0);
    assert_eq!(writer.produce("t", &one).await, Ok(1));
}

#[tokio::test]
async fn the_clusters_fence_stops_every_topic_without_its_own_limit_and_survives_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let first = node(folder.path()).await;
    let mut client = Client::connect(first.addr()).await;
    client.create_topic("t", 1, &[]).await;
    client.create_topic("open", 1, &[("max.message.bytes", "1000")]).await;
    let one = batch(Compression::None, &["v"]);

    assert_eq!(client.set(BROKER, "", "message.max.bytes", Some("0")).await, 0);

    assert_eq!(client.produce("t", &one).await, Err(ErrorCode::MESSAGE_TOO_LARGE));
    assert_eq!(client.produce("open", &one).await, Ok(0));
    first.shutdown().await;
    let second = node(folder.path()).await;
    let mut client = Client::connect(second.addr()).await;
    assert_eq!(client.produce("t", &one).await, Err(ErrorCode::MESSAGE_TOO_LARGE));
    assert_eq!(client.set(BROKER, "", "message.max.bytes", None).await, 0);
    assert_eq!(client.produce("t", &one).await, Ok(0));
}

#[tokio::test]
async fn settings_that_there_are_not_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let node = node(folder.path()).await;
    let mut client = Client::connect(node.addr()).await;
    client.create_topic("t", 1, &[]).await;
    let invalid = ErrorCode::INVALID_CONFIG.code();

    assert_eq!(client.set(TOPIC, "t", "max.message.byte", Some("0")).await, invalid);
    assert_eq!(client.set(TOPIC, "t", "retention.ms", Some("soon")).await, invalid);
    assert_eq!(client.set(BROKER, "", "max.connections.per.ip", Some("0")).await, invalid);
}

#[tokio::test]
async fn min_insync_replicas_beyond_the_one_there_is_has_no_effect() {
    let folder = tempfile::tempdir().unwrap();
    let node = node(folder.path()).await;
    let mut client = Client::connect(node.addr()).await;
    client.create_topic("t", 1, &[("min.insync.replicas", "2")]).await;

    assert_eq!(client.produce("t", &batch(Compression::None, &["v"])).await, Ok(0));
}

#[tokio::test]
async fn retention_gives_up_old_records() {
    let folder = tempfile::tempdir().unwrap();
    let config =
        NodeConfig { retention_interval: Duration::from_millis(10), ..NodeConfig::new(folder.path()) };
    let node = Node::start(config).await.unwrap();
    let mut client = Client::connect(node.addr()).await;
    client.create_topic("t", 1, &[("retention.ms", "1")]).await;

    client.produce("t", &batch(Compression::None, &["v"])).await.unwrap();

    let deadline = std::time::Instant::now() + Duration::from_secs(10);
    while client.fetch("t", 1).await.log_start_offset != 1 {
        assert!(std::time::Instant::now() < deadline, "the record is still there");
        tokio::task::yield_now().await;
    }
}
