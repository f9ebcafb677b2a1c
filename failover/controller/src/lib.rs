//! The failover's shell: probes, journal, fencer, promoter, redirection, verification, and the API in front.

mod dns;
mod redirector;

pub use dns::{
    EmbeddedDns, EmbeddedDnsConfig, EpochMarker, ExchangeError, ForeignMarker, InvalidKey, StartError,
    StoreError, Tsig,
};
pub use redirector::{
    DnsMetrics, InvalidManagedName, ManagedName, Move, MoveError, NameServers, Published, RedirectError,
    Redirected, Redirector, Refusal, ResolverView, Rfc2136Redirector, Sighting, watch_name,
};
