//! Every bound of this crate.

use std::time::Duration;

/// How long the estate may take from its start until its regions are healthy; past it the drill is inconclusive.
pub(crate) const ESTATE_READY_WAIT_MAX: Duration = Duration::from_secs(60);

/// How often the controller is asked for its status: the grain of the curves.
pub(crate) const STATUS_EVERY: Duration = Duration::from_millis(100);

/// Points of a curve that are further apart than this are not joined: nobody measured in between.
pub(crate) const CURVE_GAP_MAX: Duration = Duration::from_millis(500);

/// How often whoever watches a drill is told how it stands.
pub(crate) const TOLD_EVERY: Duration = Duration::from_millis(250);

/// Over how many of these looks a rate is taken.
pub(crate) const RATE_LOOKS: usize = 4;

/// How long one status question may take.
pub(crate) const STATUS_WAIT_MAX: Duration = Duration::from_secs(1);

/// How long the end of a drill waits for what was acknowledged to arrive in the acting primary.
pub(crate) const SETTLE_WAIT_MAX: Duration = Duration::from_secs(30);

/// How long one look at a log may take while the end of a drill waits.
pub(crate) const LOOK_WAIT_MAX: Duration = Duration::from_secs(10);

/// How long a producer goes on with one batch after the load has stopped, before it is left unacknowledged.
pub(crate) const LAST_BATCH_WAIT_MAX: Duration = Duration::from_secs(20);

/// Events kept for the report; more are counted and left out.
pub(crate) const HAPPENINGS_MAX: usize = 4096;

/// Loss statements kept for the report: a drill has one failover or two, each stated when it ends and when the old
/// region is back.
pub(crate) const LOSSES_MAX: usize = 16;

/// How long a process may take to end after SIGTERM before it is killed.
pub(crate) const TERMINATE_WAIT_MAX: Duration = Duration::from_secs(5);

/// Pause between batches of one stream, as a producer's linger; slower streams send a record when it is due.
pub(crate) const BATCH_EVERY: Duration = Duration::from_millis(20);

/// Records in one batch of the load; a stream that falls behind sends batches of this size until it is back.
pub(crate) const BATCH_RECORDS_MAX: u64 = 500;
