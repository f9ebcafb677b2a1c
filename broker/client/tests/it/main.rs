//! The client against brokers that behave as each test wants.

#![allow(clippy::unwrap_used, reason = "a failed test names its line")]

mod cluster;
mod connection;
mod fake;
mod names;
mod tls;
