//! Regions, a controller that grants what it is told to, and a mirror that copies one partition.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use leeward_buffer::{Acknowledge, Gateway, GatewayConfig, GroupWait};
use leeward_client::{
    Acks, ClientConfig, Cluster, ConsumedRecord, FetchFrom, FetchPlan, Fetcher, Isolation, NewRecord,
    NewTopic, Producer, ProducerConfig, TopicSelection, read_records,
};
use leeward_model::{ByteSize, PartitionIndex, RegionName, TopicId, TopicName, TopicPartition};
use leeward_node::{Node, NodeConfig, RunningNode};
use leeward_proto::control::control_server::{Control, ControlServer};
use leeward_proto::control::{
    Event, EventsRequest, GatewayReport, Grant, PlanReply, PromotedPartition, StatusReply, StatusRequest,
    VerbReply, VerbRequest, WatchRequest,
};
use leeward_proto::link::link_server::{Link, LinkServer};
use leeward_proto::link::{
    GroupsReply, LinkEvent, LinkEventsRequest, LinkReply, LinkRequest, SealReply, SealRequest, StartRequest,
    TranslateReply, TranslateRequest, Watermark, WatermarkUpdate,
};
use tokio::sync::watch;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::{Request, Response, Status, Streaming};

pub(super) const PATIENCE: Duration = Duration::from_secs(20);

pub(super) fn region(name: &str) -> RegionName {
    RegionName::new(name).unwrap()
}

pub(super) fn orders() -> TopicPartition {
    TopicPartition {
        topic: TopicName::new("orders").unwrap(),
        partition: PartitionIndex::from_wire(0).unwrap(),
    }
}

pub(super) async fn node(dir: &Path) -> RunningNode {
    node_with(NodeConfig::new(dir)).await
}

pub(super) async fn node_with(config: NodeConfig) -> RunningNode {
    let node = Node::start(config).await.unwrap();
    let cluster = connect(node.addr()).await;
    let topic =
        NewTopic { name: orders().topic, partitions: 2, replication_factor: None, configs: BTreeMap::new() };
    let _ = cluster.create_topic(&topic, PATIENCE).await;
    node
}

pub(super) fn free_address() -> SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

pub(super) fn client(addresses: &[SocketAddr]) -> ClientConfig {
    ClientConfig::new(addresses.iter().map(ToString::to_string).collect())
}

pub(super) async fn connect(address: SocketAddr) -> Cluster {
    Cluster::connect(client(&[address])).await.unwrap()
}

pub(super) fn config(dir: &Path, regions: &[(&str, SocketAddr)]) -> GatewayConfig {
    GatewayConfig {
        name: "gateway-1".to_owned(),
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        tls: None,
        advertised: None,
        dir: dir.to_owned(),
        capacity: ByteSize::mib(64),
        group_wait: GroupWait::default(),
        acknowledge: Acknowledge::AfterFsync,
        regions: regions.iter().map(|(name, at)| (region(name), client(&[*at]))).collect(),
        acting: None,
        transport: leeward_proto::transport::Transport::default(),
        controllers: Vec::new(),
        agents: BTreeMap::new(),
        mirrored: Arc::new(|_| true),
        registry: prometheus::Registry::new(),
        labels: HashMap::new(),
    }
}

pub(super) fn record(text: &str) -> NewRecord {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let timestamp_ms = i64::try_from(since.as_millis()).unwrap();
    NewRecord { timestamp_ms, value: Some(Bytes::from(text.to_owned())), ..NewRecord::default() }
}

pub(super) fn producer(cluster: &Cluster) -> Producer {
    Producer::new(cluster, ProducerConfig { acks: Acks::All, ..ProducerConfig::default() })
}

/// A partition's records, from the first to the last that stands there at the moment.
async fn records(cluster: &Cluster, partition: &TopicPartition) -> Vec<ConsumedRecord> {
    let leader = cluster.leader(partition).await.unwrap().broker;
    let mut fetcher = Fetcher::new(cluster, leader);
    fetcher.set(partition.clone(), FetchFrom::offset(0));
    let plan = FetchPlan { max_wait: Duration::from_millis(1), ..FetchPlan::default() };
    let (mut records, mut next) = (Vec::new(), 0);
    loop {
        let fetched = fetcher.fetch(&plan).await.unwrap();
        let mut found = false;
        for part in fetched {
            let read = read_records(&part, next, Isolation::ReadUncommitted).unwrap();
            found |= !read.records.is_empty();
            next = read.next_offset;
            fetcher.set(partition.clone(), FetchFrom::offset(next));
            records.extend(read.records);
        }
        if !found {
            return records;
        }
    }
}

/// A partition's values.
pub(super) async fn values(cluster: &Cluster, partition: &TopicPartition) -> Vec<String> {
    let records = records(cluster, partition).await;
    records.into_iter().filter_map(|record| record.value).map(|value| text(&value)).collect()
}

fn text(bytes: &Bytes) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Waits until a partition holds as many values; returns what it holds then.
pub(super) async fn await_values(cluster: &Cluster, partition: &TopicPartition, count: usize) -> Vec<String> {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        let values = values(cluster, partition).await;
        if values.len() >= count || tokio::time::Instant::now() > deadline {
            return values;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

pub(super) fn numbered(from: usize, to: usize) -> Vec<String> {
    (from..to).map(|number| format!("value-{number}")).collect()
}

/// Produces numbered values one batch after the other.
pub(super) async fn produce(producer: &Producer, from: usize, to: usize) {
    for value in numbered(from, to) {
        Box::pin(producer.send(&orders(), &[record(&value)])).await.unwrap();
    }
}

/// Copies records of the source behind those that the target has, as a mirror would; returns how many it has then.
pub(super) async fn mirror(source: &Cluster, target: &Cluster, limit: usize) -> i64 {
    let have = values(target, &orders()).await.len();
    let all = records(source, &orders()).await;
    let copied = all.len().min(limit);
    let producer = producer(target);
    for record in all.into_iter().take(copied).skip(have) {
        let copy =
            NewRecord { timestamp_ms: record.timestamp_ms, value: record.value, ..NewRecord::default() };
        Box::pin(producer.send(&orders(), &[copy])).await.unwrap();
    }
    i64::try_from(copied.max(have)).unwrap()
}

/// The id of the topic that a region has.
pub(super) async fn topic_id(at: &Cluster) -> TopicId {
    let name = orders().topic;
    let known = at.metadata(TopicSelection::Named(std::slice::from_ref(&name))).await.unwrap();
    known.topics[&name].id.unwrap()
}

pub(super) fn granted(epoch: u64, to: &str) -> Grant {
    Grant { epoch, acting_primary: to.to_owned(), lease_millis: 2000, ..Grant::default() }
}

pub(super) fn promoted(epoch: u64, from: &str, to: &str, replicated_to: i64) -> Grant {
    let partition = PromotedPartition {
        topic: "orders".to_owned(),
        partition: 0,
        replicated_to,
        target_end: replicated_to,
    };
    Grant { replay_from: from.to_owned(), promoted: vec![partition], ..granted(epoch, to) }
}

/// A controller that pushes whatever grant it was told last, in answer to the newest report unless the grant says another.
#[derive(Debug)]
pub(super) struct Controller {
    pub(super) address: String,
    grant: watch::Sender<Option<Grant>>,
    pub(super) reports: watch::Receiver<GatewayReport>,
}

impl Controller {
    pub(super) async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let (grant, grants) = watch::channel(None);
        let (report, reports) = watch::channel(GatewayReport::default());
        let service = ControlServer::new(Granting { grants, report: Arc::new(report) });
        tokio::spawn(
            tonic::transport::Server::builder()
                .add_service(service)
                .serve_with_incoming(TcpListenerStream::new(listener)),
        );
        Self { address, grant, reports }
    }

    pub(super) fn grant(&self, grant: Grant) {
        self.grant.send_replace(Some(grant));
    }

    pub(super) async fn await_report(&mut self, wanted: impl Fn(&GatewayReport) -> bool) -> GatewayReport {
        let waiting = self.reports.wait_for(wanted);
        tokio::time::timeout(PATIENCE, waiting).await.expect("in time").unwrap().clone()
    }
}

struct Granting {
    grants: watch::Receiver<Option<Grant>>,
    report: Arc<watch::Sender<GatewayReport>>,
}

type Answer<T> = Result<Response<T>, Status>;

fn not_here<T>() -> Answer<T> {
    Err(Status::unimplemented("grants only"))
}

#[tonic::async_trait]
impl Control for Granting {
    type WatchStream = ReceiverStream<Result<StatusReply, Status>>;
    type EventsStream = ReceiverStream<Result<Event, Status>>;
    type GrantsStream = ReceiverStream<Result<Grant, Status>>;

    async fn status(&self, _: Request<StatusRequest>) -> Answer<StatusReply> {
        not_here()
    }

    async fn watch(&self, _: Request<WatchRequest>) -> Answer<Self::WatchStream> {
        not_here()
    }

    async fn plan(&self, _: Request<VerbRequest>) -> Answer<PlanReply> {
        not_here()
    }

    async fn failover(&self, _: Request<VerbRequest>) -> Answer<VerbReply> {
        not_here()
    }

    async fn switchover(&self, _: Request<VerbRequest>) -> Answer<VerbReply> {
        not_here()
    }

    async fn failback(&self, _: Request<VerbRequest>) -> Answer<VerbReply> {
        not_here()
    }

    async fn steer(&self, _: Request<VerbRequest>) -> Answer<VerbReply> {
        not_here()
    }

    async fn events(&self, _: Request<EventsRequest>) -> Answer<Self::EventsStream> {
        not_here()
    }

    async fn grants(&self, reports: Request<Streaming<GatewayReport>>) -> Answer<Self::GrantsStream> {
        let (sender, grants) = tokio::sync::mpsc::channel(4);
        let (mut reports, report) = (reports.into_inner(), self.report.clone());
        let first = reports.next().await.unwrap()?;
        let (number, newest) = watch::channel(first.number);
        report.send_replace(first);
        tokio::spawn(async move {
            while let Some(Ok(one)) = reports.next().await {
                number.send_replace(one.number);
                report.send_replace(one);
            }
        });
        let mut wanted = self.grants.clone();
        tokio::spawn(async move {
            loop {
                let grant = wanted.borrow_and_update().clone();
                if let Some(mut grant) = grant {
                    if grant.answers == 0 {
                        grant.answers = *newest.borrow();
                    }
                    if sender.send(Ok(grant)).await.is_err() {
                        return;
                    }
                }
                let _ = tokio::time::timeout(Duration::from_millis(100), wanted.changed()).await;
            }
        });
        Ok(Response::new(ReceiverStream::new(grants)))
    }
}

pub(super) async fn start(config: GatewayConfig) -> (Gateway, Cluster) {
    let gateway = Gateway::start(config).await.unwrap();
    let cluster = connect(gateway.address()).await;
    (gateway, cluster)
}

/// A mirror agent that says how far each partition got.
#[derive(Debug)]
pub(super) struct Agent {
    pub(super) address: String,
    marks: watch::Sender<Option<Watermark>>,
}

impl Agent {
    pub(super) async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let (marks, told) = watch::channel(None);
        let service = LinkServer::new(Marking { told });
        tokio::spawn(
            tonic::transport::Server::builder()
                .add_service(service)
                .serve_with_incoming(TcpListenerStream::new(listener)),
        );
        Self { address, marks }
    }

    /// The first partition of this topic is mirrored up to here.
    pub(super) fn tell(&self, topic: TopicId, replicated_to: i64) {
        self.marks.send_replace(Some(Watermark {
            topic: "orders".to_owned(),
            partition: 0,
            source_topic_id: topic.to_wire().to_vec(),
            replicated_to,
            target_end: replicated_to,
        }));
    }
}

struct Marking {
    told: watch::Receiver<Option<Watermark>>,
}

#[tonic::async_trait]
impl Link for Marking {
    type WatermarksStream = ReceiverStream<Result<WatermarkUpdate, Status>>;
    type EventsStream = ReceiverStream<Result<LinkEvent, Status>>;

    async fn status(&self, _: Request<LinkRequest>) -> Answer<LinkReply> {
        not_here()
    }

    async fn translate(&self, _: Request<TranslateRequest>) -> Answer<TranslateReply> {
        not_here()
    }

    async fn start(&self, _: Request<StartRequest>) -> Answer<LinkReply> {
        not_here()
    }

    async fn seal(&self, _: Request<SealRequest>) -> Answer<SealReply> {
        not_here()
    }

    async fn groups(&self, _: Request<LinkRequest>) -> Answer<GroupsReply> {
        not_here()
    }

    async fn events(&self, _: Request<LinkEventsRequest>) -> Answer<Self::EventsStream> {
        not_here()
    }

    async fn watermarks(&self, link: Request<LinkRequest>) -> Answer<Self::WatermarksStream> {
        if link.get_ref().link != "a-to-b" {
            return Err(Status::not_found("no such link"));
        }
        let (sender, updates) = tokio::sync::mpsc::channel(4);
        let mut told = self.told.clone();
        tokio::spawn(async move {
            loop {
                let watermarks = told.borrow_and_update().clone().into_iter().collect();
                if sender.send(Ok(WatermarkUpdate { watermarks })).await.is_err()
                    || told.changed().await.is_err()
                {
                    return;
                }
            }
        });
        Ok(Response::new(ReceiverStream::new(updates)))
    }
}
