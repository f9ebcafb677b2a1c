//! A node with two ways in.

use leeward_node::{Endpoint, Entrance, Node, NodeConfig};
use leeward_wire::api::{DescribeClusterRequest, FindCoordinatorRequest, MetadataRequest};
use leeward_wire::record::Compression;

use crate::support::{Client, batch};

#[tokio::test]
async fn clients_are_told_the_address_of_the_way_they_came() {
    let folder = tempfile::tempdir().unwrap();
    let second = Entrance {
        listen: ([127, 0, 0, 1], 0).into(),
        advertised: Some(Endpoint { host: "proxy.test".to_owned(), port: 7 }),
    };
    let config = NodeConfig { second: Some(second), ..NodeConfig::new(folder.path()) };
    let node = Node::start(config).await.unwrap();
    let mut near = Client::connect(node.addr()).await;
    let mut far = Client::connect(node.second_addr().unwrap()).await;

    let near_port = near.call(9, &MetadataRequest::default()).await.brokers[0].port;
    let metadata = far.call(9, &MetadataRequest::default()).await;
    let cluster =
        far.call(1, &DescribeClusterRequest { endpoint_type: 1, ..DescribeClusterRequest::default() }).await;
    let key = FindCoordinatorRequest { key: "g".to_owned(), ..FindCoordinatorRequest::default() };
    let coordinator = far.call(2, &key).await;

    assert_eq!(near_port, i32::from(node.addr().port()));
    assert_eq!((metadata.brokers[0].host.as_str(), metadata.brokers[0].port), ("proxy.test", 7));
    assert_eq!((cluster.brokers[0].host.as_str(), cluster.brokers[0].port), ("proxy.test", 7));
    assert_eq!((coordinator.host.as_str(), coordinator.port), ("proxy.test", 7));
}

#[tokio::test]
async fn both_ways_lead_to_the_same_records() {
    let folder = tempfile::tempdir().unwrap();
    let second = Entrance { listen: ([127, 0, 0, 1], 0).into(), advertised: None };
    let config = NodeConfig { second: Some(second), ..NodeConfig::new(folder.path()) };
    let node = Node::start(config).await.unwrap();
    let mut near = Client::connect(node.addr()).await;
    let mut far = Client::connect(node.second_addr().unwrap()).await;
    near.create_topic("t", 1, &[]).await;

    near.produce("t", &batch(Compression::None, &["v"])).await.unwrap();

    assert_eq!(far.values("t").await, ["v"]);
}
