//! A region's agent: probes both regions from its place, holds its region's lease, and seals the region when the
//! lease runs out or the controller says so.

mod duty;

use std::{collections::VecDeque, sync::Arc, time::Duration};

use leeward_failover_core::{LevelRule, Probe};
use leeward_model::RegionName;
use leeward_proto::{
    region::{AgentReport, ProbeReport, region_client::RegionClient},
    transport::{Peer, PeerError},
};
use parking_lot::Mutex;
use tokio::{
    sync::mpsc,
    task::JoinHandle,
    time::{Instant, MissedTickBehavior, interval, sleep},
};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{info, warn};

use self::duty::{Duty, Sealing};
use crate::{
    clock::BootClock,
    config::AgentConfig,
    fencer::Fencer,
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
        let served = notes.serves(&config.region)?;
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
        let duty = Arc::new(Mutex::new(Duty::new(served, left, sealing, config.lease, Instant::now())));
        let round =
            config.detect.values().map(|rule: &LevelRule| rule.every).min().unwrap_or(LINK_ASK_TIMEOUT);
        let exchange = Exchange {
            region: config.region.clone(),
            round,
            duty: Arc::clone(&duty),
            controller,
            notes,
            served,
            boot,
            lease: config.lease,
            noted_until: None,
            noting: None,
            tasks: tasks.clone(),
        };
        tasks.spawn(until(shutdown.clone(), exchange.run(inbox)));
        tasks.spawn(until(shutdown.clone(), guard(fencer, duty, config.seals_itself, round)));
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

struct Exchange {
    region: RegionName,
    round: Duration,
    duty: Arc<Mutex<Duty>>,
    controller: Peer,
    notes: RedbLog,
    /// Whether the notes say that the region serves.
    served: bool,
    boot: BootClock,
    lease: Duration,
    /// The end of the lease that was noted last.
    noted_until: Option<Instant>,
    /// One note is written at a time, beside the exchange: a disk that hangs must not let the lease run out.
    noting: Option<JoinHandle<()>>,
    tasks: TaskTracker,
}

impl Exchange {
    async fn run(mut self, mut samples: mpsc::Receiver<Sample>) {
        loop {
            if let Err(error) = self.attend(&mut samples).await {
                warn!(region = %self.region, %error, "controller is not reached");
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
                    while sent.front().is_some_and(|(number, _)| *number < instruction.number) {
                        sent.pop_front();
                    }
                    if let Some((_, sent_at)) = sent.front().filter(|(number, _)| *number == instruction.number) {
                        self.duty.lock().take(&instruction, *sent_at);
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
                    let (seal, new) = {
                        let duty = self.duty.lock();
                        (Some(duty.report()), duty.is_new())
                    };
                    if sent.len() == STREAM_BUFFER {
                        sent.pop_front();
                    }
                    sent.push_back((number, Instant::now()));
                    let report = AgentReport { agent: self.region.to_string(), number, probes, seal, new };
                    if reports.try_send(report).is_err() {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// Notes durably whether the region serves, for the process after this one.
    fn note(&mut self) {
        let Some(serves) = self.duty.lock().serves() else { return };
        if serves == self.served {
            return;
        }
        match self.notes.note_serving(&self.region, serves) {
            Ok(()) => self.served = serves,
            Err(error) => warn!(region = %self.region, %error, "role was not noted"),
        }
    }

    /// Notes durably when the lease ends, so that the process after this one stops no later than the controller thinks.
    /// A note that is late or missing only lets it stop sooner.
    fn note_lease(&mut self) {
        let Some(until) = self.duty.lock().lease_until() else { return };
        let step = self.lease / LEASE_NOTES_PER_LEASE;
        let due = self.noted_until.is_none_or(|noted| until.saturating_duration_since(noted) >= step);
        if !due || self.noting.as_ref().is_some_and(|noting| !noting.is_finished()) {
            return;
        }
        let end = self.boot.after(until.saturating_duration_since(Instant::now()));
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
async fn guard(fencer: Fencer, duty: Arc<Mutex<Duty>>, seals_itself: bool, round: Duration) {
    let mut rounds = interval(round);
    rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        rounds.tick().await;
        let (must_seal, may_open, sealing) = {
            let duty = duty.lock();
            (duty.must_seal(seals_itself, Instant::now()), duty.may_open(), duty.sealing)
        };
        match (must_seal, sealing) {
            (true, Sealing::Open | Sealing::Begun) => {
                duty.lock().sealing = Sealing::Begun;
                match fencer.seal().await {
                    Ok(seal) => {
                        let seen =
                            format!("{} of {} brokers refuse writes", seal.brokers_refusing, seal.brokers);
                        info!(%seen, complete = seal.is_complete(), "region sealed");
                        let mut duty = duty.lock();
                        if seal.is_complete() {
                            duty.sealing = Sealing::Complete;
                        }
                        duty.seen = seen;
                    }
                    Err(error) => duty.lock().seen = error.to_string(),
                }
            }
            (false, Sealing::Begun | Sealing::Complete) if may_open => match fencer.unseal().await {
                Ok(_) => {
                    info!("region opened");
                    let mut duty = duty.lock();
                    duty.sealing = Sealing::Open;
                    duty.seen = String::new();
                }
                Err(error) => duty.lock().seen = error.to_string(),
            },
            (true, Sealing::Complete) | (false, Sealing::Open | Sealing::Begun | Sealing::Complete) => {}
        }
    }
}
