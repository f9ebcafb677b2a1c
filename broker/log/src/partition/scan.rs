//! Walks a segment's batches at open, also past damage.

use std::io;

use bytes::Bytes;
use leeward_wire::record::RecordBatch;
use leeward_wire::record::header::{HEADER_BYTES, LENGTH_OVERHEAD_BYTES};

use crate::disk::{DiskFile, read_up_to};
use crate::limits::{BATCH_BYTES_MAX, SCAN_WINDOW_BYTES};

/// Where in a batch its magic stands.
const MAGIC_AT: usize = 16;

/// What stands next in a segment.
#[derive(Debug)]
pub(super) enum Found {
    Batch(RecordBatch),
    /// Bytes that hold no whole batch, with one behind them that stands at offset `next`.
    Damage {
        bytes: u64,
        next: i64,
    },
    /// Bytes that hold no whole batch, up to the file's end; 0 at the end itself.
    End {
        bytes: u64,
    },
}

/// Reads a file front to back through a window.
#[derive(Debug)]
pub(super) struct Scanner<'a> {
    file: &'a dyn DiskFile,
    length: u64,
    at: u64,
    window: Bytes,
    window_at: u64,
}

impl<'a> Scanner<'a> {
    pub(super) fn new(file: &'a dyn DiskFile) -> io::Result<Self> {
        let length = file.len()?;
        Ok(Self { file, length, at: 0, window: Bytes::new(), window_at: 0 })
    }

    /// The next thing in the file, given the offset that the next batch must have.
    pub(super) fn next(&mut self, expected: i64) -> io::Result<Found> {
        if let Some(batch) = self.batch_at(self.at)?.filter(|batch| batch.base_offset() == expected) {
            self.at += batch.size_bytes() as u64;
            return Ok(Found::Batch(batch));
        }
        let from = self.at;
        let mut at = from;
        while at + (HEADER_BYTES as u64) <= self.length {
            if at > from
                && self.bytes(at, HEADER_BYTES)?.get(MAGIC_AT) == Some(&2)
                && let Some(batch) = self.batch_at(at)?
                && batch.base_offset() >= expected
                && !self.contradicted(at, &batch)?
            {
                self.at = at;
                return Ok(Found::Damage { bytes: at - from, next: batch.base_offset() });
            }
            at += 1;
        }
        self.at = self.length;
        Ok(Found::End { bytes: self.length - from })
    }

    /// Whether the batch behind one says that this one's offset is wrong, which no checksum covers.
    fn contradicted(&mut self, at: u64, batch: &RecordBatch) -> io::Result<bool> {
        let behind = self.batch_at(at + batch.size_bytes() as u64)?;
        Ok(behind.is_some_and(|behind| behind.base_offset() != batch.next_offset()))
    }

    /// The whole and undamaged batch at `at`, wherever it says it stands.
    fn batch_at(&mut self, at: u64) -> io::Result<Option<RecordBatch>> {
        let prefix = self.bytes(at, HEADER_BYTES)?;
        let Some(length) = prefix.get(8..12).and_then(<[u8]>::first_chunk) else {
            return Ok(None);
        };
        let declared = i64::from(i32::from_be_bytes(*length)) + LENGTH_OVERHEAD_BYTES as i64;
        let size = usize::try_from(declared).unwrap_or(0);
        let left = self.length.saturating_sub(at);
        if !(HEADER_BYTES..=BATCH_BYTES_MAX).contains(&size) || size as u64 > left {
            return Ok(None);
        }
        let bytes = self.bytes(at, size)?;
        Ok(RecordBatch::parse(bytes).ok().filter(|batch| batch.verify_crc().is_ok()))
    }

    /// `wanted` bytes from `at` on, or as many as there are.
    fn bytes(&mut self, at: u64, wanted: usize) -> io::Result<Bytes> {
        let within = at.checked_sub(self.window_at).and_then(|skip| usize::try_from(skip).ok());
        if let Some(skip) = within
            && skip.checked_add(wanted).is_some_and(|end| end <= self.window.len())
        {
            return Ok(self.window.slice(skip..skip + wanted));
        }
        let left = usize::try_from(self.length.saturating_sub(at)).unwrap_or(usize::MAX);
        let mut window = vec![0; left.min(wanted.max(SCAN_WINDOW_BYTES))];
        let filled = read_up_to(self.file, at, &mut window)?;
        window.truncate(filled);
        self.window = Bytes::from(window);
        self.window_at = at;
        Ok(self.window.slice(..wanted.min(filled)))
    }
}
