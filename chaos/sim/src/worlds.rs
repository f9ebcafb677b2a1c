//! The worlds: which cores meet which models, and what must hold there.

mod buffer;
mod failover;
mod log;
mod mirror;

use self::failover::{Counted, FailoverWorld, Joined};
use crate::run::World;

/// Which world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WorldKind {
    /// One partition between two regions, copied by one or two processes.
    Mirror,
    /// Two regions and a witness, with a controller that decides who serves.
    Failover,
    /// One partition's buffer between two regions of which one acts.
    Buffer,
    /// All of these but the log: a record's whole way, from a gateway through a mirror and a failover to its replay.
    Joined,
    /// A journal and a partition's log on a disk that fails.
    Log,
}

impl WorldKind {
    pub const ALL: [Self; 5] = [Self::Mirror, Self::Failover, Self::Buffer, Self::Joined, Self::Log];

    pub fn name(self) -> &'static str {
        match self {
            Self::Mirror => "mirror",
            Self::Failover => "failover",
            Self::Buffer => "buffer",
            Self::Joined => "joined",
            Self::Log => "log",
        }
    }

    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|world| world.name() == name)
    }

    pub(crate) fn build(self, seed: u64) -> Box<dyn World> {
        match self {
            Self::Mirror => Box::new(mirror::MirrorWorld::new(seed)),
            Self::Failover => Box::new(FailoverWorld::<Counted>::new(seed)),
            Self::Buffer => Box::new(buffer::BufferWorld::new(seed)),
            Self::Joined => Box::new(FailoverWorld::<Joined>::new(seed)),
            Self::Log => Box::new(log::LogWorld::new(seed)),
        }
    }
}
