//! One voter's journal, and its notes about seals, in one redb file: every commit is fsynced.

use std::{path::Path, sync::Arc};

use futures::future::BoxFuture;
use leeward_failover_core::Entry;
use leeward_model::{RegionName, TopicName};
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};

use super::{DecisionLog, LogError, format};
use crate::clock::BootMoment;

const ENTRIES: TableDefinition<u64, &[u8]> = TableDefinition::new("entries");
/// Per `region/topic`: the topic's own `max.message.bytes` before it was sealed; 0 where it had none.
const SEALED: TableDefinition<&str, u64> = TableDefinition::new("sealed");
/// Regions that serve, as far as their agents were told.
const SERVING: TableDefinition<&str, ()> = TableDefinition::new("serving");
/// Per region: the boot in which its lease was granted, and the microsecond of that boot at which it ends.
const LEASES: TableDefinition<&str, (&str, u64)> = TableDefinition::new("leases");

/// A journal in a file that one process has open at a time.
#[derive(Clone)]
pub struct RedbLog {
    database: Arc<Database>,
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
    /// [`LogError::Storage`] where the file cannot be opened, or another process has it.
    pub fn open(folder: &Path) -> Result<Self, LogError> {
        let path = folder.join("decisions.redb");
        let named: Arc<str> = path.display().to_string().into();
        let failed = |error: &dyn std::fmt::Display| LogError::Storage {
            path: named.to_string(),
            reason: error.to_string(),
        };
        std::fs::create_dir_all(folder).map_err(|error| failed(&error))?;
        let database = Database::create(&path).map_err(|error| failed(&error))?;
        let log = Self { database: Arc::new(database), path: named };
        log.write(|transaction| {
            transaction.open_table(ENTRIES)?;
            transaction.open_table(SEALED)?;
            transaction.open_table(SERVING)?;
            transaction.open_table(LEASES)?;
            Ok(())
        })?;
        Ok(log)
    }

    fn storage(&self, error: &redb::Error) -> LogError {
        LogError::Storage { path: self.path.to_string(), reason: error.to_string() }
    }

    fn write<T>(
        &self,
        change: impl FnOnce(&redb::WriteTransaction) -> Result<T, redb::Error>,
    ) -> Result<T, LogError> {
        let attempt = || {
            let transaction = self.database.begin_write()?;
            let value = change(&transaction)?;
            transaction.commit()?;
            Ok(value)
        };
        attempt().map_err(|error: redb::Error| self.storage(&error))
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
        let raw = || -> Result<Vec<(u64, Vec<u8>)>, redb::Error> {
            let table = self.database.begin_read()?.open_table(ENTRIES)?;
            let mut raw = Vec::new();
            for row in table.iter()? {
                let (index, bytes) = row?;
                raw.push((index.value(), bytes.value().to_vec()));
            }
            Ok(raw)
        };
        let raw = raw().map_err(|error| self.storage(&error))?;
        raw.into_iter()
            .map(|(index, bytes)| format::decode(&bytes).map_err(|source| LogError::Format { index, source }))
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
        let read = || -> Result<Vec<(String, u64)>, redb::Error> {
            let table = self.database.begin_read()?.open_table(SEALED)?;
            let mut noted = Vec::new();
            for row in table.range(prefix.as_str()..)? {
                let (key, bytes) = row?;
                let Some(topic) = key.value().strip_prefix(&prefix) else { break };
                noted.push((topic.to_owned(), bytes.value()));
            }
            Ok(noted)
        };
        let noted = read().map_err(|error| self.storage(&error))?;
        let topic = |(name, bytes): (String, u64)| {
            TopicName::new(&name).ok().map(|topic| (topic, (bytes > 0).then_some(bytes)))
        };
        Ok(noted.into_iter().filter_map(topic).collect())
    }

    /// Notes whether this region serves, for the process after this one.
    pub(crate) fn note_serving(&self, region: &RegionName, serves: bool) -> Result<(), LogError> {
        self.write(|transaction| {
            let mut table = transaction.open_table(SERVING)?;
            if serves {
                table.insert(region.as_str(), ())?;
            } else {
                table.remove(region.as_str())?;
            }
            Ok(())
        })
    }

    /// Whether this region served when that was last noted.
    pub(crate) fn serves(&self, region: &RegionName) -> Result<bool, LogError> {
        let read = || -> Result<bool, redb::Error> {
            Ok(self.database.begin_read()?.open_table(SERVING)?.get(region.as_str())?.is_some())
        };
        read().map_err(|error| self.storage(&error))
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
        let read = || -> Result<Option<BootMoment>, redb::Error> {
            let table = self.database.begin_read()?.open_table(LEASES)?;
            let noted = table.get(region.as_str())?;
            Ok(noted.map(|noted| {
                let (boot, micros) = noted.value();
                BootMoment { boot: boot.to_owned(), micros }
            }))
        };
        read().map_err(|error| self.storage(&error))
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

#[cfg(test)]
mod tests {
    use leeward_model::WallTime;

    use super::*;

    fn paused(at: i64) -> Entry {
        Entry::Paused { by: "ada".into(), at: WallTime::from_millis(at) }
    }

    #[tokio::test]
    async fn entries_survive_the_process_in_their_order() {
        let folder = tempfile::tempdir().expect("a folder");
        {
            let log = RedbLog::open(folder.path()).expect("opened");
            log.append(&[paused(1), paused(2)]).await.expect("durable");
            log.append(&[paused(3)]).await.expect("durable");
        }

        let read = RedbLog::open(folder.path()).expect("opened").read().await.expect("read");

        assert_eq!(read, [paused(1), paused(2), paused(3)]);
    }

    #[test]
    fn the_first_note_of_a_seal_stays() {
        let folder = tempfile::tempdir().expect("a folder");
        let log = RedbLog::open(folder.path()).expect("opened");
        let region = RegionName::new("a").expect("legal");
        let topic = TopicName::new("orders").expect("legal");

        log.note_sealed(&region, &[(topic.clone(), Some(7))]).expect("noted");
        log.note_sealed(&region, &[(topic.clone(), Some(0))]).expect("noted");

        assert_eq!(log.sealed(&region).expect("read"), [(topic, Some(7))]);
    }

    #[test]
    fn a_region_serves_until_the_note_is_taken_back() {
        let folder = tempfile::tempdir().expect("a folder");
        let log = RedbLog::open(folder.path()).expect("opened");
        let region = RegionName::new("a").expect("legal");

        let before = log.serves(&region).expect("read");
        log.note_serving(&region, true).expect("noted");
        let during = log.serves(&region).expect("read");
        log.note_serving(&region, false).expect("noted");

        assert_eq!([before, during, log.serves(&region).expect("read")], [false, true, false]);
    }

    #[test]
    fn one_journal_is_open_once() {
        let folder = tempfile::tempdir().expect("a folder");
        let _first = RedbLog::open(folder.path()).expect("opened");

        assert!(RedbLog::open(folder.path()).is_err());
    }
}
