//! One partition's mirror: what it received, what it sends, and what it does when an answer is not the expected one.
//!
//! The target's log is the truth. Each send has the sequence that equals its target offset, so a broker refuses a gap, a rival and a
//! late ghost by itself; where an answer is missing or surprising, the machine asks for the target's end, reads back what
//! arrived, and goes on from there.

mod command;
mod cursors;
mod event;
mod identity;
mod late;
mod machine;
mod merge;
mod prepare;
mod queue;
mod source;
mod target;

pub use command::{ChangeNumber, Command, Notice, Question, StopReason};
pub use cursors::Cursors;
pub use event::{AbortedTransaction, AuditedBatch, Event, Fetched, Start};
pub use identity::producer_of;
pub use machine::{GapPolicy, Partition, Settings, Standing};
pub use merge::MergePolicy;
pub use queue::BatchNumber;
