//! The processes that a drill runs: each its own, so that SIGKILL and SIGSTOP mean what they say.

mod addresses;
mod settings;

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use leeward_faults::{
    Evidence, ProcessError, Proxy, ProxyCounters, ProxyError, Shape, SpawnedProcess, kill_by_file,
};
use leeward_model::RegionName;
use leeward_policies::{Kafka, Topology};
use tokio::{process::Command, time::timeout};

pub use addresses::Addresses;

use crate::limits::TERMINATE_WAIT_MAX;

/// Why the estate cannot be run.
#[derive(Debug, thiserror::Error)]
pub enum EstateError {
    #[error("{path} cannot be written")]
    Write { path: PathBuf, source: io::Error },
    #[error("no free port on loopback")]
    Ports { source: io::Error },
    #[error(transparent)]
    Process(#[from] ProcessError),
    #[error(transparent)]
    Proxy(#[from] ProxyError),
    #[error("no process is called {name}")]
    Unknown { name: String },
    #[error("{name} ended by itself ({status}); its log is {log}")]
    Ended { name: String, status: String, log: PathBuf },
}

/// What the estate is made of.
#[derive(Clone, Debug)]
pub struct EstatePlan {
    /// `leeward` itself.
    pub program: PathBuf,
    pub policy: PathBuf,
    pub topology: Topology,
    /// Where data, settings and logs go.
    pub folder: PathBuf,
    /// By region that is not embedded: files with the ids of its processes.
    pub pid_files: BTreeMap<RegionName, Vec<PathBuf>>,
    /// By region that is not embedded: what other regions' mirrors and agents go through to reach it.
    pub link_bootstraps: BTreeMap<RegionName, Vec<String>>,
}

struct Member {
    role: &'static str,
    region: Option<RegionName>,
    process: Option<SpawnedProcess>,
}

/// Running processes, and the network between the regions.
pub struct Estate {
    plan: EstatePlan,
    addresses: Addresses,
    members: BTreeMap<String, Member>,
    /// By region that is reached: what other regions' mirrors and agents go through.
    between: BTreeMap<RegionName, Proxy>,
    /// Signs changes to the embedded DNS server; made anew for each run, readable by us only.
    dns_key: PathBuf,
}

impl Estate {
    /// Starts every process of the topology: embedded regions, their agents and mirrors, DNS, controller, gateway.
    ///
    /// # Errors
    ///
    /// [`EstateError`].
    pub async fn start(plan: EstatePlan) -> Result<Self, EstateError> {
        let mut addresses =
            Addresses::choose(&plan.topology).map_err(|source| EstateError::Ports { source })?;
        for (region, there) in &mut addresses.regions {
            if let Some(bootstrap) = plan.link_bootstraps.get(region) {
                there.link_bootstrap.clone_from(bootstrap);
            }
        }
        let mut between = BTreeMap::new();
        for (region, ports) in &addresses.regions {
            if let Some(target) = ports.link_listen {
                between.insert(region.clone(), Proxy::start(ports.link_proxy, target.to_string()).await?);
            }
        }
        let members = members(&plan.topology);
        let dns_key = plan.folder.join("dns.key");
        write_secret(&dns_key, &new_key())?;
        let mut estate = Self { plan, addresses, members, between, dns_key };
        let names: Vec<_> = estate.members.iter().map(|(name, member)| (member.role, name.clone())).collect();
        for role in ["node", "dns", "controller", "agent", "mirror", "gateway"] {
            for (_, name) in names.iter().filter(|(of, _)| *of == role) {
                estate.start_member(name)?;
            }
        }
        Ok(estate)
    }

    pub fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    pub fn plan(&self) -> &EstatePlan {
        &self.plan
    }

    /// Kills every process of a region with SIGKILL, as its loss would.
    ///
    /// # Errors
    ///
    /// [`EstateError`]; where nothing of the region runs, the evidence says that nothing was bitten.
    pub async fn kill_region(&mut self, region: &RegionName) -> Result<Evidence, EstateError> {
        let mut seen = Vec::new();
        let mut bit = false;
        for (name, member) in &mut self.members {
            if member.region.as_ref() == Some(region)
                && let Some(mut process) = member.process.take()
            {
                let evidence = process.kill().await?;
                bit |= member.role == "node";
                seen.extend(evidence.seen.into_iter().map(|line| format!("{name}: {line}")));
            }
        }
        for file in self.plan.pid_files.get(region).into_iter().flatten() {
            let evidence = kill_by_file(file).await?;
            bit |= evidence.bit;
            seen.extend(evidence.seen);
        }
        if !bit {
            seen.push(format!("no broker process of {region} is ours to kill"));
        }
        Ok(Evidence { fault: "region-down (kill -9)".to_owned(), target: region.to_string(), bit, seen })
    }

    /// Kills one role's process with SIGKILL.
    ///
    /// # Errors
    ///
    /// [`EstateError::Unknown`] where no such process runs.
    pub async fn kill(&mut self, name: &str) -> Result<Evidence, EstateError> {
        let process = self.members.get_mut(name).and_then(|member| member.process.take());
        let mut process = process.ok_or_else(|| EstateError::Unknown { name: name.to_owned() })?;
        Ok(process.kill().await?)
    }

    /// Stops one role's process with SIGSTOP.
    ///
    /// # Errors
    ///
    /// [`EstateError::Unknown`] where no such process runs.
    pub async fn pause(&mut self, name: &str) -> Result<Evidence, EstateError> {
        let process = self.members.get_mut(name).and_then(|member| member.process.as_mut());
        let process = process.ok_or_else(|| EstateError::Unknown { name: name.to_owned() })?;
        Ok(process.pause().await?)
    }

    /// Lets a stopped process go on.
    ///
    /// # Errors
    ///
    /// [`EstateError::Unknown`] where no such process runs.
    pub fn resume(&mut self, name: &str) -> Result<(), EstateError> {
        let process = self.members.get_mut(name).and_then(|member| member.process.as_mut());
        let process = process.ok_or_else(|| EstateError::Unknown { name: name.to_owned() })?;
        Ok(process.resume()?)
    }

    /// Cuts or slows the network between the regions, as seen from those that go to `region`.
    pub fn reshape(&self, region: &RegionName, shape: Shape) {
        if let Some(proxy) = self.between.get(region) {
            proxy.reshape(shape);
        }
    }

    /// What the network towards `region` did so far.
    pub fn network(&self, region: &RegionName) -> ProxyCounters {
        self.between.get(region).map_or_else(ProxyCounters::default, Proxy::counters)
    }

    /// Starts whatever does not run; `None` is every region. Data is as the processes left it.
    ///
    /// # Errors
    ///
    /// [`EstateError`].
    pub fn heal(&mut self, region: Option<&RegionName>) -> Result<Vec<String>, EstateError> {
        let down: Vec<_> = self
            .members
            .iter()
            .filter(|(_, member)| member.process.is_none())
            .filter(|(_, member)| region.is_none() || member.region.as_ref() == region)
            .map(|(name, _)| name.clone())
            .collect();
        for name in &down {
            self.start_member(name)?;
        }
        Ok(down)
    }

    /// Starts one process that does not run.
    ///
    /// # Errors
    ///
    /// [`EstateError`].
    pub fn heal_one(&mut self, name: &str) -> Result<(), EstateError> {
        self.start_member(name)
    }

    /// Says so where a process that should run does not.
    ///
    /// # Errors
    ///
    /// [`EstateError::Ended`].
    pub fn check(&mut self) -> Result<(), EstateError> {
        for (name, member) in &mut self.members {
            if let Some(process) = &mut member.process
                && let Some(status) = process.exited()
            {
                let log = process.log().to_owned();
                return Err(EstateError::Ended { name: name.clone(), status: status.to_string(), log });
            }
        }
        Ok(())
    }

    /// Ends every process: SIGTERM, then SIGKILL for those that do not end.
    pub async fn stop(mut self) {
        for member in self.members.values_mut() {
            if let Some(mut process) = member.process.take() {
                let _ = process.resume();
                if timeout(TERMINATE_WAIT_MAX, process.terminate()).await.is_err() {
                    let _ = process.kill().await;
                }
            }
        }
    }

    fn start_member(&mut self, name: &str) -> Result<(), EstateError> {
        let Some(member) = self.members.get_mut(name) else {
            return Err(EstateError::Unknown { name: name.to_owned() });
        };
        let folder = self.plan.folder.join(name);
        let config = folder.join("settings.toml");
        let text =
            settings::render(&self.addresses, name, member.role, member.region.as_ref(), &self.dns_key);
        write(&config, &text)?;
        let mut command = Command::new(&self.plan.program);
        command.arg("serve").arg("--role").arg(member.role);
        if let Some(region) = &member.region {
            command.arg("--region").arg(region.as_str());
        }
        command.arg("-f").arg(&self.plan.policy).arg("--data").arg(folder.join("data"));
        command.arg("--config").arg(&config);
        member.process = Some(SpawnedProcess::start(name, command, &folder.join("log"))?);
        Ok(())
    }
}

impl std::fmt::Debug for Estate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Estate").field("members", &self.members.keys()).finish_non_exhaustive()
    }
}

fn write(path: &Path, text: &str) -> Result<(), EstateError> {
    let failed = |source| EstateError::Write { path: path.to_owned(), source };
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder).map_err(failed)?;
    fs::write(path, text).map_err(failed)
}

/// 32 random bytes in base64.
fn new_key() -> String {
    use base64::{Engine, engine::general_purpose::STANDARD};
    STANDARD.encode(rand::random::<[u8; 32]>())
}

fn write_secret(path: &Path, secret: &str) -> Result<(), EstateError> {
    use std::{io::Write, os::unix::fs::OpenOptionsExt};
    let failed = |source| EstateError::Write { path: path.to_owned(), source };
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder).map_err(failed)?;
    let file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    file.and_then(|mut file| file.write_all(secret.as_bytes())).map_err(failed)
}

fn members(topology: &Topology) -> BTreeMap<String, Member> {
    let mut members = BTreeMap::new();
    let mut add = |name: String, role, region: Option<&RegionName>| {
        members.insert(name, Member { role, region: region.cloned(), process: None });
    };
    for region in topology.data_regions() {
        if matches!(region.kafka, Some(Kafka::Embedded(_))) {
            add(format!("{}-node", region.name), "node", Some(&region.name));
        }
        add(format!("{}-agent", region.name), "agent", Some(&region.name));
        add(format!("{}-mirror", region.name), "mirror", Some(&region.name));
    }
    if Addresses::has_embedded_dns(topology) {
        add("dns".to_owned(), "dns", None);
    }
    add("controller".to_owned(), "controller", None);
    if topology.spec.buffer.enabled {
        add("gateway".to_owned(), "gateway", None);
    }
    members
}
