//! Bounds of the failover's brain, and what happens when each is reached.

use std::time::Duration;

/// Tries of one step before a person is asked. Reached: the operation is held, or a switchover is aborted.
pub(crate) const ATTEMPTS_MAX: u32 = 5;
/// Wait before a failed step is tried again.
pub(crate) const RETRY_AFTER: Duration = Duration::from_millis(200);
/// Observers below which nobody fails over without a person. Reached: verdicts stay `Suspect`.
pub(crate) const OBSERVERS_MIN: usize = 3;
/// Idempotency keys that are remembered. Reached: the oldest is forgotten, and its request would run again if its
/// expected epoch still held.
pub(crate) const KEYS_MAX: usize = 256;
/// Wait of an agent that is started when its region's lease is over, or when the region was to be sealed, for a first word
/// of its controller. Reached: it seals its region. Nobody guarded the region meanwhile, and a seal is the end of some
/// producers: it asks first.
pub(crate) const FIRST_WORD_WAIT: Duration = Duration::from_secs(1);
