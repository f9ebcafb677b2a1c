//! What mirrored topics are called at the target, and what has to be created or changed there.

mod diff;
mod naming;
mod refusals;

pub use diff::{Drift, Following, KEEPS_TIMES, LIMITS, SourceTopic, TargetTopic, TopicCommand, diff};
pub use naming::Naming;
pub use refusals::{Change, Refusals};
