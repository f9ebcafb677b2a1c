//! One voter's journal, and its notes about seals, in one redb file: every commit is fsynced.
//!
//! The file is opened again after a failure: what it holds then counts. Each opening checks every page and writes what
//! it found anew, for after a failed sync the page cache may show what the disk does not have.

mod medium;
#[cfg(test)]
mod tests;

use std::{path::Path, sync::Arc};

use futures::future::BoxFuture;
use leeward_failover_core::{Entry, Role};
use leeward_model::{RegionName, TopicName};
use parking_lot::Mutex;
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition, WriteTransaction};

use self::medium::{FileMedium, Medium};
use super::{DecisionLog, LogError, format};
use crate::clock::BootMoment;

const ENTRIES: TableDefinition<u64, &[u8]> = TableDefinition::new("entries");
/// Per `region/topic`: the topic's own `max.message.bytes` before it was sealed; 0 where it had none.
const SEALED: TableDefinition<&str, u64> = TableDefinition::new("sealed");
/// Regions that serve, as far as their agents were told.
const SERVING: TableDefinition<&str, ()> = TableDefinition::new("serving");
/// Regions that are to be sealed, as far as their agents were told.
const TO_SEAL: TableDefinition<&str, ()> = TableDefinition::new("to-seal");
/// Per region: the boot in which its lease was granted, and the microsecond of that boot at which it ends.
const LEASES: TableDefinition<&str, (&str, u64)> = TableDefinition::new("leases");

/// A journal in a file that one process has open at a time.
#[derive(Clone)]
pub struct RedbLog {
    medium: Arc<dyn Medium>,
    /// `None` after a failure: the next one who needs it opens it again.
    database: Arc<Mutex<Option<Database>>>,
    path: Arc<str>,
}

impl std::fmt::Debug for RedbLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RedbLog").field("path", &self.path).finish_non_exhaustive()
    }
}

impl RedbLog {
    /// Opens the journal in this folder, or begins one.
    ///
    /// # Errors
    ///
    /// [`LogError::Storage`] where the file cannot be opened, is damaged, or another process has it.
    pub fn open(folder: &Path) -> Result<Self, LogError> {
        let medium = FileMedium::new(folder);
        let path = medium.path().display().to_string();
        Self::on(Arc::new(medium), &path)
    }

    fn on(medium: Arc<dyn Medium>, path: &str) -> Result<Self, LogError> {
        let log = Self { medium, database: Arc::default(), path: path.into() };
        log.with(|_| Ok(()))?;
        Ok(log)
    }

    fn storage(&self, error: &redb::Error) -> LogError {
        LogError::Storage { path: self.path.to_string(), reason: error.to_string() }
    }

    /// Uses the file, opening it where it is not open. After a failure it is closed: redb takes nothing more then.
    fn with<T>(&self, work: impl FnOnce(&Database) -> Result<T, redb::Error>) -> Result<T, LogError> {
        let mut database = self.database.lock();
        let attempt = || -> Result<T, redb::Error> {
            if database.is_none() {
                let opened = self.medium.open()?;
                let transaction = opened.begin_write()?;
                write_anew(&transaction)?;
                transaction.commit()?;
                *database = Some(opened);
            }
            work(database.as_ref().expect("opened above"))
        };
        let outcome = attempt();
        outcome.map_err(|error| {
            *database = None;
            self.storage(&error)
        })
    }

    fn write<T>(
        &self,
        change: impl FnOnce(&WriteTransaction) -> Result<T, redb::Error>,
    ) -> Result<T, LogError> {
        self.with(|database| {
            let transaction = database.begin_write()?;
            let value = change(&transaction)?;
            transaction.commit()?;
            Ok(value)
        })
    }

    fn append_now(&self, entries: &[Vec<u8>]) -> Result<(), LogError> {
        self.write(|transaction| {
            let mut table = transaction.open_table(ENTRIES)?;
            let next = table.last()?.map_or(0, |(index, _)| index.value() + 1);
            for (index, entry) in (next..).zip(entries) {
                table.insert(index, entry.as_slice())?;
            }
            Ok(())
        })
    }

    fn read_now(&self) -> Result<Vec<Entry>, LogError> {
        let rows = self.with(|database| {
            let transaction = database.begin_read()?;
            rows(&transaction.open_table(ENTRIES)?)
        })?;
        (0..)
            .zip(rows)
            .map(|(expected, (index, bytes))| {
                if index != expected {
                    return Err(LogError::Missing { path: self.path.to_string(), index: expected });
                }
                format::decode(&bytes).map_err(|source| LogError::Format { index, source })
            })
            .collect()
    }

    /// Notes what topics had before a seal. A topic that is noted already keeps its first note.
    pub(crate) fn note_sealed(
        &self,
        region: &RegionName,
        before: &[(TopicName, Option<u64>)],
    ) -> Result<(), LogError> {
        self.write(|transaction| {
            let mut table = transaction.open_table(SEALED)?;
            for (topic, bytes) in before {
                let key = format!("{region}/{topic}");
                if table.get(key.as_str())?.is_none() {
                    table.insert(key.as_str(), bytes.unwrap_or(0))?;
                }
            }
            Ok(())
        })
    }

    /// What topics of this region had before they were sealed.
    pub(crate) fn sealed(&self, region: &RegionName) -> Result<Vec<(TopicName, Option<u64>)>, LogError> {
        let prefix = format!("{region}/");
        let noted = self.with(|database| {
            let table = database.begin_read()?.open_table(SEALED)?;
            let mut noted = Vec::new();
            for row in table.range(prefix.as_str()..)? {
                let (key, bytes) = row?;
                let Some(topic) = key.value().strip_prefix(&prefix) else { break };
                noted.push((topic.to_owned(), bytes.value()));
            }
            Ok(noted)
        })?;
        let topic = |(name, bytes): (String, u64)| {
            TopicName::new(&name).ok().map(|topic| (topic, (bytes > 0).then_some(bytes)))
        };
        Ok(noted.into_iter().filter_map(topic).collect())
    }

    /// Notes what this region is, for the process after this one.
    pub(crate) fn note_role(&self, region: &RegionName, role: Role) -> Result<(), LogError> {
        self.write(|transaction| {
            for (table, noted) in [(SERVING, role.serves), (TO_SEAL, role.seal)] {
                let mut table = transaction.open_table(table)?;
                if noted {
                    table.insert(region.as_str(), ())?;
                } else {
                    table.remove(region.as_str())?;
                }
            }
            Ok(())
        })
    }

    /// What this region was when that was last noted.
    pub(crate) fn role(&self, region: &RegionName) -> Result<Role, LogError> {
        self.with(|database| {
            let transaction = database.begin_read()?;
            let serves = transaction.open_table(SERVING)?.get(region.as_str())?.is_some();
            let seal = transaction.open_table(TO_SEAL)?.get(region.as_str())?.is_some();
            Ok(Role { serves, seal })
        })
    }

    /// Notes when this region's lease ends, for the process after this one.
    pub(crate) fn note_lease(&self, region: &RegionName, end: &BootMoment) -> Result<(), LogError> {
        self.write(|transaction| {
            let mut table = transaction.open_table(LEASES)?;
            table.insert(region.as_str(), (end.boot.as_str(), end.micros))?;
            Ok(())
        })
    }

    /// When this region's lease ends, as far as that was noted.
    pub(crate) fn lease(&self, region: &RegionName) -> Result<Option<BootMoment>, LogError> {
        self.with(|database| {
            let table = database.begin_read()?.open_table(LEASES)?;
            let noted = table.get(region.as_str())?;
            Ok(noted.map(|noted| {
                let (boot, micros) = noted.value();
                BootMoment { boot: boot.to_owned(), micros }
            }))
        })
    }

    /// Forgets the notes on these topics: their seal is lifted.
    pub(crate) fn forget_sealed(&self, region: &RegionName, topics: &[TopicName]) -> Result<(), LogError> {
        self.write(|transaction| {
            let mut table = transaction.open_table(SEALED)?;
            for topic in topics {
                table.remove(format!("{region}/{topic}").as_str())?;
            }
            Ok(())
        })
    }
}

impl DecisionLog for RedbLog {
    fn append<'a>(&'a self, entries: &'a [Entry]) -> BoxFuture<'a, Result<(), LogError>> {
        Box::pin(async move {
            let encoded: Result<Vec<_>, _> = entries.iter().map(format::encode).collect();
            let encoded = encoded.map_err(|source| LogError::Format { index: 0, source })?;
            let log = self.clone();
            let path = self.path.to_string();
            let appended = tokio::task::spawn_blocking(move || log.append_now(&encoded)).await;
            appended.unwrap_or_else(|error| Err(LogError::Storage { path, reason: error.to_string() }))
        })
    }

    fn read(&self) -> BoxFuture<'_, Result<Vec<Entry>, LogError>> {
        Box::pin(async move {
            let log = self.clone();
            let path = self.path.to_string();
            let read = tokio::task::spawn_blocking(move || log.read_now()).await;
            read.unwrap_or_else(|error| Err(LogError::Storage { path, reason: error.to_string() }))
        })
    }
}

fn rows(table: &impl ReadableTable<u64, &'static [u8]>) -> Result<Vec<(u64, Vec<u8>)>, redb::Error> {
    let mut rows = Vec::new();
    for row in table.iter()? {
        let (index, bytes) = row?;
        rows.push((index.value(), bytes.value().to_vec()));
    }
    Ok(rows)
}

/// Writes every row again, which makes the tables where they are missing.
fn write_anew(transaction: &WriteTransaction) -> Result<(), redb::Error> {
    let mut entries = transaction.open_table(ENTRIES)?;
    for (index, bytes) in rows(&entries)? {
        entries.insert(index, bytes.as_slice())?;
    }
    let mut sealed = transaction.open_table(SEALED)?;
    let mut notes = Vec::new();
    for row in sealed.iter()? {
        let (key, bytes) = row?;
        notes.push((key.value().to_owned(), bytes.value()));
    }
    for (key, bytes) in notes {
        sealed.insert(key.as_str(), bytes)?;
    }
    for table in [SERVING, TO_SEAL] {
        let mut noted = transaction.open_table(table)?;
        let mut regions = Vec::new();
        for row in noted.iter()? {
            regions.push(row?.0.value().to_owned());
        }
        for region in regions {
            noted.insert(region.as_str(), ())?;
        }
    }
    let mut leases = transaction.open_table(LEASES)?;
    let mut ends = Vec::new();
    for row in leases.iter()? {
        let (region, end) = row?;
        let (boot, micros) = end.value();
        ends.push((region.value().to_owned(), boot.to_owned(), micros));
    }
    for (region, boot, micros) in ends {
        leases.insert(region.as_str(), (boot.as_str(), micros))?;
    }
    Ok(())
}
