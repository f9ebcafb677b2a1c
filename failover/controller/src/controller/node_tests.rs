//! A whole controller between two embedded nodes; only the mirror is pretended.

use leeward_client::ClientConfig;
use leeward_node::{Node, NodeConfig, RunningNode};

use super::tests::{client, core, name, rules, serves, wait};
use super::*;
use crate::{Agent, AgentConfig, Budgets, KafkaCluster, Protected, RegionConfig, pretend::PretendMirror};
use leeward_failover_core::Standing;
use leeward_proto::{control::StatusRequest, transport::Transport};
use std::time::Duration;

struct Regions {
    folder: tempfile::TempDir,
    nodes: Vec<Option<RunningNode>>,
    addresses: Vec<SocketAddr>,
}

impl Regions {
    async fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut regions = Self { folder, nodes: Vec::new(), addresses: Vec::new() };
        for region in ["a", "b"] {
            let node =
                Node::start(NodeConfig::new(regions.folder.path().join(region))).await.expect("started");
            regions.addresses.push(node.addr());
            regions.nodes.push(Some(node));
        }
        regions
    }

    fn cluster(&self, index: usize) -> Arc<dyn Cluster> {
        let region = name(["a", "b"][index]);
        Arc::new(KafkaCluster::new(&region, ClientConfig::new(vec![self.addresses[index].to_string()])))
    }

    async fn controller(&self, mirror: &str) -> Controller {
        let region = |index: usize| RegionConfig {
            name: name(["a", "b"][index]),
            cluster: self.cluster(index),
            mirror: mirror.to_owned(),
        };
        let any: SocketAddr = "127.0.0.1:0".parse().expect("an address");
        let config = ControllerConfig {
            topology: leeward_model::TopologyName::new("payments").expect("legal"),
            core: core(),
            place: name("w"),
            regions: vec![region(0), region(1)],
            protected: Protected::new(|_| true),
            seal_default: true,
            redirectors: Vec::new(),
            drain_max: Duration::from_secs(2),
            budgets: Budgets {
                rpo: Duration::from_secs(10),
                rto: Duration::from_secs(10),
                rto_worst_case: Duration::from_secs(3),
            },
            data: self.folder.path().join("controller"),
            transport: Transport::default(),
            grpc_listen: any,
            http_listen: Some(any),
        };
        Controller::start(config).await.expect("started")
    }

    fn agent(&self, index: usize, controller: &Controller) -> Agent {
        let region = ["a", "b"][index];
        let config = AgentConfig {
            region: name(region),
            clusters: vec![(name("a"), self.cluster(0)), (name("b"), self.cluster(1))],
            controller: format!("http://{}", controller.grpc_address()),
            transport: Transport::default(),
            detect: rules(),
            protected: Protected::new(|_| true),
            seal_default: true,
            seals_itself: true,
            lease: core().lease.duration,
            data: self.folder.path().join(format!("agent-{region}")),
        };
        Agent::start(&config).expect("started")
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_node_is_left_within_three_seconds_and_fenced_when_it_returns() {
    let mut regions = Regions::start().await;
    let controller = regions.controller(&PretendMirror::default().serve().await).await;
    let _agents = [regions.agent(0, &controller), regions.agent(1, &controller)];
    wait(&controller, "everything is ready", |status| {
        status.regions[&name("a")].writable && status.gates.iter().all(|gate| gate.refusal.is_none())
    })
    .await;

    regions.nodes[0].take().expect("it runs").shutdown().await;
    wait(&controller, "b serves", |status| serves(status, "b")).await;
    let reply = client(&controller).await.status(StatusRequest {}).await.expect("answered").into_inner();
    let mut again = NodeConfig::new(regions.folder.path().join("a"));
    again.listen = regions.addresses[0];
    regions.nodes[0] = Some(Node::start(again).await.expect("started again"));
    wait(&controller, "a is fenced", |status| {
        matches!(status.regions[&name("a")].standing, Standing::Fenced { .. })
    })
    .await;

    let phases = reply.last_failover.expect("there was one").phases;
    let took = phases.iter().map(|phase| phase.started_after_micros + phase.took_micros).max();
    assert!(took.expect("phases") < 3_000_000, "{phases:#?}");
}
