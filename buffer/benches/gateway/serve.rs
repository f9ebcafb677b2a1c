//! The processes under load: an embedded region, and a gateway that forwards to a region.

use std::collections::{BTreeMap, HashMap};
use std::io::BufRead;
use std::net::SocketAddr;
use std::sync::Arc;

use leeward_buffer::{Acknowledge, Gateway, GatewayConfig};
use leeward_client::ClientConfig;
use leeward_log::{FlushPolicy, GroupWait};
use leeward_model::{ByteSize, RegionName};
use leeward_node::{Node, NodeConfig};
use leeward_proto::transport::Transport;
use prometheus::Registry;

use super::Words;

const CAPACITY_GIB: u64 = 16;

/// An embedded region, until the input ends.
pub(crate) fn node(words: &Words) {
    let runtime = runtime();
    let flush = match words.number_or("sync", 0) {
        0 => FlushPolicy::OsDecides,
        _ => FlushPolicy::EveryAppend,
    };
    let config = NodeConfig { flush, ..NodeConfig::new(words.text("dir")) };
    let node = runtime.block_on(Node::start(config)).expect("the node starts");
    println!(r#"{{"address":"{}"}}"#, node.addr());
    for _ in std::io::stdin().lock().lines() {}
    runtime.block_on(node.shutdown());
}

/// A gateway before one region, until the input ends. Each line of input is answered with its counters.
pub(crate) fn gateway(words: &Words) {
    let runtime = runtime();
    let region = RegionName::new("region").expect("a name");
    let registry = Registry::new();
    let config = GatewayConfig {
        name: "bench".to_owned(),
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        tls: None,
        advertised: None,
        dir: words.text("dir").into(),
        capacity: ByteSize::mib(CAPACITY_GIB << 10),
        group_wait: GroupWait::default(),
        acknowledge: Acknowledge::AfterFsync,
        regions: [(region.clone(), ClientConfig::new(vec![words.text("region").to_owned()]))].into(),
        acting: Some(region),
        transport: Transport::default(),
        controllers: Vec::new(),
        agents: BTreeMap::new(),
        mirrored: Arc::new(|_| true),
        registry: registry.clone(),
        labels: HashMap::new(),
    };
    let gateway = runtime.block_on(Gateway::start(config)).expect("the gateway starts");
    println!(r#"{{"address":"{}"}}"#, gateway.address());
    for _ in std::io::stdin().lock().lines() {
        let status = gateway.status();
        println!("{}", counters(&registry, status.unforwarded_records));
    }
    runtime.block_on(gateway.shutdown());
}

fn counters(registry: &Registry, unforwarded: u64) -> String {
    let mut said = format!(r#"{{"unforwarded_records":{unforwarded}"#);
    for family in registry.gather() {
        for metric in family.get_metric() {
            if family.get_field_type() == prometheus::proto::MetricType::COUNTER
                && metric.get_label().is_empty()
            {
                said += &format!(r#","{}":{}"#, family.name(), metric.get_counter().get_value());
            }
        }
    }
    said + "}"
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("the system has threads left")
}
