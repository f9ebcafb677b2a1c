//! What fuzz targets reach beyond this crate's surface. Each takes any bytes and must not panic.

use bytes::Bytes;
use leeward_proto::control::Grant;
use leeward_proto::link::Watermark;

use crate::door::{self, TopicRules};
use crate::partition::Trimming;
use crate::recovery::Recovery;
use crate::state::State;

/// The state file: what it says is written back as it was.
pub fn state(bytes: &Bytes) {
    if let Ok(state) = State::read(bytes) {
        let again = state.to_bytes();
        assert_eq!(State::read(&again).ok(), Some(state));
    }
}

/// A whole start: the state file, and the journal's frames behind it, each with its kind.
pub fn recovery(state: &Bytes, frames: Vec<(u8, Bytes)>, damaged_to: Option<u64>) {
    let state = State::read(state).unwrap_or_default();
    let mut recovery = Recovery::new(state.partitions);
    let mut position = 0;
    for (kind, payload) in frames {
        if let Some(end) = damaged_to.filter(|end| *end == position) {
            recovery.damaged(end);
        }
        position += 1;
        recovery.frame(position, kind, payload);
    }
    for trimming in [Trimming::WhenReplicated, Trimming::WhenAcknowledged] {
        for (_, recovered) in recovery.clone().finish(|_| trimming) {
            let _ = (recovered.forward.saved(), recovered.intake.next_ordinal(), recovered.damaged_records);
        }
    }
}

/// A batch that a client wants to have kept.
pub fn batch(records: Bytes) {
    let rules = TopicRules { compacted: true, ahead_max_ms: Some(0), ..TopicRules::default() };
    if let Ok(batch) = door::open(records) {
        let _ = door::check(&batch, TopicRules::default(), 0);
        let _ = door::check(&batch, rules, i64::MAX);
    }
}

/// What a controller grants and a mirror tells.
pub fn told(grant: &Grant, watermark: &Watermark) {
    let _ = crate::control::standing(grant, Some(tokio::time::Instant::now()));
    let _ = crate::watermarks::read(watermark);
}
