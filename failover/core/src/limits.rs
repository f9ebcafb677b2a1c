//! Bounds of the failover's brain, and what happens when each is reached.

use std::time::Duration;

/// Tries of one step that can be gone back from. Reached: the switchover is aborted.
pub(crate) const ATTEMPTS_MAX: u32 = 5;
/// Tries of one step without a way back, which take a minute at the least: nobody may be serving meanwhile, and what the step
/// needs may just be starting. Reached: the operation is held until a person says `retry`.
pub(crate) const ATTEMPTS_ONWARD_MAX: u32 = 17;
/// Wait before a failed step is tried again; without a way back it doubles with each failure, up to [`RETRY_AFTER_MAX`].
pub(crate) const RETRY_AFTER: Duration = Duration::from_millis(200);
pub(crate) const RETRY_AFTER_MAX: Duration = Duration::from_secs(5);
/// Observers below which nobody fails over without a person. Reached: verdicts stay `Suspect`.
pub(crate) const OBSERVERS_MIN: usize = 3;
/// Idempotency keys that are remembered. Reached: the oldest is forgotten, and its request would run again if its
/// expected epoch still held.
pub(crate) const KEYS_MAX: usize = 256;
/// Wait of an agent that is started when its region's lease is over, or when the region was to be sealed, for a first word
/// of its controller. Reached: it seals its region. Nobody guarded the region meanwhile, and a seal is the end of some
/// producers: it asks first.
pub(crate) const FIRST_WORD_WAIT: Duration = Duration::from_secs(1);
