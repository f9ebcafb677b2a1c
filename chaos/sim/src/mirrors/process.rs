//! One process that runs a mirror: the core, its clock, what it waits for, and what is durable for the one after it.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use leeward_mirror_core::map::{OffsetMap, Run};
use leeward_mirror_core::partition::{BatchNumber, Command, Partition, Settings};
use leeward_model::{SourceOffset, TargetOffset};
use leeward_wire::ErrorCode;
use leeward_wire::record::RecordBatch;

use crate::schedule::{Clock, Wire};

/// How long a batch that was appended may take until it is on all replicas.
pub(crate) const REPLICATING_MAX_MS: u64 = 800;

/// What is durable about the partition, for whoever runs its mirror.
#[derive(Clone, Debug, Default)]
pub(crate) struct Store {
    pub(crate) runs: BTreeMap<SourceOffset, Run>,
    pub(crate) checkpoint: Option<TargetOffset>,
}

impl Store {
    pub(crate) fn apply(&mut self, command: &Command) {
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

    pub(crate) fn map(&self, target_end: TargetOffset) -> Option<OffsetMap> {
        OffsetMap::load(self.runs.values().copied().collect(), target_end).ok()
    }
}

/// A connection to the target. One that is cut may still have bytes under way.
#[derive(Debug, Default)]
pub(crate) struct Connection {
    pub(super) who: usize,
    /// The life that waits for answers; none, once it is cut.
    pub(super) life: Option<u64>,
    pub(crate) sent: VecDeque<(BatchNumber, RecordBatch)>,
    pub(super) answers: VecDeque<(BatchNumber, Result<i64, ErrorCode>)>,
    /// Bytes of a connection that is cut arrive no sooner than this.
    pub(super) held_until: Duration,
    pub(super) there: Wire,
    pub(super) replicating: Wire,
    pub(super) back: Wire,
}

impl Connection {
    pub(super) fn of(who: usize, life: u64) -> Self {
        Self { who, life: Some(life), ..Self::default() }
    }
}

/// What a process has asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Waits {
    pub(super) fetching: bool,
    /// What it has to know to begin is being gathered.
    pub(super) opening: bool,
}

#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) partition: Partition,
    /// Counts starts: what was meant for an earlier life does not reach this one.
    pub(crate) life: u64,
    pub(crate) clock: Clock,
    pub(crate) alive: bool,
    pub(crate) paused_until: Duration,
    pub(super) connection: u64,
    pub(super) unanswered: VecDeque<BatchNumber>,
    pub(crate) storing: VecDeque<Command>,
    pub(super) store_wire: Wire,
    pub(super) waits: Waits,
    /// The target has lost what it acknowledged, and this process does not know.
    pub(crate) deceived: bool,
    /// As it was last checked; the watermark does not go back unless the target lost its end.
    pub(crate) replicated_to: Option<SourceOffset>,
}

impl Process {
    pub(super) fn new(life: u64, clock: Clock, settings: Settings) -> Self {
        Self {
            partition: Partition::new(settings),
            life,
            clock,
            alive: true,
            paused_until: Duration::ZERO,
            connection: 0,
            unanswered: VecDeque::new(),
            storing: VecDeque::new(),
            store_wire: Wire::default(),
            waits: Waits { fetching: false, opening: true },
            deceived: false,
            replicated_to: None,
        }
    }
}
