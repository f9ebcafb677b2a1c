//! Bounds of a link's running parts.

use std::time::Duration;

/// Inputs that wait for the link's task. When reached, fetches and answers wait; nothing is dropped.
pub const INPUTS_MAX: usize = 4096;

/// Changes of maps that wait to be written. When reached, they wait in the link's task, and the batches behind them.
pub const CHANGES_MAX: usize = 4096;

/// Changes that are taken together to be written to the map topic; the rest comes next.
pub const CHANGES_PER_ROUND_MAX: usize = 2000;

/// Bytes of one batch of the map topic, below what a topic takes by default. When reached, the rest goes into the next batch; a
/// batch that is too large still for the topic is halved.
pub const MAP_BATCH_BYTES_MAX: usize = 768 << 10;

/// Wait after the map topic was not written.
pub const MAP_RETRY: Duration = Duration::from_millis(200);

/// Time without success after which the link says that its map topic is not written.
pub const MAP_UNWRITTEN_MAX: Duration = Duration::from_secs(2);

/// Longest time until the newest of the local copy survives the end of the process.
pub const COPY_DURABLE_EVERY: Duration = Duration::from_secs(1);

/// Facts that the local copy could not take yet. When reached, it stays as it is until the link begins again.
pub const COPY_BEHIND_MAX: usize = 100_000;

/// Verbs (start, seal, translate) that wait for a link. When reached, callers wait.
pub const VERBS_MAX: usize = 64;

/// Events that a link remembers for those who ask later. When reached, the oldest is forgotten.
pub const EVENTS_MAX: usize = 1000;

/// Bytes of all partitions of a link that were received and that the target does not have. When reached, only partitions of which
/// nothing waits are read; one answer of each source broker may come on top.
pub const QUEUED_BYTES_MAX: usize = 256 << 20;

/// Bytes of one partition that were received and that the target does not have, above which the partition is not read until fewer
/// wait; one answer may come on top.
pub const PARTITION_QUEUED_BYTES_MAX: usize = 1 << 20;

/// Bytes of one answer of a source that is near, at most a quarter of them of one partition; a batch that is larger comes whole.
/// When reached, the other partitions come with the next.
pub const FETCH_BYTES_MIN: i32 = 4 << 20;

/// Bytes of one answer of a source that is far.
pub const FETCH_BYTES_MAX: i32 = 16 << 20;

/// Longest time that the source holds a fetch without records.
pub const FETCH_WAIT_MAX: Duration = Duration::from_millis(250);

/// The same while partitions are withheld because the target has not taken what was read of them: how late they are read again. Doubled
/// with each answer without records.
pub const FETCH_WAIT_MIN: Duration = Duration::from_millis(2);

/// Time between two fetches of one source broker, on average, while its answers are small.
pub const FETCH_PACE: Duration = Duration::from_millis(1);

/// Fetches that may come sooner. When reached, the next waits for its time.
pub const FETCH_BURST: u32 = 4;

/// Bytes below which an answer is small.
pub const SMALL_ANSWER_BYTES: usize = 64 << 10;

/// Wait after a fetch that failed.
pub const FETCH_RETRY: Duration = Duration::from_millis(200);

/// Time without an answer of the source after which the link counts as dark.
pub const DARK_AFTER: Duration = Duration::from_secs(3);

/// Bytes of the batches in one produce request; one batch may be larger. When reached, the rest goes into the next request.
pub const PRODUCE_REQUEST_BYTES_MAX: usize = 1 << 20;

/// Times that batches were handed over to the task of one broker and not taken by it. When reached, batches wait in the link's task;
/// no partition has more of them than it may have in flight.
pub const SINK_HANDOVERS_MAX: usize = 64;

/// Longest time that a batch may wait for its acknowledgement; then its connection is closed.
pub const PRODUCE_WAIT_MAX: Duration = Duration::from_secs(10);

/// Longest time that a batch of a connection that is gone may take until it stands in the target's log: three times what a
/// broker has for one. A mirror that goes on behind records that the source has deleted waits so long for what it cannot send
/// again; what arrives later still would be taken for other records.
pub const LATE_WITHIN: Duration = Duration::from_secs(30);

/// Longest time that a question to the target may take; then it is asked again later.
pub const QUESTION_WAIT_MAX: Duration = Duration::from_secs(10);

/// Time between looks at the source's topics.
pub const DISCOVER_EVERY: Duration = Duration::from_secs(1);

/// Looks in a row that do not show a topic before it counts as deleted: a broker that just started may know too little.
pub const MISSING_LOOKS_MAX: u32 = 5;

/// Beat of a link's task: time-outs and published positions are this late at most.
pub const BEAT: Duration = Duration::from_millis(10);

/// Wait between attempts to reach a cluster at start.
pub const CONNECT_RETRY: Duration = Duration::from_millis(500);

/// Time that a seal takes at most after its drain time is over, to learn what became of batches in flight.
pub const SEAL_SETTLE_MAX: Duration = Duration::from_secs(5);

/// Time that carrying the last group positions over may take at a seal.
pub const SEAL_GROUPS_MAX: Duration = Duration::from_secs(5);

/// Time for one creation or change of topics.
pub const ADMIN_WAIT_MAX: Duration = Duration::from_secs(10);

/// Time that reading all groups of the source may take; then what is known stays as it is.
pub const GROUPS_READ_MAX: Duration = Duration::from_secs(5);

/// Groups that a cluster is asked about at the same time.
pub const GROUPS_ASKED_MAX: usize = 8;

/// Answers about groups that wait for the link. When reached, those who read wait.
pub const GROUP_EVENTS_MAX: usize = 16;

/// Bytes of one answer of the source's log of group commits.
pub const COMMITS_FETCH_BYTES_MAX: i32 = 4 << 20;

/// Least time between two rounds of carrying positions over: commits of one group that come faster are carried as one.
pub const CARRY_PAUSE: Duration = Duration::from_millis(50);

/// Time between looks at all groups while their commits are followed as they are written.
pub const LOOK_WHILE_TAILING_EVERY: Duration = Duration::from_secs(10);

/// Time that the log of commits gets to be read to where it ended after a look, before there is another.
pub const LOOK_PATIENCE: Duration = Duration::from_secs(2);

/// Wait before the log of commits is followed again after its connection or leader was lost.
pub const TAIL_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// Wait before the log of commits is followed again after it was refused or could not be read.
pub const TAIL_REFUSED_AGAIN_AFTER: Duration = Duration::from_secs(30);

/// Time within which each position is carried again though it stands still: far below the time after which a target forgets the
/// positions of a group without members (`offsets.retention.minutes`, 7 days by default).
pub const CARRY_AGAIN_EVERY: Duration = Duration::from_secs(3600);

/// Time that comparing positions that stand still with the target's may take at a seal; then the rest of them stays as it was carried
/// last. Whoever fails over waits for it.
pub const SEAL_COMPARE_MAX: Duration = Duration::from_secs(1);

/// Positions that are compared at a seal before those that the target lacks are written; then the next are.
pub const COMPARED_TOGETHER_MAX: usize = 500;

/// Time after which a change of a topic that the target refused is tried again.
pub const REFUSED_AGAIN_AFTER: Duration = Duration::from_secs(30);
