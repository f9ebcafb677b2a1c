//! The state file: what of the gateway survives beside the journal.
//!
//! `LWBUFSTA`, version u16, then the fields in the order of [`State`], then the CRC-32C u32 of all before. Version 1 did not
//! have what a lineage keeps, version 2 not in which log it is, nor what is known of the journal and of what is missing in it,
//! version 3 not what topics demand of batches; all are read. It is replaced as a whole. Without it the journal's batches
//! cannot be told from those that were forwarded, so damage to it stops the gateway.

use bytes::{BufMut, Bytes, BytesMut};

use leeward_model::TopicPartition;
use leeward_wire::record::crc32c;

use crate::bytes_codec::{Cursor, put_list, put_partition, put_text};
use crate::door::TopicRules;
use crate::frames::{gap, in_log, keeping, lineage, put_gap, put_lineage, put_log};
use crate::intake::{Producers, Remembered};
use crate::partition::{Lineage, Marks, OffsetRun, Saved};

const MAGIC: &[u8; 8] = b"LWBUFSTA";
const VERSION: u16 = 4;
/// The version before topics' rules were remembered.
const NO_RULES: u16 = 3;
/// The version before the journal's positions were said.
const NO_JOURNAL: u16 = 2;
/// The version before lineages kept anything.
const NOTHING_KEPT: u16 = 1;

/// A topic as the acting region last told it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KnownTopic {
    pub(crate) name: String,
    pub(crate) partitions: u32,
    pub(crate) internal: bool,
    /// What it demands of batches; `None` where no region told that.
    pub(crate) rules: Option<TopicRules>,
}

/// One partition's part of the state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct PartitionState {
    pub(crate) saved: Saved,
    /// The ordinal behind the last batch that `producers` knows of.
    pub(crate) next_ordinal: u64,
    pub(crate) producers: Producers,
}

/// What the journal held when the state was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct JournalRange {
    /// Nothing below this position is needed.
    pub(crate) from: u64,
    /// All below this position was durable.
    pub(crate) to: u64,
}

/// All of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct State {
    /// Who this gateway is, for ever: the producer ids that regions see are derived from it.
    pub(crate) identity: [u8; 16],
    /// Producer ids below may have been given to clients.
    pub(crate) producer_ids_to: i64,
    /// The highest epoch ever granted.
    pub(crate) epoch: u64,
    pub(crate) topics: Vec<KnownTopic>,
    pub(crate) journal: Option<JournalRange>,
    pub(crate) partitions: Vec<(TopicPartition, PartitionState)>,
}

/// Why a state file cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StateError {
    #[error("its checksum does not fit; restore it from a copy, or move the whole directory away")]
    Damaged,
    #[error("it is missing, and the journal beside it is not empty; restore it from a copy")]
    Missing,
    #[error("it has format version {0}; this program reads version {VERSION}")]
    Version(u16),
}

impl State {
    pub(crate) fn to_bytes(&self) -> Bytes {
        let mut out = BytesMut::new();
        out.extend_from_slice(MAGIC);
        out.put_u16(VERSION);
        out.extend_from_slice(&self.identity);
        out.put_i64(self.producer_ids_to);
        out.put_u64(self.epoch);
        put_list(&mut out, self.topics.iter(), |out, topic| {
            put_text(out, &topic.name);
            out.put_u32(topic.partitions);
            out.put_u8(u8::from(topic.internal));
            put_list(out, topic.rules.iter(), put_rules);
        });
        put_list(&mut out, self.journal.iter(), |out, journal| {
            out.put_u64(journal.from);
            out.put_u64(journal.to);
        });
        put_list(&mut out, self.partitions.iter(), |out, (partition, state)| {
            put_partition(out, partition);
            put_state(out, state);
        });
        let crc = crc32c(&out);
        out.put_u32(crc);
        out.freeze()
    }

    pub(crate) fn read(bytes: &Bytes) -> Result<Self, StateError> {
        let (covered, crc) = bytes.split_last_chunk::<4>().ok_or(StateError::Damaged)?;
        if u32::from_be_bytes(*crc) != crc32c(covered) {
            return Err(StateError::Damaged);
        }
        let mut input = Cursor { rest: bytes.slice(..covered.len()) };
        let magic = input.bytes(MAGIC.len()).ok_or(StateError::Damaged)?;
        let version = input.u16().filter(|_| magic[..] == MAGIC[..]).ok_or(StateError::Damaged)?;
        if !(NOTHING_KEPT..=VERSION).contains(&version) {
            return Err(StateError::Version(version));
        }
        read_state(&mut input, version).ok_or(StateError::Damaged)
    }
}

fn read_state(input: &mut Cursor, version: u16) -> Option<State> {
    let state = State {
        identity: input.bytes(16)?[..].try_into().ok()?,
        producer_ids_to: input.i64()?,
        epoch: input.u64()?,
        topics: input.list(|input| read_topic(input, version))?,
        journal: if version < NO_RULES { None } else { input.list(journal_range)?.pop() },
        partitions: input.list(|input| Some((input.partition()?, read_partition(input, version)?)))?,
    };
    input.rest.is_empty().then_some(state)
}

fn read_topic(input: &mut Cursor, version: u16) -> Option<KnownTopic> {
    Some(KnownTopic {
        name: input.text()?,
        partitions: input.u32()?,
        internal: input.u8()? != 0,
        rules: if version < VERSION { None } else { input.list(read_rules)?.pop() },
    })
}

/// A limit that is not there is -1.
fn put_rules(out: &mut BytesMut, rules: &TopicRules) {
    let bytes_max = rules.batch_bytes_max.map_or(-1, |bytes| i64::try_from(bytes).unwrap_or(i64::MAX));
    out.put_i64(bytes_max);
    out.put_u8(u8::from(rules.compacted));
    out.put_i64(rules.behind_max_ms.unwrap_or(-1));
    out.put_i64(rules.ahead_max_ms.unwrap_or(-1));
}

fn read_rules(input: &mut Cursor) -> Option<TopicRules> {
    Some(TopicRules {
        batch_bytes_max: usize::try_from(input.i64()?).ok(),
        compacted: input.u8()? != 0,
        behind_max_ms: Some(input.i64()?).filter(|ms| *ms >= 0),
        ahead_max_ms: Some(input.i64()?).filter(|ms| *ms >= 0),
    })
}

fn journal_range(input: &mut Cursor) -> Option<JournalRange> {
    Some(JournalRange { from: input.u64()?, to: input.u64()? })
}

fn put_state(out: &mut BytesMut, state: &PartitionState) {
    let saved = &state.saved;
    out.put_u64(saved.trimmed_to);
    put_list(out, saved.lineage.iter(), |out, lineage| {
        put_lineage(out, lineage);
        put_log(out, lineage);
    });
    out.put_i64(saved.acknowledged_end);
    put_list(out, saved.runs.iter(), |out, run| {
        out.put_u64(run.ordinal);
        out.put_i64(run.offset);
        out.put_u64(run.records);
    });
    put_list(out, saved.damage.iter(), put_gap);
    put_list(out, saved.marks.iter(), |out, marks| {
        out.put_i64(marks.replicated_to);
        out.put_i64(marks.target_end);
    });
    out.put_u64(saved.vouched);
    out.put_u64(state.next_ordinal);
    let remembered: Vec<_> = state.producers.iter().collect();
    put_list(out, remembered.into_iter(), |out, (producer_id, epoch, batch)| {
        out.put_i64(producer_id);
        out.put_i16(epoch);
        out.put_i32(batch.first);
        out.put_i32(batch.last);
        out.put_u64(batch.ordinal);
    });
}

fn read_lineage(input: &mut Cursor, version: u16) -> Option<Lineage> {
    let lineage = lineage(input)?;
    match version {
        NOTHING_KEPT => Some(lineage),
        NO_JOURNAL => keeping(lineage, input),
        _ => in_log(lineage, input),
    }
}

fn read_partition(input: &mut Cursor, version: u16) -> Option<PartitionState> {
    let saved = Saved {
        trimmed_to: input.ordinal()?,
        lineage: input.list(|input| read_lineage(input, version))?.pop(),
        acknowledged_end: input.offset()?,
        runs: input.list(|input| {
            Some(OffsetRun { ordinal: input.ordinal()?, offset: input.offset()?, records: input.ordinal()? })
        })?,
        damage: if version < NO_RULES { Vec::new() } else { input.list(gap)? },
        marks: input.list(|input| Marks::told(input.i64()?, input.i64()?))?.pop(),
        vouched: input.u64()?,
    };
    let next_ordinal = input.ordinal()?;
    let mut producers = Producers::default();
    let remembered = input.list(|input| {
        let (producer_id, epoch) = (input.i64()?, input.i16()?);
        let batch = Remembered { first: input.i32()?, last: input.i32()?, ordinal: input.ordinal()? };
        Some((producer_id, epoch, batch))
    })?;
    for (producer_id, epoch, batch) in remembered {
        producers.insert(producer_id, epoch, batch);
    }
    Some(PartitionState { saved, next_ordinal, producers })
}
