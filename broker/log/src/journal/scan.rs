//! Finds the whole frames in a segment's bytes, also behind damage.

use super::format::{SEGMENT_HEADER_BYTES, find_frame};

/// What a segment's bytes hold.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Scan {
    pub(super) frames: u64,
    /// Positions between whole frames that hold none, as `from..to`.
    pub(super) holes: Vec<(u64, u64)>,
    /// The position behind the last whole frame.
    pub(super) end: u64,
    /// The highest position that any frame says was durable before it.
    pub(super) durable: u64,
    /// File offset behind the last byte that is not zero.
    pub(super) used_bytes: usize,
}

/// Scans a segment whose first frame stands at position `first`.
pub(super) fn scan(bytes: &[u8], first: u64) -> Scan {
    let used_bytes = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |at| at + 1);
    let mut scan = Scan { end: first, durable: first, used_bytes, ..Scan::default() };
    let position_of = |offset: usize| first + (offset - SEGMENT_HEADER_BYTES) as u64;
    let mut at = SEGMENT_HEADER_BYTES;
    while at < used_bytes {
        let Some(start) = next_frame(bytes, at, used_bytes, position_of) else {
            break;
        };
        if start > at {
            scan.holes.push((position_of(at), position_of(start)));
        }
        let frame = find_frame(&bytes[start..], position_of(start)).expect("just found");
        scan.frames += 1;
        scan.durable = scan.durable.max(frame.durable);
        at = start + frame.framed_bytes();
        scan.end = position_of(at);
    }
    scan
}

/// The offset of the first whole frame at or behind `at`.
fn next_frame(
    bytes: &[u8],
    at: usize,
    used_bytes: usize,
    position_of: impl Fn(usize) -> u64,
) -> Option<usize> {
    (at..used_bytes).find(|offset| find_frame(&bytes[*offset..], position_of(*offset)).is_some())
}
