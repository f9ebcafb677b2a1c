//! Reading a journal's durable frames.

use std::io;
use std::sync::Arc;

use bytes::Bytes;

use super::Position;
use super::format::{FRAME_HEADER_BYTES, claimed_payload_bytes, find_frame};
use super::segments::{Place, Segment, Segments};
use crate::disk::read_up_to;
use crate::limits::FRAME_BYTES_MAX;

/// One frame, as it was appended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    pub position: Position,
    /// Where the next frame stands.
    pub next: Position,
    pub kind: u8,
    pub payload: Bytes,
}

/// Why nothing could be read at a position.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error("position {position} was trimmed; the journal starts at {start}")]
    Trimmed { position: Position, start: Position },
    #[error("positions {from} to {to} are damaged")]
    Damaged { from: Position, to: Position },
    #[error("no whole frame stands at position {position}")]
    NoFrame { position: Position },
    #[error("reading at position {position} failed")]
    Io { position: Position, source: io::Error },
}

/// Reads a journal from any thread; sees only what is durable.
#[derive(Clone, Debug)]
pub struct JournalReader {
    segments: Arc<Segments>,
}

impl JournalReader {
    pub(super) fn new(segments: Arc<Segments>) -> Self {
        Self { segments }
    }

    /// The oldest position that can be read.
    pub fn start(&self) -> Position {
        Position::new(self.segments.start())
    }

    /// The position behind the last durable frame.
    pub fn end(&self) -> Position {
        Position::new(self.segments.durable())
    }

    /// Frames from the one at `from` on, of about `max_bytes` in all and at least one. Empty at the end.
    ///
    /// # Errors
    ///
    /// [`ReadError`]. Reading stops before damage; the next call names it, and goes on behind it when asked to.
    pub fn read(&self, from: Position, max_bytes: usize) -> Result<Vec<Frame>, ReadError> {
        match self.segments.place(from.get()) {
            Place::End => Ok(Vec::new()),
            Place::Trimmed { start } => {
                Err(ReadError::Trimmed { position: from, start: Position::new(start) })
            }
            Place::Damaged { to } => Err(ReadError::Damaged { from, to: Position::new(to) }),
            Place::In { segment, end } => read_segment(&segment, from, end, max_bytes),
        }
    }
}

fn read_segment(
    segment: &Segment,
    from: Position,
    end: u64,
    max_bytes: usize,
) -> Result<Vec<Frame>, ReadError> {
    let available = usize::try_from(end - from.get()).unwrap_or(usize::MAX);
    let mut bytes = read_bytes(segment, from, available.min(max_bytes.max(FRAME_HEADER_BYTES)))?;
    if let Some(header) = bytes.first_chunk() {
        let needed = FRAME_HEADER_BYTES + claimed_payload_bytes(header).min(FRAME_BYTES_MAX);
        if needed > bytes.len() {
            bytes = read_bytes(segment, from, available.min(needed))?;
        }
    }
    let mut rest = Bytes::from(bytes);
    let mut position = from;
    let mut frames = Vec::new();
    while let Some(found) = find_frame(&rest, position.get()) {
        let framed = rest.split_to(found.framed_bytes());
        let next = Position::new(position.get() + framed.len() as u64);
        frames.push(Frame { position, next, kind: found.kind, payload: framed.slice(FRAME_HEADER_BYTES..) });
        position = next;
    }
    if frames.is_empty() {
        return Err(ReadError::NoFrame { position: from });
    }
    Ok(frames)
}

fn read_bytes(segment: &Segment, from: Position, wanted: usize) -> Result<Vec<u8>, ReadError> {
    let mut bytes = vec![0; wanted];
    let offset = segment.offset_of(from.get());
    let filled = read_up_to(&*segment.file, offset, &mut bytes)
        .map_err(|source| ReadError::Io { position: from, source })?;
    bytes.truncate(filled);
    Ok(bytes)
}
