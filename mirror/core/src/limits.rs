//! Bounds of one partition's mirror.

use std::time::Duration;

/// Batches sent and not answered. A broker remembers the last five of a producer: more could not be told apart on repeat.
/// When reached, the next batch waits for an answer.
pub const IN_FLIGHT_MAX: usize = 5;

/// Bytes received and not acknowledged by the target. When reached, the partition is not fetched until some are.
pub const QUEUED_BYTES_MAX: usize = 8 << 20;

/// Batches in flight behind which small ones wait for each other, until they are enough for a batch that goes by itself.
pub const SMALL_IN_FLIGHT_MAX: usize = 1;

/// Bytes below which a batch may be merged with those behind it: those that a producer fills go raw (`batch.size` is 16 384 by default).
pub const MERGED_BELOW_BYTES: usize = 16_000;

/// Bytes of batches that are merged into one; a target that takes less is sent less. When reached, the rest goes into the next batch.
pub const MERGED_BYTES_MAX: usize = 64 << 10;

/// Bytes of the same when decompressed; one batch may come on top. When reached, the rest goes into the next batch.
pub const MERGED_UNCOMPRESSED_BYTES_MAX: usize = 1 << 20;

/// Bytes that a batch may have when it is decompressed to be re-encoded. When reached, the partition stops: the batch is
/// named in the event.
pub const REENCODED_BYTES_MAX: usize = 64 << 20;

/// Bytes up to which a re-encoded batch stays whole though it is larger than the source's. Above, it is cut in two until no part is.
pub const REWRITTEN_BYTES_MIN: usize = 16 << 10;

/// Wait before the target is asked again after its first refusal; doubled at each further one.
pub const RETRY_FIRST: Duration = Duration::from_millis(50);

/// Longest wait between two questions to the target.
pub const RETRY_LONGEST: Duration = Duration::from_secs(5);

/// Refusals of one batch that say "out of order" or "unknown error" before the partition stops. A rival mirror on the same link
/// causes such refusals too, but then the target's end moves, which starts the count anew.
pub const REFUSALS_WITHOUT_PROGRESS_MAX: u32 = 10;

/// Time between two checkpoints of one partition: what a start without its last moments has to read back of the target.
pub const CHECKPOINT_EVERY: Duration = Duration::from_secs(2);

/// Bytes that a batch of group commits may have when decompressed. When reached, the log of commits counts as unreadable, and groups
/// are followed by looks.
pub const COMMITS_BYTES_MAX: usize = 64 << 20;

/// Group commits of one partition of the offsets topic that wait for the end of their transactions. When reached, the log of commits
/// counts as unreadable, and groups are followed by looks.
pub const OPEN_COMMITS_MAX: usize = 100_000;
