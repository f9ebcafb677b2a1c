//! The segments that a journal's writer and its readers share.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::{Mutex, RwLock};

use super::format::SEGMENT_HEADER_BYTES;
use crate::disk::DiskFile;

/// One file of a journal.
#[derive(Clone, Debug)]
pub(super) struct Segment {
    pub(super) first: u64,
    pub(super) path: PathBuf,
    pub(super) file: Arc<dyn DiskFile>,
}

impl Segment {
    pub(super) fn new(first: u64, path: PathBuf, file: Arc<dyn DiskFile>) -> Self {
        Self { first, path, file }
    }

    /// Where in the file a position stands.
    pub(super) fn offset_of(&self, position: u64) -> u64 {
        debug_assert!(position >= self.first);
        position - self.first + SEGMENT_HEADER_BYTES as u64
    }
}

/// All segments in order, where they are damaged, and up to where they are durable.
#[derive(Debug)]
pub(super) struct Segments {
    files: RwLock<Vec<Segment>>,
    /// Positions that cannot be read, as `from..to`, sorted.
    damaged: Vec<(u64, u64)>,
    durable: AtomicU64,
    /// One deletes at a time.
    pub(super) trimming: Mutex<()>,
}

/// Where to read a position.
#[derive(Debug)]
pub(super) enum Place {
    In {
        segment: Segment,
        /// The position behind the segment's last readable byte.
        end: u64,
    },
    Trimmed {
        start: u64,
    },
    Damaged {
        to: u64,
    },
    End,
}

impl Segments {
    pub(super) fn new(files: Vec<Segment>, damaged: Vec<(u64, u64)>) -> Self {
        Self { files: RwLock::new(files), damaged, durable: AtomicU64::new(0), trimming: Mutex::new(()) }
    }

    pub(super) fn publish_durable(&self, end: u64) {
        self.durable.store(end, Ordering::Release);
    }

    pub(super) fn durable(&self) -> u64 {
        self.durable.load(Ordering::Acquire)
    }

    pub(super) fn start(&self) -> u64 {
        self.files.read().first().map_or(0, |oldest| oldest.first)
    }

    pub(super) fn active(&self) -> Option<Segment> {
        self.files.read().last().cloned()
    }

    pub(super) fn push(&self, segment: Segment) {
        self.files.write().push(segment);
    }

    /// The oldest segment, where another follows it that begins at `position` or before.
    pub(super) fn oldest_ending_by(&self, position: u64) -> Option<Segment> {
        let files = self.files.read();
        let next = files.get(1)?;
        (next.first <= position).then(|| files[0].clone())
    }

    pub(super) fn drop_oldest(&self) {
        self.files.write().remove(0);
    }

    pub(super) fn place(&self, position: u64) -> Place {
        let durable = self.durable();
        let files = self.files.read();
        let start = files.first().map_or(0, |oldest| oldest.first);
        if position < start {
            return Place::Trimmed { start };
        }
        if position >= durable {
            return Place::End;
        }
        let next_damage = self.damaged.iter().find(|(_, to)| *to > position);
        if let Some((_, to)) = next_damage.filter(|(from, _)| *from <= position) {
            return Place::Damaged { to: *to };
        }
        let after = files.partition_point(|segment| segment.first <= position);
        let mut end = files.get(after).map_or(durable, |next| next.first.min(durable));
        if let Some((from, _)) = next_damage {
            end = end.min(*from);
        }
        Place::In { segment: files[after - 1].clone(), end }
    }
}
