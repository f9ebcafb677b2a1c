//! The mirror's brain: what to read, what to write where, and which offset became which. Pure: events in, commands out.
//!
//! Nothing here knows a socket, a file or a clock; `leeward-mirror` feeds it and does what it says.

pub mod groups;
pub mod limits;
pub mod map;
pub mod partition;
pub mod topics;
