//! A whole controller over gRPC: pretended clusters, a pretended mirror agent, real agents, journal and clocks.

mod agents;

use std::{num::NonZeroU32, path::Path, time::Duration};

use leeward_failover_core::{
    Automation, Config, Gates, LeaseRule, Level, LevelRule, OperationResult, Phase, Standing, TailPolicy,
};
use leeward_model::{RegionName, TopologyName};
use leeward_proto::{
    control::{EventsRequest, GatewayReport, StatusRequest, VerbRequest, control_client::ControlClient},
    transport::Transport,
};
use tokio_stream::StreamExt;

use super::*;
use crate::{
    Agent, AgentConfig, Budgets, Protected, RegionConfig,
    pretend::{PretendCluster, PretendMirror},
};

pub(super) fn name(name: &str) -> RegionName {
    RegionName::new(name).expect("legal")
}

pub(super) fn rules() -> BTreeMap<Level, LevelRule> {
    let rule =
        LevelRule { every: Duration::from_millis(100), fail_after: NonZeroU32::new(3).expect("not zero") };
    Level::ALL.into_iter().map(|level| (level, rule)).collect()
}

pub(super) fn core() -> Config {
    Config {
        regions: [name("a"), name("b")],
        places: vec![name("a"), name("b"), name("w")],
        detect: rules(),
        quorum: 2,
        automation: Automation::Auto,
        gates: Gates {
            rpo_max: Some(Duration::from_secs(10)),
            standby_writable: true,
            no_partition_drift: true,
            offsets_max_age: Some(Duration::from_secs(30)),
            evidence_max_age: Duration::from_secs(15),
        },
        cooldown: Duration::ZERO,
        lease: LeaseRule { duration: Duration::from_millis(600), margin: Duration::from_millis(50) },
        resync: None,
    }
}

struct World {
    clusters: [Arc<PretendCluster>; 2],
    mirror: String,
    folder: tempfile::TempDir,
    agents: Vec<Agent>,
}

impl World {
    async fn new() -> Self {
        let cluster = |name| Arc::new(PretendCluster::new(name, &["orders"]));
        let folder = tempfile::tempdir().expect("a folder");
        Self {
            clusters: [cluster("a"), cluster("b")],
            mirror: PretendMirror::default().serve().await,
            folder,
            agents: Vec::new(),
        }
    }

    fn config(&self, core: Config, grpc_listen: SocketAddr) -> ControllerConfig {
        let region = |index: usize, region: &str| RegionConfig {
            name: name(region),
            cluster: self.clusters[index].clone(),
            mirror: self.mirror.clone(),
        };
        ControllerConfig {
            topology: TopologyName::new("payments").expect("legal"),
            core,
            place: name("w"),
            regions: vec![region(0, "a"), region(1, "b")],
            protected: Protected::new(|_| true),
            seal_default: false,
            redirectors: Vec::new(),
            drain_max: Duration::from_secs(2),
            budgets: Budgets {
                rpo: Duration::from_secs(10),
                rto: Duration::from_secs(10),
                rto_worst_case: Duration::from_secs(3),
            },
            data: self.folder.path().join("controller"),
            transport: Transport::default(),
            grpc_listen,
            http_listen: Some("127.0.0.1:0".parse().expect("an address")),
        }
    }

    /// An agent that reaches no controller.
    fn agent(&self, region: &str, lease: Duration) -> AgentConfig {
        AgentConfig {
            region: name(region),
            clusters: vec![
                (name("a"), self.clusters[0].clone() as Arc<dyn Cluster>),
                (name("b"), self.clusters[1].clone()),
            ],
            controller: "http://127.0.0.1:1".to_owned(),
            transport: Transport::default(),
            detect: rules(),
            protected: Protected::new(|_| true),
            seal_default: false,
            seals_itself: true,
            lease,
            data: self.folder.path().join(format!("agent-{region}")),
        }
    }

    /// Waits until region `a` is sealed.
    async fn sealed(&self) {
        let sealed = async {
            while self.clusters[0].seals() == 0 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), sealed).await.expect("sealed");
    }

    /// A controller with agents in both regions, once it sees them well.
    async fn start(&mut self, core: Config) -> Controller {
        let lease = core.lease.duration;
        let config = self.config(core, "127.0.0.1:0".parse().expect("an address"));
        let controller = Controller::start(config).await.expect("started");
        for region in ["a", "b"] {
            let controller = format!("http://{}", controller.grpc_address());
            let config = AgentConfig { controller, ..self.agent(region, lease) };
            self.agents.push(Agent::start(&config).expect("started"));
        }
        wait(&controller, "everybody is heard", |status| {
            let heard = |region: &RegionName| {
                let votes = status.regions[region].health.votes.values();
                votes.filter(|vote| **vote == leeward_failover_core::Vote::Up).count() == 3
            };
            heard(&name("a")) && heard(&name("b")) && status.gates.iter().all(|gate| gate.refusal.is_none())
        })
        .await;
        controller
    }
}

pub(super) async fn wait(controller: &Controller, what: &str, wanted: impl Fn(&Status) -> bool) -> Status {
    let waiting = controller.wait_for(wanted);
    let seen = tokio::time::timeout(Duration::from_secs(20), waiting).await;
    let seen = seen.unwrap_or_else(|_| panic!("{what} was not seen: {:#?}", controller.status()));
    seen.expect("it runs")
}

pub(super) async fn client(controller: &Controller) -> ControlClient<tonic::transport::Channel> {
    ControlClient::connect(format!("http://{}", controller.grpc_address())).await.expect("connected")
}

pub(super) fn serves(status: &Status, region: &str) -> bool {
    status.serving == Some(name(region)) && status.operation.is_none() && status.phase == Phase::Steady
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_region_is_ever_sealed_while_everything_starts() {
    let mut world = World::new().await;

    let _controller = world.start(core()).await;

    assert_eq!([world.clusters[0].seals(), world.clusters[1].seals()], [0, 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_primary_is_left_within_three_seconds() {
    let mut world = World::new().await;
    let controller = world.start(core()).await;

    world.clusters[0].die(true);
    wait(&controller, "b serves", |status| serves(status, "b")).await;

    let reply = client(&controller).await.status(StatusRequest {}).await.expect("answered").into_inner();
    let last = reply.last_failover.expect("there was one");
    let took = last.phases.iter().map(|phase| phase.started_after_micros + phase.took_micros).max();
    assert!(took.expect("phases") < 3_000_000, "{:#?}", last.phases);
    assert_eq!((last.fence.as_str(), reply.acting_primary.as_str()), ("assumed", "b"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_old_primary_that_comes_back_is_sealed_and_its_tail_is_exact() {
    let mut world = World::new().await;
    let controller = world.start(core()).await;
    world.clusters[0].die(true);
    wait(&controller, "b serves", |status| serves(status, "b")).await;
    world.clusters[0].append("orders", 4);

    world.clusters[0].die(false);
    let status = wait(&controller, "a is fenced", |status| {
        matches!(status.regions[&name("a")].standing, Standing::Fenced { .. })
    })
    .await;

    let loss = status.loss.expect("stated");
    assert_eq!((loss.is_exact(), loss.lower()), (true, 5));
    let topic = leeward_model::TopicName::new("orders").expect("legal");
    assert_eq!(world.clusters[0].bytes(&topic), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_controller_that_dies_in_a_failover_ends_it_after_its_restart() {
    let mut world = World::new().await;
    let controller = world.start(core()).await;
    let address = controller.grpc_address();
    world.clusters[0].die(true);
    wait(&controller, "a failover runs", |status| status.operation.is_some()).await;

    controller.shutdown().await;
    let controller = Controller::start(world.config(core(), address)).await.expect("started again");
    let status = wait(&controller, "b serves", |status| serves(status, "b")).await;

    assert_eq!(status.epoch.to_wire(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failover_survives_a_controller_that_dies_again_and_again() {
    let mut world = World::new().await;
    let mut controller = world.start(core()).await;
    let address = controller.grpc_address();
    world.clusters[0].die(true);
    wait(&controller, "a failover runs", |status| status.operation.is_some()).await;

    for life in 1..8_u64 {
        controller.shutdown().await;
        controller = Controller::start(world.config(core(), address)).await.expect("started again");
        let short = controller.wait_for(|status| serves(status, "b"));
        // Each life is a little longer, so that death comes at every step.
        if tokio::time::timeout(Duration::from_millis(150 * life), short).await.is_ok() {
            break;
        }
    }
    let status = wait(&controller, "b serves", |status| serves(status, "b")).await;

    let entries = {
        controller.shutdown().await;
        let log = RedbLog::open(&world.folder.path().join("controller")).expect("opened");
        log.read().await.expect("read")
    };
    assert_eq!(status.epoch.to_wire(), 2);
    assert_eq!(leeward_failover_core::check_history(&entries, Duration::ZERO), Ok(()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_switchover_loses_nothing_and_leaves_a_standby_behind() {
    let mut world = World::new().await;
    let controller = world.start(core()).await;

    let request = VerbRequest { to: "b".into(), idempotency_key: "once".into(), ..VerbRequest::default() };
    let mut client = client(&controller).await;
    let reply = client.switchover(request.clone()).await.expect("answered").into_inner();
    let again = client.switchover(request).await.expect("answered").into_inner();

    assert_eq!((reply.outcome.as_str(), reply.epoch, again.epoch), ("finished", 2, 2), "{reply:#?}");
    assert_eq!(controller.status().regions[&name("a")].standing, Standing::Standby);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mirror_that_is_started_again_in_a_failover_does_not_stop_it() {
    let mut world = World::new().await;
    let mirror = PretendMirror::default();
    let waits = mirror.waits.clone();
    world.mirror = mirror.serve().await;
    let controller = world.start(core()).await;

    world.clusters[0].die(true);
    wait(&controller, "a failover runs", |status| status.operation.is_some()).await;
    waits.store(true, std::sync::atomic::Ordering::Relaxed);

    wait(&controller, "b serves", |status| serves(status, "b")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_switchover_ends_once_the_link_back_has_begun() {
    let mut world = World::new().await;
    let mirror = PretendMirror { begins_late: true, ..PretendMirror::default() };
    let waits = mirror.waits.clone();
    world.mirror = mirror.serve().await;
    let controller = world.start(core()).await;

    let request = VerbRequest { to: "b".into(), ..VerbRequest::default() };
    let mut client = client(&controller).await;
    let switchover = tokio::spawn(async move { client.switchover(request).await });
    while !waits.load(std::sync::atomic::Ordering::Relaxed) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    let standing = controller.status().regions[&name("a")].standing.clone();
    waits.store(false, std::sync::atomic::Ordering::Relaxed);

    let reply = switchover.await.expect("asked").expect("answered").into_inner();
    assert_eq!(reply.outcome, "finished", "{reply:#?}");
    assert!(matches!(standing, Standing::Lost { .. }), "{standing:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_that_was_sealed_for_an_aborted_switchover_goes_on() {
    let mut world = World::new().await;
    let mirror = PretendMirror { loses_answers: true, ..PretendMirror::default() };
    let sealed = mirror.sealed.clone();
    world.mirror = mirror.serve().await;
    let controller = world.start(core()).await;

    let request = VerbRequest { to: "b".into(), ..VerbRequest::default() };
    let reply = client(&controller).await.switchover(request).await.expect("answered").into_inner();
    let goes_on = async {
        while !sealed.lock().is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let went_on = tokio::time::timeout(Duration::from_secs(20), goes_on).await;

    assert!(reply.reason.contains("the answer is lost"), "{reply:#?}");
    assert!(went_on.is_ok() && controller.status().serving == Some(name("a")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_is_told_to_stop_first_and_then_where_to_go() {
    let mut world = World::new().await;
    let controller = world.start(core()).await;
    let mut client = client(&controller).await;
    let (reports, outbox) = mpsc::channel(16);
    let report = |epoch, forwarding_to: String| GatewayReport {
        gateway: "g".into(),
        epoch,
        forwarding_to,
        ..GatewayReport::default()
    };
    reports.send(report(0, String::new())).await.expect("open");
    let stream = tokio_stream::wrappers::ReceiverStream::new(outbox);
    let mut grants = client.grants(stream).await.expect("answered").into_inner();

    world.clusters[0].die(true);
    let mut told: Vec<(u64, String)> = Vec::new();
    while told.last().is_none_or(|(_, acting)| acting != "b") {
        let grant = grants.next().await.expect("open").expect("a grant");
        let now = (grant.epoch, grant.acting_primary.clone());
        if told.last() != Some(&now) {
            told.push(now);
        }
        reports.send(report(grant.epoch, grant.acting_primary)).await.expect("open");
    }

    assert_eq!(told, [(1, "a".into()), (2, String::new()), (2, "b".into())]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_returned_region_serves_again_after_a_failback() {
    let mut world = World::new().await;
    let mirror = PretendMirror::default();
    let made_anew = mirror.made_anew.clone();
    world.mirror = mirror.serve().await;
    let controller = world.start(Config { resync: Some(TailPolicy::Quarantine), ..core() }).await;
    world.clusters[0].die(true);
    wait(&controller, "b serves", |status| serves(status, "b")).await;
    world.clusters[0].die(false);
    wait(&controller, "a is a standby", |status| {
        let open = status.gates.iter().all(|gate| gate.refusal.is_none());
        status.regions[&name("a")].standing == Standing::Standby && status.operation.is_none() && open
    })
    .await;

    let request = VerbRequest { to: "a".into(), ..VerbRequest::default() };
    let reply = client(&controller).await.failback(request).await.expect("answered").into_inner();

    assert_eq!((reply.outcome.as_str(), reply.epoch), ("finished", 3), "{reply:#?}");
    let summary = controller.brain.timeline.lock().last_promotion().expect("there was one");
    assert_eq!(summary.result, Some(OperationResult::Completed));
    assert_eq!(*made_anew.lock(), ["b-to-a"], "only a's topics were deleted");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failover_without_a_named_loss_is_refused_and_says_what_is_at_risk() {
    let mut world = World::new().await;
    let controller = world.start(core()).await;

    let request = VerbRequest { to: "b".into(), ..VerbRequest::default() };
    let reply = client(&controller).await.failover(request).await.expect("answered").into_inner();

    assert!(reply.outcome == "refused" && reply.reason.contains("the loss must be named"), "{reply:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_tell_a_failover_in_its_order() {
    let mut world = World::new().await;
    let controller = world.start(core()).await;
    world.clusters[0].die(true);
    wait(&controller, "b serves", |status| serves(status, "b")).await;

    let request = EventsRequest { after: 0, follow: false };
    let events = client(&controller).await.events(request).await.expect("answered").into_inner();
    let codes: Vec<String> = events.map(|event| event.expect("an event").code).collect().await;

    let wanted = ["failover-started", "region-fenced", "region-promoted", "dns-moved", "failover-finished"];
    let told: Vec<&str> = codes.iter().map(String::as_str).filter(|code| wanted.contains(code)).collect();
    assert_eq!(told, wanted);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_links_event_is_told_once_across_restarts_and_its_ordinary_life_never() {
    let mut world = World::new().await;
    let controller = world.start(core()).await;
    let address = controller.grpc_address();
    let followed = EventsRequest { after: 0, follow: true };
    let events = client(&controller).await.events(followed).await.expect("answered").into_inner();
    let of_link = events.map(|event| event.expect("an event")).filter(|event| event.source == "a-to-b");
    let mut of_link = std::pin::pin!(of_link);
    let first = tokio::time::timeout(Duration::from_secs(20), of_link.next()).await;
    let first = first.expect("in time").expect("told");
    controller.shutdown().await;

    let controller = Controller::start(world.config(core(), address)).await.expect("started again");
    wait(&controller, "everything is seen", |status| status.gates.iter().all(|gate| gate.refusal.is_none()))
        .await;
    let request = EventsRequest { after: 0, follow: false };
    let events = client(&controller).await.events(request).await.expect("answered").into_inner();
    let events: Vec<_> = events.map(|event| event.expect("an event")).collect().await;

    let of_links: Vec<_> = events.iter().filter(|event| event.source == "a-to-b").collect();
    assert_eq!((first.code.as_str(), first.text.starts_with("orders-0: ")), ("foreign-write", true));
    // One mirror agent pretends to be that of both regions.
    assert_eq!(of_links.len(), 2, "{of_links:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn metrics_name_the_epoch_and_the_acting_region() {
    let mut world = World::new().await;
    let controller = world.start(core()).await;

    let text = http_get(controller.http_address().expect("it listens"), "/metrics").await;

    assert!(text.contains(r#"leeward_epoch{topology="payments"} 1"#), "{text}");
    assert!(
        text.contains(r#"leeward_region_role{region="a",role="primary",topology="payments"} 1"#),
        "{text}"
    );
}

async fn http_get(address: SocketAddr, path: &str) -> String {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut stream = tokio::net::TcpStream::connect(address).await.expect("connected");
    let request = format!("GET {path} HTTP/1.1\r\nHost: leeward\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut text = String::new();
    stream.read_to_string(&mut text).await.expect("read");
    text
}

#[test]
fn a_journal_folder_is_made_where_it_is_missing() {
    let folder = tempfile::tempdir().expect("a folder");
    let path: &Path = &folder.path().join("deep/er");

    assert!(RedbLog::open(path).is_ok());
}
