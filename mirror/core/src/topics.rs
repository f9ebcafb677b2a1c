//! What mirrored topics are called at the target, and what has to be created or changed there.

mod diff;
mod naming;

pub use diff::{Drift, SourceTopic, TargetTopic, TopicCommand, diff};
pub use naming::Naming;
