//! The gateway's disk: the journal with its thread, the state file, the capacity. Decides nothing about records.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bytes::Bytes;
use parking_lot::Mutex;

use leeward_log::{
    AppendError, Disk, GroupCommit, GroupWait, Journal, JournalConfig, OpenError, Position, ReadError,
    framed_bytes, lock_file, read_file, replace_file,
};
use leeward_model::TopicPartition;

use crate::limits::{READ_BYTES, SEGMENT_BYTES_MAX, SEGMENT_BYTES_MIN};
use crate::partition::Trimming;
use crate::recovery::{Recovered, Recovery};
use crate::state::{JournalRange, State, StateError};

#[cfg(test)]
mod tests;

const LOCK: &str = "lock";
const STATE: &str = "state";
const JOURNAL: &str = "journal";
const SET_ASIDE: &str = "set-aside";

/// Why the gateway's directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("{} is in use by another process", path.display())]
    Locked { path: PathBuf },
    #[error("{} cannot be used", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("the journal in {} cannot be opened", path.display())]
    Journal { path: PathBuf, source: OpenError },
    #[error("{} cannot be used", path.display())]
    State { path: PathBuf, source: StateError },
    #[error("the journal cannot be read")]
    Read(#[from] ReadError),
    #[error("the journal cannot be written")]
    Write(#[from] AppendError),
}

/// Why a batch was not stored.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refused {
    #[error("the buffer is full")]
    Full,
    #[error("the journal takes nothing")]
    Journal,
}

/// What was found at opening.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) store: Store,
    pub(crate) state: State,
    pub(crate) partitions: Vec<(TopicPartition, Recovered)>,
    /// Damaged ranges of the journal.
    pub(crate) damaged_ranges: usize,
}

/// Journal and state file of one gateway.
#[derive(Debug)]
pub(crate) struct Store {
    disk: Arc<dyn Disk>,
    directory: PathBuf,
    /// Held for as long as the directory is ours.
    _lock: Option<File>,
    journal: GroupCommit,
    capacity: u64,
    /// Positions up to which frames were given to the journal, and below which nothing is needed.
    given: Arc<AtomicU64>,
    needed: AtomicU64,
    /// Position behind the last frame of which everybody concerned was told.
    told: Arc<AtomicU64>,
    broken: Arc<AtomicBool>,
    /// Whether the newest group could not be made durable; it may be another time.
    failing: Arc<AtomicBool>,
    /// One writes the state file at a time.
    writing: Mutex<()>,
}

impl Store {
    /// Opens the directory on `disk`; `lock` is its lock file where the disk is the real one. Each group of batches
    /// waits as `group_wait` says before it is synced.
    pub(crate) fn open(
        disk: Arc<dyn Disk>,
        directory: &Path,
        lock: Option<File>,
        capacity: u64,
        group_wait: GroupWait,
        trimming: impl Fn(&TopicPartition) -> Trimming,
    ) -> Result<Opened, StoreError> {
        let io_error = |source| StoreError::Io { path: directory.to_owned(), source };
        disk.create_dir(directory).map_err(io_error)?;
        let journal_directory = directory.join(JOURNAL);
        let config = JournalConfig {
            segment_bytes: (capacity / 16).clamp(SEGMENT_BYTES_MIN, SEGMENT_BYTES_MAX),
            ..JournalConfig::default()
        };
        disk.create_dir(&journal_directory).map_err(io_error)?;
        let (mut journal, found) = Journal::open(disk.clone(), &journal_directory, config)
            .map_err(|source| StoreError::Journal { path: journal_directory.clone(), source })?;
        for damage in &found.damage {
            tracing::error!(
                file = %damage.file.display(), offset = damage.offset, bytes = damage.bytes,
                "journal is damaged; what can be read goes on, a copy of the rest is kept aside"
            );
        }
        let path = directory.join(STATE);
        let bytes =
            read_file(&*disk, &path).map_err(|source| StoreError::Io { path: path.clone(), source })?;
        let mut state = match bytes {
            Some(bytes) => {
                State::read(&Bytes::from(bytes)).map_err(|source| StoreError::State { path, source })?
            }
            None if journal.end() > Position::FIRST => {
                return Err(StoreError::State { path, source: StateError::Missing });
            }
            None => {
                let state = State { identity: rand::random(), ..State::default() };
                replace_file(&*disk, directory, STATE, &state.to_bytes()).map_err(io_error)?;
                state
            }
        };
        let mut recovery = Recovery::new(std::mem::take(&mut state.partitions));
        if let Some(known) = state.journal {
            compare(&journal, known, &journal_directory, &mut recovery);
        }
        replay(&journal, &mut recovery)?;
        if recovery.unreadable() > 0 {
            tracing::error!(
                frames = recovery.unreadable(),
                "journal has frames that this program cannot read"
            );
        }
        let partitions = recovery.finish(trimming);
        keep_holes(&mut journal, &partitions)?;
        let (start, end) = (journal.start().get(), journal.end().get());
        let store = Self {
            disk,
            directory: directory.to_owned(),
            _lock: lock,
            journal: GroupCommit::start_waiting(journal, group_wait).map_err(io_error)?,
            capacity,
            given: Arc::new(AtomicU64::new(end)),
            needed: AtomicU64::new(start),
            told: Arc::new(AtomicU64::new(end)),
            broken: Arc::new(AtomicBool::new(false)),
            failing: Arc::new(AtomicBool::new(false)),
            writing: Mutex::new(()),
        };
        Ok(Opened { store, state, partitions, damaged_ranges: found.damage.len() })
    }

    pub(crate) fn capacity(&self) -> u64 {
        self.capacity
    }

    /// Bytes from the oldest frame that is needed to the newest.
    pub(crate) fn used(&self) -> u64 {
        self.given.load(Ordering::Relaxed).saturating_sub(self.needed.load(Ordering::Relaxed))
    }

    /// Groups of frames that were made durable, each by one sync.
    pub(crate) fn syncs(&self) -> u64 {
        self.journal.groups()
    }

    /// Whether the journal has failed for good.
    pub(crate) fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Relaxed)
    }

    /// Appends a client's batch, where there is room. See [`GroupCommit::submit`] for `done`.
    pub(crate) fn append_batch(
        &self,
        parts: Vec<Bytes>,
        done: impl FnOnce(Result<Position, AppendError>) + Send + 'static,
    ) -> Result<(), Refused> {
        let bytes = framed_bytes(parts.iter().map(Bytes::len).sum());
        if self.used() + bytes > self.capacity {
            return Err(Refused::Full);
        }
        self.append(crate::frames::BATCH, parts, done)
    }

    /// Appends a frame that is written whatever the capacity says.
    pub(crate) fn append(
        &self,
        kind: u8,
        parts: Vec<Bytes>,
        done: impl FnOnce(Result<Position, AppendError>) + Send + 'static,
    ) -> Result<(), Refused> {
        if self.is_broken() {
            return Err(Refused::Journal);
        }
        let bytes = framed_bytes(parts.iter().map(Bytes::len).sum());
        let (given, told) = (self.given.clone(), self.told.clone());
        let (broken, failing) = (self.broken.clone(), self.failing.clone());
        let finish = move |stored: Result<Position, AppendError>| {
            match &stored {
                Ok(_) => {
                    if failing.swap(false, Ordering::Relaxed) {
                        tracing::info!("the journal takes batches again");
                    }
                }
                Err(error) if error.may_retry() => {
                    given.fetch_sub(bytes, Ordering::Relaxed);
                    if !failing.swap(true, Ordering::Relaxed) {
                        tracing::error!(%error, "the journal takes nothing for now; clients are told to try again");
                    }
                }
                Err(error) => {
                    given.fetch_sub(bytes, Ordering::Relaxed);
                    if !broken.swap(true, Ordering::Relaxed) {
                        tracing::error!(%error, "the journal has failed; nothing is accepted until the gateway starts anew");
                    }
                }
            }
            let end = stored.as_ref().ok().map(|position| position.get() + bytes);
            done(stored);
            if let Some(end) = end {
                told.store(end, Ordering::Release);
            }
        };
        self.given.fetch_add(bytes, Ordering::Relaxed);
        self.journal.submit(kind, parts, finish).map_err(|_| {
            self.given.fetch_sub(bytes, Ordering::Relaxed);
            Refused::Journal
        })
    }

    /// The payload of the frame at `position`.
    pub(crate) fn read(&self, position: u64) -> Result<Option<(u8, Bytes)>, ReadError> {
        let frames = self.journal.reader().read(Position::new(position), 1)?;
        Ok(frames.into_iter().next().map(|frame| (frame.kind, frame.payload)))
    }

    /// Behind the last frame that is durable and of which its partition knows.
    pub(crate) fn told(&self) -> u64 {
        self.told.load(Ordering::Acquire)
    }

    pub(crate) fn journal_directory(&self) -> PathBuf {
        self.directory.join(JOURNAL)
    }

    /// Persists the state. The journal is needed from `needed` on then.
    pub(crate) fn save(&self, mut state: State, needed: u64) -> Result<(), StoreError> {
        let _turn = self.writing.lock();
        let from = self.needed.load(Ordering::Relaxed).max(needed);
        state.journal = Some(JournalRange { from, to: self.told() });
        replace_file(&*self.disk, &self.directory, STATE, &state.to_bytes())
            .map_err(|source| StoreError::Io { path: self.directory.join(STATE), source })?;
        self.needed.fetch_max(needed, Ordering::Relaxed);
        Ok(())
    }

    /// Lets go of what is not needed of the journal; takes tens of milliseconds where that is much.
    pub(crate) fn trim(&self) {
        let needed = Position::new(self.needed.load(Ordering::Relaxed));
        if let Err(error) = self.journal.trimmer().trim_before(needed) {
            tracing::warn!(%error, "old parts of the journal cannot be removed");
        }
    }

    /// Keeps a batch that no region takes.
    pub(crate) fn set_aside(
        &self,
        partition: &TopicPartition,
        ordinal: u64,
        batch: &Bytes,
    ) -> io::Result<()> {
        let directory = self.directory.join(SET_ASIDE);
        self.disk.create_dir(&directory)?;
        replace_file(&*self.disk, &directory, &format!("{partition}-{ordinal}.batch"), batch)
    }
}

/// Takes the lock file of a directory on the real disk.
pub(crate) fn lock(directory: &Path) -> Result<File, StoreError> {
    let path = directory.join(LOCK);
    let io_error = |source| StoreError::Io { path: path.clone(), source };
    std::fs::create_dir_all(directory).map_err(io_error)?;
    lock_file(&path).map_err(io_error)?.ok_or(StoreError::Locked { path })
}

/// Says where the journal lacks what it had when the state was written.
fn compare(journal: &Journal, known: JournalRange, directory: &Path, recovery: &mut Recovery) {
    let (start, end) = (journal.start().get(), journal.end().get());
    if start > known.from {
        tracing::error!(
            journal = %directory.display(), from = known.from, to = start,
            "the journal's first files are missing"
        );
        recovery.damaged(start);
    }
    if end < known.to {
        tracing::error!(
            journal = %directory.display(), ends = end, ended = known.to,
            "the journal ends before what was durable once: a file was cut or removed"
        );
        recovery.cut();
    }
}

/// Makes durable what is missing, before anything comes behind it.
fn keep_holes(journal: &mut Journal, partitions: &[(TopicPartition, Recovered)]) -> Result<(), StoreError> {
    for (partition, recovered) in partitions {
        if let Some(hole) = recovered.hole {
            journal.append(crate::frames::HOLE, &[&crate::frames::hole_frame(partition, hole)])?;
        }
    }
    journal.sync()?;
    Ok(())
}

/// Reads the whole journal, around what is damaged.
fn replay(journal: &Journal, recovery: &mut Recovery) -> Result<(), StoreError> {
    let reader = journal.reader();
    let mut position = reader.start();
    loop {
        match reader.read(position, READ_BYTES) {
            Ok(frames) if frames.is_empty() => return Ok(()),
            Ok(frames) => {
                for frame in frames {
                    position = frame.next;
                    recovery.frame(frame.position.get(), frame.kind, frame.payload);
                }
            }
            Err(ReadError::Damaged { to, .. }) => {
                recovery.damaged(to.get());
                position = to;
            }
            Err(error) => return Err(error.into()),
        }
    }
}
