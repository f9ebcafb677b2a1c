//! The gateway's files: its state, and the frames of its journal.

use bytes::Bytes;
use leeward_buffer::fuzzing;

use super::{parts, sealed};

/// The first part is a state file; each further one a frame: its kind, and what it holds.
pub(crate) fn files(input: &[u8]) {
    fuzzing::state(&Bytes::copy_from_slice(input));
    let parts = parts(input);
    let Some((state, frames)) = parts.split_first() else { return };
    let state = sealed(state).unwrap_or_default();
    fuzzing::state(&state);
    let frames: Vec<_> = frames
        .iter()
        .filter_map(|frame| frame.split_first())
        .map(|(kind, payload)| (*kind, Bytes::copy_from_slice(payload)))
        .collect();
    fuzzing::recovery(&state, frames.clone(), None);
    fuzzing::recovery(&state, frames, Some(1));
}
