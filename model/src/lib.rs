//! The domain's words as types. Pure: no clock, no files, no sockets.
//!
//! What stands here is shared by the mirror's brain and the failover's brain, which never name each other.

mod causes;
mod cluster;
mod epoch;
mod identity;
mod lag;
pub mod mutation;
mod name;
mod offset;
mod size;
mod time;

pub use causes::with_causes;
pub use cluster::{ClusterId, TopicId};
pub use epoch::FencingEpoch;
pub use identity::{ProducerEpoch, ProducerId, ProducerIdentity, Sequence};
pub use lag::Lag;
pub use name::{GroupName, InvalidName, LinkName, RegionName, TopicName, TopologyName};
pub use offset::{PartitionIndex, SourceOffset, TargetOffset, TopicPartition};
pub use size::ByteSize;
pub use time::{Instant, WallTime};
