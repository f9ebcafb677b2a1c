//! A Kafka cluster as one handle, over TCP, TLS and SASL. Knows nothing of regions, mirrors and failovers.

mod address;
mod backoff;
mod cluster;
mod config;
mod connection;
mod error;
pub mod limits;
mod resolve;
mod scram;
mod tls;

pub use address::{Address, InvalidAddress};
pub use backoff::backoff;
pub use cluster::{Broker, Cluster, ClusterMap, Lane, Leader, Partition, Topic, TopicSelection};
pub use config::{ClientConfig, Credentials, Sasl, Security, Timeouts, TlsClientIdentity, TlsConfig};
pub use connection::{Connection, Pending, PendingRaw};
pub use error::{CloseReason, ClusterError, ConnectError, RequestError, Unsupported};
pub use resolve::{DnsServerResolver, Resolve, ResolveError, SystemResolver};
pub use scram::ScramError;
pub use tls::TlsConfigError;
