//! A link from outside: a handle, and the task behind it that gives and takes leave to write.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use leeward_mirror_core::map::Translation;
use leeward_model::{FencingEpoch, LinkName, SourceOffset, TargetOffset, TopicPartition};
use tokio::sync::{Mutex, mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use crate::{
    Leave, LinkConfig, LinkError, LinkEvent, LinkStatus, MirrorMetrics, Watermark,
    alone::run_alone,
    groups::{GroupStanding, Groups, Standings},
    limits::{SEAL_GROUPS_MAX, VERBS_MAX},
    metrics::LinkMetrics,
    run::Run,
    status::Board,
    store::Local,
    task::{SealOrder, Sealed, Verb},
};

/// What a seal found.
#[derive(Clone, Debug)]
pub struct SealReport {
    pub watermarks: Vec<Watermark>,
    pub groups: Vec<GroupStanding>,
    pub drained: bool,
}

/// One link of a process. Clones are the same link.
#[derive(Clone, Debug)]
pub struct LinkHandle {
    shared: Arc<Shared>,
}

struct Shared {
    config: Arc<LinkConfig>,
    board: Arc<Board>,
    metrics: LinkMetrics,
    local: Arc<Local>,
    standings: Standings,
    running: Mutex<Option<Running>>,
    end: CancellationToken,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("link", &self.config.name).finish_non_exhaustive()
    }
}

struct Running {
    epoch: FencingEpoch,
    verbs: mpsc::Sender<Verb>,
    groups: Arc<Mutex<Option<Groups>>>,
    end: CancellationToken,
    ended: oneshot::Receiver<()>,
    sealed: Option<SealReport>,
}

impl LinkHandle {
    /// Opens a link; it writes once it has leave to.
    ///
    /// # Errors
    ///
    /// [`LinkError::Local`] where its folder cannot be used. With a leave older than its last seal it waits for another.
    pub async fn start(config: LinkConfig, metrics: &MirrorMetrics) -> Result<Self, LinkError> {
        let local = Arc::new(Local::open(&config.data_dir)?);
        let leave = config.leave.clone();
        let metrics = metrics.of(&config);
        let handle = Self {
            shared: Arc::new(Shared {
                config: Arc::new(config),
                board: Arc::new(Board::new()),
                metrics,
                local,
                standings: Standings::default(),
                running: Mutex::new(None),
                end: CancellationToken::new(),
            }),
        };
        if let Some(leave) = leave {
            match handle.give_leave(leave).await {
                Err(error @ LinkError::Fenced { .. }) => {
                    tracing::warn!(link = %handle.name(), %error, "link waits for leave");
                    handle.shared.board.status.lock().failure = Some(error.to_string());
                }
                given => given?,
            }
        }
        Ok(handle)
    }

    pub fn name(&self) -> &LinkName {
        &self.shared.config.name
    }

    pub fn config(&self) -> &LinkConfig {
        &self.shared.config
    }

    /// Lets the link write under an epoch. Under the epoch that it runs under, nothing happens, unless topics were made
    /// anew: then it begins again.
    ///
    /// # Errors
    ///
    /// [`LinkError::Fenced`] for an epoch that is not newer than the last seal's or older than the running one. A leave
    /// that takes the last seal back may have that seal's epoch. [`LinkError::Thread`] where there is no thread for it.
    pub async fn give_leave(&self, leave: Leave) -> Result<(), LinkError> {
        let mut running = self.shared.running.lock().await;
        let runs =
            running.as_ref().is_some_and(|running| running.epoch == leave.epoch && running.sealed.is_none());
        if runs && !leave.topics_made_anew {
            return Ok(());
        }
        let of_run = running.as_ref().map_or(FencingEpoch::FIRST, |running| running.epoch);
        let required = self.shared.local.required_epoch()?.max(of_run);
        let sealed_under_it = leave.takes_back_seal && leave.epoch.next() == required;
        if leave.epoch < required && !sealed_under_it {
            return Err(LinkError::Fenced { required, given: leave.epoch });
        }
        if let Some(before) = running.take() {
            before.finish().await;
        }
        self.shared.local.require_epoch(leave.epoch)?;
        *running = Some(self.begin(leave)?);
        Ok(())
    }

    fn begin(&self, leave: Leave) -> Result<Running, LinkError> {
        let shared = &self.shared;
        let (verbs, received) = mpsc::channel(VERBS_MAX);
        let groups = Arc::default();
        let end = shared.end.child_token();
        let epoch = leave.epoch;
        let run = Run {
            config: shared.config.clone(),
            leave,
            local: shared.local.clone(),
            board: shared.board.clone(),
            metrics: shared.metrics.clone(),
            standings: shared.standings.clone(),
            groups: Arc::clone(&groups),
            verbs: verbs.clone(),
            end: end.clone(),
        };
        let ended = run_alone(run.run(received)).map_err(LinkError::Thread)?;
        Ok(Running { epoch, verbs, groups, end, ended, sealed: None })
    }

    /// Writes what was received, or up to `drain_to`, stops, and says where. Safe to repeat.
    ///
    /// # Errors
    ///
    /// [`LinkError::Fenced`] for an epoch older than the link's; [`LinkError::NotRunning`] where it never ran.
    pub async fn seal(
        &self,
        epoch: FencingEpoch,
        within: Duration,
        drain_to: BTreeMap<TopicPartition, SourceOffset>,
    ) -> Result<SealReport, LinkError> {
        let mut guard = self.shared.running.lock().await;
        let running = guard.as_mut().ok_or(LinkError::NotRunning)?;
        if let Some(sealed) = &running.sealed {
            return Ok(sealed.clone());
        }
        if epoch < running.epoch {
            return Err(LinkError::Fenced { required: running.epoch, given: epoch });
        }
        self.shared.local.require_epoch(epoch.next())?;
        let planned = !drain_to.is_empty();
        let (reply, answer) = oneshot::channel();
        let order = SealOrder { within, drain_to, reply };
        running.verbs.send(Verb::Seal(order)).await.map_err(|_| LinkError::Ending)?;
        let Sealed { watermarks, drained } = answer.await.map_err(|_| LinkError::Ending)?;
        if let Some(groups) = running.groups.lock().await.as_mut() {
            // Only a planned seal may wait for the source's last word: in an emergency nobody may be there to say it.
            let reading = if planned { SEAL_GROUPS_MAX / 2 } else { Duration::ZERO };
            // What is not carried in time is shown as waiting.
            let _ = tokio::time::timeout(SEAL_GROUPS_MAX, groups.finish(reading)).await;
        }
        let report = SealReport { watermarks, groups: self.groups(), drained };
        running.sealed = Some(report.clone());
        Ok(report)
    }

    pub fn status(&self) -> LinkStatus {
        self.shared.board.status.lock().clone()
    }

    /// Watermarks of all partitions, whenever one moves.
    pub fn watermarks(&self) -> watch::Receiver<Arc<Vec<Watermark>>> {
        self.shared.board.watermarks.subscribe()
    }

    /// Positions of the groups that the link follows.
    pub fn groups(&self) -> Vec<GroupStanding> {
        self.shared.standings.lock().values().cloned().collect()
    }

    /// Events behind one that is known, 0 for all that are remembered.
    pub fn events_after(&self, number: u64) -> Vec<LinkEvent> {
        self.shared.board.events_after(number)
    }

    /// The newest event's number, whenever there is one.
    pub fn watch_events(&self) -> watch::Receiver<u64> {
        self.shared.board.watch_events()
    }

    /// Where a source position stands in the target; `None` for a partition that is not mirrored.
    ///
    /// # Errors
    ///
    /// [`LinkError::NotRunning`].
    pub async fn to_target(
        &self,
        partition: TopicPartition,
        position: SourceOffset,
    ) -> Result<Option<Translation<TargetOffset>>, LinkError> {
        let (reply, answer) = oneshot::channel();
        let positions = vec![(partition, position)];
        self.ask(Verb::ToTarget { positions, reply }).await?;
        Ok(answer.await.map_err(|_| LinkError::Ending)?.pop().flatten())
    }

    /// Where a target position stands in the source.
    ///
    /// # Errors
    ///
    /// [`LinkError::NotRunning`].
    pub async fn to_source(
        &self,
        partition: TopicPartition,
        position: TargetOffset,
    ) -> Result<Option<Translation<SourceOffset>>, LinkError> {
        let (reply, answer) = oneshot::channel();
        self.ask(Verb::ToSource { partition, position, reply }).await?;
        answer.await.map_err(|_| LinkError::Ending)
    }

    async fn ask(&self, verb: Verb) -> Result<(), LinkError> {
        let verbs = {
            let running = self.shared.running.lock().await;
            running.as_ref().ok_or(LinkError::NotRunning)?.verbs.clone()
        };
        verbs.send(verb).await.map_err(|_| LinkError::Ending)
    }

    /// Ends the link where it stands, as a crash would, but without one.
    pub async fn shutdown(&self) {
        self.shared.end.cancel();
        if let Some(running) = self.shared.running.lock().await.take() {
            running.finish().await;
        }
    }
}

impl Running {
    async fn finish(self) {
        self.end.cancel();
        if self.ended.await.is_err() {
            tracing::error!("link's thread ended badly");
        }
    }
}
