//! `leeward serve`: the daemon of a topology. Builds each role's configuration from policy and settings, starts the
//! roles, waits for the end, stops them in the opposite order.

mod agent;
mod controller;
mod dns;
mod embedded_dns;
pub(super) mod failover;
mod gateway;
pub(super) mod kafka;
mod listen;
mod listener_tls;
mod mirror;
mod names;
mod node;
mod role;
mod secret;
pub(super) mod site;

use std::time::Duration;

use anyhow::Context;
use axum::Router;
use leeward_proto::Connections;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use prometheus::{IntGauge, Opts};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::{
    args::{Role, ServeArguments},
    exit::Exit,
    http::{self, Told},
    settings::Settings,
    tls,
};
use role::Running;
use site::Site;

/// How long one role may take to stop; past it the next one is stopped and this one ends with the process.
const ROLE_STOP_WAIT_MAX: Duration = Duration::from_secs(8);

/// In which order roles start: each after those that it talks to. They stop in the opposite order.
const START_ORDER: [Role; 6] =
    [Role::Node, Role::Dns, Role::Controller, Role::Agent, Role::Mirror, Role::Gateway];

/// Carries out the verb.
///
/// # Errors
///
/// Where a role cannot start, or ends by itself.
pub(crate) async fn run(arguments: &ServeArguments, settings: &Settings) -> anyhow::Result<Exit> {
    crate::telemetry::start(&settings.log)?;
    raise_descriptors();
    let Some(topology) = super::policy::one_topology(&arguments.policy)? else {
        return Ok(Exit::InvalidPolicy);
    };
    listen::check(settings)?;
    let transport = tls::transport(settings)?;
    if let Some(files) = &settings.tls {
        tokio::spawn(tls::keep(files.clone(), transport.clone()));
    }
    let mut site = Site::new(topology, settings.clone(), transport, arguments)?;
    let mut signals = Signals::new()?;
    let http_listener = http::bind(settings.listen.http).await?;
    let http_address = http_listener.local_addr()?;
    site.registry.register(Box::new(build()?))?;
    if site.roles.contains(&Role::Mirror) {
        site.listen_for_links().await?;
    }

    let mut running = Vec::new();
    if let Err(error) = start(&mut site, &mut running).await {
        stop(running, &mut signals).await;
        return Err(error);
    }
    if running.is_empty() {
        anyhow::bail!("the topology has nothing to do for these roles");
    }
    let mut checks = Vec::new();
    let mut routes = Router::new();
    for role in &mut running {
        checks.append(&mut role.ready);
        routes = routes.merge(std::mem::take(&mut role.routes));
    }
    let http_stop = CancellationToken::new();
    let told = Told { registry: site.registry, series: site.series, checks };
    let connections = Connections::of_http(http_listener).with_tls(site.transport.for_people());
    http::serve(connections, told, routes, http_stop.clone());
    info!(topology = %site.topology.metadata.name, http = %http_address, tls = site.settings.tls.is_some(), "leeward serves");

    let end = wait(&mut running, &mut signals).await;
    stop(running, &mut signals).await;
    http_stop.cancel();
    match end {
        End::Asked(exit) => Ok(exit),
        End::Role(name) => anyhow::bail!("{name} ended by itself"),
    }
}

async fn start(site: &mut Site, running: &mut Vec<Running>) -> anyhow::Result<()> {
    for role in START_ORDER {
        if !site.roles.contains(&role) {
            continue;
        }
        match role {
            Role::Node => node::start(site, running).await?,
            Role::Dns => dns::start(site, running).await?,
            Role::Controller => controller::start(site, running).await?,
            Role::Agent => agent::start(site, running).await?,
            Role::Gateway => gateway::start(site, running).await?,
            Role::Mirror => mirror::start(site, running).await?,
        }
    }
    Ok(())
}

/// Why the process ends.
enum End {
    Asked(Exit),
    Role(String),
}

async fn wait(running: &mut [Running], signals: &mut Signals) -> End {
    let ended = running.iter_mut().filter_map(|role| Some((role.name.clone(), role.ended.take()?)));
    let mut ended: Vec<_> = ended
        .map(|(name, ended)| {
            Box::pin(async move {
                ended.await;
                name
            })
        })
        .collect();
    if ended.is_empty() {
        return End::Asked(signals.next().await);
    }
    tokio::select! {
        biased;
        exit = signals.next() => End::Asked(exit),
        (name, _, _) = futures::future::select_all(&mut ended) => {
            error!(role = name, "role ended by itself");
            End::Role(name)
        }
    }
}

/// Stops the roles, the last started first; a second signal ends the wait.
async fn stop(running: Vec<Running>, signals: &mut Signals) {
    for role in running.into_iter().rev() {
        let name = role.name;
        tokio::select! {
            biased;
            _ = signals.next() => {
                warn!(role = name, "stopping at once");
                return;
            }
            stopped = tokio::time::timeout(ROLE_STOP_WAIT_MAX, role.stop) => match stopped {
                Ok(()) => info!(role = name, "role stopped"),
                Err(_) => warn!(role = name, "role did not stop in time"),
            }
        }
    }
}

fn build() -> anyhow::Result<IntGauge> {
    let options = Opts::new("leeward_build_info", "The program that runs; always 1.")
        .const_label("version", env!("CARGO_PKG_VERSION"));
    let gauge = IntGauge::with_opts(options).context("the build's metric")?;
    gauge.set(1);
    Ok(gauge)
}

/// As many open files as the system lets this process have: each port takes thousands of connections, and shells start
/// processes with room for a thousand.
fn raise_descriptors() {
    let raised = getrlimit(Resource::RLIMIT_NOFILE)
        .and_then(|(_, most)| setrlimit(Resource::RLIMIT_NOFILE, most, most));
    if let Err(error) = raised {
        warn!(%error, "the limit of open files stays as it is");
    }
}

/// What asks a daemon to end.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> anyhow::Result<Self> {
        let listen = |kind| signal(kind).context("signals cannot be received");
        Ok(Self { terminate: listen(SignalKind::terminate())?, interrupt: listen(SignalKind::interrupt())? })
    }

    /// SIGTERM is how a supervisor ends a daemon that did its work; Ctrl-C interrupts it.
    async fn next(&mut self) -> Exit {
        tokio::select! {
            _ = self.terminate.recv() => Exit::Done,
            _ = self.interrupt.recv() => Exit::Interrupted,
        }
    }
}
