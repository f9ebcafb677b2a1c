//! The embedded region: one node that Kafka's clients take for a cluster.

mod api;
mod catalogue;
mod clock;
mod cluster;
mod config;
mod connection;
mod dispatch;
#[doc(hidden)]
pub mod fuzzing;
pub mod group;
pub mod limits;
mod listener;
mod node;
mod offsets_log;
mod partition;
mod producers;
mod retention;
mod settings;
mod shared;
mod topic;
mod validate;

pub use catalogue::CatalogueError;
pub use config::{Endpoint, Entrance, NodeConfig};
pub use node::{Node, RunningNode, StartError};
