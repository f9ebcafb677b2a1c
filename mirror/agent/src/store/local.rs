//! The local copy: maps as the topic has them, and the lowest epoch to run under. All of it can be deleted.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
};

use leeward_mirror_core::map::{decode, encode_key, encode_value};
use leeward_model::FencingEpoch;
use parking_lot::Mutex;
use redb::{
    Builder, Database, DatabaseError, Durability, ReadableDatabase, ReadableTable, StorageError,
    TableDefinition,
};
use tracing::error;

use super::{Fact, Stored};
use crate::LinkError;

const MAP: TableDefinition<&[u8], &[u8]> = TableDefinition::new("map");
const META: TableDefinition<&str, u64> = TableDefinition::new("meta");
const SEALED_BELOW: &str = "sealed-below";
/// 1 while the topic is being filled from the copy.
const FILLING: &str = "filling";
const FILE: &str = "link.redb";

/// The database in a link's folder.
#[derive(Debug)]
pub(crate) struct Local {
    path: PathBuf,
    /// `None` after a failure: the next one who needs it opens it again.
    database: Mutex<Option<Database>>,
}

impl Local {
    /// Opens the copy, or begins one. A damaged one is set aside: the topic at the target has all that counts.
    pub(crate) fn open(folder: &Path) -> Result<Self, LinkError> {
        let local = Self { path: folder.join(FILE), database: Mutex::new(None) };
        std::fs::create_dir_all(folder).map_err(|error| local.failed(&error))?;
        local.with(|_| Ok(()))?;
        Ok(local)
    }

    /// Everything in the copy.
    ///
    /// # Errors
    ///
    /// [`LinkError::Local`] where a record of it is damaged: a map with a hole translates wrongly.
    pub(crate) fn load(&self) -> Result<Stored, LinkError> {
        let rows = self.with(|database| {
            let table = database.begin_read()?.open_table(MAP)?;
            let mut rows = Vec::new();
            for row in table.iter()? {
                let (key, value) = row?;
                rows.push((key.value().to_vec(), value.value().to_vec()));
            }
            Ok(rows)
        })?;
        let mut stored = Stored::default();
        for (key, value) in rows {
            let (topic, partition, record) =
                decode(&key, Some(&value)).map_err(|error| self.failed(&error))?;
            stored.apply(topic, partition, record);
        }
        Ok(stored)
    }

    /// Writes a copy of what the topic has. What was not written durably, and nothing durably since, is lost with the process.
    pub(crate) fn write(&self, facts: &[Fact], durably: bool) -> Result<(), LinkError> {
        let rows = facts
            .iter()
            .map(|(topic, partition, record)| (encode_key(*topic, *partition, record), encode_value(record)));
        let durability = if durably { Durability::Immediate } else { Durability::None };
        self.with(|database| change(database, rows, durability))
    }

    /// Makes the copy hold what is stored, durably, and nothing else. In one step: a run that has ended may still be at it.
    pub(crate) fn become_copy_of(&self, stored: &Stored) -> Result<(), LinkError> {
        let mut changes: BTreeMap<Vec<u8>, Option<Vec<u8>>> = BTreeMap::new();
        for (topic, partition, record) in stored.facts() {
            changes.insert(encode_key(topic, partition, &record), encode_value(&record));
        }
        self.with(|database| {
            let table = database.begin_read()?.open_table(MAP)?;
            for row in table.iter()? {
                let (key, value) = row?;
                match changes.get(key.value()) {
                    Some(wanted) if wanted.as_deref() == Some(value.value()) => {
                        changes.remove(key.value());
                    }
                    Some(_) => {}
                    None => {
                        changes.insert(key.value().to_vec(), None);
                    }
                }
            }
            if changes.is_empty() { Ok(()) } else { change(database, changes, Durability::Immediate) }
        })
    }

    /// Notes durably whether the topic is being filled from the copy: then it has a part of it only.
    pub(crate) fn note_filling(&self, filling: bool) -> Result<(), LinkError> {
        self.put_meta(FILLING, u64::from(filling))
    }

    pub(crate) fn is_filling(&self) -> Result<bool, LinkError> {
        Ok(self.meta(FILLING)? == Some(1))
    }

    /// The lowest epoch that the link may run under.
    pub(crate) fn required_epoch(&self) -> Result<FencingEpoch, LinkError> {
        let epoch = self.meta(SEALED_BELOW)?.and_then(FencingEpoch::from_wire);
        Ok(epoch.unwrap_or(FencingEpoch::FIRST))
    }

    pub(crate) fn require_epoch(&self, epoch: FencingEpoch) -> Result<(), LinkError> {
        self.put_meta(SEALED_BELOW, epoch.to_wire())
    }

    fn meta(&self, name: &str) -> Result<Option<u64>, LinkError> {
        self.with(|database| {
            let table = database.begin_read()?.open_table(META)?;
            Ok(table.get(name)?.map(|value| value.value()))
        })
    }

    fn put_meta(&self, name: &str, value: u64) -> Result<(), LinkError> {
        self.with(|database| {
            let transaction = database.begin_write()?;
            transaction.open_table(META)?.insert(name, value)?;
            Ok(transaction.commit()?)
        })
    }

    /// Why the copy is of no use in the topic's place.
    pub(crate) fn lacking(&self) -> LinkError {
        self.failed(&"it lacks what could not be written to it")
    }

    /// Uses the file, opening it where it is not open. After a failure it is closed: redb takes nothing more then.
    fn with<T>(&self, work: impl FnOnce(&Database) -> Result<T, redb::Error>) -> Result<T, LinkError> {
        let mut database = self.database.lock();
        let attempt = || -> Result<T, redb::Error> {
            if database.is_none() {
                *database = Some(self.open_database()?);
            }
            work(database.as_ref().expect("opened above"))
        };
        let outcome = attempt();
        outcome.map_err(|error| {
            *database = None;
            self.failed(&error)
        })
    }

    fn open_database(&self) -> Result<Database, redb::Error> {
        let mut builder = Builder::new();
        builder.set_check_integrity_on_open(true);
        let database = match builder.create(&self.path) {
            Err(error) if is_damage(&error) => {
                let aside = self.path.with_extension("redb.damaged");
                error!(file = %self.path.display(), aside = %aside.display(), %error,
                    "local copy of the map is damaged and set aside; the topic at the target has all of it");
                std::fs::rename(&self.path, &aside)?;
                builder.create(&self.path)?
            }
            opened => opened?,
        };
        let transaction = database.begin_write()?;
        transaction.open_table(MAP)?;
        transaction.open_table(META)?;
        transaction.commit()?;
        Ok(database)
    }

    fn failed(&self, error: &dyn std::fmt::Display) -> LinkError {
        LinkError::Local { file: self.path.clone(), why: error.to_string() }
    }
}

fn change(
    database: &Database,
    rows: impl IntoIterator<Item = (Vec<u8>, Option<Vec<u8>>)>,
    durability: Durability,
) -> Result<(), redb::Error> {
    let mut transaction = database.begin_write()?;
    transaction.set_durability(durability)?;
    {
        let mut table = transaction.open_table(MAP)?;
        for (key, value) in rows {
            match value {
                Some(value) => table.insert(key.as_slice(), value.as_slice())?,
                None => table.remove(key.as_slice())?,
            };
        }
    }
    Ok(transaction.commit()?)
}

/// Whether the file is not what redb wrote, rather than out of reach for now.
fn is_damage(error: &DatabaseError) -> bool {
    match error {
        DatabaseError::Storage(StorageError::Corrupted(_)) => true,
        DatabaseError::Storage(StorageError::Io(error)) => {
            matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use leeward_mirror_core::map::MapRecord;
    use leeward_model::{PartitionIndex, TargetOffset, TopicId};

    use super::*;

    fn checkpoint(partition: i32, target: i64) -> Fact {
        let topic = TopicId::from_wire([7; 16]).expect("not the zero id");
        let target = TargetOffset::from_wire(target).expect("not negative");
        let partition = PartitionIndex::from_wire(partition).expect("not negative");
        (topic, partition, MapRecord::Checkpoint { target, target_topic: topic })
    }

    #[test]
    fn a_damaged_copy_is_set_aside_and_begun_anew() {
        let folder = tempfile::tempdir().expect("a folder");
        let local = Local::open(folder.path()).expect("opened");
        for partition in 0..50 {
            local.write(&[checkpoint(partition, 9)], false).expect("written");
        }
        local.require_epoch(FencingEpoch::FIRST.next()).expect("durable");
        drop(local);
        let file = folder.path().join(FILE);
        let whole = std::fs::read(&file).expect("there");
        let used: Vec<usize> = (0..whole.len()).filter(|at| whole[*at] != 0).collect();
        for at in used.into_iter().step_by(307) {
            let mut bytes = whole.clone();
            bytes[at] ^= 1 << (at % 8);
            std::fs::write(&file, &bytes).expect("written");

            let loaded = Local::open(folder.path()).and_then(|local| local.load());

            if let Ok(stored) = loaded {
                let found = stored.partitions.len();
                assert!(found == 50 || found == 0, "byte {at}: {found} of 50");
            }
        }
    }

    #[test]
    fn a_cut_copy_is_set_aside_and_begun_anew() {
        let folder = tempfile::tempdir().expect("a folder");
        let local = Local::open(folder.path()).expect("opened");
        local.write(&[checkpoint(0, 9)], false).expect("written");
        drop(local);
        let file = folder.path().join(FILE);
        let whole = std::fs::read(&file).expect("there");
        for length in [0, 64, 4096, whole.len() / 2] {
            std::fs::write(&file, &whole[..length]).expect("cut");

            let local = Local::open(folder.path()).expect("begun anew");

            assert!(local.load().expect("read").is_empty(), "{length}");
        }
    }

    /// What the next process finds where this one is killed.
    fn after_a_kill(folder: &Path) -> Stored {
        let next = tempfile::tempdir().expect("a folder");
        std::fs::copy(folder.join(FILE), next.path().join(FILE)).expect("copied");
        Local::open(next.path()).and_then(|local| local.load()).expect("read")
    }

    #[test]
    fn what_was_written_durably_survives_a_kill_with_all_before_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let local = Local::open(folder.path()).expect("opened");
        local.write(&[checkpoint(0, 9)], false).expect("written");
        assert!(after_a_kill(folder.path()).is_empty());

        local.write(&[checkpoint(1, 9)], true).expect("written");

        assert_eq!(after_a_kill(folder.path()).partitions.len(), 2);
    }

    #[test]
    fn a_copy_becomes_what_is_stored_and_nothing_else() {
        let folder = tempfile::tempdir().expect("a folder");
        let local = Local::open(folder.path()).expect("opened");
        local.write(&[checkpoint(0, 1), checkpoint(1, 1), checkpoint(2, 1)], true).expect("written");
        let mut stored = Stored::default();
        for (topic, partition, record) in [checkpoint(1, 1), checkpoint(2, 2), checkpoint(3, 3)] {
            stored.apply(topic, partition, record);
        }

        local.become_copy_of(&stored).expect("written");

        let found = after_a_kill(folder.path());
        let checkpoints = |stored: &Stored| {
            let of = |(key, partition): (&(TopicId, PartitionIndex), &crate::store::StoredPartition)| {
                (key.1, partition.checkpoint)
            };
            stored.partitions.iter().map(of).collect::<std::collections::BTreeMap<_, _>>()
        };
        assert_eq!(checkpoints(&found), checkpoints(&stored));
    }
}
