//! Runs mirror links, on the side of their target.

mod alone;
mod appetite;
mod clock;
mod config;
mod error;
#[doc(hidden)]
pub mod fuzzing;
mod groups;
mod heartbeat;
mod input;
mod inverse;
pub mod limits;
mod link;
mod metrics;
mod pace;
mod run;
mod service;
mod sink;
mod source;
mod status;
mod store;
mod target;
mod task;
mod topics;

pub use config::{Begin, Leave, LinkConfig};
pub use error::LinkError;
pub use groups::GroupStanding;
pub use leeward_mirror_core::{
    map::{NotThere, Translation},
    partition::{Cursors, GapPolicy, Notice, Standing, StopReason},
    topics::{Change, Following, Naming},
};
pub use link::{LinkHandle, SealReport};
pub use metrics::MirrorMetrics;
pub use service::LinkService;
pub use status::{
    GroupsFollowed, LinkEvent, LinkState, LinkStatus, PartitionDrift, PartitionStatus, RefusedChange,
    Watermark,
};
