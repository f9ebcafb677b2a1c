//! What the operator of a node decides about groups.

use std::time::Duration;

use super::limits;

/// What the operator of a node decides about groups; the defaults are Kafka's, but for the initial delay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupSettings {
    /// How long the first rebalance of an empty group waits for more members (`group.initial.rebalance.delay.ms`).
    pub initial_rebalance_delay: Duration,
    /// Shortest session timeout a member may ask for.
    pub session_timeout_min: Duration,
    /// Longest session timeout a member may ask for.
    pub session_timeout_max: Duration,
    /// Members of one group; one more is refused with `GROUP_MAX_SIZE_REACHED`.
    pub members_max: usize,
    /// Groups kept; one more is refused with `POLICY_VIOLATION`.
    pub groups_max: usize,
    /// Positions kept over all groups; one more is refused with `POLICY_VIOLATION`.
    pub offsets_max: usize,
    /// Bytes of the text beside a position; more are refused with `OFFSET_METADATA_TOO_LARGE`.
    pub metadata_bytes_max: usize,
    /// How long a position outlives the last use of its group.
    pub offsets_retention: Duration,
    /// How often positions are looked through for expired ones.
    pub offsets_check_every: Duration,
}

impl Default for GroupSettings {
    fn default() -> Self {
        Self {
            initial_rebalance_delay: Duration::from_millis(100),
            session_timeout_min: Duration::from_secs(6),
            session_timeout_max: Duration::from_mins(30),
            members_max: limits::GROUP_MEMBERS_MAX,
            groups_max: limits::GROUPS_MAX,
            offsets_max: limits::OFFSETS_MAX,
            metadata_bytes_max: limits::OFFSET_METADATA_BYTES_MAX,
            offsets_retention: Duration::from_hours(7 * 24),
            offsets_check_every: Duration::from_mins(10),
        }
    }
}
