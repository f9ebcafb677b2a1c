//! A map's records as they are stored, in the compacted topic at the target and in the local copy.
//!
//! Key and value each begin with magic and version and end with a CRC-32C. All integers are big-endian. The key names topic id,
//! partition and, for a run, its source offset, so that compaction keeps one record for each run.

use leeward_model::{PartitionIndex, SourceOffset, TargetOffset, TopicId, TopicName};
use leeward_wire::record::crc32c;

use super::Run;

const MAGIC: [u8; 4] = *b"LWmp";
const VERSION: u8 = 1;
const RUN: u8 = 1;
const CHECKPOINT: u8 = 2;
const NAMES: u8 = 3;
const ANCHOR: u8 = 1;

/// One stored fact about one partition, or, under partition 0, about its topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MapRecord {
    Run(Run),
    RunRemoved(SourceOffset),
    /// Everything in the target below `target` was seen to be the mirror's own or is in a run as foreign.
    Checkpoint {
        target: TargetOffset,
        target_topic: TopicId,
    },
    CheckpointRemoved,
    /// What the topic is called, so that its map can be read while the source is dark.
    Names {
        source: TopicName,
        target: TopicName,
    },
    NamesRemoved,
}

/// Why bytes are no map record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    #[error("map record does not begin with its magic")]
    Magic,
    #[error("map record has version {0}, this program knows {VERSION}")]
    Version(u8),
    #[error("map record of kind {0} is unknown")]
    Kind(u8),
    #[error("map record is damaged")]
    Checksum,
    #[error("map record has the wrong length or an impossible field")]
    Shape,
}

fn begin(kind: u8) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend_from_slice(&[VERSION, kind]);
    bytes
}

fn sealed(mut bytes: Vec<u8>) -> Vec<u8> {
    let checksum = crc32c(&bytes);
    bytes.extend_from_slice(&checksum.to_be_bytes());
    bytes
}

/// The key of a record.
pub fn encode_key(topic: TopicId, partition: PartitionIndex, record: &MapRecord) -> Vec<u8> {
    let (kind, source) = match record {
        MapRecord::Run(run) => (RUN, Some(run.source)),
        MapRecord::RunRemoved(source) => (RUN, Some(*source)),
        MapRecord::Checkpoint { .. } | MapRecord::CheckpointRemoved => (CHECKPOINT, None),
        MapRecord::Names { .. } | MapRecord::NamesRemoved => (NAMES, None),
    };
    let mut key = begin(kind);
    key.extend_from_slice(&topic.to_wire());
    key.extend_from_slice(&partition.to_wire().to_be_bytes());
    if let Some(source) = source {
        key.extend_from_slice(&source.to_wire().to_be_bytes());
    }
    sealed(key)
}

/// The value of a record; `None` deletes its key.
pub fn encode_value(record: &MapRecord) -> Option<Vec<u8>> {
    match record {
        MapRecord::Run(run) => {
            let mut value = begin(RUN);
            value.extend_from_slice(&run.target.to_wire().to_be_bytes());
            value.extend_from_slice(&run.foreign_before.to_be_bytes());
            value.push(if run.anchor { ANCHOR } else { 0 });
            Some(sealed(value))
        }
        MapRecord::Checkpoint { target, target_topic } => {
            let mut value = begin(CHECKPOINT);
            value.extend_from_slice(&target.to_wire().to_be_bytes());
            value.extend_from_slice(&target_topic.to_wire());
            Some(sealed(value))
        }
        MapRecord::Names { source, target } => {
            let mut value = begin(NAMES);
            for name in [source, target] {
                let length = u16::try_from(name.as_str().len()).expect("topic names have 249 bytes at most");
                value.extend_from_slice(&length.to_be_bytes());
                value.extend_from_slice(name.as_str().as_bytes());
            }
            Some(sealed(value))
        }
        MapRecord::RunRemoved(_) | MapRecord::CheckpointRemoved | MapRecord::NamesRemoved => None,
    }
}

/// Cuts fields off the front of a record's bytes.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], RecordError> {
        let (field, rest) = self.0.split_first_chunk().ok_or(RecordError::Shape)?;
        self.0 = rest;
        Ok(*field)
    }

    fn source(&mut self) -> Result<SourceOffset, RecordError> {
        SourceOffset::from_wire(i64::from_be_bytes(self.take()?)).ok_or(RecordError::Shape)
    }

    fn target(&mut self) -> Result<TargetOffset, RecordError> {
        TargetOffset::from_wire(i64::from_be_bytes(self.take()?)).ok_or(RecordError::Shape)
    }

    fn topic(&mut self) -> Result<TopicId, RecordError> {
        TopicId::from_wire(self.take()?).ok_or(RecordError::Shape)
    }

    fn name(&mut self) -> Result<TopicName, RecordError> {
        let length = usize::from(u16::from_be_bytes(self.take()?));
        let (name, rest) = self.0.split_at_checked(length).ok_or(RecordError::Shape)?;
        self.0 = rest;
        let name = std::str::from_utf8(name).map_err(|_| RecordError::Shape)?;
        TopicName::new(name).map_err(|_| RecordError::Shape)
    }

    fn end(&self) -> Result<(), RecordError> {
        if self.0.is_empty() { Ok(()) } else { Err(RecordError::Shape) }
    }
}

fn opened(bytes: &[u8]) -> Result<(u8, Fields<'_>), RecordError> {
    let Some((content, stored)) = bytes.split_last_chunk::<4>() else {
        return Err(RecordError::Shape);
    };
    let mut fields = Fields(content);
    if fields.take()? != MAGIC {
        return Err(RecordError::Magic);
    }
    if crc32c(content) != u32::from_be_bytes(*stored) {
        return Err(RecordError::Checksum);
    }
    let [version, kind] = fields.take()?;
    if version != VERSION {
        return Err(RecordError::Version(version));
    }
    Ok((kind, fields))
}

/// Reads a record from its key and value.
///
/// # Errors
///
/// [`RecordError`] for anything that [`encode_key`] and [`encode_value`] do not write.
pub fn decode(key: &[u8], value: Option<&[u8]>) -> Result<(TopicId, PartitionIndex, MapRecord), RecordError> {
    let (kind, mut fields) = opened(key)?;
    let topic = fields.topic()?;
    let partition =
        PartitionIndex::from_wire(i32::from_be_bytes(fields.take()?)).ok_or(RecordError::Shape)?;
    let record = match kind {
        RUN => {
            let source = fields.source()?;
            value.map_or(Ok(MapRecord::RunRemoved(source)), |value| decode_run(source, value))?
        }
        CHECKPOINT => value.map_or(Ok(MapRecord::CheckpointRemoved), decode_checkpoint)?,
        NAMES => value.map_or(Ok(MapRecord::NamesRemoved), decode_names)?,
        other => return Err(RecordError::Kind(other)),
    };
    fields.end()?;
    Ok((topic, partition, record))
}

fn decode_run(source: SourceOffset, value: &[u8]) -> Result<MapRecord, RecordError> {
    let (kind, mut fields) = opened(value)?;
    if kind != RUN {
        return Err(RecordError::Kind(kind));
    }
    let target = fields.target()?;
    let foreign_before = u64::from_be_bytes(fields.take()?);
    let anchor = match fields.take()? {
        [0] => false,
        [ANCHOR] => true,
        _ => return Err(RecordError::Shape),
    };
    fields.end()?;
    if foreign_before > target.to_wire().unsigned_abs() {
        return Err(RecordError::Shape);
    }
    Ok(MapRecord::Run(Run { source, target, foreign_before, anchor }))
}

fn decode_checkpoint(value: &[u8]) -> Result<MapRecord, RecordError> {
    let (kind, mut fields) = opened(value)?;
    if kind != CHECKPOINT {
        return Err(RecordError::Kind(kind));
    }
    let checkpoint = MapRecord::Checkpoint { target: fields.target()?, target_topic: fields.topic()? };
    fields.end()?;
    Ok(checkpoint)
}

fn decode_names(value: &[u8]) -> Result<MapRecord, RecordError> {
    let (kind, mut fields) = opened(value)?;
    if kind != NAMES {
        return Err(RecordError::Kind(kind));
    }
    let names = MapRecord::Names { source: fields.name()?, target: fields.name()? };
    fields.end()?;
    Ok(names)
}
