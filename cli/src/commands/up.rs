//! `leeward up`: two embedded regions with everything around them, each part its own process, and sample traffic.

mod traffic;

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context;
use leeward_drill::estate::{Addresses, Estate, EstatePlan};
use leeward_log::lock_file;
use leeward_policies::Topology;
use leeward_proto::control::{EventsRequest, StatusReply, StatusRequest, control_client::ControlClient};
use tokio::{
    signal::unix::{SignalKind, signal},
    time::{Instant, sleep},
};
use tonic::transport::Channel;

use super::status::table;
use crate::{args::UpArguments, exit::Exit};

const POLICY: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../policies/examples/embedded.yaml"));

/// How long everything may take to be healthy; past it what is seen is printed and everything is stopped.
const READY_WAIT_MAX: Duration = Duration::from_secs(60);

/// Between two looks at processes and controller.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Carries out the verb.
///
/// # Errors
///
/// Where the estate cannot start, or one of its processes ends by itself.
pub(crate) async fn run(arguments: &UpArguments) -> anyhow::Result<Exit> {
    fs::create_dir_all(&arguments.data)
        .with_context(|| format!("{} cannot be made", arguments.data.display()))?;
    let folder = arguments.data.canonicalize()?;
    let _lock = lock(&folder)?;
    let policy = policy(arguments.policy.as_deref(), &folder)?;
    let Some(topology) = super::policy::one_topology(&policy)? else { return Ok(Exit::InvalidPolicy) };
    let topology = topology.document;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;

    remove_old_key(&folder)?;
    println!("starting {} with its data in {}", topology.metadata.name, folder.display());
    let plan = EstatePlan {
        program: std::env::current_exe().context("this program's own path")?,
        policy,
        topology: topology.clone(),
        folder: folder.clone(),
        pid_files: std::collections::BTreeMap::new(),
        link_bootstraps: std::collections::BTreeMap::new(),
    };
    let mut estate = Estate::start(plan).await?;
    let ended = tokio::select! {
        biased;
        _ = terminate.recv() => Ok(Exit::Interrupted),
        _ = interrupt.recv() => Ok(Exit::Interrupted),
        ended = attend(&mut estate, &topology, &folder, arguments) => ended.map(|()| Exit::Done),
    };
    println!("stopping");
    estate.stop().await;
    ended
}

/// The file with the topology to start: the one that was given, or the built-in one as a file of its own.
fn policy(given: Option<&Path>, folder: &Path) -> anyhow::Result<PathBuf> {
    if let Some(given) = given {
        return given.canonicalize().with_context(|| format!("{} cannot be read", given.display()));
    }
    let policy = folder.join("policy.yaml");
    fs::write(&policy, POLICY).with_context(|| format!("{} cannot be written", policy.display()))?;
    Ok(policy)
}

/// Held as long as the file is open. Whoever starts on the data of a running one would write over its settings.
fn lock(folder: &Path) -> anyhow::Result<File> {
    let path = folder.join("lock");
    let locked = lock_file(&path).with_context(|| format!("{} cannot be locked", path.display()))?;
    locked.with_context(|| {
        format!(
            "{} is in use by another `leeward up`; stop that one, or give this one `--data` of its own",
            folder.display()
        )
    })
}

/// The embedded DNS server's key is made anew for each run, over no file.
fn remove_old_key(folder: &Path) -> anyhow::Result<()> {
    let key = folder.join("dns.key");
    match fs::remove_file(&key) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("{} cannot be removed", key.display()))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Goes on until something fails.
async fn attend(
    estate: &mut Estate,
    topology: &Topology,
    folder: &Path,
    arguments: &UpArguments,
) -> anyhow::Result<()> {
    let addresses = estate.addresses().clone();
    let buffered = topology.spec.buffer.enabled;
    let (controller, status) = ready(estate, &addresses, buffered).await?;
    println!("\n{}", table(&status));
    print_addresses(&addresses, topology, &status.acting_primary, &settings(folder, &addresses)?);
    let traffic = async {
        if arguments.no_load || !buffered {
            std::future::pending::<()>().await;
        }
        Box::pin(traffic::run(addresses.gateway.to_string())).await;
    };
    tokio::select! {
        ended = watch(estate) => ended,
        () = events(controller) => anyhow::bail!("the controller's events ended"),
        () = traffic => Ok(()),
    }
}

/// Waits until every region is healthy, the link runs and the gateway forwards, if there is to be one.
async fn ready(
    estate: &mut Estate,
    addresses: &Addresses,
    buffered: bool,
) -> anyhow::Result<(ControlClient<Channel>, StatusReply)> {
    let deadline = Instant::now() + READY_WAIT_MAX;
    let endpoint = Channel::from_shared(format!("http://{}", addresses.control))?;
    let mut controller = ControlClient::new(endpoint.connect_lazy());
    let mut seen = String::from("the controller does not answer");
    while Instant::now() < deadline {
        estate.check()?;
        if let Ok(status) = controller.status(StatusRequest {}).await {
            let status = status.into_inner();
            if is_ready(&status, buffered) {
                return Ok((controller, status));
            }
            seen = table(&status);
        }
        sleep(LOOK_EVERY).await;
    }
    anyhow::bail!("not healthy after {} s:\n{seen}", READY_WAIT_MAX.as_secs())
}

fn is_ready(status: &StatusReply, buffered: bool) -> bool {
    let healthy = status.regions.iter().all(|region| region.health == "healthy");
    let mirrored = status.links.iter().any(|link| link.state == "running" && link.rpo_millis >= 0);
    let forwards = !buffered || status.gateways.iter().any(|gateway| !gateway.forwarding_to.is_empty());
    healthy && !status.regions.is_empty() && mirrored && forwards
}

/// Settings for further commands, so that they find the controller and the mirrors.
fn settings(folder: &Path, addresses: &Addresses) -> anyhow::Result<PathBuf> {
    let mut text = format!("[peers]\ncontroller = \"http://{}\"\n\n[peers.mirrors]\n", addresses.control);
    for (region, there) in &addresses.regions {
        text += &format!("{region} = \"http://{}\"\n", there.mirror);
    }
    let file = folder.join("leeward.toml");
    fs::write(&file, text).with_context(|| format!("{} cannot be written", file.display()))?;
    Ok(file)
}

fn print_addresses(addresses: &Addresses, topology: &Topology, acting: &str, settings: &Path) {
    println!("point a Kafka client at");
    if topology.spec.buffer.enabled {
        println!(
            "  {:<22} {}   durable gateway: acknowledged means kept",
            "bootstrap.servers", addresses.gateway
        );
    }
    if let (Some(name), Some(dns)) = (&addresses.name, addresses.dns) {
        println!("  {:<22} {name}   follows the primary; served by DNS at {dns}", "or the name");
    }
    for region in topology.data_regions() {
        if let Some(there) = addresses.regions.get(&region.name) {
            println!("  {:<22} {}", format!("or region {}", region.name), there.bootstrap.join(","));
        }
    }
    println!("\nmetrics");
    for (process, http) in &addresses.http {
        println!("  {process:<22} http://{http}/metrics");
    }
    let config = format!("--config {}", settings.display());
    println!("\ntry, in another terminal");
    println!("  leeward status --watch {config}");
    let (primary, standby) = (&topology.primary().name, &topology.standby().name);
    if acting == primary.as_str() {
        println!("  leeward switchover --to {standby} {config}");
    } else {
        println!("  leeward failback --to {primary} {config}");
    }
    println!("\nCtrl-C ends everything and keeps the data\n");
}

/// Looks whether every process runs.
async fn watch(estate: &mut Estate) -> anyhow::Result<()> {
    loop {
        estate.check()?;
        sleep(LOOK_EVERY).await;
    }
}

/// Prints what the controller tells, again from where it was when the controller was away.
async fn events(mut controller: ControlClient<Channel>) {
    let mut after = 0;
    loop {
        if let Ok(reply) = controller.events(EventsRequest { after, follow: true }).await {
            let mut events = reply.into_inner();
            while let Ok(Some(event)) = events.message().await {
                after = event.number;
                println!("  {:<22} {}", event.code, event.text);
            }
        }
        sleep(LOOK_EVERY).await;
    }
}
