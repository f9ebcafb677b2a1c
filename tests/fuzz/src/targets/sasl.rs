//! SASL: a server's two SCRAM messages.

use leeward_client::Address;

use super::parts;

/// More iterations than this only take time.
const ITERATIONS_MAX: u32 = 4096;

/// The server's first and final message; and any text as a broker's address.
pub(crate) fn sasl(input: &[u8]) {
    let parts = parts(input);
    let part = |index: usize| parts.get(index).copied().unwrap_or_default();
    leeward_client::fuzzing::scram(part(0), part(1), ITERATIONS_MAX);
    if let Ok(text) = std::str::from_utf8(input) {
        let _ = Address::parse(text);
    }
}
