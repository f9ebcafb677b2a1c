//! Wrong turns that the simulation must notice, and which one is taken at the moment.

use std::cell::Cell;
use std::io;
use std::path::Path;
use std::sync::Arc;

use leeward_log::{Disk, DiskFile, SimulatedDisk};

/// A disk that does less than it says: as if the log above it forgot a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lie {
    /// Data is not synced.
    SyncsNothing,
    /// Names are not synced.
    SyncsNoNames,
}

thread_local! {
    static LIE: Cell<Option<Lie>> = const { Cell::new(None) };
}

/// Lets disks of this thread lie, until it is called with `None`.
pub fn lie(lie: Option<Lie>) {
    LIE.set(lie);
}

pub(crate) fn wrapped() -> Option<Lie> {
    LIE.get()
}

#[derive(Debug)]
pub(crate) struct Wrapped {
    disk: SimulatedDisk,
    lie: Lie,
}

impl Wrapped {
    pub(crate) fn around(disk: SimulatedDisk, lie: Lie) -> Self {
        Self { disk, lie }
    }

    fn file(&self, file: Arc<dyn DiskFile>) -> Arc<dyn DiskFile> {
        Arc::new(WrappedFile { file, lie: self.lie })
    }
}

impl Disk for Wrapped {
    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        Ok(self.file(self.disk.create(path)?))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        Ok(self.file(self.disk.open(path)?))
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.disk.create_dir(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        if self.lie == Lie::SyncsNoNames { Ok(()) } else { self.disk.sync_dir(path) }
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.disk.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.disk.remove(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        self.disk.list(path)
    }
}

#[derive(Debug)]
struct WrappedFile {
    file: Arc<dyn DiskFile>,
    lie: Lie,
}

impl DiskFile for WrappedFile {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<usize> {
        self.file.write_at(offset, bytes)
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        self.file.read_at(offset, into)
    }

    fn sync_data(&self) -> io::Result<()> {
        if self.lie == Lie::SyncsNothing { Ok(()) } else { self.file.sync_data() }
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        self.file.truncate(len)
    }

    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }
}
