//! Names, asked of one DNS server.

use std::{net::Ipv4Addr, sync::Arc};

use leeward_client::{Cluster, DnsServerResolver, Resolve};
use parking_lot::Mutex;
use tokio::net::UdpSocket;

use crate::fake::{Broker, usual};

const HEADER_BYTES: usize = 12;
const TYPE_A: [u8; 2] = [0, 1];

/// A DNS server that gives every name one address, which the test can change.
async fn dns(address: Arc<Mutex<Ipv4Addr>>) -> std::net::SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let at = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut query = [0; 512];
        loop {
            let (length, from) = socket.recv_from(&mut query).await.unwrap();
            let answer = answer(&query[..length], *address.lock());
            socket.send_to(&answer, from).await.unwrap();
        }
    });
    at
}

fn answer(query: &[u8], address: Ipv4Addr) -> Vec<u8> {
    let name_bytes = query[HEADER_BYTES..].iter().position(|byte| *byte == 0).unwrap() + 1;
    let question = &query[HEADER_BYTES..HEADER_BYTES + name_bytes + 4];
    let is_a = question[name_bytes..name_bytes + 2] == TYPE_A;
    let mut answer = query[..2].to_vec();
    answer.extend([0x85, 0x80, 0, 1, 0, u8::from(is_a), 0, 0, 0, 0]);
    answer.extend(question);
    if is_a {
        // The name is that of the question; class IN, time to live one hour, four bytes.
        answer.extend([0xC0, 0x0C, 0, 1, 0, 1, 0, 0, 0x0E, 0x10, 0, 4]);
        answer.extend(address.octets());
    }
    answer
}

#[tokio::test]
async fn a_name_is_asked_for_again_whatever_its_time_to_live() {
    let address = Arc::new(Mutex::new(Ipv4Addr::new(127, 0, 0, 8)));
    let resolver = DnsServerResolver::new(dns(address.clone()).await).unwrap();

    let before = resolver.resolve("kafka.example").await.unwrap();
    *address.lock() = Ipv4Addr::new(127, 0, 0, 9);
    let after = resolver.resolve("kafka.example").await.unwrap();

    assert_eq!(before, [Ipv4Addr::new(127, 0, 0, 8)]);
    assert_eq!(after, [Ipv4Addr::new(127, 0, 0, 9)]);
}

#[tokio::test]
async fn a_cluster_is_found_by_a_name_that_only_that_server_knows() {
    let broker = Broker::start(1, "c", usual()).await;
    let server = dns(Arc::new(Mutex::new(Ipv4Addr::LOCALHOST))).await;
    let mut config = broker.config();
    config.bootstrap = vec![format!("kafka.nowhere.example:{}", broker.address.port())];
    config.resolver = Arc::new(DnsServerResolver::new(server).unwrap());

    let cluster = Cluster::connect(config).await;

    assert_eq!(cluster.unwrap().cluster_id().as_str(), "c");
}
