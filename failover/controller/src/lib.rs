//! The failover's shell: probes, journal, fencer, promoter, redirection, verification, and the API in front.

mod agent;
mod api;
mod brain;
mod clock;
mod cluster;
mod complaint;
mod config;
mod controller;
mod dns;
mod events;
mod fencer;
#[doc(hidden)]
pub mod fuzzing;
mod gateways;
mod kafka;
mod limits;
mod link_events;
mod links;
mod log;
mod metrics;
mod names;
mod performer;
#[cfg(test)]
mod pretend;
mod probes;
mod promoter;
mod publish;
mod redirector;
mod timeline;
mod verifier;
mod watcher;

pub use agent::{Agent, AgentError};
pub use brain::{BrainError, Gone};
pub use cluster::{
    BrokerId, Cluster, ClusterError, ClusterView, GroupCommit, LedPartition, QuarantineTopic,
    QuarantinedRecord, WriteProbe,
};
pub use config::{AgentConfig, Budgets, ControllerConfig, Protected, RegionConfig};
pub use controller::{Controller, StartError};
pub use dns::{
    EmbeddedDns, EmbeddedDnsConfig, EpochMarker, ExchangeError, ForeignMarker, InvalidKey,
    StartError as DnsStartError, StoreError, Tsig,
};
pub use events::{Event, NewEvent};
pub use kafka::KafkaCluster;
pub use log::{DecisionLog, FormatError, LogError, RedbLog};
pub use redirector::{
    DnsMetrics, InvalidManagedName, ManagedName, Move, MoveError, NameServers, Published, RedirectError,
    Redirected, Redirector, Refusal, ResolverView, Rfc2136Redirector, Sighting, watch_name,
};
