//! What `ApiVersions` promises.

use leeward_wire::api::*;
use leeward_wire::{ApiKey, ErrorCode, Reader, Request, decode_response_header};

use crate::support::{Client, node};

#[tokio::test]
async fn an_unknown_version_of_api_versions_is_answered_in_version_0_with_the_known_ones() {
    let folder = tempfile::tempdir().unwrap();
    let node = node(folder.path()).await;
    let mut client = Client::connect(node.addr()).await;
    let request = ApiVersionsRequest::default();
    let frame = leeward_wire::encode_request(4, 7, Some("test"), &request).unwrap();
    let mut frame = frame.to_vec();
    frame[7] = 99;

    client.send_raw(&frame).await;

    let mut input = Reader::new(client.receive().await.unwrap());
    let header = decode_response_header(&mut input, ApiKey::ApiVersions, 0).unwrap();
    let answer = ApiVersionsResponse::decode_answer(&mut input, 4).unwrap();
    assert_eq!(header.correlation_id, 7);
    assert_eq!(answer.error_code, ErrorCode::UNSUPPORTED_VERSION.code());
    assert_eq!(answer.versions(ApiKey::ApiVersions), Some((0, 4)));
}

/// Asks `request` in each version that the node promises.
async fn every_version<R: Request + Default>(client: &mut Client, promised: &ApiVersionsResponse) {
    let Some((min, max)) = promised.versions(R::KEY) else {
        panic!("{:?} is not promised", R::KEY);
    };
    for version in min..=max {
        let answer = client.ask(version, &R::default()).await;
        assert!(answer.is_some(), "{:?} version {version} closed the connection", R::KEY);
    }
}

#[tokio::test]
async fn every_version_that_is_promised_is_answered() {
    let folder = tempfile::tempdir().unwrap();
    let node = node(folder.path()).await;
    let mut client = Client::connect(node.addr()).await;
    client.create_topic("t", 2, &[]).await;
    let promised = client.call(3, &ApiVersionsRequest::default()).await;

    macro_rules! ask {
        ($($request:ident),+ $(,)?) => {
            let mut asked = vec![ApiKey::Produce];
            $(
                every_version::<$request>(&mut client, &promised).await;
                asked.push($request::KEY);
            )+
            for key in &promised.api_keys {
                assert!(asked.iter().any(|api| api.code() == key.api_key), "{key:?} was not asked");
            }
        };
    }
    ask!(
        FetchRequest,
        ListOffsetsRequest,
        MetadataRequest,
        ApiVersionsRequest,
        CreateTopicsRequest,
        DeleteTopicsRequest,
        CreatePartitionsRequest,
        DeleteRecordsRequest,
        InitProducerIdRequest,
        OffsetForLeaderEpochRequest,
        DescribeConfigsRequest,
        AlterConfigsRequest,
        IncrementalAlterConfigsRequest,
        DescribeClusterRequest,
        DescribeProducersRequest,
        OffsetCommitRequest,
        OffsetFetchRequest,
        FindCoordinatorRequest,
        JoinGroupRequest,
        HeartbeatRequest,
        LeaveGroupRequest,
        SyncGroupRequest,
        DescribeGroupsRequest,
        ListGroupsRequest,
        DeleteGroupsRequest,
        OffsetDeleteRequest,
    );
}

#[tokio::test]
async fn every_version_tells_of_a_topic_its_records_and_its_offsets() {
    let folder = tempfile::tempdir().unwrap();
    let node = node(folder.path()).await;
    let mut client = Client::connect(node.addr()).await;
    client.create_topic("t", 1, &[]).await;
    let promised = client.call(3, &ApiVersionsRequest::default()).await;
    let topic = client.call(12, &MetadataRequest { topics: None, ..Default::default() }).await;
    let id = topic.topics.iter().find(|topic| topic.name.as_deref() == Some("t")).unwrap().topic_id;
    let batch = crate::support::batch(leeward_wire::record::Compression::None, &["v"]);

    let (min, max) = promised.versions(ApiKey::Produce).unwrap();
    for version in min..=max {
        let mut request = crate::support::produce_request("t", 0, batch.to_bytes(), 1);
        if version >= 13 {
            request.topic_data[0].name = String::new();
            request.topic_data[0].topic_id = id;
        }
        let answer = client.call(version, &request).await;
        assert_eq!(answer.responses[0].partition_responses[0].error_code, 0, "Produce {version}");
    }
    let (min, max) = promised.versions(ApiKey::Fetch).unwrap();
    for version in min..=max {
        let mut request = crate::support::fetch_request("t", 0, 0);
        if version >= 13 {
            request.topics[0].topic = String::new();
            request.topics[0].topic_id = id;
        }
        let answer = client.call(version, &request).await;
        let read = &answer.responses[0].partitions[0];
        assert_eq!((read.error_code, read.high_watermark), (0, 11), "Fetch {version}");
    }
    let (min, max) = promised.versions(ApiKey::ListOffsets).unwrap();
    for version in min..=max {
        for (timestamp, offset) in [(-1, 11), (-2, 0), (-3, 0), (0, 0), (i64::MAX, -1)] {
            let partitions = vec![ListOffsetsRequestPartition { timestamp, ..Default::default() }];
            let topics = vec![ListOffsetsRequestTopic { name: "t".to_owned(), partitions }];
            let answer = client.call(version, &ListOffsetsRequest { topics, ..Default::default() }).await;
            assert_eq!(answer.topics[0].partitions[0].offset, offset, "ListOffsets {version} {timestamp}");
        }
    }
    for version in 0..=promised.versions(ApiKey::Metadata).unwrap().1 {
        let by_name = MetadataRequestTopic { name: Some("t".to_owned()), ..Default::default() };
        let request = MetadataRequest { topics: Some(vec![by_name]), ..Default::default() };
        let answer = client.call(version, &request).await;
        assert_eq!(answer.topics[0].partitions[0].leader_id, 1, "Metadata {version}");
    }
}
