//! How a journal's bytes are laid out, all numbers big-endian.
//!
//! A segment's name is the position of its first frame in 20 decimal digits. It begins with 32 bytes: magic
//! `LWJOURNL`, version `u16`, 6 zero bytes, first position `u64`, 4 zero bytes, CRC-32C of what precedes. Then frames:
//! CRC-32C `u32` of what follows, payload length `u32`, position `u64`, the position up to which the journal was durable
//! when the frame was staged `u64`, kind `u8`, 3 zero bytes, payload. Zeros follow the last one.

use std::fmt;

use leeward_wire::record::crc32c;

use crate::limits::FRAME_BYTES_MAX;

pub(super) const SEGMENT_HEADER_BYTES: usize = 32;
pub(super) const FRAME_HEADER_BYTES: usize = 28;
pub(super) const VERSION: u16 = 1;
const MAGIC: &[u8; 8] = b"LWJOURNL";
const SUFFIX: &str = ".journal";
const COVERED_AT: usize = 4;
const LENGTH_AT: usize = 4;
const POSITION_AT: usize = 8;
const DURABLE_AT: usize = 16;
const KIND_AT: usize = 24;

/// Where a frame stands: the bytes of all frames before it, ever.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position(u64);

impl Position {
    /// Where a journal's first frame stands.
    pub const FIRST: Self = Self(0);

    /// A position that was stored as a number.
    pub fn new(position: u64) -> Self {
        Self(position)
    }

    pub fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

pub(super) fn segment_name(first: u64) -> String {
    format!("{first:020}{SUFFIX}")
}

/// The first position that a file's name gives; `None` where it is no segment's.
pub(super) fn first_of_name(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(SUFFIX)?;
    (digits.len() == 20).then(|| digits.parse().ok())?
}

pub(super) fn segment_header(first: u64) -> [u8; SEGMENT_HEADER_BYTES] {
    let mut header = [0; SEGMENT_HEADER_BYTES];
    header[..8].copy_from_slice(MAGIC);
    header[8..10].copy_from_slice(&VERSION.to_be_bytes());
    header[16..24].copy_from_slice(&first.to_be_bytes());
    let crc = crc32c(&header[..28]);
    header[28..].copy_from_slice(&crc.to_be_bytes());
    header
}

/// What the first bytes of a segment say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HeaderCheck {
    Good,
    /// Whole, but of another version.
    Version(u16),
    Damaged,
}

pub(super) fn check_header(bytes: &[u8], first: u64) -> HeaderCheck {
    let Some(header) = bytes.first_chunk::<SEGMENT_HEADER_BYTES>() else {
        return HeaderCheck::Damaged;
    };
    if *header == segment_header(first) {
        return HeaderCheck::Good;
    }
    let whole = header[..8] == MAGIC[..] && u32_at(header, 28) == crc32c(&header[..28]);
    match u16::from_be_bytes([header[8], header[9]]) {
        version if whole && version != VERSION => HeaderCheck::Version(version),
        _ => HeaderCheck::Damaged,
    }
}

pub(super) fn encode_frame(
    into: &mut Vec<u8>,
    position: Position,
    durable: Position,
    kind: u8,
    parts: &[&[u8]],
    payload_bytes: usize,
) {
    let at = into.len();
    into.reserve(FRAME_HEADER_BYTES + payload_bytes);
    let length = u32::try_from(payload_bytes).expect("checked against the largest frame");
    into.extend_from_slice(&[0; COVERED_AT]);
    into.extend_from_slice(&length.to_be_bytes());
    into.extend_from_slice(&position.0.to_be_bytes());
    into.extend_from_slice(&durable.0.to_be_bytes());
    into.extend_from_slice(&[kind, 0, 0, 0]);
    for part in parts {
        into.extend_from_slice(part);
    }
    let crc = crc32c(&into[at + COVERED_AT..]);
    into[at..at + COVERED_AT].copy_from_slice(&crc.to_be_bytes());
}

/// A frame found in a segment's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FoundFrame {
    pub(super) kind: u8,
    pub(super) durable: u64,
    pub(super) payload_bytes: usize,
}

impl FoundFrame {
    pub(super) fn framed_bytes(&self) -> usize {
        FRAME_HEADER_BYTES + self.payload_bytes
    }
}

/// The whole and undamaged frame that `bytes` begins with, if it stands at `position`.
pub(super) fn find_frame(bytes: &[u8], position: u64) -> Option<FoundFrame> {
    if bytes.len() < FRAME_HEADER_BYTES || u64_at(bytes, POSITION_AT) != position {
        return None;
    }
    let payload_bytes = u32_at(bytes, LENGTH_AT) as usize;
    if payload_bytes > FRAME_BYTES_MAX || payload_bytes > bytes.len() - FRAME_HEADER_BYTES {
        return None;
    }
    let frame = &bytes[..FRAME_HEADER_BYTES + payload_bytes];
    let durable = u64_at(frame, DURABLE_AT);
    // No frame was staged before what it says was durable then: what says so is damage, however well it is summed up.
    let whole = durable <= position && u32_at(frame, 0) == crc32c(&frame[COVERED_AT..]);
    whole.then(|| FoundFrame { kind: frame[KIND_AT], durable, payload_bytes })
}

/// Bytes of the payload that a frame's header claims.
pub(super) fn claimed_payload_bytes(header: &[u8; FRAME_HEADER_BYTES]) -> usize {
    u32_at(header, LENGTH_AT) as usize
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(*bytes[at..].first_chunk().expect("the caller checked the length"))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_be_bytes(*bytes[at..].first_chunk().expect("the caller checked the length"))
}
