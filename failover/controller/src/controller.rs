//! Puts a controller together, and takes it down.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc};

use axum::Router;
use futures::future::BoxFuture;
use leeward_failover_core::{Report, Status};
use leeward_proto::{Connections, transport::PeerError};
use prometheus::proto::MetricFamily;
use tokio::sync::mpsc;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::error;

use crate::{
    api::{self, Shared},
    brain::{self, Brain, BrainError, BrainHandle, Gone, Message, Parts},
    clock::Clock,
    cluster::Cluster,
    config::ControllerConfig,
    events::{Events, NewEvent},
    fencer::Fencer,
    gateways::Gateways,
    limits::MAILBOX,
    link_events,
    links::Links,
    log::{DecisionLog, LogError, RedbLog},
    metrics::Metrics,
    names,
    performer::{Performer, Site},
    probes::{self, Sample},
    publish,
    watcher::{LinkBoard, Watcher},
};

/// Why a controller did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Config(#[from] leeward_failover_core::ConfigError),
    #[error(transparent)]
    Log(#[from] LogError),
    #[error(transparent)]
    Brain(#[from] BrainError),
    #[error("a mirror agent cannot be asked")]
    MirrorAddress(#[from] PeerError),
    #[error("{address} cannot be listened on")]
    Listen { address: SocketAddr, source: std::io::Error },
}

/// A running controller.
#[derive(Debug)]
pub struct Controller {
    grpc: SocketAddr,
    http: Option<SocketAddr>,
    shared: Shared,
    brain: BrainHandle,
    shutdown: CancellationToken,
    tasks: TaskTracker,
}

impl Controller {
    /// Reads the journal, goes on with what was begun, probes, watches links and answers.
    ///
    /// # Errors
    ///
    /// [`StartError`] where the policy's numbers do not hold, the journal is not readable or open elsewhere, or an
    /// address is taken.
    pub async fn start(config: ControllerConfig) -> Result<Self, StartError> {
        let core = config.core.clone().checked()?;
        let log = RedbLog::open(&config.data)?;
        let clock = Clock::start();
        let recovered = !log.read().await?.is_empty();
        let (engine, first) = brain::replay(&core, &log, clock.now()).await?;
        let (grpc_listener, grpc) = listen(config.grpc_listen).await?;
        let http = match config.http_listen {
            Some(address) => Some(listen(address).await?),
            None => None,
        };

        let events = Arc::new(Events::open(&config.data));
        let dns: Vec<String> = config.redirectors.iter().map(|name| name.name().to_owned()).collect();
        let metrics = Arc::new(Metrics::new(config.topology.as_str(), config.budgets));
        metrics.declare(config.place.as_str(), &core.regions);
        let gateways = Arc::new(Gateways::new(publish::leave(engine.state()), core.lease));
        let links = Links::new(
            &config.transport,
            config.regions.iter().map(|region| (&region.name, &region.mirror)),
        )?;
        if recovered {
            let text = "controller started from its journal";
            events.add(NewEvent::new("controller-recovered", text), engine.state().epoch, clock.now().wall);
        }
        let parts = Parts {
            config: core.clone(),
            clock,
            log: Arc::new(log.clone()),
            performer: Arc::new(performer(&config, &links, &gateways, &metrics, &log)),
            gateways: Arc::clone(&gateways),
            events: Arc::clone(&events),
            metrics: Arc::clone(&metrics),
        };
        let (brain, view) = Brain::new(parts, engine);
        let (mailbox, inbox) = mpsc::channel(MAILBOX);
        let handle = BrainHandle { mailbox, view, timeline: Arc::clone(&brain.timeline) };
        let board = Arc::new(LinkBoard::default());
        let (shutdown, tasks) = (CancellationToken::new(), TaskTracker::new());
        let shared = Shared {
            topology: config.topology.to_string(),
            regions: core.regions.clone(),
            places: core.places.clone(),
            declared_primary: core.regions[0].to_string(),
            automation: format!("{:?}", core.automation).to_lowercase(),
            budgets: config.budgets,
            brain: handle.clone(),
            gateways,
            links: Arc::clone(&board),
            events: Arc::clone(&events),
            metrics: Arc::clone(&metrics),
            dns,
            shutdown: shutdown.clone(),
        };
        start_probes(&config, &shared, &tasks);
        names::start(&config, &shared, clock, &tasks);
        link_events::start(&links, &shared, &tasks);
        let run = brain.run(first, inbox, shutdown.clone());
        spawn_vital(&tasks, &shutdown, "brain", run);
        let connections = Connections::of_grpc(grpc_listener).with_tls(config.transport.for_peers());
        spawn_vital(&tasks, &shutdown, "grpc", api::serve_grpc(shared.clone(), connections));
        let http = http.map(|(listener, address)| {
            let connections = Connections::of_http(listener).with_tls(config.transport.for_people());
            spawn_vital(&tasks, &shutdown, "http", api::serve_http(shared.clone(), connections));
            address
        });
        let watcher =
            Watcher { links, brain: handle.clone(), board, events, clock, metrics, rpo: config.budgets.rpo };
        let until = shutdown.clone();
        tasks.spawn(async move {
            tokio::select! {
                biased;
                () = until.cancelled() => {}
                () = watcher.run() => {}
            }
        });
        tasks.close();
        Ok(Self { grpc, http, shared, brain: handle, shutdown, tasks })
    }

    /// Where `control` and `region` are answered.
    pub fn grpc_address(&self) -> SocketAddr {
        self.grpc
    }

    /// Where REST, metrics and health are answered.
    pub fn http_address(&self) -> Option<SocketAddr> {
        self.http
    }

    /// REST, for a server that others share.
    pub fn routes(&self) -> Router {
        api::rest(self.shared.clone())
    }

    /// Gives every series as it stands when called.
    pub fn series(&self) -> impl Fn() -> Vec<MetricFamily> + Send + Sync + use<> {
        let shared = self.shared.clone();
        move || shared.metrics.gather(&shared.links.replies(), &shared.gateways.reports())
    }

    /// Says, when called, whether a verb or a gateway's report would be answered.
    pub fn readiness(&self) -> impl Fn() -> BoxFuture<'static, bool> + Send + Sync + use<> {
        let brain = self.brain.clone();
        move || {
            let brain = brain.clone();
            Box::pin(async move { brain.ask(|_, _| ()).await.is_ok() })
        }
    }

    pub fn status(&self) -> Status {
        self.brain.view.borrow().status.clone()
    }

    /// Waits until the status satisfies `wanted`.
    ///
    /// # Errors
    ///
    /// [`Gone`] where the controller shuts down first.
    pub async fn wait_for(&self, wanted: impl Fn(&Status) -> bool) -> Result<Status, Gone> {
        let mut view = self.brain.view.clone();
        let seen = view.wait_for(|view| wanted(&view.status)).await.map_err(|_| Gone)?;
        Ok(seen.status.clone())
    }

    /// Ends when the controller stopped by itself: its journal cannot be written or a server failed.
    pub fn stopped(&self) -> impl Future<Output = ()> + Send + use<> {
        self.shutdown.clone().cancelled_owned()
    }

    /// Stops. What was begun goes on from the journal at the next start.
    pub async fn shutdown(self) {
        self.shutdown.cancel();
        self.tasks.wait().await;
    }
}

async fn listen(address: SocketAddr) -> Result<(tokio::net::TcpListener, SocketAddr), StartError> {
    api::bind(address).await.map_err(|source| StartError::Listen { address, source })
}

/// Without this task the controller is none: where it ends, everything ends, and a supervisor starts it again.
fn spawn_vital<E: std::error::Error + Send + 'static>(
    tasks: &TaskTracker,
    shutdown: &CancellationToken,
    name: &'static str,
    work: impl Future<Output = Result<(), E>> + Send + 'static,
) {
    let shutdown = shutdown.clone();
    tasks.spawn(async move {
        if let Err(error) = work.await {
            error!(task = name, %error, source = ?error.source(), "controller stops");
        }
        shutdown.cancel();
    });
}

fn performer(
    config: &ControllerConfig,
    links: &Links,
    gateways: &Arc<Gateways>,
    metrics: &Arc<Metrics>,
    log: &RedbLog,
) -> Performer {
    let site = |region: &crate::RegionConfig| {
        let fencer = Fencer::new(
            region.name.clone(),
            Arc::clone(&region.cluster),
            config.protected.clone(),
            config.seal_default,
            log.clone(),
        );
        (region.name.clone(), Site { cluster: Arc::clone(&region.cluster), fencer })
    };
    Performer {
        sites: config.regions.iter().map(site).collect::<BTreeMap<_, _>>(),
        links: links.clone(),
        gateways: Arc::clone(gateways),
        redirectors: config.redirectors.clone(),
        drain_max: config.drain_max,
        metrics: Arc::clone(metrics),
    }
}

/// The controller is an observer too, from its own place.
fn start_probes(config: &ControllerConfig, shared: &Shared, tasks: &TaskTracker) {
    let (samples, mut inbox) = mpsc::channel::<Sample>(MAILBOX);
    let clusters: Vec<(_, Arc<dyn Cluster>)> =
        config.regions.iter().map(|region| (region.name.clone(), Arc::clone(&region.cluster))).collect();
    probes::start(&config.place, &clusters, &config.core.detect, &samples, tasks, &shared.shutdown);
    let (place, shared) = (config.place.clone(), shared.clone());
    tasks.spawn(async move {
        while let Some(sample) = inbox.recv().await {
            let level = sample.level.name();
            let took = u64::try_from(sample.took.as_micros()).unwrap_or(u64::MAX);
            let good = sample.probe == leeward_failover_core::Probe::Good;
            shared.metrics.probed(sample.region.as_str(), place.as_str(), level, took, good);
            if let Some(id) = &sample.cluster_id {
                shared.links.saw_cluster(&sample.region, id.to_string());
            }
            let report = Report {
                observer: place.clone(),
                region: sample.region,
                samples: vec![(sample.level, sample.probe)],
                slipped: false,
            };
            if shared.brain.mailbox.send(Message::Reports(vec![report])).await.is_err() {
                return;
            }
        }
    });
}

#[cfg(test)]
mod node_tests;
#[cfg(test)]
mod tests;
