//! What must hold at the end of a drill.

use std::time::Duration;

use super::{Bound, exactly};
use crate::read::{Count, record, words};

record! {
    /// What must hold. Budgets that are not given are the topology's.
    pub struct Expect in "`expect`" with default {
        /// Data at risk when the region was lost.
        rpo "rpo": Option<Bound<Duration>> = None,
        /// Time from the last good acknowledgement to the first new one.
        rto "rto": Option<Bound<Duration>> = None,
        /// Acknowledged records that are nowhere.
        lost "lost": Lost = Lost::default(),
        /// Records that are there more than once.
        duplicates "duplicates": DuplicatesExpected = DuplicatesExpected::default(),
        /// What order is kept.
        order "order": Order = Order::PerPartition,
        /// Moments at which two regions took writes.
        split_brain "splitBrain": Bound<Count> = exactly(0),
        /// Failovers and switchovers that finished.
        failovers "failovers": Option<Bound<Count>> = None,
        /// Time of each phase.
        phases "phases": PhasesExpected = PhasesExpected::default(),
        /// Longest time that a client saw no acknowledgement.
        downtime "downtime": Option<Bound<Duration>> = None,
    }
    later [
        "rpoAtHeal", "catchUp", "detected", "decision", "flaps", "alert", "fallback", "clientError", "corrupted",
        "epochGaps", "doublePromotion", "divergentTail",
    ]
}

words! {
    /// Which clients an expectation is about.
    pub enum Through in "through" {
        /// Those behind the gateway.
        Buffered = "buffered",
        /// Those that speak to the region itself.
        Direct = "direct",
        /// All.
        Any = "any",
    }
}

record! {
    /// Acknowledged records that are nowhere.
    pub struct Lost in "`lost`" with default {
        /// How many acknowledged records may be lost.
        acked "acked": Bound<Count> = exactly(0),
        /// How many records may be lost, acknowledged or not.
        total "total": Option<Bound<Count>> = None,
        /// Which clients this is about.
        through "through": Through = Through::Buffered,
    }
}

record! {
    /// Records that are there more than once.
    pub struct DuplicatesExpected in "`duplicates`" with default {
        /// In any one partition.
        per_partition "perPartition": Option<Bound<Count>> = None,
        /// In all.
        total "total": Option<Bound<Count>> = None,
        /// Which clients this is about.
        through "through": Through = Through::Buffered,
    }
}

words! {
    /// What order is kept.
    pub enum Order in "order" {
        /// Each partition's records stay in the order of their acknowledgement.
        PerPartition = "per-partition",
        /// None is asked for.
        None = "none",
    }
}

record! {
    /// Time of each phase.
    pub struct PhasesExpected in "`phases`" with default {
        /// From the fault to the decision that the region is lost.
        detect "detect": Option<Bound<Duration>> = None,
        /// From there to the plan.
        decide "decide": Option<Bound<Duration>> = None,
        /// Until the old primary takes no writes.
        fence "fence": Option<Bound<Duration>> = None,
        /// Until the survivor takes writes.
        promote "promote": Option<Bound<Duration>> = None,
        /// Until names point at the survivor.
        dns "dns": Option<Bound<Duration>> = None,
        /// Until a record was written and read there.
        verify "verify": Option<Bound<Duration>> = None,
    }
    later ["drain", "companions"]
}
