//! Consumer groups' positions: what the source's are, and whether and where each is carried over to the target.

mod commits;
mod decision;
mod positions;
mod renewals;

use leeward_model::{GroupName, SourceOffset, TopicPartition};

pub use commits::{Commit, CommitReader, Unreadable};
pub use decision::{Carried, Decision, Occupancy, Question, SkipReason, decide};
pub use positions::{Look, Positions};
pub use renewals::Renewals;

/// Whose position, and in which partition of the source.
pub type Key = (GroupName, TopicPartition);

/// A group's position at the source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    pub source: SourceOffset,
    pub metadata: String,
}
