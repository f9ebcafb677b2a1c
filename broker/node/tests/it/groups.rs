//! Positions of groups, through the internal topic.

use leeward_wire::api::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic, OffsetFetchRequest,
    OffsetFetchRequestTopic,
};
use leeward_wire::offsets_topic::OffsetsTopicKey;
use leeward_wire::record::split_batches;

use crate::support::{Client, node};

fn commit(offset: i64) -> OffsetCommitRequest {
    let partition = OffsetCommitRequestPartition {
        partition_index: 0,
        committed_offset: offset,
        committed_metadata: Some(String::new()),
        ..Default::default()
    };
    let topics = vec![OffsetCommitRequestTopic {
        name: "t".to_owned(),
        partitions: vec![partition],
        ..Default::default()
    }];
    OffsetCommitRequest { group_id: "g".to_owned(), topics, ..Default::default() }
}

async fn committed(client: &mut Client) -> i64 {
    let topic = OffsetFetchRequestTopic { name: "t".to_owned(), partition_indexes: vec![0] };
    let request =
        OffsetFetchRequest { group_id: "g".to_owned(), topics: Some(vec![topic]), ..Default::default() };
    client.call(5, &request).await.topics[0].partitions[0].committed_offset
}

#[tokio::test]
async fn positions_survive_a_restart_and_can_be_tailed() {
    let folder = tempfile::tempdir().unwrap();
    let first = node(folder.path()).await;
    let mut client = Client::connect(first.addr()).await;
    client.create_topic("t", 1, &[]).await;
    for offset in [3, 5] {
        let answer = client.call(7, &commit(offset)).await;
        assert_eq!(answer.topics[0].partitions[0].error_code, 0);
    }
    first.shutdown().await;

    let second = node(folder.path()).await;

    let mut client = Client::connect(second.addr()).await;
    assert_eq!(committed(&mut client).await, 5);
    let log = client.fetch("__consumer_offsets", 0).await.records.unwrap();
    let keys: Vec<OffsetsTopicKey> = split_batches(log)
        .flat_map(|batch| {
            let decompressed = batch.unwrap().decompress(1 << 20).unwrap();
            let keys = decompressed.records().map(|record| record.unwrap().key.unwrap().to_vec());
            keys.collect::<Vec<_>>()
        })
        .map(|key| OffsetsTopicKey::from_bytes(key.into()).unwrap())
        .collect();
    assert!(keys.iter().all(|key| matches!(key, OffsetsTopicKey::Offset(key) if key.group == "g")));
    assert_eq!(keys.len(), 2);
}
