//! A log of opaque frames that is durable when it says so: the producer buffer's disk.
//!
//! A frame stands at a [`Position`]: the bytes of all frames before it, ever. Appends are staged in memory; one
//! [`Journal::sync`] writes and syncs what was staged, all of it or none. What a crash tore is cut at open; what is
//! damaged elsewhere is reported with its place and kept aside. The journal knows nothing of what a frame means.

mod format;
mod group_commit;
mod reader;
mod recovery;
mod scan;
mod segments;
mod trimmer;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::disk::{Disk, write_all_at};
use crate::limits::{FRAME_BYTES_MAX, PREALLOCATE_BYTES, SEGMENT_BYTES};
use format::{FRAME_HEADER_BYTES, SEGMENT_HEADER_BYTES, encode_frame, segment_header, segment_name};
use segments::{Segment, Segments};

pub use format::Position;
pub use group_commit::{GroupCommit, GroupWait, SubmitError};
pub use reader::{Frame, JournalReader, ReadError};
pub use recovery::{Damage, OpenError, Recovery, TornTail};
pub use trimmer::JournalTrimmer;

/// Sizes of a journal's files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JournalConfig {
    /// A segment that has reached this size is followed by a new one; it may exceed it by one group.
    pub segment_bytes: u64,
    /// How many zeros are written ahead of the frames, which doubles the rate of small syncs. 0 writes none. A group of more than a
    /// quarter of them is none the faster for zeros, and gets none.
    pub preallocate_bytes: u64,
}

impl Default for JournalConfig {
    fn default() -> Self {
        Self { segment_bytes: SEGMENT_BYTES, preallocate_bytes: PREALLOCATE_BYTES }
    }
}

/// Why frames were not made durable. None of those staged is in the journal.
#[derive(Clone, Debug, thiserror::Error)]
pub enum AppendError {
    #[error("frame of {bytes} bytes is larger than {FRAME_BYTES_MAX}")]
    TooLarge { bytes: usize },
    #[error("the disk is full: {} cannot grow", path.display())]
    NoSpace { path: PathBuf, source: Arc<io::Error> },
    #[error("writing {} failed", path.display())]
    Write { path: PathBuf, source: Arc<io::Error> },
    #[error("syncing {} failed; the journal takes nothing more until it is opened anew", path.display())]
    Sync { path: PathBuf, source: Arc<io::Error> },
    #[error("the journal takes nothing more since an earlier failure on {}", path.display())]
    Poisoned { path: PathBuf },
}

impl AppendError {
    /// Whether the same frames may succeed later on the same journal.
    pub fn may_retry(&self) -> bool {
        match self {
            Self::NoSpace { .. } | Self::Write { .. } => true,
            Self::TooLarge { .. } | Self::Sync { .. } | Self::Poisoned { .. } => false,
        }
    }
}

/// The writing end of a journal; it has one owner.
#[derive(Debug)]
pub struct Journal {
    disk: Arc<dyn Disk>,
    directory: PathBuf,
    config: JournalConfig,
    segments: Arc<Segments>,
    /// Where the next frame that is not staged would stand.
    end: u64,
    /// Length of the active segment's file.
    allocated: u64,
    staged: Vec<u8>,
    poisoned: Option<PathBuf>,
}

impl Journal {
    /// Opens the journal in `directory`, creating it where there is none.
    ///
    /// What it reports as cut or damaged has been copied to `directory/quarantine` first.
    ///
    /// # Errors
    ///
    /// [`OpenError`]; nothing has been changed but by earlier successful steps of the repair.
    pub fn open(
        disk: Arc<dyn Disk>,
        directory: &Path,
        config: JournalConfig,
    ) -> Result<(Self, Recovery), OpenError> {
        let (segments, recovery) = recovery::recover(&disk, directory)?;
        let end = recovery.end.get();
        let mut journal = Self {
            disk,
            directory: directory.to_owned(),
            config,
            segments: Arc::new(segments),
            end,
            allocated: 0,
            staged: Vec::new(),
            poisoned: None,
        };
        match journal.segments.active() {
            Some(active) => journal.allocated = active.offset_of(end),
            None => journal
                .start_segment()
                .map_err(|source| OpenError::Io { path: directory.to_owned(), source })?,
        }
        journal.segments.publish_durable(end);
        Ok((journal, recovery))
    }

    /// Stages a frame whose payload is `parts` joined, and returns where it will stand.
    ///
    /// # Errors
    ///
    /// [`AppendError::TooLarge`], [`AppendError::Poisoned`].
    pub fn append(&mut self, kind: u8, parts: &[&[u8]]) -> Result<Position, AppendError> {
        if let Some(path) = &self.poisoned {
            return Err(AppendError::Poisoned { path: path.clone() });
        }
        let bytes: usize = parts.iter().map(|part| part.len()).sum();
        if bytes > FRAME_BYTES_MAX {
            return Err(AppendError::TooLarge { bytes });
        }
        let position = Position::new(self.end + self.staged.len() as u64);
        let durable = Position::new(self.end);
        encode_frame(&mut self.staged, position, durable, kind, parts, bytes);
        Ok(position)
    }

    /// Bytes that wait for the next sync.
    pub fn staged_bytes(&self) -> usize {
        self.staged.len()
    }

    /// Writes what was staged and makes it durable; returns the position behind it.
    ///
    /// # Errors
    ///
    /// [`AppendError`]; what was staged is forgotten.
    pub fn sync(&mut self) -> Result<Position, AppendError> {
        let result = self.write_staged();
        self.staged.clear();
        if let Err(AppendError::Sync { path, .. }) = &result {
            self.poisoned = Some(path.clone());
        }
        result.map(|()| Position::new(self.end))
    }

    /// A handle that deletes what is not needed any more, from any thread.
    pub fn trimmer(&self) -> JournalTrimmer {
        JournalTrimmer::new(self.disk.clone(), self.directory.clone(), self.segments.clone())
    }

    /// The oldest position that can be read.
    pub fn start(&self) -> Position {
        Position::new(self.segments.start())
    }

    /// Where the next frame will stand, were nothing staged.
    pub fn end(&self) -> Position {
        Position::new(self.end)
    }

    /// A handle that reads what is durable, from any thread.
    pub fn reader(&self) -> JournalReader {
        JournalReader::new(self.segments.clone())
    }

    fn write_staged(&mut self) -> Result<(), AppendError> {
        if let Some(path) = &self.poisoned {
            return Err(AppendError::Poisoned { path: path.clone() });
        }
        if self.staged.is_empty() {
            return Ok(());
        }
        let active = self.active();
        let active = if active.offset_of(self.end) >= self.config.segment_bytes {
            self.roll(&active)?;
            self.active()
        } else {
            active
        };
        let offset = active.offset_of(self.end);
        if let Err(source) = write_all_at(&*active.file, offset, &self.staged) {
            return Err(self.undo_write(&active, source));
        }
        self.allocate(&active, offset + self.staged.len() as u64)?;
        active.file.sync_data().map_err(|source| sync_error(&active, source))?;
        self.end += self.staged.len() as u64;
        self.segments.publish_durable(self.end);
        Ok(())
    }

    /// Takes back a write that failed in the middle, so that no frame of it can come to light later.
    fn undo_write(&mut self, active: &Segment, source: io::Error) -> AppendError {
        if let Err(error) = self.cut(active) {
            return error;
        }
        let full = source.kind() == io::ErrorKind::StorageFull;
        let (path, source) = (active.path.clone(), Arc::new(source));
        if full { AppendError::NoSpace { path, source } } else { AppendError::Write { path, source } }
    }

    /// Cuts the active segment's file behind its last frame.
    fn cut(&mut self, active: &Segment) -> Result<(), AppendError> {
        let end = active.offset_of(self.end);
        let cut = active.file.truncate(end).and_then(|()| active.file.sync_data());
        cut.map_err(|source| sync_error(active, source))?;
        self.allocated = end;
        Ok(())
    }

    /// Writes zeros ahead of `written` once the frames have used up those there were.
    fn allocate(&mut self, active: &Segment, written: u64) -> Result<(), AppendError> {
        if written <= self.allocated {
            return Ok(());
        }
        self.allocated = written;
        if self.staged.len() as u64 > self.config.preallocate_bytes / 4 {
            return Ok(());
        }
        let zeros = vec![0; self.config.preallocate_bytes as usize];
        match write_all_at(&*active.file, written, &zeros) {
            Ok(()) => {
                self.allocated += zeros.len() as u64;
                Ok(())
            }
            // Room for the frames themselves was there: go on without zeros.
            Err(_) => active.file.truncate(written).map_err(|source| sync_error(active, source)),
        }
    }

    fn active(&self) -> Segment {
        self.segments.active().expect("open makes a segment and trimming keeps the last")
    }

    fn roll(&mut self, active: &Segment) -> Result<(), AppendError> {
        if self.allocated > active.offset_of(self.end) {
            self.cut(active)?;
        }
        self.start_segment().map_err(|source| {
            let full = source.kind() == io::ErrorKind::StorageFull;
            let (path, source) = (self.directory.join(segment_name(self.end)), Arc::new(source));
            if full { AppendError::NoSpace { path, source } } else { AppendError::Write { path, source } }
        })
    }

    fn start_segment(&mut self) -> io::Result<()> {
        let path = self.directory.join(segment_name(self.end));
        // One that an earlier attempt left behind has no frames.
        match self.disk.remove(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let file = self.disk.create(&path)?;
        let header = segment_header(self.end);
        let written = write_all_at(&*file, 0, &header)
            .and_then(|()| file.sync_data())
            .and_then(|()| self.disk.sync_dir(&self.directory));
        // Where that failed the name may have survived; the next attempt replaces it.
        written?;
        self.allocated = SEGMENT_HEADER_BYTES as u64;
        self.segments.push(Segment::new(self.end, path, file));
        Ok(())
    }
}

/// Bytes that a frame of `payload_bytes` takes on disk.
pub fn framed_bytes(payload_bytes: usize) -> u64 {
    (FRAME_HEADER_BYTES + payload_bytes) as u64
}

fn sync_error(segment: &Segment, source: io::Error) -> AppendError {
    AppendError::Sync { path: segment.path.clone(), source: Arc::new(source) }
}
