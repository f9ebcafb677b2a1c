//! A region's agent: probes both regions from its place, holds its region's lease, and seals the region when the
//! lease runs out or the controller says so.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use leeward_failover_core::{
    Act, Before, Duty, Instruction, Keeping, LevelRule, Probe, Role, SealEvidence, Sealing,
};
use leeward_model::{FencingEpoch, Instant, RegionName, with_causes};
use leeward_proto::{
    region::{AgentInstruction, AgentReport, ProbeReport, SealReport, region_client::RegionClient},
    transport::{Peer, PeerError},
};
use parking_lot::Mutex;
use tokio::{
    sync::mpsc,
    task::JoinHandle,
    time::{MissedTickBehavior, interval, sleep, timeout},
};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{info, warn};

use crate::{
    clock::{BootClock, Clock},
    complaint::Complaint,
    config::AgentConfig,
    fencer::{FenceError, Fencer},
    limits::{AGENT_RECONNECT_AFTER, LEASE_NOTES_PER_LEASE, LINK_ASK_TIMEOUT, MAILBOX, STREAM_BUFFER},
    log::{LogError, RedbLog},
    probes::{self, Sample},
};

/// Why an agent did not start.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    #[error(transparent)]
    Notes(#[from] LogError),
    #[error("the controller cannot be reached")]
    Controller(#[from] PeerError),
    #[error("agent in {region} was given no cluster of its own region")]
    NoOwnCluster { region: RegionName },
}

/// A running agent.
#[derive(Debug)]
pub struct Agent {
    shutdown: CancellationToken,
    tasks: TaskTracker,
}

impl Agent {
    /// Begins to probe and to report.
    ///
    /// # Errors
    ///
    /// [`AgentError`] where the notes cannot be opened or the configuration is not whole.
    pub fn start(config: &AgentConfig) -> Result<Self, AgentError> {
        let controller = config.transport.peer(&config.controller)?.connect_timeout(LINK_ASK_TIMEOUT);
        let own = config.clusters.iter().find(|(region, _)| *region == config.region);
        let own = own.ok_or_else(|| AgentError::NoOwnCluster { region: config.region.clone() })?;
        let notes = RedbLog::open(&config.data)?;
        let role = notes.role(&config.region)?;
        let boot = BootClock::of_this_boot();
        let left = notes.lease(&config.region)?.map_or(Duration::ZERO, |end| boot.until(&end));
        let sealing = if notes.sealed(&config.region)?.is_empty() { Sealing::Open } else { Sealing::Begun };
        let fencer = Fencer::new(
            config.region.clone(),
            Arc::clone(&own.1),
            config.protected.clone(),
            config.seal_default,
            notes.clone(),
        );
        let (shutdown, tasks) = (CancellationToken::new(), TaskTracker::new());
        let (samples, inbox) = mpsc::channel(MAILBOX);
        probes::start(&config.region, &config.clusters, &config.detect, &samples, &tasks, &shutdown);
        let clock = Clock::start();
        let keeping = Keeping { lease: config.lease, seals_itself: config.seals_itself };
        let duty = Duty::new(keeping, Before { role, left, sealing }, clock.now().monotonic);
        let keeper = Arc::new(Mutex::new(Keeper { duty, seen: String::new() }));
        let round =
            config.detect.values().map(|rule: &LevelRule| rule.every).min().unwrap_or(LINK_ASK_TIMEOUT);
        let exchange = Exchange {
            region: config.region.clone(),
            round,
            keeper: Arc::clone(&keeper),
            clock,
            controller,
            notes,
            role,
            boot,
            lease: config.lease,
            noted_until: None,
            noting: None,
            unreached: Complaint::default(),
            tasks: tasks.clone(),
        };
        tasks.spawn(until(shutdown.clone(), exchange.run(inbox)));
        tasks.spawn(until(shutdown.clone(), guard(fencer, keeper, clock, round)));
        tasks.close();
        Ok(Self { shutdown, tasks })
    }

    /// Stops probing. The region's lease runs out.
    pub async fn shutdown(self) {
        self.shutdown.cancel();
        self.tasks.wait().await;
    }
}

async fn until(shutdown: CancellationToken, work: impl Future<Output = ()>) {
    tokio::select! {
        biased;
        () = shutdown.cancelled() => {}
        () = work => {}
    }
}

/// What is to be done to the region, and what was seen when it was done last.
struct Keeper {
    duty: Duty,
    seen: String,
}

impl Keeper {
    fn report(&self) -> SealReport {
        let taken = self.duty.taken();
        let epoch = taken.map_or(0, |taken| taken.epoch.to_wire());
        let sealed = self.duty.sealing() == Sealing::Complete;
        let kept = taken.is_some_and(|taken| taken.role.seal);
        SealReport { epoch, sealed, seen: self.seen.clone(), kept }
    }

    fn needs_lease(&self) -> bool {
        !self.duty.taken().is_some_and(|taken| taken.role.serves)
    }
}

struct Exchange {
    region: RegionName,
    round: Duration,
    keeper: Arc<Mutex<Keeper>>,
    clock: Clock,
    controller: Peer,
    notes: RedbLog,
    /// What the notes say that the region is.
    role: Role,
    boot: BootClock,
    lease: Duration,
    /// The end of the lease that was noted last.
    noted_until: Option<Instant>,
    /// One note is written at a time, beside the exchange: a disk that hangs must not let the lease run out.
    noting: Option<JoinHandle<()>>,
    unreached: Complaint,
    tasks: TaskTracker,
}

impl Exchange {
    async fn run(mut self, mut samples: mpsc::Receiver<Sample>) {
        loop {
            if let Err(error) = self.attend(&mut samples).await {
                let error = with_causes(&*error);
                if self.unreached.is_due(&error, self.clock.now().monotonic) {
                    warn!(region = %self.region, error, "controller is not reached");
                }
            }
            sleep(AGENT_RECONNECT_AFTER).await;
        }
    }

    async fn attend(
        &mut self,
        samples: &mut mpsc::Receiver<Sample>,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let mut client = RegionClient::new(self.controller.connect().await?);
        let (reports, outbox) = mpsc::channel(STREAM_BUFFER);
        let mut instructions = client.attend(ReceiverStream::new(outbox)).await?.into_inner();
        let mut rounds = interval(self.round);
        rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut sent: VecDeque<(u64, Instant)> = VecDeque::new();
        let mut number = 0;
        // What was seen while nobody listened is old.
        while samples.try_recv().is_ok() {}
        loop {
            tokio::select! {
                biased;
                instruction = instructions.message() => {
                    let Some(instruction) = instruction? else { return Ok(()) };
                    if self.unreached.ends() {
                        info!(region = %self.region, "controller is reached again");
                    }
                    while sent.front().is_some_and(|(number, _)| *number < instruction.number) {
                        sent.pop_front();
                    }
                    if let Some((_, sent_at)) = sent.front().filter(|(number, _)| *number == instruction.number) {
                        self.take(&instruction, *sent_at);
                        self.note();
                        self.note_lease();
                    }
                }
                _ = rounds.tick() => {
                    number += 1;
                    let mut probes = Vec::new();
                    while let Ok(sample) = samples.try_recv() {
                        probes.push(probe_report(sample));
                    }
                    let (seal, needs_lease) = {
                        let keeper = self.keeper.lock();
                        (Some(keeper.report()), keeper.needs_lease())
                    };
                    if sent.len() == STREAM_BUFFER {
                        sent.pop_front();
                    }
                    sent.push_back((number, self.clock.now().monotonic));
                    let agent = self.region.to_string();
                    let report = AgentReport { agent, number, probes, seal, needs_lease };
                    if reports.try_send(report).is_err() {
                        return Ok(());
                    }
                }
            }
        }
    }

    fn take(&self, word: &AgentInstruction, sent_at: Instant) {
        // Epochs begin at 1: a word without one is nobody's.
        let Some(epoch) = FencingEpoch::from_wire(word.epoch) else { return };
        let role = Role { serves: word.serves, seal: word.seal };
        let lease = (word.lease_millis > 0).then(|| Duration::from_millis(word.lease_millis));
        self.keeper.lock().duty.take(&Instruction { epoch, role, lease }, sent_at);
    }

    /// Notes durably what the region is, for the process after this one.
    fn note(&mut self) {
        let Some(role) = self.keeper.lock().duty.role() else { return };
        if role == self.role {
            return;
        }
        match self.notes.note_role(&self.region, role) {
            Ok(()) => self.role = role,
            Err(error) => warn!(region = %self.region, %error, "role was not noted"),
        }
    }

    /// Notes durably when the lease ends, so that the process after this one stops no later than the controller thinks.
    /// A note that is late or missing only lets it stop sooner.
    fn note_lease(&mut self) {
        let Some(until) = self.keeper.lock().duty.lease_until() else { return };
        let step = self.lease / LEASE_NOTES_PER_LEASE;
        let due = self.noted_until.is_none_or(|noted| until.since(noted) >= step);
        if !due || self.noting.as_ref().is_some_and(|noting| !noting.is_finished()) {
            return;
        }
        let end = self.boot.after(until.since(self.clock.now().monotonic));
        let (notes, region) = (self.notes.clone(), self.region.clone());
        self.noted_until = Some(until);
        self.noting = Some(self.tasks.spawn_blocking(move || {
            if let Err(error) = notes.note_lease(&region, &end) {
                warn!(%region, %error, "end of the lease was not noted");
            }
        }));
    }
}

fn probe_report(sample: Sample) -> ProbeReport {
    ProbeReport {
        region: sample.region.into(),
        level: sample.level.name().to_owned(),
        good: sample.probe == Probe::Good,
        cause: sample.cause,
        took_micros: u64::try_from(sample.took.as_micros()).unwrap_or(u64::MAX),
        cluster_id: sample.cluster_id.map(|id| id.as_str().to_owned()).unwrap_or_default(),
    }
}

/// Keeps the region sealed while it must be, and opens what it sealed once it need not.
async fn guard(fencer: Fencer, keeper: Arc<Mutex<Keeper>>, clock: Clock, round: Duration) {
    let mut rounds = interval(round);
    rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        rounds.tick().await;
        let act = keeper.lock().duty.next(clock.now().monotonic);
        match act {
            Some(Act::Seal) => seal(&fencer, &keeper).await,
            Some(Act::Look) => match fencer.is_sealed().await {
                Ok(true) => {}
                Ok(false) => {
                    warn!("the region's seal is gone");
                    keeper.lock().duty.sealed(false);
                }
                Err(error) => keeper.lock().seen = error.to_string(),
            },
            Some(Act::Open { until }) => open(&fencer, &keeper, clock, until).await,
            None => {}
        }
    }
}

async fn seal(fencer: &Fencer, keeper: &Mutex<Keeper>) {
    let sealed = fencer.seal().await;
    let mut keeper = keeper.lock();
    keeper.duty.sealed(sealed.as_ref().is_ok_and(SealEvidence::is_complete));
    keeper.seen = match sealed {
        Ok(seal) => {
            let seen = format!("{} of {} brokers refuse writes", seal.brokers_refusing, seal.brokers);
            info!(%seen, complete = seal.is_complete(), "region sealed");
            seen
        }
        Err(error) => error.to_string(),
    };
}

/// Gives up when the leave to open ends: the guard must be free to seal by then.
async fn open(fencer: &Fencer, keeper: &Mutex<Keeper>, clock: Clock, until: Instant) {
    let left = move || until.since(clock.now().monotonic);
    let opened = timeout(left(), fencer.unseal(|| !left().is_zero())).await;
    let opened = opened.unwrap_or(Err(FenceError::LeaveEnded));
    let mut keeper = keeper.lock();
    keeper.duty.opened(opened.is_ok());
    keeper.seen = match opened {
        Ok(_) => {
            info!("region opened");
            String::new()
        }
        Err(error) => error.to_string(),
    };
}
