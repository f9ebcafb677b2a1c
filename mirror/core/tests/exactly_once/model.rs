//! A world of models: a source log with holes and transactions, a broker with the idempotence rules, mirrors that crash.

pub(crate) mod broker;
pub(crate) mod random;
pub(crate) mod source;
pub(crate) mod world;
