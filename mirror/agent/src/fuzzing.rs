//! What fuzz targets reach beyond this crate's surface. Each takes any bytes and must not panic.

use bytes::Bytes;
use leeward_proto::link as wire;

/// The records of the heartbeats' partition, as a source or a stranger wrote them.
pub fn heartbeats(records: Bytes) {
    let _ = crate::heartbeat::newest(records);
}

/// Names and numbers of requests to a mirror agent.
pub fn requests(translate: &wire::TranslateRequest, seal: &wire::SealRequest) {
    let _ = crate::service::partition(&translate.topic, translate.partition);
    let _ = crate::service::epoch(seal.epoch);
    for mark in &seal.drain_to {
        let _ = crate::service::partition(&mark.topic, mark.partition);
    }
}
