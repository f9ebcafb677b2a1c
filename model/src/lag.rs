//! How far a target is behind its source.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::ByteSize;

/// How far a target is behind its source. Budgets are in `time`; the others stand beside it, never instead.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lag {
    /// Age of the newest point up to which the target is known to have everything.
    pub time: Duration,
    /// Records at the source that the target lacks.
    pub records: u64,
    /// Bytes at the source that the target lacks, where known.
    pub bytes: ByteSize,
}
