//! Reads commits out of one partition of `__consumer_offsets`, as the source's own group coordinator would.
//!
//! Read uncommitted, with transactions kept apart until their marker: one that stays open holds back nobody else's commits.
//! A commit within a transaction counts from its marker on, unless a later record of the same position counted before.

use std::collections::BTreeMap;

use bytes::Bytes;
use leeward_model::{GroupName, PartitionIndex, SourceOffset, TopicName, TopicPartition};
use leeward_wire::{
    DecodeError,
    offsets_topic::{GroupMetadataValue, OffsetCommitKey, OffsetCommitValue, OffsetsTopicKey},
    record::{BatchError, ControlKind, Record, RecordBatch, split_batches},
};

use super::{Key, Position};
use crate::limits::{COMMITS_BYTES_MAX, OPEN_COMMITS_MAX};

/// A position that a group took, or gave up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    pub key: Key,
    /// Where its record stands.
    pub at: i64,
    /// `None` where the position was deleted.
    pub position: Option<Position>,
}

/// Why the log cannot be read on.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    #[error("batch at offset {at} cannot be read: {source}")]
    Batch { at: i64, source: BatchError },
    #[error("record at offset {at} is none of a group's: {source}")]
    Record { at: i64, source: DecodeError },
    #[error("record at offset {at} has no key")]
    NoKey { at: i64 },
    #[error("open transactions hold more than {OPEN_COMMITS_MAX} commits")]
    TooManyOpen,
}

/// Reads one partition's log in order.
#[derive(Clone, Debug)]
pub struct CommitReader {
    next: i64,
    /// Commits of open transactions, by producer id; only those that no later record has outdated.
    open: BTreeMap<i64, BTreeMap<Key, Commit>>,
}

impl CommitReader {
    /// Begins at an offset that no transaction which is open then stands before.
    pub fn at(next: i64) -> Self {
        Self { next, open: BTreeMap::new() }
    }

    /// Everything below this was read.
    pub fn next(&self) -> i64 {
        self.next
    }

    /// Takes batches as the log has them and returns, in their order, the commits that count from here on.
    ///
    /// # Errors
    ///
    /// [`Unreadable`]; the reader cannot go on then.
    pub fn read(
        &mut self,
        records: Bytes,
        wanted: impl Fn(&GroupName) -> bool,
    ) -> Result<Vec<Commit>, Unreadable> {
        let mut commits = Vec::new();
        for batch in split_batches(records) {
            let at = self.next;
            let batch = batch.map_err(|source| Unreadable::Batch { at, source })?;
            if batch.next_offset() > self.next {
                self.read_batch(&batch, &wanted, &mut commits)?;
                self.next = batch.next_offset();
            }
        }
        Ok(commits)
    }

    fn read_batch(
        &mut self,
        batch: &RecordBatch,
        wanted: &impl Fn(&GroupName) -> bool,
        commits: &mut Vec<Commit>,
    ) -> Result<(), Unreadable> {
        let broken = |source| Unreadable::Batch { at: batch.base_offset(), source };
        batch.verify_crc().map_err(broken)?;
        if batch.is_control() {
            let ended = self.open.remove(&batch.producer_id());
            let control = batch.control_record().map_err(broken)?;
            if control.kind == ControlKind::Commit {
                for commit in ended.into_iter().flat_map(BTreeMap::into_values) {
                    self.count(commit, commits);
                }
            }
            return Ok(());
        }
        let decompressed = batch.decompress(COMMITS_BYTES_MAX).map_err(broken)?;
        for record in decompressed.records() {
            let record = record.map_err(broken)?;
            let at = batch.base_offset() + i64::from(record.offset_delta);
            let Some(commit) = commit(&record, at)?.filter(|commit| at >= self.next && wanted(&commit.key.0))
            else {
                continue;
            };
            if batch.is_transactional() {
                self.open.entry(batch.producer_id()).or_default().insert(commit.key.clone(), commit);
            } else {
                self.count(commit, commits);
            }
        }
        let open: usize = self.open.values().map(BTreeMap::len).sum();
        if open > OPEN_COMMITS_MAX { Err(Unreadable::TooManyOpen) } else { Ok(()) }
    }

    /// A commit counts: what stands before it in open transactions never will.
    fn count(&mut self, commit: Commit, commits: &mut Vec<Commit>) {
        for open in self.open.values_mut() {
            if open.get(&commit.key).is_some_and(|older| older.at < commit.at) {
                open.remove(&commit.key);
            }
        }
        commits.push(commit);
    }
}

/// What a record says; `None` where that is no position that could be carried over.
fn commit(record: &Record<'_>, at: i64) -> Result<Option<Commit>, Unreadable> {
    let broken = |source| Unreadable::Record { at, source };
    let key = record.key.ok_or(Unreadable::NoKey { at })?;
    let value = record.value.map(Bytes::copy_from_slice);
    match OffsetsTopicKey::from_bytes(Bytes::copy_from_slice(key)).map_err(broken)? {
        OffsetsTopicKey::Offset(key) => {
            let value = value.map(OffsetCommitValue::from_bytes).transpose().map_err(broken)?;
            Ok(key_of(key).map(|key| Commit { key, at, position: value.and_then(position) }))
        }
        OffsetsTopicKey::Group(_) => {
            // Members come and go; a group that is gone has given up its positions one by one.
            value.map(GroupMetadataValue::from_bytes).transpose().map_err(broken)?;
            Ok(None)
        }
        OffsetsTopicKey::Other(_) => Ok(None),
    }
}

fn key_of(key: OffsetCommitKey) -> Option<Key> {
    let topic = TopicName::new(&key.topic).ok().filter(|topic| !topic.is_internal())?;
    let partition = PartitionIndex::from_wire(key.partition)?;
    Some((GroupName::from(key.group), TopicPartition { topic, partition }))
}

fn position(value: OffsetCommitValue) -> Option<Position> {
    let source = SourceOffset::from_wire(value.offset)?;
    Some(Position { source, metadata: value.metadata })
}
