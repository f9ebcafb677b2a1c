//! The embedded node: requests in turn on one connection, and the files beside its logs.

use bytes::{Bytes, BytesMut};
use leeward_model::{Instant, WallTime};
use leeward_node::group::{GroupCoordinator, GroupRecord, GroupSettings, Now};
use leeward_wire::FrameDecoder;

use super::{parts, sealed};

/// Requests that one connection sends to a new node.
const REQUESTS_MAX: usize = 8;

/// A client's byte stream, answered by a whole node on a disk in memory.
pub(crate) fn requests(input: &[u8]) {
    let mut received = BytesMut::from(input);
    let mut frames = Vec::new();
    while let Ok(Some(frame)) = FrameDecoder::default().decode(&mut received)
        && frames.len() < REQUESTS_MAX
    {
        frames.push(frame);
    }
    if !frames.is_empty() {
        leeward_node::fuzzing::requests(&frames);
    }
}

/// The node's state file, and records of the offsets topic given to a group coordinator as at a start.
pub(crate) fn files(input: &[u8]) {
    leeward_node::fuzzing::node_state(input);
    if let Some(sealed) = sealed(input) {
        leeward_node::fuzzing::node_state(&sealed);
    }
    let now = Now { instant: Instant::ZERO, wall: WallTime::from_millis(0) };
    let mut coordinator = GroupCoordinator::new(GroupSettings::default());
    for pair in parts(input).chunks(2) {
        let key = Bytes::copy_from_slice(pair[0]);
        let value = pair.get(1).filter(|value| !value.is_empty()).map(|value| Bytes::copy_from_slice(value));
        let Ok(Some(record)) = GroupRecord::from_bytes(key, value) else { continue };
        if let Ok((key, value)) = record.to_bytes() {
            let _ = GroupRecord::from_bytes(key, value).expect("what was written is read");
        }
        coordinator.load(None, record, now);
    }
    coordinator.loaded(now);
    let names: Vec<_> = coordinator.list().map(|listing| listing.group).collect();
    for name in names {
        let _ = coordinator.describe(&name);
    }
}
