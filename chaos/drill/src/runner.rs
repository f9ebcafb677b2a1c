//! Runs a drill from its file to its report: estate, load, steps, settling, judgement.

mod network;
mod outcome;
mod quarantine;
mod steps;
mod tell;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use leeward_client::{
    ClientConfig, Cluster, ClusterError, DnsServerResolver, NewTopic, ResolveError, Timeouts,
};
use leeward_faults::Evidence;
use leeward_model::{PartitionIndex, RegionName, TopicName, TopicPartition, WallTime};
use leeward_policies::{Acks, ClientKind, Drill, Loaded, Topology};
use leeward_wire::ErrorCode;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    checker::{Judgement, judge},
    clock::DrillClock,
    estate::{Addresses, Estate, EstateError, EstatePlan},
    ledger::Found,
    limits::{ESTATE_READY_WAIT_MAX, LOOK_WAIT_MAX, SETTLE_WAIT_MAX, STATUS_EVERY},
    load::{
        ForeignClient, ForeignError, GroupNotes, LookError, Notes, ProducerPlan, Reached, Route, consume,
        listen, look, produce,
    },
    progress::Progress,
    report::{Expectation, Report, ReportError},
    watch::Watch,
};
use tell::{Stage, Teller};

/// How long one connection, one answer and one operation of the load's own clients may take: short, so that a client
/// finds the survivor as soon as its name does.
const CLIENT_TIMEOUTS: Timeouts = Timeouts {
    connect: Duration::from_millis(500),
    request: Duration::from_secs(2),
    operation: Duration::from_secs(3),
};

/// What to run.
#[derive(Debug)]
pub struct DrillRun {
    /// `leeward` itself.
    pub program: PathBuf,
    pub drill: Loaded<Drill>,
    pub topology: Loaded<Topology>,
    pub topology_file: PathBuf,
    /// Producers that are not ours.
    pub foreign: Vec<ForeignClient>,
    /// By region that is not embedded: files with the ids of its processes, which the drill may kill.
    pub pid_files: BTreeMap<RegionName, Vec<PathBuf>>,
    /// By region that is not embedded: what other regions' mirrors and agents go through to reach it.
    pub link_bootstraps: BTreeMap<RegionName, Vec<String>>,
    /// Where this run's report goes.
    pub folder: PathBuf,
    /// Who is told how it goes.
    pub progress: Arc<dyn Progress>,
}

/// Why a drill has no report.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    #[error(transparent)]
    Estate(#[from] EstateError),
    #[error("load cannot start")]
    Load(#[from] ClusterError),
    #[error("name server cannot be asked")]
    Resolve(#[from] ResolveError),
    #[error("regions were not healthy within {ESTATE_READY_WAIT_MAX:?}: {seen}")]
    NotReady { seen: String },
    #[error("interrupted")]
    Interrupted,
    #[error(transparent)]
    Report(#[from] ReportError),
    #[error(transparent)]
    Foreign(#[from] ForeignError),
    #[error("topic name of the load")]
    Name(#[from] leeward_model::InvalidName),
}

/// A drill under way.
struct Running {
    run: DrillRun,
    estate: Estate,
    watch: Watch,
    clock: DrillClock,
    notes: Notes,
    groups: Vec<GroupNotes>,
    topics: Vec<TopicName>,
    faults: Vec<Evidence>,
    /// Why the drill cannot be judged, found on the way.
    troubles: Vec<String>,
    /// Events that were expected and did not come.
    missed: Vec<Expectation>,
    fault_window: Option<(u64, u64)>,
    /// When a region went down.
    outage_at: Option<u64>,
    /// Faults of the network that nobody has healed yet.
    standing: Vec<network::Standing>,
    stage: Stage,
}

/// Runs a drill and writes its report. Whatever happens, every process that was started is ended.
///
/// # Errors
///
/// [`RunError`] where the drill did not come far enough for a report.
pub async fn run(run: DrillRun, interrupt: CancellationToken) -> Result<Report, RunError> {
    let clock = DrillClock::start();
    let plan = EstatePlan {
        program: run.program.clone(),
        policy: run.topology_file.clone(),
        topology: run.topology.document.clone(),
        folder: run.folder.join("estate"),
        pid_files: run.pid_files.clone(),
        link_bootstraps: run.link_bootstraps.clone(),
    };
    run.progress.happened("starting the regions and everything around them");
    let estate = Estate::start(plan).await?;
    let stop = CancellationToken::new();
    let watch = Watch::start(estate.addresses().control, clock, stop.clone());
    let (notes, stage) = (Notes::default(), Stage::default());
    stage.enter("waits until the regions are healthy");
    let progress = Arc::clone(&run.progress);
    let teller = Teller::new(progress, watch.clone(), notes.clone(), clock, stage.clone());
    let teller = tokio::spawn(teller.run(stop.clone()));
    let mut running = Running {
        run,
        estate,
        watch,
        clock,
        notes,
        groups: Vec::new(),
        topics: Vec::new(),
        faults: Vec::new(),
        troubles: Vec::new(),
        missed: Vec::new(),
        fault_window: None,
        outage_at: None,
        standing: Vec::new(),
        stage,
    };
    let report = tokio::select! {
        biased;
        () = interrupt.cancelled() => Err(RunError::Interrupted),
        report = running.carry_out() => report,
    };
    stop.cancel();
    // It only tells; if it broke, the drill is what it is all the same.
    let _ = teller.await;
    running.estate.stop().await;
    let report = report?;
    report.write(&running.run.folder)?;
    Ok(report)
}

impl Running {
    async fn carry_out(&mut self) -> Result<Report, RunError> {
        self.wait_until_ready().await?;
        self.create_topics().await?;
        let (producing, consuming) = (CancellationToken::new(), CancellationToken::new());
        let (producers, consumers) = (TaskTracker::new(), TaskTracker::new());
        self.start_load(&producers, &producing, &consumers, &consuming).await?;
        let began = Instant::now();
        self.enter("load is on");
        self.take_steps(began).await;
        self.clean_up().await;
        self.enter("load ends; waiting for what was acknowledged to arrive");
        producing.cancel();
        producers.close();
        producers.wait().await;
        let found = self.settle().await;
        consuming.cancel();
        consumers.close();
        consumers.wait().await;
        let quarantine = match &found {
            Some(found) => self.quarantine(found).await,
            None => None,
        };
        Ok(self.conclude(found.as_deref(), quarantine))
    }

    fn enter(&self, doing: &'static str) {
        self.run.progress.happened(doing);
        self.stage.enter(doing);
    }

    async fn wait_until_ready(&mut self) -> Result<(), RunError> {
        let given = &self.run.drill.document.spec.given;
        let held_for = u64::try_from(given.held_for.as_micros()).unwrap_or(u64::MAX);
        let deadline = Instant::now() + ESTATE_READY_WAIT_MAX;
        loop {
            self.estate.check()?;
            let now = self.clock.micros();
            let (ready, seen) = self.watch.with(|watched| {
                let held = watched.healthy_since.is_some_and(|since| now.saturating_sub(since) >= held_for);
                let rpo = watched.rpo_millis().map(Duration::from_millis);
                let rpo_holds = given.rpo.is_none_or(|bound| rpo.is_some_and(|rpo| bound.holds(rpo)));
                let gateways = watched.status.as_ref().map_or(0, |status| status.gateways.len());
                let gateway_there = !self.run.topology.document.spec.buffer.enabled || gateways > 0;
                (held && rpo_holds && gateway_there, describe(watched.status.as_ref(), rpo))
            });
            if ready {
                return Ok(());
            }
            if Instant::now() >= deadline {
                return Err(RunError::NotReady { seen });
            }
            sleep(STATUS_EVERY).await;
        }
    }

    /// A client of the region itself, for the drill's own hands and eyes.
    async fn region_client(&self, region: &RegionName) -> Result<Cluster, ClusterError> {
        Cluster::connect(self.region_config(region)).await
    }

    fn region_config(&self, region: &RegionName) -> ClientConfig {
        client(self.estate.addresses().regions[region].bootstrap.clone(), "leeward-drill")
    }

    fn acting(&self) -> RegionName {
        let declared = self.run.topology.document.primary().name.clone();
        self.watch
            .with(|watched| watched.acting_primary().and_then(|name| RegionName::new(name).ok()))
            .unwrap_or(declared)
    }

    async fn create_topics(&mut self) -> Result<(), RunError> {
        let load = &self.run.drill.document.spec.load.produce;
        let cluster = connect(self.region_config(&self.acting())).await?;
        let partitions = i32::try_from(load.partitions).unwrap_or(i32::MAX);
        for number in 0..load.topics {
            let name = TopicName::new(&format!("drill-{number}"))?;
            let topic = NewTopic {
                name: name.clone(),
                partitions,
                replication_factor: Some(1),
                configs: std::iter::once(("retention.ms".to_owned(), "-1".to_owned())).collect(),
            };
            create(&cluster, &topic).await?;
            self.topics.push(name);
        }
        let standby = self.run.topology.document.standby().name.clone();
        let mirrored = connect(self.region_config(&standby)).await?;
        let deadline = Instant::now() + ESTATE_READY_WAIT_MAX;
        for topic in &self.topics {
            while mirrored.topic(topic).await.is_err() {
                if Instant::now() >= deadline {
                    return Err(RunError::NotReady { seen: format!("{topic} is not mirrored to {standby}") });
                }
                sleep(STATUS_EVERY).await;
            }
        }
        Ok(())
    }

    async fn start_load(
        &mut self,
        producers: &TaskTracker,
        producing: &CancellationToken,
        consumers: &TaskTracker,
        consuming: &CancellationToken,
    ) -> Result<(), RunError> {
        let load = self.run.drill.document.spec.load.clone();
        let streams = load.produce.topics * load.produce.partitions;
        let routes = load
            .clients
            .iter()
            .map(|kind| route(*kind, self.estate.addresses()))
            .collect::<Result<Vec<_>, _>>()?;
        for route in &routes {
            let reached = Reached::new(connect(route.client.clone()).await?);
            for topic in &self.topics {
                for index in 0..load.produce.partitions {
                    let index = i32::try_from(index).ok().and_then(PartitionIndex::from_wire);
                    let Some(partition) = index else { continue };
                    let plan = ProducerPlan {
                        partition: TopicPartition { topic: topic.clone(), partition },
                        rate: load.produce.rate.per_second() as f64 / f64::from(streams),
                        value_bytes: usize::try_from(load.produce.size.as_bytes()).unwrap_or(usize::MAX),
                        keys: load.produce.keys.get(),
                        acks: match load.produce.acks {
                            Acks::All => leeward_client::Acks::All,
                            Acks::Leader => leeward_client::Acks::Leader,
                            Acks::Nothing => leeward_client::Acks::None,
                        },
                    };
                    let stop = producing.clone();
                    producers.spawn(produce(
                        route.clone(),
                        plan,
                        reached.clone(),
                        self.notes.clone(),
                        self.clock,
                        stop,
                    ));
                }
            }
        }
        for client in self.run.foreign.clone() {
            let child = client.start(&self.placeholders(&client, load.produce.partitions))?;
            producers.spawn(listen(client, child, self.notes.clone(), self.clock, producing.clone()));
        }
        if let Some(route) = routes.first() {
            for number in 0..load.consume.groups {
                let notes = GroupNotes::new(format!("drill-group-{number}"));
                self.groups.push(notes.clone());
                let topics = self.topics.clone();
                let cluster = connect(route.client.clone()).await?;
                consumers.spawn(consume(cluster, notes, topics, consuming.clone()));
            }
        }
        Ok(())
    }

    /// What a foreign client's command is filled in with.
    fn placeholders(&self, client: &ForeignClient, partitions: u32) -> Vec<(&'static str, String)> {
        let addresses = self.estate.addresses();
        let direct = || addresses.name.clone().unwrap_or_default();
        let through_gateway = client.route.starts_with("gateway");
        let bootstrap = if through_gateway { addresses.gateway.to_string() } else { direct() };
        let topic = self.topics.first().map_or_else(String::new, ToString::to_string);
        vec![("bootstrap", bootstrap), ("topic", topic), ("partitions", partitions.to_string())]
    }

    /// Waits until all that the gateway acknowledged stands in the acting primary, and the groups have read it, or the
    /// time for that is over. `None` where the logs could not be read at all.
    async fn settle(&mut self) -> Option<Vec<Found>> {
        let deadline = Instant::now() + SETTLE_WAIT_MAX;
        let mut found = None;
        let mut why = String::new();
        loop {
            match timeout(LOOK_WAIT_MAX, self.look_once()).await {
                Ok(Ok(seen)) => {
                    let judgement = self.notes.with(|notes| judge(&notes.ledger, &seen));
                    self.stage.judged(&judgement);
                    let groups_done = self.groups.iter().all(|group| group.has_read(&seen));
                    found = Some(seen);
                    if groups_done && nothing_missing(&judgement) {
                        return found;
                    }
                }
                Ok(Err(error)) => why = error.to_string(),
                Err(_) => why = format!("no answer within {LOOK_WAIT_MAX:?}"),
            }
            if Instant::now() >= deadline {
                break;
            }
            sleep(STATUS_EVERY * 3).await;
        }
        if found.is_none() {
            let acting = self.acting();
            self.troubles.push(format!(
                "the logs of {acting} could not be read within {SETTLE_WAIT_MAX:?}, so nothing says what they lack: {why}"
            ));
        }
        found
    }

    async fn look_once(&self) -> Result<Vec<Found>, LookError> {
        let cluster = self.region_client(&self.acting()).await?;
        look(&cluster, &self.topics).await
    }
}

fn nothing_missing(judgement: &Judgement) -> bool {
    judgement
        .by_route
        .iter()
        .filter(|(route, _)| route.starts_with("gateway"))
        .all(|(_, tally)| tally.lost == 0)
}

/// Connects before the load is on: whoever is slow then is asked again, as no fault has struck yet.
async fn connect(config: ClientConfig) -> Result<Cluster, ClusterError> {
    let deadline = Instant::now() + ESTATE_READY_WAIT_MAX;
    loop {
        match Cluster::connect(config.clone()).await {
            Err(error) if may_come_later(&error) && Instant::now() < deadline => sleep(STATUS_EVERY).await,
            outcome => return outcome,
        }
    }
}

/// Makes a topic before the load is on. That it is there already is no error once an attempt was left without an answer.
async fn create(cluster: &Cluster, topic: &NewTopic) -> Result<(), ClusterError> {
    let deadline = Instant::now() + ESTATE_READY_WAIT_MAX;
    let mut unanswered = false;
    loop {
        match cluster.create_topic(topic, CLIENT_TIMEOUTS.operation).await {
            Err(ClusterError::Refused { code: ErrorCode::TOPIC_ALREADY_EXISTS, .. }) if unanswered => {
                return Ok(());
            }
            Err(error) if may_come_later(&error) && Instant::now() < deadline => {
                unanswered = true;
                sleep(STATUS_EVERY).await;
            }
            outcome => return outcome,
        }
    }
}

fn may_come_later(error: &ClusterError) -> bool {
    error.may_retry() || matches!(error, ClusterError::Deadline { .. })
}

fn client(bootstrap: Vec<String>, id: &str) -> ClientConfig {
    ClientConfig { client_id: id.to_owned(), timeouts: CLIENT_TIMEOUTS, ..ClientConfig::new(bootstrap) }
}

fn route(kind: ClientKind, addresses: &Addresses) -> Result<Route, ResolveError> {
    Ok(match kind {
        ClientKind::Buffered => Route {
            name: "gateway".to_owned(),
            client: client(vec![addresses.gateway.to_string()], "drill-gateway"),
        },
        ClientKind::Direct => {
            let by_address =
                || addresses.regions.values().flat_map(|region| region.bootstrap.clone()).collect();
            let mut client =
                client(addresses.name.clone().map_or_else(by_address, |name| vec![name]), "drill-direct");
            if let Some(dns) = addresses.dns {
                client.resolver = Arc::new(DnsServerResolver::new(dns)?);
            }
            Route { name: "direct".to_owned(), client }
        }
    })
}

fn describe(status: Option<&leeward_proto::control::StatusReply>, rpo: Option<Duration>) -> String {
    let Some(status) = status else { return "the controller never answered".to_owned() };
    let regions: Vec<_> =
        status.regions.iter().map(|region| format!("{} {}", region.name, region.health)).collect();
    let links: Vec<_> = status.links.iter().map(|link| format!("{} {}", link.name, link.state)).collect();
    format!(
        "phase {}, {}, {}, rpo {rpo:?}, {} gateways",
        status.phase,
        regions.join(", "),
        links.join(", "),
        status.gateways.len()
    )
}

/// The folder of a run below `runs`, by drill and time.
pub fn run_folder(runs: &Path, drill: &str, began_at: WallTime) -> PathBuf {
    runs.join(drill).join(began_at.to_string().replace(':', ""))
}
