//! What the connections of one listener share.

use std::sync::Arc;

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
}
