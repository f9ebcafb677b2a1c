//! Bounds of the codec, and what happens when one is reached.

/// Elements a vector is given room for before any of them is decoded; longer arrays grow as their bytes are read.
pub const PREALLOCATED_ELEMENTS: usize = 256;

/// Largest frame in bytes that a decoder takes when its owner names no other: Kafka's `socket.request.max.bytes`.
/// A longer frame is [`FrameError::TooLarge`](crate::FrameError::TooLarge) and the connection must be closed.
pub const FRAME_BYTES_MAX: usize = 100 * 1024 * 1024;

/// Unknown tagged fields skipped in one struct; more are a decode error.
pub const UNKNOWN_TAGS_MAX: u32 = 1024;
