//! The failover's brain: (event, now) -> journal entries and effects. Pure: no clock, no sockets, no files.
//!
//! Probe reports become verdicts (`detector`, `quorum`), verdicts and gates a decision (`decision`), a decision an
//! operation that walks the phases (`state`, `needs`, `engine`). It does not know how an effect is carried out.

mod config;
mod decision;
mod detector;
mod duty;
mod effect;
mod engine;
mod fence;
mod invariants;
mod journal;
mod lease;
mod level;
mod limits;
mod loss;
mod needs;
mod phases;
mod quorum;
mod returning;
mod state;

pub use config::{Automation, Config, ConfigError, Gates, LeaseRule};
pub use decision::{
    Evidence, Gate, GateResult, HeldReason, LinkSnapshot, PartitionDrift, PartitionSample, evaluate,
};
pub use detector::{Detector, LevelVerdict, Probe, Report, Vote};
pub use duty::{Act, Before, Duty, Instruction, Keeping, Role, Sealing, Taken};
pub use effect::{Drain, Effect, EffectId, OperationId, Outcome};
pub use engine::{
    Engine, Event, LinkReport, Notice, Now, RegionStatus, Rejected, Request, Status, Step, Verb,
};
pub use fence::{FenceProof, GatewaysCut, LogEnd, SealEvidence};
pub use invariants::{Violation, check, check_history};
pub use journal::{Decided, Entry, IdempotencyKey, Inconsistent};
pub use lease::{Grant, Leases};
pub use level::{Level, LevelRule};
pub use loss::{LossBounds, LossStatement, UpperBound};
pub use phases::{Kind, Operation, OperationResult, Phase, Stage, Trigger};
pub use quorum::{Cause, RegionHealth, Verdict};
pub use returning::{
    Divergence, FailbackPlan, FailbackStep, FinalPosition, Tail, TailPolicy, TruncatedSource,
};
pub use state::{Promotion, Standing, State};
