//! Finding and reading batches.

use std::io;
use std::path::PathBuf;

use bytes::Bytes;
use leeward_wire::record::header::{HEADER_BYTES, LENGTH_OVERHEAD_BYTES};
use leeward_wire::record::{BatchError, RecordBatch};

use super::PartitionLog;
use super::segment::Readable;
use crate::disk::read_up_to;
use crate::limits::{BATCH_BYTES_MAX, INDEX_INTERVAL_BYTES};

/// Why nothing could be read at an offset.
#[derive(Debug, thiserror::Error)]
pub enum PartitionReadError {
    #[error("offset {offset} is outside {start}..={end}")]
    OutOfRange { offset: i64, start: i64, end: i64 },
    #[error("offsets {from} to {to} are damaged")]
    Damaged { from: i64, to: i64 },
    #[error("reading {} from byte {at} on failed", path.display())]
    Io { path: PathBuf, at: u64, source: io::Error },
    #[error("a stored batch is unreadable")]
    Batch(#[from] BatchError),
}

/// Where to read; made under the log's lock, used without it.
#[derive(Clone, Debug)]
pub struct ReadPlan {
    segment: Readable,
    from: i64,
    at: u64,
    /// Where the readable bytes end.
    until: u64,
    max_bytes: usize,
}

impl PartitionLog {
    /// Plans to read the batch with `from` in it and those after, of at most `max_bytes` in all but at least one.
    /// `None` at the log's end.
    ///
    /// # Errors
    ///
    /// [`PartitionReadError::OutOfRange`], [`PartitionReadError::Damaged`].
    pub fn plan_read(&self, from: i64, max_bytes: usize) -> Result<Option<ReadPlan>, PartitionReadError> {
        if from < self.start || from > self.end {
            return Err(PartitionReadError::OutOfRange { offset: from, start: self.start, end: self.end });
        }
        if from == self.end {
            return Ok(None);
        }
        let next_damage = self.damaged.iter().find(|(_, to)| *to > from);
        if let Some((begins, to)) = next_damage.filter(|(begins, _)| *begins <= from) {
            return Err(PartitionReadError::Damaged { from: *begins, to: *to });
        }
        let after = self.segments.partition_point(|segment| segment.base <= from);
        let segment = &self.segments[after - 1];
        let Some(entry) = segment.entry_for(from) else {
            return Ok(None);
        };
        // Reading stops before damage: its first bytes cannot be told from a batch.
        let until = match next_damage {
            Some((begins, _)) => self.position_of_damage(after - 1, *begins),
            None => segment.size,
        };
        let at = segment.index[entry].at;
        Ok(Some(ReadPlan { segment: segment.readable(), from, at, until, max_bytes }))
    }

    /// [`PartitionLog::plan_read`] and [`ReadPlan::read`] in one.
    ///
    /// # Errors
    ///
    /// [`PartitionReadError`].
    pub fn read(&self, from: i64, max_bytes: usize) -> Result<Bytes, PartitionReadError> {
        match self.plan_read(from, max_bytes)? {
            Some(plan) => plan.read(),
            None => Ok(Bytes::new()),
        }
    }

    /// The first batch whose header says that it reaches `timestamp_ms` or later.
    ///
    /// # Errors
    ///
    /// [`PartitionReadError`].
    pub fn first_batch_since(&self, timestamp_ms: i64) -> Result<Option<RecordBatch>, PartitionReadError> {
        for segment in self.segments.iter().filter(|s| s.max_timestamp >= timestamp_ms) {
            let readable = segment.readable();
            for (entry, _) in
                segment.index.iter().enumerate().filter(|(_, e)| e.max_timestamp >= timestamp_ms)
            {
                let at = segment.index[entry].at;
                let next = segment.index.get(entry + 1).map_or(segment.size, |next| next.at);
                let damage = segment.damage.iter().map(|(_, at)| *at).find(|damage| *damage > at);
                let until = damage.map_or(next, |damage| next.min(damage));
                let mut offset = at;
                while let Some(batch) = read_batch(&readable, offset, until)? {
                    offset += batch.size_bytes() as u64;
                    if batch.max_timestamp() >= timestamp_ms && batch.next_offset() > self.start {
                        return Ok(Some(batch));
                    }
                }
            }
        }
        Ok(None)
    }

    /// The latest timestamp that any batch's header names; -1 where there is none.
    pub fn max_timestamp(&self) -> i64 {
        self.segments.iter().map(|segment| segment.max_timestamp).max().unwrap_or(-1)
    }

    fn position_of_damage(&self, segment: usize, offset: i64) -> u64 {
        let segment = &self.segments[segment];
        segment.damage.iter().find(|(from, _)| *from == offset).map_or(segment.size, |(_, at)| *at)
    }
}

impl ReadPlan {
    /// Reads whole batches, the first one holding the planned offset.
    ///
    /// # Errors
    ///
    /// [`PartitionReadError::Io`], [`PartitionReadError::Batch`].
    pub fn read(&self) -> Result<Bytes, PartitionReadError> {
        let wanted = self.max_bytes.saturating_add(2 * INDEX_INTERVAL_BYTES as usize);
        let mut at = self.at;
        loop {
            let chunk = fill(&self.segment, at, self.until, wanted)?;
            let mut skipped = 0;
            while let Some(extent) = Extent::of(chunk.get(skipped..).unwrap_or(&[]))? {
                if extent.last_offset >= self.from {
                    return self.take(chunk, at, skipped, extent.size);
                }
                skipped += extent.size;
            }
            if skipped == 0 {
                return Err(BatchError::Truncated { bytes: chunk.len() }.into());
            }
            at += skipped as u64;
        }
    }

    /// The first batch, of `size` bytes at `skipped` of the chunk, and as many after it as are whole and asked for.
    fn take(
        &self,
        chunk: Vec<u8>,
        at: u64,
        skipped: usize,
        size: usize,
    ) -> Result<Bytes, PartitionReadError> {
        if skipped + size > chunk.len() {
            let batch = fill(&self.segment, at + skipped as u64, self.until, size)?;
            if batch.len() < size {
                return Err(BatchError::Truncated { bytes: batch.len() }.into());
            }
            return Ok(batch.into());
        }
        let mut end = skipped + size;
        while let Some(extent) = Extent::of(&chunk[end..])? {
            let next = end + extent.size;
            if next > chunk.len() || next - skipped > self.max_bytes {
                break;
            }
            end = next;
        }
        Ok(Bytes::from(chunk).slice(skipped..end))
    }
}

/// How far a batch reaches, as its header says.
struct Extent {
    last_offset: i64,
    size: usize,
}

impl Extent {
    /// That of the batch that `bytes` begins with; `None` where its header is not whole.
    fn of(bytes: &[u8]) -> Result<Option<Self>, BatchError> {
        let Some(header) = bytes.first_chunk::<HEADER_BYTES>() else {
            return Ok(None);
        };
        let base = i64::from_be_bytes(field(header, 0));
        let length = i32::from_be_bytes(field(header, 8));
        let delta = i32::from_be_bytes(field(header, 23));
        let declared = i64::from(length) + LENGTH_OVERHEAD_BYTES as i64;
        let size =
            usize::try_from(declared).ok().filter(|size| (HEADER_BYTES..=BATCH_BYTES_MAX).contains(size));
        match size {
            Some(size) => Ok(Some(Self { last_offset: base.saturating_add(i64::from(delta)), size })),
            None => Err(BatchError::Length { declared, bytes: bytes.len() }),
        }
    }
}

fn field<const N: usize>(header: &[u8; HEADER_BYTES], at: usize) -> [u8; N] {
    *header[at..].first_chunk().expect("fields end inside the header")
}

/// Bytes from `at` on: `wanted`, or fewer where `until` comes first.
fn fill(segment: &Readable, at: u64, until: u64, wanted: usize) -> Result<Vec<u8>, PartitionReadError> {
    let available = usize::try_from(until.saturating_sub(at)).unwrap_or(usize::MAX);
    let mut bytes = vec![0; available.min(wanted)];
    let failed = |source| PartitionReadError::Io { path: segment.path.to_path_buf(), at, source };
    let filled = read_up_to(&*segment.file, at, &mut bytes).map_err(failed)?;
    bytes.truncate(filled);
    Ok(bytes)
}

/// The batch at `at`; `None` where none begins before `until`.
fn read_batch(segment: &Readable, at: u64, until: u64) -> Result<Option<RecordBatch>, PartitionReadError> {
    let header = fill(segment, at, until, HEADER_BYTES)?;
    let Some(extent) = Extent::of(&header)? else {
        return Ok(None);
    };
    let bytes = fill(segment, at, until, extent.size)?;
    Ok(Some(RecordBatch::parse(bytes.into())?))
}
