//! Logs on disk: a journal of opaque frames, a partition's log of record batches, and the disk they stand on.

mod disk;
mod journal;
pub mod limits;
mod partition;
mod quarantine;

pub use disk::{
    Disk, DiskFault, DiskFile, RealDisk, SimulatedDisk, lock_file, read_file, read_up_to, replace_file,
    write_all_at,
};
pub use journal::{
    AppendError, Damage, Frame, GroupCommit, GroupWait, Journal, JournalConfig, JournalReader,
    JournalTrimmer, OpenError, Position, ReadError, Recovery, SubmitError, TornTail, framed_bytes,
};
pub use partition::{
    DamagedOffsets, FlushPolicy, MetaError, PartitionAppendError, PartitionConfig, PartitionLog,
    PartitionOpenError, PartitionReadError, PartitionRecovery, ReadPlan,
};
