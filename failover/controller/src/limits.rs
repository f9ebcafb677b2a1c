//! Bounds of the controller, and what happens when each is reached.

use std::time::Duration;

/// Messages that wait for the brain. Reached: senders wait, so probes and verbs slow down rather than pile up.
pub(crate) const MAILBOX: usize = 1_024;
/// How often time alone is looked at: leases end and retries begin by it.
pub(crate) const TICK: Duration = Duration::from_millis(20);
/// Events kept in memory for `leeward events`. Reached: the oldest is forgotten; the file keeps it.
pub(crate) const EVENTS_KEPT: usize = 4_096;
/// Events that a slow follower may lag behind. Reached: it misses the oldest and goes on with the next.
pub(crate) const EVENTS_FOLLOWED: usize = 1_024;
/// Size at which the events' file begins anew; one predecessor is kept.
pub(crate) const EVENTS_FILE_BYTES_MAX: u64 = 64 << 20;
/// Finished operations whose timings are kept for `status`. Reached: the oldest is forgotten.
pub(crate) const SUMMARIES_KEPT: usize = 64;
/// Grants and instructions that wait for a slow peer. Reached: its stream is closed, and it connects again.
pub(crate) const STREAM_BUFFER: usize = 64;
/// Gateways that are remembered. Reached: the one that was silent longest is forgotten, once its grant ran out; while
/// there is none, a new one is refused.
pub(crate) const GATEWAYS_MAX: usize = 1_024;
/// Bytes of a gateway's name and of its address. Reached: its report is refused.
pub(crate) const GATEWAY_NAME_BYTES_MAX: usize = 255;
/// Held partitions that a gateway's report says one by one, and bytes of what it says of each. Reached: its report is refused.
pub(crate) const GATEWAY_HELD_MAX: usize = 64;
pub(crate) const GATEWAY_HELD_BYTES_MAX: usize = 1_024;
/// Bytes of one message to the controller. Reached: the call is refused.
pub(crate) const MESSAGE_BYTES_MAX: usize = 256 << 10;
/// Bytes of a verb's reason and key, which are kept in the journal. Reached: the verb is refused.
pub(crate) const VERB_TEXT_BYTES_MAX: usize = 1_024;
/// How often a gateway's grant is renewed within one lease.
pub(crate) const RENEWALS_PER_LEASE: u32 = 4;
/// Wait for gateways to say that they follow. Reached: the failover goes on, and late ones follow by their stream.
pub(crate) const GATEWAYS_FOLLOW_WAIT: Duration = Duration::from_secs(1);
/// Between two readings of the log ends that must be equal.
pub(crate) const STILLNESS: Duration = Duration::from_millis(60);
/// Between two looks at whether a seal has reached every broker.
pub(crate) const SEAL_LOOK_EVERY: Duration = Duration::from_millis(15);
/// Wait for a seal to reach every broker. Reached: what was seen is told, and proves nothing.
pub(crate) const SEAL_SPREAD_WAIT: Duration = Duration::from_secs(1);
/// One whole try to seal or unseal a region. Reached: the try fails and is repeated by the brain.
pub(crate) const SEAL_TIMEOUT: Duration = Duration::from_secs(5);
/// What a failover waits for the mirror to write what it has received.
pub(crate) const DRAIN_AS_FAR_WAIT: Duration = Duration::from_millis(500);
/// Added to a drain's own bound before the call to the mirror counts as failed.
pub(crate) const LINK_CALL_MARGIN: Duration = Duration::from_secs(2);
/// Wait for a link that is opened only to be sealed to know its partitions. Reached: a switchover's try fails and is
/// repeated by the brain; a failover goes on with those that are known.
pub(crate) const LINK_BEGIN_WAIT: Duration = Duration::from_secs(2);
/// Looks in a row at which a link must be cut before people are told.
pub(crate) const LINK_CUT_LOOKS: u32 = 5;
/// A call to a mirror agent that only asks.
pub(crate) const LINK_ASK_TIMEOUT: Duration = Duration::from_secs(1);
/// Wait before a mirror agent is asked for its events again.
pub(crate) const LINK_EVENTS_RETRY: Duration = Duration::from_secs(1);
/// How often links are looked at.
pub(crate) const LINK_LOOK_EVERY: Duration = Duration::from_millis(200);
/// One whole try of a promotion's writes, a redirection or a verification; a redirection has each
/// name's own wait for resolvers on top. Reached: the try fails and is repeated by the brain.
pub(crate) const STEP_TIMEOUT: Duration = Duration::from_secs(15);
/// One try to see a link caught up. Reached: the try fails and is repeated by the brain.
pub(crate) const CATCH_UP_TIMEOUT: Duration = Duration::from_mins(60);
/// Between two looks at whether it has.
pub(crate) const CATCH_UP_LOOK_EVERY: Duration = Duration::from_millis(250);
/// Time for groups to lose the members that they had when their region died: longer than the 45 s after which Kafka's clients
/// are missed by default. Reached: their positions stay as they are at the region that is brought back.
pub(crate) const MEMBERS_MISSED_WITHIN: Duration = Duration::from_secs(60);
/// Time for a link with a stopped partition to catch up all the same. Reached: the try fails and names the partition.
pub(crate) const STOPPED_PATIENCE: Duration = Duration::from_secs(10);
/// Lag in time below which a link counts as caught up.
pub(crate) const CAUGHT_UP_WITHIN: Duration = Duration::from_secs(2);
/// Wait for deleted topics to be gone. Reached: the try fails and is repeated by the brain.
pub(crate) const DELETE_WAIT_MAX: Duration = Duration::from_secs(30);
/// Between two looks at a condition that is waited for.
pub(crate) const POLL_EVERY: Duration = Duration::from_millis(20);
/// Time in which the switchover behind a resync begins. Reached: who asked for the failback is told that it has not.
pub(crate) const SWITCHOVER_BEGINS_WAIT: Duration = Duration::from_secs(30);
/// What a caller of a verb waits for its end before it is told where the operation stands.
pub(crate) const VERB_WAIT: Duration = Duration::from_mins(10);
/// A probing loop that is later than this says more about its own machine: its round is left out.
pub(crate) const SLIPPED_AFTER: Duration = Duration::from_secs(2);
/// Wait before an agent connects to its controller again.
pub(crate) const AGENT_RECONNECT_AFTER: Duration = Duration::from_millis(100);
/// How often the log says again what still goes wrong in the same way.
pub(crate) const COMPLAINT_EVERY: Duration = Duration::from_secs(30);
/// How often within one lease its end is noted durably. What was not noted yet is missing to the process that follows.
pub(crate) const LEASE_NOTES_PER_LEASE: u32 = 4;
/// Messages of exemption topics while a whole cluster is sealed, and of topics for a moment while they are opened: Kafka's own
/// default.
pub(crate) const EXEMPT_MESSAGE_BYTES: u64 = 1_048_588;
/// One request to a broker.
pub(crate) const CLIENT_REQUEST_TIMEOUT: Duration = Duration::from_secs(2);
/// One call to a cluster with all its retries.
pub(crate) const CLIENT_OPERATION_TIMEOUT: Duration = Duration::from_secs(4);
/// Bytes of one answer to a fetch of canaries and tails; a larger batch still comes whole.
pub(crate) const FETCH_BYTES_MAX: i32 = 4 << 20;
/// Bytes that one batch may decompress to. Reached: the tail is not copied, and the operation is held.
pub(crate) const DECOMPRESSED_BYTES_MAX: usize = 256 << 20;
/// Records in one batch of a quarantine topic.
pub(crate) const QUARANTINE_RECORDS_A_BATCH: usize = 64;
/// Largest batch of a quarantine topic.
pub(crate) const QUARANTINE_MESSAGE_BYTES: u32 = 100 << 20;
/// Between two looks at a managed name.
pub(crate) const NAME_LOOK_EVERY: Duration = Duration::from_secs(2);
