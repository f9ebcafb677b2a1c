//! What the connections of one listener share.

use std::net::SocketAddr;
use std::sync::Arc;

use leeward_wire::{AnswerRoom, PeerRoom};

use crate::cluster::Cluster;
use crate::config::Endpoint;
use crate::group::GroupService;

/// What all connections of one listener share.
#[derive(Debug)]
pub(crate) struct Shared {
    /// What clients are told to connect to.
    pub(crate) endpoint: Endpoint,
    pub(crate) cluster: Arc<Cluster>,
    pub(crate) groups: GroupService,
    /// One for the whole node.
    pub(crate) answers: AnswerRoom,
}

/// The other end of a connection.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) address: SocketAddr,
    /// What its answer may hold until it has taken it.
    pub(crate) room: PeerRoom,
}
