//! Bounds of the client, and what happens when one is reached.

use std::time::Duration;

/// Requests waiting for their answer on one connection. Further callers wait in call order, within their timeout.
pub const IN_FLIGHT_MAX: usize = 32;

/// Largest response frame in bytes. A longer one closes the connection.
pub const RESPONSE_BYTES_MAX: usize = 256 * 1024 * 1024;

/// Bytes that the receive buffer grows by at most before they have arrived: an answer up to this size is received in place,
/// a longer one is copied as its buffer grows.
pub const READ_AHEAD_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Pieces of requests that one write hands over; the rest goes with the next.
pub const WRITE_SLICES_MAX: usize = 64;

/// Iterations that a SCRAM server may ask for. More fail the login: they would let a server burn our processor.
pub const SCRAM_ITERATIONS_MAX: u32 = 1_000_000;

/// Iterations that a SCRAM server must ask for at least (RFC 5802); fewer fail the login.
pub const SCRAM_ITERATIONS_MIN: u32 = 4096;

/// Bytes of one SASL message that are read; a longer one fails the login.
pub const SASL_MESSAGE_BYTES_MAX: usize = 64 * 1024;

/// Addresses of one name that are tried; the rest is ignored.
pub const ADDRESSES_PER_NAME_MAX: usize = 16;

/// Addresses that one search for a living broker tries; the rest is ignored.
pub const CANDIDATES_MAX: usize = 64;

/// Head start of each address over the next in a search for a living broker.
pub const CANDIDATE_STAGGER: Duration = Duration::from_millis(150);

/// Longest wait for metadata on a connection. Then it is closed, and another broker is looked for.
pub const METADATA_PATIENCE: Duration = Duration::from_secs(5);

/// Share of a SASL session's lifetime, in percent, after which new requests go to a new connection.
pub const SESSION_USED_PERCENT: u32 = 80;

/// First pause between two attempts; it doubles from attempt to attempt.
pub const BACKOFF_FIRST: Duration = Duration::from_millis(20);

/// Longest pause between two attempts.
pub const BACKOFF_MAX: Duration = Duration::from_millis(500);

/// Time within which a failed connect of another caller is taken for one's own.
pub const CONNECT_FAILURE_SHARED: Duration = Duration::from_millis(100);

/// Topics that the client remembers and asks for in a refresh. Beyond it the topic used least recently by name order
/// is forgotten, which costs its next user a request.
pub const TOPICS_REMEMBERED_MAX: usize = 10_000;

/// Group coordinators that the client remembers. When full, all are forgotten and found again.
pub const COORDINATORS_REMEMBERED_MAX: usize = 10_000;

/// Bytes that the records of one batch may have when decompressed for a consumer; a larger batch is an error.
pub const DECOMPRESSED_BYTES_MAX: usize = 128 * 1024 * 1024;

/// Partitions that one producer keeps sequences for. A send to a further partition is refused.
pub const PRODUCER_PARTITIONS_MAX: usize = 100_000;
