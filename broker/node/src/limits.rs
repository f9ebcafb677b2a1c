//! Bounds of a node, and what happens when one is reached.

use std::time::Duration;

/// Connections at a time unless configured; one more is closed at once.
pub const CONNECTIONS_MAX: usize = 4096;

/// Largest request in bytes unless configured; a larger one closes its connection.
pub const REQUEST_BYTES_MAX: usize = 100 * 1024 * 1024;

/// How long a connection may stay silent between two requests, and take to send one, before it is closed.
pub const IDLE_MAX: Duration = Duration::from_mins(10);

/// How long a connection may stay silent in the middle of a request before it is closed.
pub(crate) const REQUEST_SILENCE_MAX: Duration = Duration::from_secs(30);

/// How long a peer may take nothing of its answer before its connection is closed.
pub(crate) const TAKE_WAIT_MAX: Duration = Duration::from_secs(30);

/// Bytes that a connection makes room for while it waits for a request.
pub(crate) const READ_BYTES_MIN: usize = 2 * 1024;

/// Bytes that a connection makes room for at a time in a request; more only as much as it has received of it.
pub(crate) const READ_BYTES: usize = 64 * 1024;

/// Longest wait of a fetch for new records; a longer wish is cut to it.
pub(crate) const FETCH_WAIT_MAX: Duration = Duration::from_mins(1);

/// Most bytes of records in a fetch's answer; a larger wish is cut to it, but for a single larger batch.
pub(crate) const FETCH_BYTES_MAX: usize = 55 * 1024 * 1024;

/// Bytes of records in the answers that all connections' peers have yet to take; a fetch that finds no room gets
/// [`ANSWER_BYTES_LEAST`]. A single batch is given whole, however large.
pub(crate) const ANSWERS_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Bytes of records that a fetch may have where there is no room left for its answer.
pub(crate) const ANSWER_BYTES_LEAST: usize = 64 * 1024;

/// Bytes that a batch may have when decompressed; a larger one is refused as corrupt.
pub(crate) const DECOMPRESSED_BYTES_MAX: usize = 128 * 1024 * 1024;

/// Partitions that a topic may have; a wish for more is refused.
pub(crate) const PARTITIONS_PER_TOPIC_MAX: i32 = 10_000;

/// Partitions of all topics together; a wish for more is refused.
pub(crate) const PARTITIONS_MAX: usize = 100_000;

/// Characters of a topic's name, as in Apache Kafka.
pub(crate) const TOPIC_NAME_CHARS_MAX: usize = 249;

/// Idempotent producers that a partition remembers; the one that wrote longest ago is forgotten for a new one.
pub const PRODUCERS_PER_PARTITION_MAX: usize = 10_000;

/// Batches by which a partition recognises a repeated one, as in Apache Kafka.
pub const BATCHES_PER_PRODUCER: usize = 5;

/// Producer ids taken from disk at a time; those not handed out are lost with the process.
pub(crate) const PRODUCER_ID_BLOCK: i64 = 1000;

/// Largest producer id that is ever given out; a state file that says a larger one is damaged.
pub(crate) const PRODUCER_ID_MAX: i64 = 1 << 62;

/// Forgotten waits on a partition after which they are swept out.
pub(crate) const WAITERS_SWEPT_AT: usize = 32;

/// How long shutdown waits for connections to finish their request.
pub(crate) const SHUTDOWN_WAIT: Duration = Duration::from_secs(2);

/// Size of the offsets topic's log in bytes at which it is rewritten to what it says.
pub(crate) const OFFSETS_LOG_BYTES_MAX: u64 = 32 * 1024 * 1024;

/// Bytes of the offsets topic that are read at a time.
pub(crate) const OFFSETS_READ_BYTES: usize = 1024 * 1024;
