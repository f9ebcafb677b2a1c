//! Bytes that are no request.

use leeward_node::{Node, NodeConfig};
use leeward_wire::api::{ApiVersionsRequest, EndTxnRequest, FetchResponse};
use leeward_wire::record::Compression;
use proptest::prelude::*;

use crate::support::{Client, batch, fetch_request, node};

const PATIENCE: std::time::Duration = std::time::Duration::from_secs(20);

#[tokio::test]
async fn garbage_closes_its_own_connection_only() {
    let folder = tempfile::tempdir().unwrap();
    let node = node(folder.path()).await;
    let mut bystander = Client::connect(node.addr()).await;
    let garbage: [&[u8]; 5] = [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        &[0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01],
        &[0xff; 64],
        &[0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0],
        &[0, 0, 0, 4, 0, 3, 0, 12],
    ];

    for bytes in garbage {
        let mut client = Client::connect(node.addr()).await;
        client.send_raw(bytes).await;
        assert!(client.receive().await.is_none(), "{bytes:?}");
    }

    assert!(bystander.ask(3, &ApiVersionsRequest::default()).await.is_some());
}

#[tokio::test]
async fn an_api_that_is_not_served_closes_the_connection() {
    let folder = tempfile::tempdir().unwrap();
    let node = node(folder.path()).await;
    let mut client = Client::connect(node.addr()).await;

    assert!(client.ask(3, &EndTxnRequest::default()).await.is_none());
}

#[tokio::test]
async fn one_connection_more_than_allowed_is_closed() {
    let folder = tempfile::tempdir().unwrap();
    let node =
        Node::start(NodeConfig { connections_max: 2, ..NodeConfig::new(folder.path()) }).await.unwrap();
    let mut first = Client::connect(node.addr()).await;
    let mut second = Client::connect(node.addr()).await;
    first.call(3, &ApiVersionsRequest::default()).await;
    second.call(3, &ApiVersionsRequest::default()).await;

    let mut third = Client::connect(node.addr()).await;

    assert!(third.ask(3, &ApiVersionsRequest::default()).await.is_none());
    assert!(first.ask(3, &ApiVersionsRequest::default()).await.is_some());
}

#[tokio::test]
async fn a_silent_connection_is_closed() {
    let folder = tempfile::tempdir().unwrap();
    let idle_max = std::time::Duration::from_millis(50);
    let node = Node::start(NodeConfig { idle_max, ..NodeConfig::new(folder.path()) }).await.unwrap();
    let mut client = Client::connect(node.addr()).await;

    client.send_raw(&[0, 0, 0, 10, 0]).await;

    assert!(client.receive().await.is_none());
}

#[tokio::test]
async fn answers_that_nobody_takes_leave_others_little_room_until_their_peers_go() {
    let folder = tempfile::tempdir().unwrap();
    let node = node(folder.path()).await;
    let mut client = Client::connect(node.addr()).await;
    client.create_topic("t", 1, &[]).await;
    let value = "v".repeat(450_000);
    for _ in 0..26 {
        client.produce("t", &batch(Compression::None, &[&value])).await.unwrap();
    }
    let mut everything = fetch_request("t", 0, 0);
    everything.max_bytes = i32::MAX;
    everything.topics[0].partitions[0].partition_max_bytes = i32::MAX;
    let mut deaf = Vec::new();
    for _ in 0..3 {
        let mut peer = Client::with_little_room(node.addr()).await;
        peer.send(11, &everything).await.unwrap();
        peer.wait_for_bytes().await;
        deaf.push(peer);
    }

    let beside = records_bytes(&client.call(11, &everything).await);
    drop(deaf);
    let alone = async { while records_bytes(&client.call(11, &everything).await) < 23_000_000 {} };
    tokio::time::timeout(PATIENCE, alone).await.expect("the room is given back");

    assert!((1..1_000_000).contains(&beside), "{beside}");
}

fn records_bytes(answer: &FetchResponse) -> usize {
    answer.responses[0].partitions[0].records.as_ref().unwrap().len()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn no_frame_of_any_bytes_stops_the_node(
        frames in prop::collection::vec((0i16..92, 0i16..20, prop::collection::vec(any::<u8>(), 0..200)), 1..40),
    ) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let answered = runtime.block_on(async {
            let folder = tempfile::tempdir().unwrap();
            let node = node(folder.path()).await;
            for (api, version, body) in frames {
                let mut client = Client::connect(node.addr()).await;
                let mut frame = Vec::new();
                frame.extend_from_slice(&(body.len() as u32 + 8).to_be_bytes());
                frame.extend_from_slice(&api.to_be_bytes());
                frame.extend_from_slice(&version.to_be_bytes());
                frame.extend_from_slice(&[0; 4]);
                frame.extend_from_slice(&body);
                client.send_raw(&frame).await;
            }
            let mut client = Client::connect(node.addr()).await;
            client.ask(3, &ApiVersionsRequest::default()).await.is_some()
        });
        prop_assert!(answered);
    }
}
