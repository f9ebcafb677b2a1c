//! Bounds of the group coordinator, and what happens when one is reached.

use std::time::Duration;

/// Groups kept. A request that would make one more is refused with `POLICY_VIOLATION`.
pub const GROUPS_MAX: usize = 10_000;

/// Positions kept over all groups. A commit of a partition that has none yet is refused with `POLICY_VIOLATION`.
pub const OFFSETS_MAX: usize = 1_000_000;

/// Members of one group. One more is refused with `GROUP_MAX_SIZE_REACHED`.
pub const GROUP_MEMBERS_MAX: usize = 1_000;

/// Ids of one group that were handed out and not used yet. One more is refused with `GROUP_MAX_SIZE_REACHED`;
/// each is dropped when its session timeout has passed.
pub const PENDING_MEMBERS_MAX: usize = 1_000;

/// Bytes of the text beside a position. A longer one is refused with `OFFSET_METADATA_TOO_LARGE`.
pub const OFFSET_METADATA_BYTES_MAX: usize = 4_096;

/// How long a member that waits for its first generation is kept, because its client cannot send heartbeats yet.
pub const NEW_MEMBER_JOIN_TIMEOUT: Duration = Duration::from_mins(5);

/// Requests that wait for the service's task. More make the sender wait.
pub const MAILBOX_REQUESTS_MAX: usize = 1_024;

/// Requests whose answer is outstanding. One more is refused with `COORDINATOR_NOT_AVAILABLE`.
pub const TICKETS_MAX: usize = 65_536;

/// Appends that wait for the log. One more fails with `COORDINATOR_NOT_AVAILABLE`.
pub const APPENDS_MAX: usize = 65_536;

/// Bytes up to which waiting appends share one batch. A larger append is a batch of its own.
pub const APPEND_BYTES_SHARED_MAX: usize = 256 * 1024;
