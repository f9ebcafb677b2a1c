//! DNS: what name servers answer, and what is sent to the embedded one.

use leeward_failover::fuzzing;

use super::{parts, sealed};

/// A zone file, an answer to each of the redirector's questions, and messages to the embedded server in turn.
pub(crate) fn dns(input: &[u8]) {
    fuzzing::zone_file(input);
    if let Some(sealed) = sealed(input) {
        fuzzing::zone_file(&sealed);
    }
    fuzzing::dns_answer(input);
    fuzzing::dns_requests(parts(input));
}
