//! The local copy: maps, the newest epoch, the positions that were carried over. All of it can be deleted.

use std::path::Path;

use leeward_mirror_core::map::{MapRecord, decode, encode_key, encode_value};
use leeward_model::{FencingEpoch, PartitionIndex, TopicId};
use redb::{Database, Durability, ReadableDatabase, ReadableTable, TableDefinition};

use super::Stored;
use crate::LinkError;

const MAP: TableDefinition<&[u8], &[u8]> = TableDefinition::new("map");
const META: TableDefinition<&str, u64> = TableDefinition::new("meta");
const SEALED_BELOW: &str = "sealed-below";
const FILE: &str = "link.redb";

/// The database in a link's folder.
#[derive(Debug)]
pub(crate) struct Local(Database);

fn local(error: impl std::fmt::Display) -> LinkError {
    LinkError::Local(error.to_string())
}

impl Local {
    pub(crate) fn open(folder: &Path) -> Result<Self, LinkError> {
        std::fs::create_dir_all(folder).map_err(local)?;
        let database = Database::create(folder.join(FILE)).map_err(local)?;
        let transaction = database.begin_write().map_err(local)?;
        transaction.open_table(MAP).map_err(local)?;
        transaction.open_table(META).map_err(local)?;
        transaction.commit().map_err(local)?;
        Ok(Self(database))
    }

    pub(crate) fn load(&self) -> Result<Stored, LinkError> {
        let mut stored = Stored::default();
        let transaction = self.0.begin_read().map_err(local)?;
        let table = transaction.open_table(MAP).map_err(local)?;
        for entry in table.iter().map_err(local)? {
            let (key, value) = entry.map_err(local)?;
            if let Ok((topic, partition, record)) = decode(key.value(), Some(value.value())) {
                stored.apply(topic, partition, record);
            }
        }
        Ok(stored)
    }

    /// Writes a copy of what the topic has; a crash may lose the newest of it.
    pub(crate) fn write(&self, changes: &[(TopicId, PartitionIndex, MapRecord)]) -> Result<(), LinkError> {
        let mut transaction = self.0.begin_write().map_err(local)?;
        transaction.set_durability(Durability::None).map_err(local)?;
        {
            let mut table = transaction.open_table(MAP).map_err(local)?;
            for (topic, partition, record) in changes {
                let key = encode_key(*topic, *partition, record);
                match encode_value(record) {
                    Some(value) => table.insert(key.as_slice(), value.as_slice()).map_err(local)?,
                    None => table.remove(key.as_slice()).map_err(local)?,
                };
            }
        }
        transaction.commit().map_err(local)
    }

    /// The lowest epoch that the link may run under.
    pub(crate) fn required_epoch(&self) -> Result<FencingEpoch, LinkError> {
        let transaction = self.0.begin_read().map_err(local)?;
        let table = transaction.open_table(META).map_err(local)?;
        let epoch = table.get(SEALED_BELOW).map_err(local)?.map_or(1, |epoch| epoch.value());
        Ok(FencingEpoch::from_wire(epoch).unwrap_or(FencingEpoch::FIRST))
    }

    pub(crate) fn require_epoch(&self, epoch: FencingEpoch) -> Result<(), LinkError> {
        let transaction = self.0.begin_write().map_err(local)?;
        {
            let mut table = transaction.open_table(META).map_err(local)?;
            table.insert(SEALED_BELOW, epoch.to_wire()).map_err(local)?;
        }
        transaction.commit().map_err(local)
    }
}
