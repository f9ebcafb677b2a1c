//! Deleting the segments that nobody needs any more.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use super::Position;
use super::segments::Segments;
use crate::disk::Disk;

/// Deletes a journal's oldest segments, from any thread: making the names of several durable takes tens of milliseconds,
/// for which no append should wait.
#[derive(Clone, Debug)]
pub struct JournalTrimmer {
    disk: Arc<dyn Disk>,
    directory: PathBuf,
    segments: Arc<Segments>,
}

impl JournalTrimmer {
    pub(super) fn new(disk: Arc<dyn Disk>, directory: PathBuf, segments: Arc<Segments>) -> Self {
        Self { disk, directory, segments }
    }

    /// Deletes the segments that lie wholly before `position`. Persist the position first.
    ///
    /// # Errors
    ///
    /// The file system's; the segments left are whole and without a gap.
    pub fn trim_before(&self, position: Position) -> io::Result<()> {
        let _turn = self.segments.trimming.lock();
        while let Some(oldest) = self.segments.oldest_ending_by(position.get()) {
            match self.disk.remove(&oldest.path) {
                // An earlier attempt removed it and could not make that durable.
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            // One by one: a crash that kept a later removal but not an earlier one would look like damage.
            self.disk.sync_dir(&self.directory)?;
            self.segments.drop_oldest();
            self.disk.close_removed(oldest.file);
        }
        Ok(())
    }
}
