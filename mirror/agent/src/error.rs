//! Why a link does not do what it was asked.

use std::{io, path::PathBuf};

use leeward_client::ClusterError;
use leeward_model::{ClusterId, FencingEpoch, TopicName};

/// Why a link cannot run or refuses a verb.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    #[error("source and target are the same cluster {0}")]
    SameCluster(ClusterId),
    #[error("link may run under epochs from {required} on, not under {given}")]
    Fenced { required: FencingEpoch, given: FencingEpoch },
    #[error("link is not running")]
    NotRunning,
    #[error("link's process is ending")]
    Ending,
    #[error("cluster failed")]
    Cluster(#[from] ClusterError),
    #[error("there is no thread for the link")]
    Thread(#[source] io::Error),
    #[error("topic {topic} cannot be read: {why}")]
    Unreadable { topic: TopicName, why: String },
    #[error("map of the opposite link is damaged: {0}")]
    Map(String),
    #[error("local copy of the map in {} failed: {why}; without it the topic at the target is read", file.display())]
    Local { file: PathBuf, why: String },
}
