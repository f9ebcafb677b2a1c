//! What a node keeps beside its logs: who it is, which topics there are, how they are set, which ids are taken.
//!
//! One small file, `node.state`, replaced as a whole at each change: magic `LWNODEST`, version `u16`, 2 zero bytes,
//! length `u32`, JSON, CRC-32C `u32` of what precedes; numbers big-endian.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use leeward_log::{Disk, read_file, replace_file};
use leeward_wire::Uuid;
use leeward_wire::record::crc32c;
use serde::{Deserialize, Serialize};

use crate::limits::{PARTITIONS_PER_TOPIC_MAX, PRODUCER_ID_BLOCK, PRODUCER_ID_MAX};
use crate::settings::{BrokerSettings, Overrides};

const NAME: &str = "node.state";
const MAGIC: &[u8; 8] = b"LWNODEST";
const VERSION: u16 = 1;
const HEADER_BYTES: usize = 16;
const CRC_BYTES: usize = 4;

/// Why a node's state could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum CatalogueError {
    #[error("{} is damaged", path.display())]
    Damaged { path: PathBuf },
    #[error("{} has format version {found}; this program reads {VERSION}", path.display())]
    Version { path: PathBuf, found: u16 },
    #[error("{} cannot be read or written", path.display())]
    Io { path: PathBuf, source: io::Error },
}

/// One topic as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TopicEntry {
    /// As Kafka prints it.
    pub(crate) id: String,
    pub(crate) partitions: i32,
    pub(crate) settings: Overrides,
}

impl TopicEntry {
    pub(crate) fn uuid(&self) -> Option<Uuid> {
        Uuid::parse(&self.id)
    }
}

/// Everything that is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Contents {
    pub(crate) cluster_id: String,
    /// The first producer id that no block has.
    pub(crate) next_producer_id: i64,
    pub(crate) brokers: BrokerSettings,
    pub(crate) topics: BTreeMap<String, TopicEntry>,
}

impl Contents {
    /// Whether a node can have written this: each partition is opened, and ids are counted on.
    fn is_possible(&self) -> bool {
        let counted = (0..=PRODUCER_ID_MAX).contains(&self.next_producer_id);
        counted
            && self.topics.values().all(|topic| (1..=PARTITIONS_PER_TOPIC_MAX).contains(&topic.partitions))
    }
}

/// The file and what it holds.
#[derive(Debug)]
pub(crate) struct Catalogue {
    disk: Arc<dyn Disk>,
    directory: PathBuf,
    contents: Contents,
    next_producer_id: i64,
}

impl Catalogue {
    /// Where a node keeps it.
    pub(crate) fn path(directory: &Path) -> PathBuf {
        directory.join(NAME)
    }

    /// Reads the file, or makes one for a cluster of the id that `cluster_id` gives.
    ///
    /// # Errors
    ///
    /// [`CatalogueError`].
    pub(crate) fn open(
        disk: Arc<dyn Disk>,
        directory: &Path,
        cluster_id: impl FnOnce() -> String,
    ) -> Result<Self, CatalogueError> {
        let path = Self::path(directory);
        let found =
            read_file(&*disk, &path).map_err(|source| CatalogueError::Io { path: path.clone(), source })?;
        let contents = found.map(|bytes| decode(&bytes, &path)).transpose()?;
        let is_new = contents.is_none();
        let contents = contents.unwrap_or_else(|| Contents {
            cluster_id: cluster_id(),
            next_producer_id: 0,
            brokers: BrokerSettings::default(),
            topics: BTreeMap::new(),
        });
        let next_producer_id = contents.next_producer_id;
        let mut catalogue = Self { disk, directory: directory.to_owned(), contents, next_producer_id };
        if is_new {
            catalogue.change(|_| ())?;
        }
        Ok(catalogue)
    }

    pub(crate) fn contents(&self) -> &Contents {
        &self.contents
    }

    /// Changes what is kept; once this returns, the change is durable.
    ///
    /// # Errors
    ///
    /// [`CatalogueError::Io`], with what is kept as it was.
    pub(crate) fn change(&mut self, change: impl FnOnce(&mut Contents)) -> Result<(), CatalogueError> {
        let mut changed = self.contents.clone();
        change(&mut changed);
        replace_file(&*self.disk, &self.directory, NAME, &encode(&changed))
            .map_err(|source| CatalogueError::Io { path: self.directory.join(NAME), source })?;
        self.contents = changed;
        Ok(())
    }

    /// A producer id that was never given out before.
    ///
    /// # Errors
    ///
    /// [`CatalogueError::Io`].
    pub(crate) fn new_producer_id(&mut self) -> Result<i64, CatalogueError> {
        let id = self.next_producer_id;
        if id >= self.contents.next_producer_id {
            self.change(|contents| contents.next_producer_id = id + PRODUCER_ID_BLOCK)?;
        }
        self.next_producer_id = id + 1;
        Ok(id)
    }
}

pub(crate) fn encode(contents: &Contents) -> Vec<u8> {
    let json = serde_json::to_vec(contents).expect("strings and numbers are JSON");
    let length = u32::try_from(json.len()).expect("a catalogue is smaller than 4 GiB");
    let mut bytes = Vec::with_capacity(HEADER_BYTES + json.len() + CRC_BYTES);
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&VERSION.to_be_bytes());
    bytes.extend_from_slice(&[0; 2]);
    bytes.extend_from_slice(&length.to_be_bytes());
    bytes.extend_from_slice(&json);
    let crc = crc32c(&bytes);
    bytes.extend_from_slice(&crc.to_be_bytes());
    bytes
}

pub(crate) fn decode(bytes: &[u8], path: &Path) -> Result<Contents, CatalogueError> {
    let damaged = || CatalogueError::Damaged { path: path.to_owned() };
    let (covered, crc) = bytes.split_last_chunk::<CRC_BYTES>().ok_or_else(damaged)?;
    if covered.len() < HEADER_BYTES || covered[..8] != MAGIC[..] || crc32c(covered).to_be_bytes() != *crc {
        return Err(damaged());
    }
    match u16::from_be_bytes([covered[8], covered[9]]) {
        VERSION => {}
        found => return Err(CatalogueError::Version { path: path.to_owned(), found }),
    }
    let contents: Contents = serde_json::from_slice(&covered[HEADER_BYTES..]).map_err(|_| damaged())?;
    if contents.is_possible() { Ok(contents) } else { Err(damaged()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use leeward_log::SimulatedDisk;

    fn contents() -> Contents {
        let set = |name: &str, value: &str| Overrides::from([(name.to_owned(), value.to_owned())]);
        let entry = TopicEntry {
            id: "AAAAAAAAAAAAAAAAAAAAAQ".to_owned(),
            partitions: 3,
            settings: set("retention.ms", "1000"),
        };
        Contents {
            cluster_id: "AAAAAAAAAAAAAAAAAAAAAg".to_owned(),
            next_producer_id: 2000,
            brokers: BrokerSettings { own: Overrides::new(), cluster: set("message.max.bytes", "0") },
            topics: BTreeMap::from([("orders".to_owned(), entry)]),
        }
    }

    #[test]
    fn version_1_bytes_are_as_they_were() {
        let golden = include_bytes!("../tests/golden/node-state-v1.bin");

        assert_eq!(encode(&contents()), golden);
        assert_eq!(decode(golden, Path::new("x")).unwrap(), contents());
    }

    #[test]
    fn a_state_that_no_node_writes_is_damage() {
        let mut many = contents();
        many.topics.values_mut().for_each(|topic| topic.partitions = i32::MAX);
        let late = Contents { next_producer_id: i64::MAX, ..contents() };

        for impossible in [many, late] {
            let read = decode(&encode(&impossible), Path::new("x"));
            assert!(matches!(read, Err(CatalogueError::Damaged { .. })));
        }
    }

    #[test]
    fn any_flipped_bit_is_damage() {
        let whole = encode(&contents());
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x10;
            assert!(decode(&bytes, Path::new("x")).is_err(), "byte {at}");
        }
    }

    #[test]
    fn a_cut_file_is_damage() {
        let whole = encode(&contents());

        assert!((0..whole.len()).all(|length| decode(&whole[..length], Path::new("x")).is_err()));
    }

    #[test]
    fn producer_ids_are_never_given_out_twice_even_by_another_process() {
        let disk: Arc<dyn Disk> = Arc::new(SimulatedDisk::new(1));
        let open = || Catalogue::open(disk.clone(), Path::new("/data"), || "c".to_owned()).unwrap();
        let mut first = open();
        let ids: Vec<i64> = (0..3).map(|_| first.new_producer_id().unwrap()).collect();

        let next = open().new_producer_id().unwrap();

        assert_eq!(ids, [0, 1, 2]);
        assert!(next > 2);
    }
}
