//! One partition: its log, its producers, and who waits for its next record.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};

use bytes::Bytes;
use leeward_log::{
    Disk, FlushPolicy, PartitionAppendError, PartitionConfig, PartitionLog, PartitionOpenError,
    PartitionReadError, ReadPlan,
};
use leeward_wire::ErrorCode;
use leeward_wire::record::RecordBatch;
use parking_lot::{Mutex, RwLock};
use tokio::sync::Notify;
use tracing::{error, info, warn};

use crate::limits::{DECOMPRESSED_BYTES_MAX, WAITERS_SWEPT_AT};
use crate::producers::{ActiveProducer, Producers, Verdict};
use crate::settings::TopicSettings;
use crate::validate::{Refused, check_records, check_size, recompressed};

/// The epoch of every leadership: one node leads for good.
pub(crate) const LEADER_EPOCH: i32 = 0;

/// Where a batch was appended, or was before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Appended {
    pub(crate) base_offset: i64,
    /// -1 unless the topic stamps its records.
    pub(crate) append_time_ms: i64,
    pub(crate) start_offset: i64,
}

/// What a partition's log spans.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Extent {
    pub(crate) start: i64,
    pub(crate) end: i64,
}

#[derive(Debug)]
struct State {
    log: PartitionLog,
    producers: Producers,
    deleted: bool,
}

/// One partition of one topic.
#[derive(Debug)]
pub(crate) struct Partition {
    name: String,
    directory: PathBuf,
    flush: FlushPolicy,
    settings: Arc<RwLock<Arc<TopicSettings>>>,
    state: Mutex<State>,
    waiting: Mutex<Vec<Weak<Notify>>>,
}

impl Partition {
    /// Opens the partition's log and reads it through, for its producers.
    ///
    /// # Errors
    ///
    /// [`PartitionOpenError`].
    pub(crate) fn open(
        name: String,
        disk: Arc<dyn Disk>,
        directory: &Path,
        flush: FlushPolicy,
        settings: Arc<RwLock<Arc<TopicSettings>>>,
    ) -> Result<Self, PartitionOpenError> {
        let now = settings.read().clone();
        let config = PartitionConfig { segment_bytes: now.segment_bytes, flush };
        let mut producers = Producers::default();
        let mut note = |batch: &RecordBatch| producers.note(batch, now.append_time);
        let (log, recovery) = PartitionLog::open(disk, directory, config, &mut note)?;
        if let Some(torn) = &recovery.torn_tail {
            info!(partition = name, bytes = torn.bytes, kept = %torn.copy.display(), "unfinished batch cut");
        }
        for damage in &recovery.damage {
            let (from, to) = (damage.from, damage.to);
            error!(partition = name, from, to, file = %damage.file.display(), "offsets are damaged");
        }
        Ok(Self {
            name,
            directory: directory.to_owned(),
            flush,
            settings,
            state: Mutex::new(State { log, producers, deleted: false }),
            waiting: Mutex::new(Vec::new()),
        })
    }

    /// Appends a batch whose header was checked. Blocks for the disk where the node flushes every append.
    ///
    /// # Errors
    ///
    /// [`Refused`]; the batch is not in the log and will not be.
    pub(crate) fn append(&self, batch: &RecordBatch, now_ms: i64) -> Result<Appended, Refused> {
        let checked_by = self.settings.read().clone();
        check_records(batch, &checked_by, now_ms)?;
        let recompressed = recompressed(batch, &checked_by)?;
        let batch = recompressed.as_ref().unwrap_or(batch);
        let mut state = self.state.lock();
        if state.deleted {
            return Err(Refused::new(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, "the topic was deleted"));
        }
        // Read under the lock: once a changed limit was followed by taking the lock, it holds for every append.
        let settings = self.settings.read().clone();
        check_size(batch, &settings)?;
        let start_offset = state.log.start_offset();
        match state.producers.judge(batch) {
            Verdict::Append => {}
            Verdict::Refuse(error) => return Err(Refused::new(error, "sequence or epoch does not follow")),
            Verdict::Repeated { base_offset, append_time_ms } => {
                return Ok(Appended { base_offset, append_time_ms, start_offset });
            }
        }
        let stamped = settings.append_time.then(|| batch.with_append_time(now_ms));
        let batch = stamped.as_ref().unwrap_or(batch);
        let placed = state.log.append(batch, LEADER_EPOCH).map_err(|error| self.append_failed(&error))?;
        state.producers.note(&placed, settings.append_time);
        drop(state);
        self.wake();
        let append_time_ms = if settings.append_time { now_ms } else { -1 };
        Ok(Appended { base_offset: placed.base_offset(), append_time_ms, start_offset })
    }

    fn append_failed(&self, failed: &PartitionAppendError) -> Refused {
        error!(partition = self.name, error = %failed, cause = ?std::error::Error::source(failed), "append failed");
        Refused::new(ErrorCode::KAFKA_STORAGE_ERROR, failed.to_string())
    }

    /// Whether an append waits for the disk.
    pub(crate) fn blocks(&self) -> bool {
        self.flush == FlushPolicy::EveryAppend
    }

    pub(crate) fn settings(&self) -> Arc<TopicSettings> {
        self.settings.read().clone()
    }

    pub(crate) fn extent(&self) -> Extent {
        let state = self.state.lock();
        Extent { start: state.log.start_offset(), end: state.log.end_offset() }
    }

    /// Bytes of all batches.
    pub(crate) fn size_bytes(&self) -> u64 {
        self.state.lock().log.size_bytes()
    }

    /// Plans a read; the extent is that of the same moment.
    pub(crate) fn plan_read(
        &self,
        from: i64,
        max_bytes: usize,
    ) -> (Extent, Result<Option<ReadPlan>, ErrorCode>) {
        let state = self.state.lock();
        let extent = Extent { start: state.log.start_offset(), end: state.log.end_offset() };
        if state.deleted {
            return (extent, Err(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION));
        }
        let plan = state.log.plan_read(from, max_bytes).map_err(|error| self.read_failed(&error));
        (extent, plan)
    }

    /// Carries out a planned read.
    pub(crate) fn read(&self, plan: &ReadPlan) -> Result<Bytes, ErrorCode> {
        plan.read().map_err(|error| self.read_failed(&error))
    }

    fn read_failed(&self, failed: &PartitionReadError) -> ErrorCode {
        match failed {
            PartitionReadError::OutOfRange { .. } => ErrorCode::OFFSET_OUT_OF_RANGE,
            PartitionReadError::Damaged { .. } => ErrorCode::CORRUPT_MESSAGE,
            PartitionReadError::Io { .. } | PartitionReadError::Batch(_) => {
                error!(partition = self.name, error = %failed, cause = ?std::error::Error::source(failed), "read failed");
                ErrorCode::KAFKA_STORAGE_ERROR
            }
        }
    }

    /// The first record of `timestamp_ms` or later: its time and offset.
    pub(crate) fn offset_for_time(&self, timestamp_ms: i64) -> Result<Option<(i64, i64)>, ErrorCode> {
        let state = self.state.lock();
        let batch = state.log.first_batch_since(timestamp_ms).map_err(|error| self.read_failed(&error))?;
        let start = state.log.start_offset();
        drop(state);
        let Some(batch) = batch else {
            return Ok(None);
        };
        let decompressed =
            batch.decompress(DECOMPRESSED_BYTES_MAX).map_err(|_| ErrorCode::CORRUPT_MESSAGE)?;
        let found = decompressed.records().filter_map(Result::ok).find_map(|record| {
            let timestamp = batch.timestamp_of(record.timestamp_delta);
            let offset = batch.base_offset() + i64::from(record.offset_delta);
            (timestamp >= timestamp_ms && offset >= start).then_some((timestamp, offset))
        });
        // A header may claim a later time than any of its records has.
        Ok(found.or(Some((batch.max_timestamp(), batch.base_offset().max(start)))))
    }

    /// The latest time of any record, with its offset.
    pub(crate) fn latest_time(&self) -> Result<Option<(i64, i64)>, ErrorCode> {
        let latest = self.state.lock().log.max_timestamp();
        if latest < 0 { Ok(None) } else { self.offset_for_time(latest) }
    }

    /// The end offset of the largest leader epoch not above `epoch`, with that epoch.
    pub(crate) fn epoch_end(&self, epoch: i32) -> Option<(i32, i64)> {
        let state = self.state.lock();
        state.log.epoch_end(epoch).or_else(|| {
            let empty = state.log.start_offset() == state.log.end_offset();
            (empty && epoch >= LEADER_EPOCH).then(|| (LEADER_EPOCH, state.log.end_offset()))
        })
    }

    pub(crate) fn active_producers(&self) -> Vec<ActiveProducer> {
        self.state.lock().producers.active()
    }

    /// Gives up the records before `offset`; -1 means all. Returns the new start.
    pub(crate) fn delete_records_before(&self, offset: i64) -> Result<i64, ErrorCode> {
        let mut state = self.state.lock();
        let end = state.log.end_offset();
        let offset = if offset == -1 { end } else { offset };
        if offset < 0 || offset > end {
            return Err(ErrorCode::OFFSET_OUT_OF_RANGE);
        }
        state.log.delete_records_before(offset).map_err(|error| {
            error!(partition = self.name, %error, "deleting records failed");
            ErrorCode::KAFKA_STORAGE_ERROR
        })?;
        Ok(state.log.start_offset())
    }

    /// Gives up what the topic's retention does not keep.
    pub(crate) fn retain(&self, now_ms: i64) -> io::Result<()> {
        let settings = self.settings();
        if !settings.deleted {
            return Ok(());
        }
        let mut state = self.state.lock();
        let before = state.log.start_offset();
        if settings.retention_ms >= 0 {
            state.log.retain_since(now_ms.saturating_sub(settings.retention_ms))?;
        }
        if let Ok(bytes) = u64::try_from(settings.retention_bytes) {
            state.log.retain_bytes(bytes)?;
        }
        let after = state.log.start_offset();
        if after > before {
            info!(partition = self.name, from = before, to = after, "retention gave up records");
        }
        Ok(())
    }

    /// Waits until appends that began under earlier settings are done, and takes on the new ones.
    pub(crate) fn settings_changed(&self) {
        let settings = self.settings();
        let mut state = self.state.lock();
        state.log.set_config(PartitionConfig { segment_bytes: settings.segment_bytes, flush: self.flush });
    }

    /// Refuses everything from here on, and removes the log.
    pub(crate) fn delete(&self, disk: &dyn Disk) {
        self.state.lock().deleted = true;
        self.wake();
        if let Err(error) = disk.remove_dir(&self.directory) {
            warn!(partition = self.name, %error, "the deleted partition's files are still there");
        }
    }

    /// Makes everything durable.
    pub(crate) fn flush(&self) {
        let mut state = self.state.lock();
        if !state.deleted
            && let Err(error) = state.log.flush()
        {
            error!(partition = self.name, %error, "flush failed");
        }
    }

    /// Wakes `waiter` at the next append, for as long as it lives.
    pub(crate) fn wake_on_append(&self, waiter: &Arc<Notify>) {
        let mut waiting = self.waiting.lock();
        if waiting.len() >= WAITERS_SWEPT_AT {
            waiting.retain(|waiter| waiter.strong_count() > 0);
        }
        waiting.push(Arc::downgrade(waiter));
    }

    fn wake(&self) {
        for waiter in std::mem::take(&mut *self.waiting.lock()) {
            if let Some(waiter) = waiter.upgrade() {
                waiter.notify_one();
            }
        }
    }
}
