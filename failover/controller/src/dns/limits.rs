//! Bounds of the DNS server and of exchanges with one, and what happens when each is reached.

use std::time::Duration;

/// Wait for an answer to one datagram. Reached: the same bytes are sent again.
pub(crate) const DATAGRAM_WAIT: Duration = Duration::from_millis(500);
/// Datagrams sent for one question. Reached: the server counts as silent.
pub(crate) const DATAGRAMS_MAX: usize = 3;
/// One whole exchange over TCP. Reached: the server counts as silent.
pub(crate) const TCP_EXCHANGE: Duration = Duration::from_secs(2);
/// Largest request that is tried as a datagram; a larger one goes over TCP.
pub(crate) const DATAGRAM_BYTES_MAX: usize = 1_232;
/// Clock difference that a signature survives, in seconds (RFC 8945 recommends it).
pub(crate) const FUDGE_SECONDS: u16 = 300;
/// Sets of records in the embedded zone. Reached: an update that adds one is refused.
pub(crate) const RECORD_SETS_MAX: usize = 1_024;
/// Records of one name and type. Reached: an update that adds one is refused.
pub(crate) const RECORDS_PER_SET_MAX: usize = 64;
/// Aliases followed for one answer. Reached: the answer ends there, and the resolver asks on.
pub(crate) const ALIASES_MAX: usize = 8;
/// What resolvers may remember that a name is absent, in seconds: short, since it appears with the first promotion.
pub(crate) const ABSENCE_TTL_SECONDS: u32 = 1;
/// Tries to find a port that is free for both TCP and UDP. Reached: the server does not start.
pub(crate) const BIND_TRIES: usize = 16;
/// A TCP connection to the embedded server that asks nothing for so long is closed.
pub(crate) const TCP_IDLE: Duration = Duration::from_secs(10);
/// Answers waiting on one TCP connection. Reached: the connection is not read on.
pub(crate) const TCP_ANSWERS: usize = 16;
