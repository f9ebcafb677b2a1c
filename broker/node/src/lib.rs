//! The embedded regional cluster.

pub mod group;
