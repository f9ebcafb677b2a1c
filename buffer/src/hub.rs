//! Where everything of the forwarding side comes together: partitions, disk, regions, the grant. Carries out what the
//! partitions' cores ask for, and tells them what came of it.

mod gone;
mod held;
mod look;
mod matching;
mod moves;
mod partition;
mod region;
mod rules;
mod sender;
mod standing;
mod status;
mod topics;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use leeward_model::{Instant, ProducerId, RegionName, TopicPartition};
use parking_lot::{Mutex, RwLock};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use moves::Moves;
pub(crate) use partition::{Partition, SetAside};
pub(crate) use region::Region;
pub(crate) use rules::TOPIC_RESOURCE;
pub use status::GatewayStatus;

use crate::catalog::Catalog;
use crate::grants::Standing;
use crate::intake::Intake;
use crate::limits::{CACHED_BYTES_MAX, PRODUCER_IDS_RESERVED, STATE_INTERVAL};
use crate::metrics::Metrics;
use crate::partition::{Command, Entry, Event, Forward, Outcome, Trimming};
use crate::state::{PartitionState, State};
use crate::store::{Opened, Store, StoreError};

/// When a client's batch is acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acknowledge {
    /// Once it is on this gateway's disk, with offset -1.
    AfterFsync,
    /// Once the acting primary has it, with its offset there.
    AfterKafka,
}

/// When what the acting primary has may be forgotten here, for a topic.
pub(crate) type TrimmingOf = Arc<dyn Fn(&TopicPartition) -> Trimming + Send + Sync>;

/// The forwarding side of a gateway.
pub(crate) struct Hub {
    pub(crate) store: Store,
    pub(crate) metrics: Metrics,
    pub(crate) catalog: Catalog,
    pub(crate) acknowledge: Acknowledge,
    pub(crate) regions: BTreeMap<RegionName, Arc<Region>>,
    pub(crate) stop: CancellationToken,
    pub(crate) tasks: TaskTracker,
    runtime: Handle,
    identity: [u8; 16],
    trimming: TrimmingOf,
    partitions: RwLock<HashMap<TopicPartition, Arc<Partition>>>,
    standing: ArcSwapOption<Standing>,
    granted: watch::Sender<()>,
    /// Changes when another region becomes the acting one, or none.
    acting: watch::Sender<Option<RegionName>>,
    moves: Mutex<Moves>,
    started: tokio::time::Instant,
    producer_ids: ProducerIds,
    highest_epoch: Mutex<u64>,
    cached_bytes: AtomicUsize,
    dirty: AtomicBool,
    /// Batches that could not be set aside yet: the journal keeps them.
    not_yet_aside: Mutex<Vec<(Arc<Partition>, Entry)>>,
    /// Topics of which something is buffered or was, and which the acting region has not had for long.
    gone: Mutex<Vec<String>>,
}

#[derive(Debug)]
struct ProducerIds {
    next: AtomicI64,
    reserved_to: AtomicI64,
    reserving: Mutex<()>,
}

impl std::fmt::Debug for Hub {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hub").field("regions", &self.regions.keys()).finish_non_exhaustive()
    }
}

/// What a hub is made of.
pub(crate) struct HubParts {
    pub(crate) opened: Opened,
    pub(crate) metrics: Metrics,
    pub(crate) acknowledge: Acknowledge,
    pub(crate) regions: BTreeMap<RegionName, Arc<Region>>,
    pub(crate) trimming: TrimmingOf,
    pub(crate) stop: CancellationToken,
    pub(crate) tasks: TaskTracker,
}

impl Hub {
    pub(crate) fn new(parts: HubParts) -> Arc<Self> {
        let Opened { store, state, partitions, damaged_ranges } = parts.opened;
        parts.metrics.damaged_ranges.set(i64::try_from(damaged_ranges).unwrap_or(i64::MAX));
        parts.metrics.capacity.set(i64::try_from(store.capacity()).unwrap_or(i64::MAX));
        let identity = state.identity;
        let mut known = HashMap::new();
        for (name, recovered) in partitions {
            if recovered.damaged_records > 0 {
                tracing::error!(
                    partition = %name, records = recovered.damaged_records, journal = %store.journal_directory().display(),
                    "acknowledged records are damaged or missing"
                );
                parts.metrics.damaged_records.inc_by(recovered.damaged_records);
            }
            let partition = Partition::new(name.clone(), identity, recovered.intake, recovered.forward);
            known.insert(name, Arc::new(partition));
        }
        Arc::new(Self {
            store,
            metrics: parts.metrics,
            catalog: Catalog::new(state.topics),
            acknowledge: parts.acknowledge,
            regions: parts.regions,
            stop: parts.stop,
            tasks: parts.tasks,
            runtime: Handle::current(),
            identity,
            trimming: parts.trimming,
            partitions: RwLock::new(known),
            standing: ArcSwapOption::empty(),
            acting: watch::Sender::new(None),
            granted: watch::Sender::new(()),
            moves: Mutex::default(),
            started: tokio::time::Instant::now(),
            producer_ids: ProducerIds {
                next: AtomicI64::new(state.producer_ids_to),
                reserved_to: AtomicI64::new(state.producer_ids_to),
                reserving: Mutex::new(()),
            },
            highest_epoch: Mutex::new(state.epoch),
            cached_bytes: AtomicUsize::new(0),
            dirty: AtomicBool::new(true),
            not_yet_aside: Mutex::default(),
            gone: Mutex::default(),
        })
    }

    fn now(&self) -> Instant {
        Instant::from_start(self.started.elapsed())
    }

    pub(crate) fn acting(&self) -> Option<Arc<Region>> {
        let region = self.acting.borrow().clone()?;
        self.regions.get(&region).cloned()
    }

    /// Changes whenever the partitions were told of another grant, or of one that lives again.
    pub(crate) fn watch_grants(&self) -> watch::Receiver<()> {
        self.granted.subscribe()
    }

    pub(crate) fn watch_acting(&self) -> watch::Receiver<Option<RegionName>> {
        self.acting.subscribe()
    }

    /// When another region became the acting one, as far as clients may notice.
    pub(crate) fn moved_at(&self) -> Option<tokio::time::Instant> {
        self.moves.lock().moved_at()
    }

    pub(crate) fn standing(&self) -> Option<Arc<Standing>> {
        self.standing.load_full()
    }

    /// A partition, made where it is new.
    pub(crate) fn partition(&self, name: &TopicPartition) -> Arc<Partition> {
        if let Some(known) = self.partitions.read().get(name) {
            return known.clone();
        }
        let mut partitions = self.partitions.write();
        let new = || {
            let mut forward = Forward::new((self.trimming)(name));
            if let Some(standing) = self.standing.load_full()
                && standing.lives(tokio::time::Instant::now())
                && let Some(grant) = standing.grant(name)
            {
                forward.on(Event::Granted(grant), self.now());
            }
            Arc::new(Partition::new(name.clone(), self.identity, Intake::default(), forward))
        };
        partitions.entry(name.clone()).or_insert_with(new).clone()
    }

    fn all(&self) -> Vec<Arc<Partition>> {
        self.partitions.read().values().cloned().collect()
    }

    /// Tells a partition what happened and carries out what follows.
    pub(crate) fn tell(self: &Arc<Self>, partition: &Arc<Partition>, event: Event) {
        if let Event::Sent { ordinal, outcome: Outcome::Acknowledged { base_offset } } = &event {
            partition.answer_exact(*ordinal, *base_offset);
        }
        let mut forward = partition.forward.lock();
        for command in forward.on(event, self.now()) {
            self.carry_out(partition, command);
        }
        partition.answer_all(|end| forward.is_acknowledged(end));
    }

    /// Starts what a command asks for. Nothing here waits: the partition is locked, so that batches leave in order.
    fn carry_out(self: &Arc<Self>, partition: &Arc<Partition>, command: Command) {
        match command {
            Command::Send { region, epoch, writer, sequence, entry } => {
                let item = sender::Item::new(partition.clone(), (epoch, writer, sequence), entry);
                self.region_of(&region, |region| region.send(self, item));
            }
            Command::FindEnd { operation, region } => {
                self.operate(partition, operation, &region, async move |_, region, partition| {
                    let (offset, topic) = look::end_of(&region, &partition.name).await?;
                    Ok(Event::EndFound { operation, offset, topic })
                });
            }
            Command::Look { operation, region, epoch, writer, from } => {
                self.operate(partition, operation, &region, async move |_, region, partition| {
                    let producer = partition.producer(writer);
                    let (found, topic) = look::look(&region, &partition, (producer, epoch), from).await?;
                    Ok(Event::Looked { operation, found, topic })
                });
            }
            Command::Match { operation, region, from, to, candidates } => {
                self.operate(partition, operation, &region, async move |hub, region, partition| {
                    let records =
                        matching::matching(&hub, &region, &partition, (from, to), candidates).await?;
                    hub.metrics.matched_records.inc_by(records);
                    Ok(Event::Matched { operation, records })
                });
            }
            Command::SaveLineage { operation, lineage } => {
                let (kind, payload) = crate::frames::lineage_frame(&partition.name, &lineage);
                let (hub, waiting) = (self.clone(), partition.clone());
                let done = move |stored: Result<_, leeward_log::AppendError>| {
                    let event = match stored {
                        Ok(_) => Event::LineageSaved { operation },
                        Err(_) => Event::Failed { operation },
                    };
                    hub.tell(&waiting, event);
                };
                if self.store.append(kind, vec![payload], done).is_err() {
                    self.tell_later(partition, Event::Failed { operation });
                }
            }
            Command::AskTopic { region } => self.region_of(&region, |region| region.topics.want()),
            Command::LogLost { forgotten, sent_again } => self.log_is_lost(partition, forgotten, sent_again),
            Command::SetAside { entry } => self.set_aside(partition, entry),
            Command::Trimmed { to } => {
                self.cached_bytes.fetch_sub(partition.forget_cached(to), Ordering::Relaxed);
                self.dirty.store(true, Ordering::Relaxed);
            }
            Command::Wake { at } => {
                let (hub, partition) = (self.clone(), partition.clone());
                let at = self.started + at.since(Instant::ZERO);
                self.spawn(async move {
                    tokio::time::sleep_until(at).await;
                    hub.tell(&partition, Event::Tick);
                });
            }
        }
    }

    fn region_of(&self, name: &RegionName, use_it: impl FnOnce(&Arc<Region>)) {
        match self.regions.get(name) {
            Some(region) => use_it(region),
            None => tracing::error!(region = %name, "no such region is configured"),
        }
    }

    fn operate<F>(
        self: &Arc<Self>,
        partition: &Arc<Partition>,
        operation: u64,
        region: &RegionName,
        run: impl FnOnce(Arc<Self>, Arc<Region>, Arc<Partition>) -> F,
    ) where
        F: Future<Output = Result<Event, look::LookError>> + Send + 'static,
    {
        let Some(region) = self.regions.get(region).cloned() else {
            tracing::error!(%region, "no such region is configured");
            self.tell_later(partition, Event::Failed { operation });
            return;
        };
        let (hub, partition) = (self.clone(), partition.clone());
        let running = run(hub.clone(), region, partition.clone());
        self.spawn(async move {
            let event = running.await.unwrap_or_else(|error| {
                tracing::debug!(partition = %partition.name, %error, "cannot settle the partition yet");
                Event::Failed { operation }
            });
            hub.tell_credibly(&partition, event);
        });
    }

    pub(crate) fn tell_later(self: &Arc<Self>, partition: &Arc<Partition>, event: Event) {
        let (hub, partition) = (self.clone(), partition.clone());
        self.spawn(async move { hub.tell(&partition, event) });
    }

    /// Runs a task until it ends or the gateway stops.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let stop = self.stop.clone();
        self.tasks.spawn_on(
            async move {
                tokio::select! {
                    biased;
                    () = stop.cancelled() => {}
                    () = task => {}
                }
            },
            &self.runtime,
        );
    }

    fn set_aside(&self, partition: &Arc<Partition>, entry: Entry) {
        partition.answer_refused(entry.ordinal);
        self.metrics.rejected("set-aside", u64::from(entry.sent_records()));
        tracing::error!(
            partition = %partition.name, records = entry.sent_records(),
            "no region takes the batch; it is kept in `set-aside`"
        );
        if !self.is_set_aside(partition, &entry) {
            self.not_yet_aside.lock().push((partition.clone(), entry));
        }
    }

    fn is_set_aside(&self, partition: &Partition, entry: &Entry) -> bool {
        let kept = self.read_batch(partition, entry).map_err(|error| error.to_string()).and_then(|batch| {
            self.store.set_aside(&partition.name, entry.ordinal, &batch).map_err(|error| error.to_string())
        });
        if let Err(error) = &kept {
            tracing::error!(partition = %partition.name, error, "batch could not be set aside; it stays in the journal for now");
        }
        kept.is_ok()
    }

    /// Tries once more what could not be set aside.
    fn set_aside_the_rest(&self) {
        let mut left = self.not_yet_aside.lock();
        left.retain(|(partition, entry)| !self.is_set_aside(partition, entry));
        if !left.is_empty() {
            self.mark_dirty();
        }
    }

    /// A batch as its client sent it.
    pub(crate) fn read_batch(
        &self,
        partition: &Partition,
        entry: &Entry,
    ) -> Result<Bytes, leeward_log::ReadError> {
        if let Some(cached) = partition.cached(entry.ordinal) {
            return Ok(cached);
        }
        let frame = self.store.read(entry.position)?;
        let batch = frame.and_then(|(kind, payload)| match crate::frames::read(kind, payload) {
            Some(crate::frames::Frame::Batch { batch, .. }) => Some(batch),
            Some(crate::frames::Frame::Lineage { .. } | crate::frames::Frame::Hole { .. }) | None => None,
        });
        let position = leeward_log::Position::new(entry.position);
        batch.ok_or(leeward_log::ReadError::NoFrame { position })
    }

    /// Keeps an accepted batch in memory, where there is room.
    pub(crate) fn cache(&self, partition: &Partition, ordinal: u64, batch: Bytes) {
        if self.cached_bytes.load(Ordering::Relaxed) + batch.len() <= CACHED_BYTES_MAX {
            self.cached_bytes.fetch_add(batch.len(), Ordering::Relaxed);
            partition.cache(ordinal, batch);
        }
    }

    pub(crate) fn uncache(&self, partition: &Partition, ordinal: u64) {
        self.cached_bytes.fetch_sub(partition.uncache(ordinal), Ordering::Relaxed);
    }

    /// A producer id that no client ever had from this gateway.
    pub(crate) fn new_producer_id(self: &Arc<Self>) -> Result<ProducerId, StoreError> {
        let id = self.producer_ids.next.fetch_add(1, Ordering::Relaxed);
        let _turn = self.producer_ids.reserving.lock();
        if id >= self.producer_ids.reserved_to.load(Ordering::Relaxed) {
            self.producer_ids.reserved_to.store(id + PRODUCER_IDS_RESERVED, Ordering::Relaxed);
            self.save()?;
        }
        Ok(ProducerId::from_wire(id).expect("counted up from 0"))
    }

    /// Persists all positions, and lets go of what is not needed.
    pub(crate) fn save_and_trim(&self) -> Result<(), StoreError> {
        self.save()?;
        self.store.trim();
        Ok(())
    }

    /// Persists all positions.
    fn save(&self) -> Result<(), StoreError> {
        // Read first: what is appended meanwhile stands behind.
        let mut needed = self.store.told();
        let mut partitions = Vec::new();
        for partition in self.all() {
            let (next_ordinal, producers) = {
                let intake = partition.intake.lock();
                (intake.next_ordinal(), intake.producers().clone())
            };
            let forward = partition.forward.lock();
            if let Some(oldest) = forward.oldest() {
                needed = needed.min(oldest.position);
            }
            let state = PartitionState { saved: forward.saved(), next_ordinal, producers };
            partitions.push((partition.name.clone(), state));
        }
        // Behind the partitions: what one of them has let go of meanwhile is found here.
        let not_yet_aside = self.not_yet_aside.lock().iter().map(|(_, entry)| entry.position).min();
        let needed = not_yet_aside.map_or(needed, |position| needed.min(position));
        let state = State {
            journal: None,
            identity: self.identity,
            producer_ids_to: self.producer_ids.reserved_to.load(Ordering::Relaxed),
            epoch: self.highest_epoch(),
            topics: self.catalog.known(),
            partitions,
        };
        self.store.save(state, needed)
    }

    /// Writes the state file whenever something changed.
    pub(crate) async fn keep_state(self: Arc<Self>) {
        loop {
            tokio::time::sleep(STATE_INTERVAL).await;
            let changed = self.dirty.swap(false, Ordering::Relaxed);
            if changed || self.catalog.take_changed() {
                let hub = self.clone();
                let save = move || {
                    hub.set_aside_the_rest();
                    hub.save_and_trim()
                };
                // Who stops waits for it: it holds the directory's lock.
                let saved = self.tasks.spawn_blocking_on(save, &self.runtime);
                if let Ok(Err(error)) = saved.await {
                    tracing::error!(%error, "state cannot be saved; nothing is removed from the journal");
                    self.dirty.store(true, Ordering::Relaxed);
                }
            }
        }
    }

    pub(crate) fn mark_dirty(&self) {
        self.dirty.store(true, Ordering::Relaxed);
    }
}

/// Milliseconds since 1970.
pub(crate) fn wall_clock_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
