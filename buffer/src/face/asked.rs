//! What passes between a client's connection and those who answer it.

use bytes::Bytes;
use leeward_wire::RequestHeader;
use leeward_wire::api::RequestBody;

/// A request as it came.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) header: RequestHeader,
    pub(super) raw: Bytes,
    pub(super) body: RequestBody,
}

/// The client, or what it sent, is at an end.
pub(super) struct Closed;
