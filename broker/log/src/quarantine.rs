//! Keeps copies of bytes that a repair takes out of use, so that nothing is destroyed unseen.

use std::io;
use std::path::{Path, PathBuf};

use crate::disk::{Disk, replace_file};

const DIRECTORY: &str = "quarantine";

/// Copies `bytes`, found at `offset` of `file`, into `directory/quarantine`; returns the copy's path.
pub(crate) fn quarantine(
    disk: &dyn Disk,
    directory: &Path,
    file: &Path,
    offset: u64,
    bytes: &[u8],
) -> io::Result<PathBuf> {
    let aside = directory.join(DIRECTORY);
    disk.create_dir(&aside)?;
    disk.sync_dir(directory)?;
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let name = format!("{name}-{offset}-{}", bytes.len());
    replace_file(disk, &aside, &name, bytes)?;
    Ok(aside.join(name))
}
