//! Drills: rehearses a failover with the failover's own code, and judges it by a ledger of its own.

pub mod checker;
pub mod ledger;
pub mod report;
