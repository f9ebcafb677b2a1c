//! The contracts between Leeward's processes, generated from `proto/leeward/*.proto`, how their ports listen,
//! and how they reach each other.
//!
//! Numbers here are plain: each receiver turns them into the domain's types where they enter.

mod words;

/// CLI, page and gateways with the controller.
pub mod control {
    #![allow(clippy::pedantic, missing_debug_implementations, unreachable_pub)]
    tonic::include_proto!("leeward.control.v1");
}

/// Controllers, gateways and the CLI with a mirror agent.
pub mod link {
    #![allow(clippy::pedantic, missing_debug_implementations, unreachable_pub)]
    tonic::include_proto!("leeward.link.v1");
}

/// Region agents with the controller.
pub mod region {
    #![allow(clippy::pedantic, missing_debug_implementations, unreachable_pub)]
    tonic::include_proto!("leeward.region.v1");
}

pub mod limits;
mod listening;
pub mod transport;

pub use listening::{Certified, Connection, Connections, GuardedStream, Patience, grpc_server, serve_http};
