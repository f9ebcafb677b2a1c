//! Bounds of the logs, and what happens when one is reached.

/// Largest payload of a journal's frame in bytes; a larger one is refused. Bytes on disk that claim more are damage.
pub const FRAME_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Size in bytes at which a journal's segment is followed by a new one.
pub const SEGMENT_BYTES: u64 = 32 * 1024 * 1024;

/// Zeros written ahead of a journal's frames, in bytes.
pub const PREALLOCATE_BYTES: u64 = 1024 * 1024;

/// Appends that wait for the journal's thread; more are refused as [`SubmitError::Full`](crate::SubmitError::Full).
pub const SUBMISSIONS_WAITING_MAX: usize = 8192;

/// Payload bytes after which a group is synced though more appends wait; one append may exceed it.
pub const GROUP_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Largest batch in bytes that a partition takes or believes to find on disk.
pub const BATCH_BYTES_MAX: usize = 256 * 1024 * 1024;

/// Bytes of a partition's segment between two entries of its index.
pub const INDEX_INTERVAL_BYTES: u64 = 4096;

/// Bytes that recovery holds in memory beside the batch at hand.
pub const SCAN_WINDOW_BYTES: usize = 4 * 1024 * 1024;
