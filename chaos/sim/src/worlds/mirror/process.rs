//! One process that runs the mirror: the core, its clock, and what it waits for.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use leeward_mirror_core::map::{OffsetMap, Run};
use leeward_mirror_core::partition::{BatchNumber, Command, GapPolicy, MergePolicy, Partition, Settings};
use leeward_model::{LinkName, PartitionIndex, SourceOffset, TargetOffset, TopicId};
use leeward_wire::ErrorCode;
use leeward_wire::record::RecordBatch;

use crate::schedule::{Clock, Wire};

/// How long a mirror that goes on behind retention waits for batches that were sent before. There they arrive within
/// [`LATE_MAX_MS`], and are on all replicas within [`REPLICATING_MAX_MS`] more.
const LATE_WITHIN: Duration = Duration::from_secs(2);
pub(super) const LATE_MAX_MS: u64 = 900;
pub(super) const REPLICATING_MAX_MS: u64 = 800;

/// What is durable about the partition, for whoever runs its mirror.
#[derive(Clone, Debug, Default)]
pub(super) struct Store {
    pub(super) runs: BTreeMap<SourceOffset, Run>,
    pub(super) checkpoint: Option<TargetOffset>,
}

impl Store {
    pub(super) fn apply(&mut self, command: &Command) {
        match command {
            Command::PersistRuns { put, remove, checkpoint, .. } => {
                for source in remove {
                    self.runs.remove(source);
                }
                for run in put {
                    self.runs.insert(run.source, *run);
                }
                self.checkpoint = checkpoint.or(self.checkpoint);
            }
            Command::Checkpoint { target } => self.checkpoint = Some(*target),
            Command::Produce { .. }
            | Command::AskTargetEnd { .. }
            | Command::Audit { .. }
            | Command::Reload
            | Command::Emit(_) => {}
        }
    }

    pub(super) fn map(&self, target_end: TargetOffset) -> Option<OffsetMap> {
        OffsetMap::load(self.runs.values().copied().collect(), target_end).ok()
    }
}

/// A connection to the target. One that is cut may still have bytes under way.
#[derive(Debug, Default)]
pub(super) struct Connection {
    /// Who waits for answers; nobody, once it is cut.
    pub(super) owner: Option<(usize, u64)>,
    pub(super) sent: VecDeque<(BatchNumber, RecordBatch)>,
    pub(super) answers: VecDeque<(BatchNumber, Result<i64, ErrorCode>)>,
    /// Bytes of a connection that is cut arrive no sooner than this.
    pub(super) held_until: Duration,
    pub(super) there: Wire,
    pub(super) replicating: Wire,
    pub(super) back: Wire,
}

#[derive(Debug)]
pub(super) struct Process {
    pub(super) partition: Partition,
    /// Counts starts: what was meant for an earlier life does not reach this one.
    pub(super) life: u64,
    pub(super) clock: Clock,
    pub(super) alive: bool,
    pub(super) paused_until: Duration,
    pub(super) connection: u64,
    pub(super) unanswered: VecDeque<BatchNumber>,
    pub(super) storing: VecDeque<Command>,
    pub(super) store_wire: Wire,
    pub(super) fetching: bool,
    /// The target has lost what it acknowledged, and this process does not know.
    pub(super) deceived: bool,
    /// As it was last checked; the watermark does not go back unless the target lost its end.
    pub(super) replicated_to: Option<SourceOffset>,
}

/// The settings of the one link and partition of this world.
pub(super) fn settings(gap: GapPolicy, merge: MergePolicy) -> Settings {
    Settings {
        link: LinkName::new("a-to-b").expect("a legal name"),
        topic: TopicId::from_wire([7; 16]).expect("a legal id"),
        partition: PartitionIndex::from_wire(0).expect("a legal index"),
        gap,
        merge,
        late_within: LATE_WITHIN,
    }
}

impl Process {
    pub(super) fn new(life: u64, clock: Clock, connection: u64, settings: Settings) -> Self {
        Self {
            partition: Partition::new(settings),
            life,
            clock,
            alive: true,
            paused_until: Duration::ZERO,
            connection,
            unanswered: VecDeque::new(),
            storing: VecDeque::new(),
            store_wire: Wire::default(),
            fetching: false,
            deceived: false,
            replicated_to: None,
        }
    }
}
