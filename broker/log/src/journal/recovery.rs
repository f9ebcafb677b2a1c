//! What open finds in a journal's directory, and how it makes it whole.
//!
//! Each frame says up to where the journal was durable when it was staged. A hole before the highest such position
//! was acknowledged once: it is damage. A hole behind it was being written when the machine stopped: it is the torn
//! tail, with everything behind it, none of which was acknowledged.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Position;
use super::format::{HeaderCheck, SEGMENT_HEADER_BYTES, check_header, first_of_name, segment_header};
use super::scan::{Scan, scan};
use super::segments::{Segment, Segments};
use crate::disk::{Disk, read_file, write_all_at};
use crate::quarantine::quarantine;

/// What was found when a journal was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// The oldest position that can be read.
    pub start: Position,
    /// Where the next frame will stand.
    pub end: Position,
    pub frames: u64,
    /// Unfinished bytes at the end, cut away.
    pub torn_tail: Option<TornTail>,
    /// What was durable once and cannot be read; it stays where it is and reads name it.
    pub damage: Vec<Damage>,
}

/// The end of a log that was being written when the machine stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TornTail {
    pub file: PathBuf,
    /// The file offset from which on the bytes were cut.
    pub offset: u64,
    pub bytes: u64,
    /// Where a copy of the bytes is kept.
    pub copy: PathBuf,
}

/// A range of positions that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    pub file: PathBuf,
    /// First damaged byte in the file.
    pub offset: u64,
    /// How many bytes are damaged or missing.
    pub bytes: u64,
    pub from: Position,
    pub to: Position,
    /// Where a copy of the bytes is kept; `None` where they are missing altogether.
    pub copy: Option<PathBuf>,
}

/// Why a journal could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("opening {} failed", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("{} has format version {found}; this program reads version {known}", path.display())]
    Version { path: PathBuf, found: u16, known: u16 },
    #[error("{} begins before the end of the segment before it", path.display())]
    Overlap { path: PathBuf },
}

pub(super) fn recover(disk: &Arc<dyn Disk>, directory: &Path) -> Result<(Segments, Recovery), OpenError> {
    let firsts = segment_firsts(&**disk, directory)?;
    let mut repair = Repair { disk: &**disk, directory, files: Vec::new(), recovery: Recovery::default() };
    if let Some((first, _)) = firsts.first() {
        repair.recovery.start = Position::new(*first);
        repair.recovery.end = Position::new(*first);
    }
    for (index, (first, name)) in firsts.iter().enumerate() {
        let next = firsts.get(index + 1).map(|(next, _)| *next);
        repair.segment(*first, &directory.join(name), next)?;
    }
    let damaged = repair
        .recovery
        .damage
        .iter()
        .map(|damage| (damage.from.get(), damage.to.get()))
        .filter(|(from, to)| from < to)
        .collect();
    Ok((Segments::new(repair.files, damaged), repair.recovery))
}

fn segment_firsts(disk: &dyn Disk, directory: &Path) -> Result<Vec<(u64, String)>, OpenError> {
    let listed = disk.create_dir(directory).and_then(|()| {
        if let Some(parent) = directory.parent() {
            disk.sync_dir(parent)?;
        }
        disk.list(directory)
    });
    let names = listed.map_err(|source| OpenError::Io { path: directory.to_owned(), source })?;
    let mut firsts: Vec<(u64, String)> =
        names.into_iter().filter_map(|name| Some((first_of_name(&name)?, name))).collect();
    firsts.sort_unstable();
    Ok(firsts)
}

struct Repair<'a> {
    disk: &'a dyn Disk,
    directory: &'a Path,
    files: Vec<Segment>,
    recovery: Recovery,
}

impl Repair<'_> {
    /// Takes in one segment; `next` is the first position of the one after it.
    fn segment(&mut self, first: u64, path: &Path, next: Option<u64>) -> Result<(), OpenError> {
        let io = |source| OpenError::Io { path: path.to_owned(), source };
        let bytes = read_file(self.disk, path).map_err(io)?.unwrap_or_default();
        let file = self.disk.open(path).map_err(io)?;
        let segment = Segment::new(first, path.to_owned(), file);
        let header = check_header(&bytes, first);
        if let HeaderCheck::Version(found) = header {
            return Err(OpenError::Version { path: path.to_owned(), found, known: super::format::VERSION });
        }
        let mut found = scan(&bytes, first);
        let mut repaired = self.gap_before(&segment);
        if header == HeaderCheck::Damaged && (next.is_some() || found.frames > 0) {
            repaired = repaired.and_then(|()| {
                self.damage(&segment, &bytes, (0, SEGMENT_HEADER_BYTES as u64), (first, first))
            });
        }
        repaired
            .and_then(|()| match next {
                Some(next) => self.sealed(&segment, &bytes, &found, next),
                None => self.active(&segment, &bytes, &mut found),
            })
            .map_err(io)?;
        if next.is_some_and(|next| found.end > next) {
            return Err(OpenError::Overlap { path: path.to_owned() });
        }
        self.recovery.frames += found.frames;
        self.recovery.end = Position::new(next.unwrap_or(found.end));
        self.files.push(segment);
        Ok(())
    }

    /// A segment before this one is missing where the last one's end was not reached.
    fn gap_before(&mut self, segment: &Segment) -> io::Result<()> {
        let expected = self.recovery.end.get();
        if expected < segment.first {
            self.damage(segment, &[], (0, segment.first - expected), (expected, segment.first))?;
        }
        Ok(())
    }

    fn sealed(&mut self, segment: &Segment, bytes: &[u8], found: &Scan, next: u64) -> io::Result<()> {
        for (from, to) in &found.holes {
            self.hole(segment, bytes, *from, *to)?;
        }
        if found.end < next {
            self.hole(segment, bytes, found.end, next)?;
        }
        Ok(())
    }

    fn active(&mut self, segment: &Segment, bytes: &[u8], found: &mut Scan) -> io::Result<()> {
        if let Some((torn, _)) = found.holes.iter().find(|(from, _)| *from >= found.durable) {
            found.end = *torn;
        }
        // Damage that reaches up to the end of what is known to be durable can have no frame behind it.
        if found.end < found.durable {
            let end = found.durable;
            found.holes.push((found.end, end));
            found.end = end;
        }
        let end = found.end;
        found.holes.retain(|(from, _)| *from < end);
        for (from, to) in found.holes.clone() {
            self.hole(segment, bytes, from, to)?;
        }
        let end_offset = segment.offset_of(found.end);
        let tail = bytes.get(end_offset as usize..found.used_bytes).filter(|tail| !tail.is_empty());
        if let Some(tail) = tail {
            let copy = quarantine(self.disk, self.directory, &segment.path, end_offset, tail)?;
            self.recovery.torn_tail = Some(TornTail {
                file: segment.path.clone(),
                offset: end_offset,
                bytes: tail.len() as u64,
                copy,
            });
        }
        restore(segment, bytes, found)?;
        self.disk.sync_dir(self.directory)
    }

    fn hole(&mut self, segment: &Segment, bytes: &[u8], from: u64, to: u64) -> io::Result<()> {
        let offset = segment.offset_of(from);
        self.damage(segment, bytes, (offset, to - from), (from, to))
    }

    fn damage(
        &mut self,
        segment: &Segment,
        bytes: &[u8],
        (offset, length): (u64, u64),
        (from, to): (u64, u64),
    ) -> io::Result<()> {
        let start = bytes.len().min(offset as usize);
        let end = bytes.len().min((offset + length) as usize);
        let copy = if start < end {
            let kept = &bytes[start..end];
            Some(quarantine(self.disk, self.directory, &segment.path, offset, kept)?)
        } else {
            None
        };
        self.recovery.damage.push(Damage {
            file: segment.path.clone(),
            offset,
            bytes: length,
            from: Position::new(from),
            to: Position::new(to),
            copy,
        });
        Ok(())
    }
}

/// Cuts the last segment at its end and makes durable what stands before it.
///
/// After a failed sync the page cache may show frames that are not on the disk: those not known to be durable are
/// written again.
fn restore(segment: &Segment, bytes: &[u8], found: &Scan) -> io::Result<()> {
    let end = segment.offset_of(found.end);
    segment.file.truncate(end)?;
    if check_header(bytes, segment.first) != HeaderCheck::Good {
        write_all_at(&*segment.file, 0, &segment_header(segment.first))?;
    }
    let unsure = segment.offset_of(found.durable.min(found.end));
    let known = bytes.get(unsure as usize..end as usize).unwrap_or(&[]);
    write_all_at(&*segment.file, unsure, known)?;
    segment.file.sync_data()
}
