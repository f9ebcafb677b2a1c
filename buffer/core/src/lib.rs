//! The producer buffer's brain: which batch goes where, as which producer, and when it may be forgotten. Pure: events in,
//! commands out.
//!
//! Nothing here knows a socket, a file or a clock; `leeward-buffer` feeds it and does what it says.

pub mod limits;
pub mod partition;
