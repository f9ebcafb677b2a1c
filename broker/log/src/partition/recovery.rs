//! What open finds in a partition's directory, and how it makes it whole.
//!
//! Bytes at the very end that are no batch were being written when the process or machine stopped: they are cut, with
//! a copy kept. Bytes that are no batch but have one behind them are damage: they stay, reads name them.

use std::io;
use std::path::{Path, PathBuf};

use leeward_wire::record::RecordBatch;

use super::meta::{MetaError, load_start};
use super::note_epoch;
use super::scan::{Found, Scanner};
use super::segment::{Segment, base_of_name};
use crate::TornTail;
use crate::disk::{Disk, DiskFile, read_up_to};
use crate::quarantine::quarantine;

/// What was found when a partition's log was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PartitionRecovery {
    /// The first offset that can be read.
    pub start: i64,
    /// The offset that the next record gets.
    pub end: i64,
    pub batches: u64,
    /// An unfinished batch at the end, cut away.
    pub torn_tail: Option<TornTail>,
    pub damage: Vec<DamagedOffsets>,
}

/// A range of offsets that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DamagedOffsets {
    pub file: PathBuf,
    /// First damaged byte in the file.
    pub at: u64,
    /// How many bytes are damaged; 0 where they are missing altogether.
    pub bytes: u64,
    /// The first offset lost.
    pub from: i64,
    /// The first offset behind that is there.
    pub to: i64,
    /// Where a copy of the bytes is kept.
    pub copy: Option<PathBuf>,
}

/// Why a partition's log could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum PartitionOpenError {
    #[error("opening {} failed", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("the log in {} cannot be opened", path.display())]
    Meta { path: PathBuf, source: MetaError },
}

pub(super) struct Recovered {
    pub(super) segments: Vec<Segment>,
    pub(super) epochs: Vec<(i32, i64)>,
    pub(super) report: PartitionRecovery,
}

pub(super) fn recover(
    disk: &dyn Disk,
    directory: &Path,
    on_batch: &mut dyn FnMut(&RecordBatch),
) -> Result<Recovered, PartitionOpenError> {
    let io = |source| PartitionOpenError::Io { path: directory.to_owned(), source };
    let mut bases = segment_bases(disk, directory).map_err(io)?;
    let stored = load_start(disk, directory)
        .map_err(|source| PartitionOpenError::Meta { path: directory.to_owned(), source })?;
    // Those that were given up may be there in part, for their removal was not synced.
    let given_up = bases.iter().skip(1).take_while(|(base, _)| Some(*base) <= stored).count();
    for (_, name) in bases.drain(..given_up) {
        disk.remove(&directory.join(name)).map_err(io)?;
    }
    // Wherever the log begins later than that was stored: what is missing before its first segment is damage.
    let start = stored.unwrap_or(0);
    let first = bases.first().map_or(start, |(base, _)| *base);
    let mut walk = Walk {
        disk,
        directory,
        on_batch,
        recovered: Recovered {
            segments: Vec::new(),
            epochs: Vec::new(),
            report: PartitionRecovery { start, end: first.min(start), ..PartitionRecovery::default() },
        },
    };
    for (index, (base, name)) in bases.iter().enumerate() {
        let next = bases.get(index + 1).map(|(next, _)| *next);
        walk.segment(*base, directory.join(name), next).map_err(io)?;
    }
    Ok(walk.recovered)
}

fn segment_bases(disk: &dyn Disk, directory: &Path) -> io::Result<Vec<(i64, String)>> {
    disk.create_dir(directory)?;
    if let Some(parent) = directory.parent() {
        disk.sync_dir(parent)?;
    }
    let names = disk.list(directory)?;
    let mut bases: Vec<(i64, String)> =
        names.into_iter().filter_map(|name| Some((base_of_name(&name)?, name))).collect();
    bases.sort_unstable();
    let Some(last) = bases.pop() else {
        return Ok(bases);
    };
    // One that was begun and could not be made durable: the one before it took the batch after all.
    let mut kept = Vec::new();
    for (base, name) in bases {
        let path = directory.join(&name);
        if disk.open(&path)?.is_empty()? {
            disk.remove(&path)?;
        } else {
            kept.push((base, name));
        }
    }
    kept.push(last);
    Ok(kept)
}

struct Walk<'a> {
    disk: &'a dyn Disk,
    directory: &'a Path,
    on_batch: &'a mut dyn FnMut(&RecordBatch),
    recovered: Recovered,
}

impl Walk<'_> {
    fn segment(&mut self, base: i64, path: PathBuf, next: Option<i64>) -> io::Result<()> {
        let file = self.disk.open(&path)?;
        let mut segment = Segment::new(base, path, file.clone());
        let missing_from = self.recovered.report.end;
        if missing_from > base && file.is_empty()? {
            return self.disk.remove(&segment.path);
        }
        if missing_from > base {
            return Err(io::Error::other(format!(
                "{} begins before the end of the segment before it",
                segment.path.display()
            )));
        }
        if missing_from < base {
            self.lost(&segment, 0, missing_from, base)?;
            self.recovered.report.end = base;
        }
        let mut scanner = Scanner::new(&*file)?;
        loop {
            let expected = self.recovered.report.end;
            match scanner.next(expected)? {
                Found::Batch(batch) => self.take(&mut segment, &batch),
                Found::Damage { bytes, next } => {
                    self.lost(&segment, bytes, expected, next)?;
                    segment.note_damage(expected, bytes);
                    self.recovered.report.end = next;
                }
                Found::End { bytes: 0 } => break,
                Found::End { bytes } if next.is_none_or(|next| next <= expected) => {
                    self.cut(&segment, bytes)?;
                    break;
                }
                Found::End { bytes } => {
                    // The next segment's base tells how many offsets are lost.
                    self.copy(&segment, bytes)?;
                    segment.note_damage(expected, bytes);
                    break;
                }
            }
        }
        self.recovered.segments.push(segment);
        Ok(())
    }

    fn take(&mut self, segment: &mut Segment, batch: &RecordBatch) {
        segment.note(batch);
        note_epoch(&mut self.recovered.epochs, batch);
        self.recovered.report.batches += 1;
        self.recovered.report.end = batch.next_offset();
        (self.on_batch)(batch);
    }

    fn lost(&mut self, segment: &Segment, bytes: u64, from: i64, to: i64) -> io::Result<()> {
        let copy = if bytes > 0 { Some(self.copy(segment, bytes)?) } else { None };
        let file = segment.path.to_path_buf();
        let at = segment.size;
        self.recovered.report.damage.push(DamagedOffsets { file, at, bytes, from, to, copy });
        Ok(())
    }

    fn cut(&mut self, segment: &Segment, bytes: u64) -> io::Result<()> {
        let copy = self.copy(segment, bytes)?;
        segment.file.truncate(segment.size)?;
        segment.file.sync_data()?;
        let file = segment.path.to_path_buf();
        let offset = segment.size;
        self.recovered.report.torn_tail = Some(TornTail { file, offset, bytes, copy });
        Ok(())
    }

    /// Keeps a copy of the bytes at the segment's end so far.
    fn copy(&self, segment: &Segment, bytes: u64) -> io::Result<PathBuf> {
        let kept = read_range(&*segment.file, segment.size, bytes)?;
        quarantine(self.disk, self.directory, &segment.path, segment.size, &kept)
    }
}

fn read_range(file: &dyn DiskFile, at: u64, bytes: u64) -> io::Result<Vec<u8>> {
    let mut kept = vec![0; usize::try_from(bytes).map_err(|_| io::ErrorKind::FileTooLarge)?];
    let filled = read_up_to(file, at, &mut kept)?;
    kept.truncate(filled);
    Ok(kept)
}
