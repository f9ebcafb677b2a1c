//! Where the journal's file stands: in a folder, or on a disk that fails on purpose.

use std::{
    fmt,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use redb::{Builder, Database};

const FILE: &str = "decisions.redb";
/// A file that is being begun: under its own name it would be taken for a journal that lost everything.
const DRAFT: &str = "decisions.redb.new";

/// What a journal's file stands on.
pub(super) trait Medium: fmt::Debug + Send + Sync {
    /// Opens the file, checking every page, or begins one where there is none.
    fn open(&self) -> Result<Database, redb::Error>;
}

/// A folder of the operating system.
#[derive(Debug)]
pub(super) struct FileMedium {
    folder: PathBuf,
}

impl FileMedium {
    pub(super) fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }

    pub(super) fn path(&self) -> PathBuf {
        self.folder.join(FILE)
    }

    /// Makes an empty journal and moves it into place once it is durable.
    fn begin(&self) -> Result<(), redb::Error> {
        fs::create_dir_all(&self.folder)?;
        let draft = self.folder.join(DRAFT);
        match fs::remove_file(&draft) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
            Ok(()) | Err(_) => {}
        }
        drop(builder().create(&draft)?);
        File::open(&draft)?.sync_all()?;
        fs::rename(&draft, self.path())?;
        Ok(File::open(&self.folder)?.sync_all()?)
    }
}

impl Medium for FileMedium {
    fn open(&self) -> Result<Database, redb::Error> {
        if !self.path().try_exists()? {
            self.begin()?;
        }
        Ok(builder().open(self.path())?)
    }
}

/// A file that something else than redb changed is an error, and nothing is believed of it.
pub(super) fn builder() -> Builder {
    let mut builder = Builder::new();
    builder.set_check_integrity_on_open(true);
    builder
}
