//! Bounds of the gateway, and what happens when one is reached.

use std::time::Duration;

/// Producers that one partition remembers; those that were silent longest are forgotten first, and a batch of a
/// forgotten producer is taken as a new producer's.
pub const PRODUCERS_MAX: usize = 4096;

/// Batches that are remembered of each producer, as brokers do: a retry of an older one is out of order.
pub const REMEMBERED_BATCHES: usize = 5;

/// Bytes that a payload may have when it is decompressed at the door; more is refused.
pub const DECOMPRESSED_BYTES_MAX: usize = leeward_wire::record::limits::DECOMPRESSED_BYTES_MAX;

/// Bytes that are read from the journal at once.
pub const READ_BYTES: usize = 4 << 20;

/// Bytes of a journal's segment: a sixteenth of the capacity within these. As much may stand on the disk beside what
/// counts as used, since only whole segments are deleted.
pub const SEGMENT_BYTES_MIN: u64 = 1 << 20;
pub const SEGMENT_BYTES_MAX: u64 = 32 << 20;

/// Bytes of accepted batches kept in memory until they are sent; others are read from the journal.
pub const CACHED_BYTES_MAX: usize = 64 << 20;

/// Bytes of batches in one produce request; one batch may exceed it.
pub const REQUEST_BYTES_MAX: usize = 1 << 20;

/// Produce requests to one broker that wait for an answer.
pub const REQUESTS_IN_FLIGHT_MAX: usize = 5;

/// Time that a broker has for a produce request.
pub const PRODUCE_TIMEOUT: Duration = Duration::from_secs(10);

/// Bytes that are asked for at once when a log is read to settle what it holds.
pub const LOOK_BYTES: i32 = 8 << 20;

/// Time for requests while that goes on.
pub const LOOK_TIMEOUT: Duration = Duration::from_secs(5);

/// Pause between two writings of the state file.
pub const STATE_INTERVAL: Duration = Duration::from_millis(500);

/// Pause before a region, a controller or a mirror agent that did not answer is tried again.
pub const RECONNECT_PAUSE: Duration = Duration::from_millis(200);

/// Age at which what is known of topics and leaders is asked anew.
pub const METADATA_AGE: Duration = Duration::from_secs(5);

/// Pause between two questions for the ids of a region's topics: marks that arrive meanwhile wait.
pub const TOPICS_PAUSE: Duration = Duration::from_millis(200);

/// Time that requests to a region which is left have to be answered before they count as unknown.
pub const LEAVE_PATIENCE: Duration = Duration::from_millis(300);

/// Producer ids that are reserved on disk at a time.
pub const PRODUCER_IDS_RESERVED: i64 = 1000;

/// Client connections at a time; more are closed at once.
pub const CONNECTIONS_MAX: usize = 4096;

/// Requests of one client connection that wait for their answers; then its socket is not read.
pub const REQUESTS_WAITING_MAX: usize = 64;

/// Bytes of those requests; a larger one waits alone. Reached: the connection's socket is not read.
pub const REQUESTS_WAITING_BYTES_MAX: usize = 64 << 20;

/// Bytes that a connection makes room for: in the middle of a request, and while it waits for the next one.
pub const READ_ROOM_BYTES: usize = 64 << 10;
pub const READ_ROOM_BYTES_IDLE: usize = 2 << 10;

/// Largest request in bytes that a client may send; its connection is closed otherwise.
pub const REQUEST_FRAME_BYTES_MAX: usize = 64 << 20;

/// Bytes of records in the answers that all clients have asked for and not taken yet; a fetch that finds no room asks its
/// region for [`ANSWER_BYTES_LEAST`] only. A single batch is passed on whole, however large.
pub const ANSWERS_BYTES_MAX: usize = 64 << 20;

/// Bytes of records that a fetch may have where there is no room left for its answer.
pub const ANSWER_BYTES_LEAST: usize = 64 << 10;

/// Time that a region has for a request that asks for no longer one.
pub const RELAY_TIMEOUT: Duration = Duration::from_secs(10);

/// Groups whose brokers are looked up at once, for a request that names several; further ones wait for these.
pub const COORDINATORS_SOUGHT_AT_ONCE: usize = 32;

/// Time after a move of the acting region in which a position that the new one does not have is not called out of
/// range: members of groups find out within their session timeout that they have to rejoin, and read their positions anew.
/// So long a position that retention has overtaken is tried again and again, also after a start behind a failover.
pub const REJOIN_WAIT_MAX: Duration = Duration::from_secs(60);

/// Time that the acting region has for a question about topics before the answer comes from memory.
pub const METADATA_TIMEOUT: Duration = Duration::from_millis(1500);

/// Topics whose rules are asked for in one request; more are asked for in several.
pub const RULES_AT_ONCE: usize = 200;

/// Time after which a partition whose next batch is refused again and again is said to be held, and time between two entries
/// in the log that say so.
pub const HELD_AFTER: Duration = Duration::from_secs(10);
pub const HELD_SAID_EVERY: Duration = Duration::from_secs(30);

/// Time after which a topic that the acting region does not have counts as deleted, and a batch above its topic's limit is not
/// waited for any more; and used part of the capacity from which on what then waits is set aside, so that others are served.
pub const GIVEN_UP_AFTER: Duration = Duration::from_secs(60);
pub const SHORT_OF_ROOM_PERCENT: u64 = 80;

/// Held partitions that one log entry, and one report to the controller, say one by one; of others only how many.
pub const HELD_SAID_MAX: usize = 8;

/// Topics that are remembered, with their rules; batches of others are refused as of an unknown topic.
pub const TOPICS_MAX: usize = 10_000;

/// Time between two updates of the gauges.
pub const GAUGE_INTERVAL: Duration = Duration::from_millis(500);

/// Time in which a controller or a mirror agent must be reached.
pub const CONTROL_TIMEOUT: Duration = Duration::from_secs(1);

/// Time between two reports to the controller where nothing else calls for one.
pub const REPORT_INTERVAL: Duration = Duration::from_millis(250);

/// Reports to the controller whose time of sending is remembered; a grant that answers an older one has no life.
pub const REPORTS_REMEMBERED: usize = 64;

/// Silence after which a client's connection is closed: between two requests, and in the middle of one; and time it has
/// to take an answer.
pub const CLIENT_IDLE_MAX: Duration = Duration::from_secs(600);
pub const CLIENT_SILENCE_MAX: Duration = Duration::from_secs(30);
pub const CLIENT_WRITE_TIMEOUT: Duration = Duration::from_secs(30);
