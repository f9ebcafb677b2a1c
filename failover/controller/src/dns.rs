//! DNS on both sides of the wire: signed exchanges with any server, and an authoritative server of our own.

mod embedded;
mod exchange;
mod key;
mod limits;
mod marker;
mod records;
mod store;
mod zone;

pub use embedded::{EmbeddedDns, EmbeddedDnsConfig, StartError};
pub use exchange::ExchangeError;
pub(crate) use exchange::{Reply, accepted, ask, tell};
pub use key::{InvalidKey, Tsig};
pub use marker::{EpochMarker, ForeignMarker};
pub(crate) use records::{absolute, same_set};
pub use store::StoreError;
pub(crate) use store::{decode as decode_zone, encode as encode_zone};
pub(crate) use zone::Zone;
