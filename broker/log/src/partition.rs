//! One partition's log: record batches on disk exactly as they go over the wire.
//!
//! Assigns offsets, finds them again, forgets what retention gives up. It does not judge producers: what is appended
//! was checked by the caller. One owner writes; a [`ReadPlan`] made under its lock is read without it.

mod meta;
mod read;
mod recovery;
mod scan;
mod segment;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use leeward_wire::record::RecordBatch;

use crate::disk::Disk;
use segment::{Segment, segment_name};

pub use meta::MetaError;
pub use read::{PartitionReadError, ReadPlan};
pub use recovery::{DamagedOffsets, PartitionOpenError, PartitionRecovery};

/// When appended batches are made durable against the loss of power. A killed process loses none either way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlushPolicy {
    /// Before the append returns.
    EveryAppend,
    /// When the operating system writes its page cache back, as Apache Kafka does.
    OsDecides,
}

/// How a partition's log is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartitionConfig {
    /// A batch that would make a segment larger than this begins a new one.
    pub segment_bytes: u64,
    pub flush: FlushPolicy,
}

/// Why a batch is not in the log.
#[derive(Debug, thiserror::Error)]
pub enum PartitionAppendError {
    #[error("the log has no offsets left")]
    OffsetsExhausted,
    #[error("the disk is full: {} cannot grow", path.display())]
    NoSpace { path: PathBuf, source: io::Error },
    #[error("writing {} failed", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("syncing {} failed; the log takes nothing more until it is opened anew", path.display())]
    Sync { path: PathBuf, source: io::Error },
    #[error("the log takes nothing more since an earlier failure on {}", path.display())]
    Poisoned { path: PathBuf },
}

/// A partition's log.
#[derive(Debug)]
pub struct PartitionLog {
    disk: Arc<dyn Disk>,
    directory: PathBuf,
    config: PartitionConfig,
    /// In order; never empty.
    segments: Vec<Segment>,
    start: i64,
    end: i64,
    /// Leader epochs with the offset at which each began.
    epochs: Vec<(i32, i64)>,
    damaged: Vec<(i64, i64)>,
    poisoned: Option<PathBuf>,
    /// Everything below this offset was synced by this process.
    synced_to: i64,
}

impl PartitionLog {
    /// Opens the log in `directory`, creating it where there is none. `on_batch` sees each whole batch, in order.
    ///
    /// # Errors
    ///
    /// [`PartitionOpenError`].
    pub fn open(
        disk: Arc<dyn Disk>,
        directory: &Path,
        config: PartitionConfig,
        on_batch: &mut dyn FnMut(&RecordBatch),
    ) -> Result<(Self, PartitionRecovery), PartitionOpenError> {
        let found = recovery::recover(&*disk, directory, on_batch)?;
        let io = |source| PartitionOpenError::Io { path: directory.to_owned(), source };
        let mut log = Self {
            disk,
            directory: directory.to_owned(),
            config,
            segments: found.segments,
            start: found.report.start,
            end: found.report.end,
            epochs: found.epochs,
            damaged: found.report.damage.iter().map(|damage| (damage.from, damage.to)).collect(),
            poisoned: None,
            synced_to: 0,
        };
        // What DeleteRecords gave up may reach behind what a crash left of the log.
        if log.segments.is_empty() || log.end < log.start {
            log.end = log.end.max(log.start);
            log.start_segment().map_err(io)?;
            log.drop_segments_before_start().map_err(io)?;
        }
        let report = PartitionRecovery { end: log.end, ..found.report };
        Ok((log, report))
    }

    /// Appends a batch at the log's end and returns it as it stands there.
    ///
    /// # Errors
    ///
    /// [`PartitionAppendError`]; the log is as it was.
    pub fn append(
        &mut self,
        batch: &RecordBatch,
        leader_epoch: i32,
    ) -> Result<RecordBatch, PartitionAppendError> {
        if let Some(path) = &self.poisoned {
            return Err(PartitionAppendError::Poisoned { path: path.clone() });
        }
        let placed = batch
            .with_base_offset(self.end)
            .map_err(|_| PartitionAppendError::OffsetsExhausted)?
            .with_leader_epoch(leader_epoch);
        let size = placed.size_bytes() as u64;
        let active = self.active();
        if active.size > 0 && active.size + size > self.config.segment_bytes {
            self.roll()?;
        }
        let flush = self.config.flush;
        let active = self.active_mut();
        if let Err(source) = active.write(&placed) {
            return Err(self.undo(source));
        }
        if flush == FlushPolicy::EveryAppend
            && let Err(source) = self.active().file.sync_data()
        {
            return Err(self.poison(source));
        }
        self.active_mut().note(&placed);
        self.end = placed.next_offset();
        note_epoch(&mut self.epochs, &placed);
        Ok(placed)
    }

    /// Makes all that was appended durable.
    ///
    /// # Errors
    ///
    /// [`PartitionAppendError::Sync`], [`PartitionAppendError::Poisoned`]; the log takes nothing more.
    pub fn flush(&mut self) -> Result<(), PartitionAppendError> {
        if let Some(path) = &self.poisoned {
            return Err(PartitionAppendError::Poisoned { path: path.clone() });
        }
        let ends = self.segments.iter().skip(1).map(|next| next.base).chain([i64::MAX]);
        let mut unsynced = self.segments.iter().zip(ends).filter(|(_, end)| *end > self.synced_to);
        if let Err(source) = unsynced.try_for_each(|(segment, _)| segment.file.sync_data()) {
            return Err(self.poison(source));
        }
        self.synced_to = self.end;
        Ok(())
    }

    /// The first offset that can be read.
    pub fn start_offset(&self) -> i64 {
        self.start
    }

    /// The offset that the next record gets.
    pub fn end_offset(&self) -> i64 {
        self.end
    }

    /// Bytes of all batches.
    pub fn size_bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.size).sum()
    }

    /// Changes how the log is kept from the next append on.
    pub fn set_config(&mut self, config: PartitionConfig) {
        self.config = config;
    }

    /// The end offset of the largest leader epoch not above `epoch`, with that epoch; `None` where all are above.
    pub fn epoch_end(&self, epoch: i32) -> Option<(i32, i64)> {
        let after = self.epochs.partition_point(|(known, _)| *known <= epoch);
        let (known, _) = *self.epochs.get(after.checked_sub(1)?)?;
        Some((known, self.epochs.get(after).map_or(self.end, |(_, began)| *began)))
    }

    /// Gives up the records before `offset`, for good.
    ///
    /// # Errors
    ///
    /// The file system's; the new start is in force once it was written.
    pub fn delete_records_before(&mut self, offset: i64) -> io::Result<()> {
        let offset = offset.min(self.end);
        if offset <= self.start {
            return Ok(());
        }
        meta::store_start(&*self.disk, &self.directory, offset)?;
        self.start = offset;
        self.drop_segments_before_start()
    }

    /// Gives up segments whose newest record is older than `oldest_ms`, from the oldest on; true if there were any.
    /// Records without a time do not expire.
    ///
    /// # Errors
    ///
    /// The file system's.
    pub fn retain_since(&mut self, oldest_ms: i64) -> io::Result<bool> {
        let expired = self
            .segments
            .iter()
            .take_while(|segment| (0..oldest_ms).contains(&segment.max_timestamp))
            .count();
        self.give_up(expired)
    }

    /// Gives up the oldest segments while those after them hold at least `bytes`; true if there were any.
    ///
    /// # Errors
    ///
    /// The file system's.
    pub fn retain_bytes(&mut self, bytes: u64) -> io::Result<bool> {
        let mut left = self.size_bytes();
        let mut surplus = 0;
        for segment in &self.segments {
            if segment.size == 0 || left - segment.size < bytes {
                break;
            }
            left -= segment.size;
            surplus += 1;
        }
        self.give_up(surplus)
    }

    fn give_up(&mut self, count: usize) -> io::Result<bool> {
        if count == 0 {
            return Ok(false);
        }
        let new_start = self.segments.get(count).map_or(self.end, |segment| segment.base);
        if count == self.segments.len() {
            self.start_segment()?;
        }
        self.delete_records_before(new_start)?;
        Ok(true)
    }

    fn drop_segments_before_start(&mut self) -> io::Result<()> {
        while self.segments.len() > 1 && self.segments[1].base <= self.start {
            self.disk.remove(&self.segments[0].path)?;
            self.segments.remove(0);
        }
        Ok(())
    }

    fn roll(&mut self) -> Result<(), PartitionAppendError> {
        self.start_segment().map_err(|source| {
            let path = self.directory.join(segment_name(self.end));
            match source.kind() {
                io::ErrorKind::StorageFull => PartitionAppendError::NoSpace { path, source },
                _ => PartitionAppendError::Write { path, source },
            }
        })
    }

    fn start_segment(&mut self) -> io::Result<()> {
        let path = self.directory.join(segment_name(self.end));
        match self.disk.remove(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let file = self.disk.create(&path)?;
        if let Err(source) = self.disk.sync_dir(&self.directory) {
            // After a crash it may be there or not; what went on in the segment before would then stand behind its beginning.
            self.poisoned = Some(path);
            return Err(source);
        }
        self.segments.push(Segment::new(self.end, path, file));
        Ok(())
    }

    /// Takes back a write that failed in the middle.
    fn undo(&mut self, source: io::Error) -> PartitionAppendError {
        let active = self.active();
        let path = active.path.to_path_buf();
        if let Err(source) = active.file.truncate(active.size) {
            return self.poison(source);
        }
        match source.kind() {
            io::ErrorKind::StorageFull => PartitionAppendError::NoSpace { path, source },
            _ => PartitionAppendError::Write { path, source },
        }
    }

    fn poison(&mut self, source: io::Error) -> PartitionAppendError {
        let active = self.active();
        let path = active.path.to_path_buf();
        // The page cache may go on showing what the disk does not have: do not let a later open believe it.
        let _ = active.file.truncate(active.size);
        self.poisoned = Some(path.clone());
        PartitionAppendError::Sync { path, source }
    }

    fn active(&self) -> &Segment {
        self.segments.last().expect("open makes one and none takes the last")
    }

    fn active_mut(&mut self) -> &mut Segment {
        self.segments.last_mut().expect("open makes one and none takes the last")
    }
}

/// Takes note of a batch's leader epoch where it is a new one.
fn note_epoch(epochs: &mut Vec<(i32, i64)>, batch: &RecordBatch) {
    let epoch = batch.partition_leader_epoch();
    if epochs.last().is_none_or(|(last, _)| *last < epoch) {
        epochs.push((epoch, batch.base_offset()));
    }
}
