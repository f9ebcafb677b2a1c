//! The few things that a log asks of a file system, so that one that fails on purpose can stand in for the real one.

mod real;
mod simulated;

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

pub use real::{RealDisk, lock_file};
pub use simulated::{DiskFault, SimulatedDisk};

/// A file system. All calls block.
pub trait Disk: fmt::Debug + Send + Sync {
    /// Creates a file that must not exist. Its name is durable after [`Disk::sync_dir`] of its directory.
    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;

    /// Opens a file that must exist, for reading and writing.
    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;

    /// Creates a directory and those above it; one that exists is left as it is.
    fn create_dir(&self, path: &Path) -> io::Result<()>;

    /// Makes the names in a directory durable.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;

    /// Gives a file another name, replacing what had it.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Closes a file that was removed: where nobody else has it open, only now its blocks are freed, which may take a while.
    fn close_removed(&self, file: Arc<dyn DiskFile>) {
        drop(file);
    }

    /// Removes a directory and the files directly in it; one that does not exist is left at that.
    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        let names = match self.list(path) {
            Ok(names) => names,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        for name in names {
            self.remove(&path.join(name))?;
        }
        Ok(())
    }

    /// Names of the files directly in a directory, sorted. A directory that does not exist is an error.
    fn list(&self, path: &Path) -> io::Result<Vec<String>>;
}

/// An open file.
pub trait DiskFile: fmt::Debug + Send + Sync {
    /// Writes from `offset` on; returns how many bytes it took, which may be fewer.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<usize>;

    /// Reads from `offset` on; 0 at the end.
    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<usize>;

    /// Makes the written bytes and the length durable. After a failure the file's unsynced bytes are unknown.
    fn sync_data(&self) -> io::Result<()>;

    /// Cuts or extends with zeros.
    fn truncate(&self, len: u64) -> io::Result<()>;

    fn len(&self) -> io::Result<u64>;

    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }
}

/// Writes all of `bytes` or fails; a failure may leave some of them written.
pub fn write_all_at(file: &dyn DiskFile, mut offset: u64, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match file.write_at(offset, bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => {
                offset += written as u64;
                bytes = &bytes[written..];
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Fills as much of `into` as the file has from `offset` on; returns how much.
pub fn read_up_to(file: &dyn DiskFile, mut offset: u64, into: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < into.len() {
        match file.read_at(offset, &mut into[filled..]) {
            Ok(0) => break,
            Ok(read) => {
                filled += read;
                offset += read as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// Replaces a small file as a whole: after a crash it holds the old bytes or the new ones.
pub fn replace_file(disk: &dyn Disk, directory: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let temporary = directory.join(format!("{name}.new"));
    match disk.remove(&temporary) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let file = disk.create(&temporary)?;
    write_all_at(&*file, 0, bytes)?;
    file.sync_data()?;
    disk.rename(&temporary, &directory.join(name))?;
    disk.sync_dir(directory)
}

/// The bytes of a small file; `None` where there is no such file.
pub fn read_file(disk: &dyn Disk, path: &Path) -> io::Result<Option<Vec<u8>>> {
    let file = match disk.open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let len = usize::try_from(file.len()?).map_err(|_| io::ErrorKind::FileTooLarge)?;
    let mut bytes = vec![0; len];
    let filled = read_up_to(&*file, 0, &mut bytes)?;
    bytes.truncate(filled);
    Ok(Some(bytes))
}
