//! Reading: long poll, limits, ranges.

use std::time::{Duration, Instant};

use leeward_wire::ErrorCode;
use leeward_wire::api::{DeleteRecordsRequest, DeleteRecordsRequestPartition, DeleteRecordsRequestTopic};
use leeward_wire::record::{Compression, split_batches};

use crate::support::{Client, batch, fetch_request, node};

#[tokio::test]
async fn a_waiting_fetch_is_answered_by_the_next_append() {
    let folder = tempfile::tempdir().unwrap();
    let node = node(folder.path()).await;
    let mut reader = Client::connect(node.addr()).await;
    let mut writer = Client::connect(node.addr()).await;
    writer.create_topic("t", 1, &[]).await;
    let begun = Instant::now();
    reader.send(11, &fetch_request("t", 0, 30_000)).await.unwrap();

    writer.produce("t", &batch(Compression::None, &["v"])).await.unwrap();

    assert!(reader.receive().await.is_some());
    assert!(begun.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn a_fetch_that_finds_nothing_is_answered_when_its_wait_is_over() {
    let folder = tempfile::tempdir().unwrap();
    let node = node(folder.path()).await;
    let mut client = Client::connect(node.addr()).await;
    client.create_topic("t", 1, &[]).await;
    let begun = Instant::now();

    let answer = client.call(11, &fetch_request("t", 0, 50)).await;

    assert_eq!(answer.responses[0].partitions[0].error_code, 0);
    assert!(begun.elapsed() >= Duration::from_millis(50));
}

#[tokio::test]
async fn the_first_batch_is_given_whole_however_small_the_limit() {
    let folder = tempfile::tempdir().unwrap();
    let node = node(folder.path()).await;
    let mut client = Client::connect(node.addr()).await;
    client.create_topic("t", 1, &[]).await;
    for _ in 0..3 {
        client.produce("t", &batch(Compression::None, &["a", "b"])).await.unwrap();
    }
    let mut request = fetch_request("t", 3, 0);
    request.max_bytes = 1;
    request.topics[0].partitions[0].partition_max_bytes = 1;

    let answer = client.call(11, &request).await;

    let records = answer.responses[0].partitions[0].records.clone().unwrap();
    let bases: Vec<i64> = split_batches(records).map(|batch| batch.unwrap().base_offset()).collect();
    assert_eq!(bases, [2]);
}

#[tokio::test]
async fn offsets_outside_the_log_are_out_of_range() {
    let folder = tempfile::tempdir().unwrap();
    let node = node(folder.path()).await;
    let mut client = Client::connect(node.addr()).await;
    client.create_topic("t", 1, &[]).await;
    client.produce("t", &batch(Compression::None, &["a", "b"])).await.unwrap();
    let partition = DeleteRecordsRequestPartition { partition_index: 0, offset: 1 };
    let topic = DeleteRecordsRequestTopic { name: "t".to_owned(), partitions: vec![partition] };
    let deleted = client.call(2, &DeleteRecordsRequest { topics: vec![topic], timeout_ms: 1000 }).await;

    assert_eq!(deleted.topics[0].partitions[0].low_watermark, 1);
    for offset in [0, 3] {
        let read = client.fetch("t", offset).await;
        assert_eq!(ErrorCode::new(read.error_code), ErrorCode::OFFSET_OUT_OF_RANGE, "{offset}");
    }
    assert_eq!(client.fetch("t", 1).await.log_start_offset, 1);
}
