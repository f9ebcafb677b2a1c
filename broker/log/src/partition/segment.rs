//! One file of a partition's log, with its sparse index in memory.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use leeward_wire::record::RecordBatch;

use crate::disk::{DiskFile, write_all_at};
use crate::limits::INDEX_INTERVAL_BYTES;

const SUFFIX: &str = ".log";
/// Below this a batch's header and payload are joined for one write.
const JOINED_BYTES_MAX: usize = 64 * 1024;

pub(super) fn segment_name(base: i64) -> String {
    format!("{base:020}{SUFFIX}")
}

/// The base offset that a file's name gives; `None` where it is no segment's.
pub(super) fn base_of_name(name: &str) -> Option<i64> {
    let digits = name.strip_suffix(SUFFIX)?;
    (digits.len() == 20).then(|| digits.parse().ok())?
}

/// A stretch of a segment that begins at a batch.
#[derive(Clone, Copy, Debug)]
pub(super) struct IndexEntry {
    pub(super) base_offset: i64,
    /// Where in the file it begins.
    pub(super) at: u64,
    /// The latest timestamp in it, as the batches' headers say.
    pub(super) max_timestamp: i64,
}

/// What reading a segment needs, without the log's lock.
#[derive(Clone, Debug)]
pub(super) struct Readable {
    pub(super) path: Arc<Path>,
    pub(super) file: Arc<dyn DiskFile>,
}

#[derive(Debug)]
pub(super) struct Segment {
    pub(super) base: i64,
    pub(super) path: Arc<Path>,
    pub(super) file: Arc<dyn DiskFile>,
    /// Bytes of the file that hold batches.
    pub(super) size: u64,
    pub(super) max_timestamp: i64,
    pub(super) index: Vec<IndexEntry>,
    /// Where damage begins: the first offset lost, and its place in the file.
    pub(super) damage: Vec<(i64, u64)>,
}

impl Segment {
    pub(super) fn new(base: i64, path: PathBuf, file: Arc<dyn DiskFile>) -> Self {
        Self {
            base,
            path: path.into(),
            file,
            size: 0,
            max_timestamp: -1,
            index: Vec::new(),
            damage: Vec::new(),
        }
    }

    pub(super) fn readable(&self) -> Readable {
        Readable { path: Arc::clone(&self.path), file: Arc::clone(&self.file) }
    }

    /// Writes a batch behind the last one; it counts once it is noted.
    pub(super) fn write(&self, batch: &RecordBatch) -> io::Result<()> {
        let header = batch.header();
        if batch.size_bytes() <= JOINED_BYTES_MAX {
            let joined = [&header[..], batch.payload()].concat();
            return write_all_at(&*self.file, self.size, &joined);
        }
        write_all_at(&*self.file, self.size + header.len() as u64, batch.payload())?;
        write_all_at(&*self.file, self.size, header)
    }

    /// Takes note of a batch that stands at the segment's end.
    pub(super) fn note(&mut self, batch: &RecordBatch) {
        let timestamp = batch.max_timestamp();
        self.max_timestamp = self.max_timestamp.max(timestamp);
        match self.index.last_mut() {
            Some(last)
                if self.size - last.at < INDEX_INTERVAL_BYTES
                    && self.damage.last().is_none_or(|(_, at)| *at < last.at) =>
            {
                last.max_timestamp = last.max_timestamp.max(timestamp);
            }
            _ => self.index.push(IndexEntry {
                base_offset: batch.base_offset(),
                at: self.size,
                max_timestamp: timestamp,
            }),
        }
        self.size += batch.size_bytes() as u64;
    }

    /// Takes note of bytes that hold no batch, where offsets from `from` on should stand; the next batch begins an
    /// index entry.
    pub(super) fn note_damage(&mut self, from: i64, bytes: u64) {
        self.damage.push((from, self.size));
        self.size += bytes;
    }

    /// The last index entry at or before `offset`, else the first.
    pub(super) fn entry_for(&self, offset: i64) -> Option<usize> {
        let after = self.index.partition_point(|entry| entry.base_offset <= offset);
        (!self.index.is_empty()).then(|| after.saturating_sub(1))
    }
}
