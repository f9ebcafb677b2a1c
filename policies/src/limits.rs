//! Every bound of this crate, and what happens when it is reached.

use std::time::Duration;

/// Largest policy file. A larger one is refused before it is parsed (E0105).
pub const SOURCE_BYTES_MAX: usize = 1 << 20;

/// Deepest nesting of lists and mappings. Deeper is refused (E0105), so that no walk can exhaust the stack.
pub const DEPTH_MAX: usize = 32;

/// Most values in one file, aliases counted as often as they are used. More is refused (E0105): a small file
/// can otherwise grow without bound by aliases of aliases.
pub const NODES_MAX: usize = 50_000;

/// Most findings kept. Later ones are dropped; the first hundred are enough to start repairing.
pub const DIAGNOSTICS_MAX: usize = 100;

/// Largest compiled regular expression. A larger one is refused (E0123).
pub const REGEX_BYTES_MAX: usize = 1 << 20;

/// Longest duration that a policy can name. A longer one is refused (E0120).
pub const DURATION_MAX: Duration = Duration::from_hours(3650 * 24);

/// Longest that a gateway may keep records waiting for company before they are forced to disk. A longer one is
/// refused (E0121): producers would take it for a broker that hangs.
pub const FSYNC_WAIT_MAX: Duration = Duration::from_secs(1);

/// Most edits between a written word and the one that is suggested for it.
pub const SUGGESTION_DISTANCE_MAX: usize = 4;

/// Time the mirror is given to append what it had fetched before the source fell silent. When it is over,
/// promotion goes on and the rest is named in the loss statement.
pub const DRAIN_MAX: Duration = Duration::from_secs(2);

/// Time that a promotion is counted with: final group positions, seal lifted, canary written. The controller gives it longer
/// and tries it again before a person is asked; what that takes is in no sum.
pub const PROMOTE_MAX: Duration = Duration::from_secs(5);

/// A probe's own bound, in rounds of `detect.every`. When it is over, the probe has failed.
pub const PROBE_ROUNDS_MAX: u32 = 2;

/// Rounds of `detect.every` in which a region's agent that can be heard says what it goes by: one before its region is
/// left, one before it is promoted. An agent that cannot be heard is waited for as long as a lease lasts.
pub const AGENT_ROUNDS_MAX: u32 = 2;
