//! A Kafka cluster as one handle, over TCP, TLS and SASL. Knows nothing of regions, mirrors and failovers.

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a failed test names its line"))]

#[macro_use]
mod cluster;

mod address;
mod admin;
mod backoff;
mod config;
mod connection;
mod consumer;
mod error;
mod fetch;
#[doc(hidden)]
pub mod fuzzing;
mod groups;
pub mod limits;
mod offsets;
mod produce;
mod producer;
mod records;
mod resolve;
mod rights;
mod scram;
mod tls;

pub use address::{Address, InvalidAddress};
pub use admin::{ConfigChange, ConfigEntry, ConfigResource, ConfigSource, NewTopic};
pub use backoff::backoff;
pub use cluster::{Broker, Cluster, ClusterMap, Lane, Leader, Partition, Topic, TopicSelection};
pub use config::{ClientConfig, Credentials, Sasl, Security, Timeouts, TlsClientIdentity, TlsConfig};
pub use connection::{Connection, Pending, PendingRaw};
pub use consumer::{ConsumerError, GroupConfig, GroupConsumer, OffsetReset};
pub use error::{CloseReason, ClusterError, ConnectError, RequestError, Unsupported};
pub use fetch::{AbortedTransaction, EpochEnd, FetchFrom, FetchPlan, Fetched, Fetcher, Isolation};
pub use groups::{CommitOffset, CommittedOffset, DescribedGroup, DescribedMember, ListedGroup, Membership};
pub use offsets::{ListedOffset, OffsetSpec, PerPartition};
pub use produce::{Acks, PendingBatches, PendingProduce, ProduceAck};
pub use producer::{Appended, NewRecord, Producer, ProducerConfig, ProducerError};
pub use records::{ConsumedRecord, ReadRecords, read_records};
pub use resolve::{DnsServerResolver, Resolve, ResolveError, SystemResolver};
pub use rights::{Allowed, Operation};
pub use scram::ScramError;
pub use tls::TlsConfigError;
