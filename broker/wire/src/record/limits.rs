//! Bounds of the record module: what a batch may cost before it is refused.

/// Bytes a decompressed payload may have where the caller has no better bound.
///
/// A payload that would grow past its limit is refused with
/// [`BatchError::TooLarge`](super::BatchError::TooLarge). Memory grows with the bytes really produced, never
/// with a length that the payload declares, so a hostile batch costs at most this much. There is no limit on
/// the ratio: a batch of equal records compresses a thousandfold and is legal.
pub const DECOMPRESSED_BYTES_MAX: usize = 64 << 20;

/// Base-two logarithm of the largest window a zstd payload may ask for (128 MiB, zstd's own default).
///
/// A frame with a larger window is refused as a decompression error.
pub const ZSTD_WINDOW_LOG_MAX: u32 = 27;

/// Most bytes one byte of raw snappy can expand to: a three-byte copy yields 64.
///
/// A block that declares more is refused before anything is allocated for it.
pub const SNAPPY_RATIO_MAX: usize = 22;

/// Bytes of records, before compression, that a [`BatchBuilder`](super::BatchBuilder) takes.
///
/// The record that would pass it is refused and the builder stays as it was.
pub const BUILT_BYTES_MAX: usize = 1 << 30;

/// Bytes of uncompressed records in one xerial block, as the Java client writes them.
pub const XERIAL_BLOCK_BYTES: usize = 32 << 10;
