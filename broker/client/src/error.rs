//! What can go wrong on the way to an answer, and what to do about it.

use std::{fmt, io, sync::Arc, time::Duration};

use leeward_model::ClusterId;
use leeward_wire::{ApiKey, DecodeError, EncodeError, ErrorCode, FrameError};

use crate::{Address, InvalidAddress, ResolveError, ScramError, TlsConfigError};

/// Why there is no connection to a broker.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ConnectError {
    #[error("bootstrap address is unusable")]
    Address(#[from] InvalidAddress),
    #[error("broker {address}: its name has no address")]
    Resolve { address: Address, source: ResolveError },
    #[error("broker {address} does not answer at {at}")]
    Tcp { address: Address, at: std::net::SocketAddr, source: Arc<io::Error> },
    #[error("broker {address} was not ready within {after:?}")]
    Timeout { address: Address, after: Duration },
    #[error("TLS is set up wrongly")]
    TlsConfig(#[from] TlsConfigError),
    #[error("broker {address} and we agree on no TLS; check certificates and server name")]
    Tls { address: Address, source: Arc<io::Error> },
    #[error("broker {address}: first exchange failed")]
    Handshake { address: Address, source: Box<RequestError> },
    #[error("broker {address} offers no login by {mechanism}, only by {offered:?}")]
    Mechanism { address: Address, mechanism: &'static str, offered: Vec<String> },
    #[error("broker {address} refused the login of {username}: {code}{}", Said(message.as_deref()))]
    Login { address: Address, username: String, code: ErrorCode, message: Option<String> },
    #[error("broker {address}: login of {username} failed")]
    Scram { address: Address, username: String, source: ScramError },
    #[error("broker {address} belongs to cluster {found}, not to {expected}")]
    WrongCluster { address: Address, expected: ClusterId, found: ClusterId },
}

impl ConnectError {
    /// Whether another attempt, perhaps at another address, may succeed without a change of settings.
    pub fn may_retry(&self) -> bool {
        match self {
            Self::Resolve { .. } | Self::Tcp { .. } | Self::Timeout { .. } => true,
            Self::Handshake { source, .. } => source.may_retry(),
            Self::Tls { source, .. } => source.kind() != io::ErrorKind::InvalidData,
            Self::Address(_)
            | Self::TlsConfig(_)
            | Self::Mechanism { .. }
            | Self::Login { .. }
            | Self::Scram { .. }
            | Self::WrongCluster { .. } => false,
        }
    }
}

/// Why a connection ended.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CloseReason {
    #[error("broker closed it")]
    ByBroker,
    #[error("it was closed here")]
    ByUs,
    #[error("reading or writing failed")]
    Io(#[source] Arc<io::Error>),
    #[error("broker sent a frame that cannot be")]
    Frame(#[from] FrameError),
    #[error("broker answered out of order")]
    OutOfOrder,
    #[error("{api:?} was not answered within {after:?}")]
    Timeout { api: ApiKey, after: Duration },
}

/// Why a request has no answer.
#[derive(Clone, Debug, thiserror::Error)]
pub enum RequestError {
    #[error("connection to broker {address} ended before {api:?} was answered")]
    Closed { address: Address, api: ApiKey, source: CloseReason },
    #[error("broker {address} did not answer {api:?} within {after:?}")]
    Timeout { address: Address, api: ApiKey, after: Duration },
    #[error(transparent)]
    Unsupported(#[from] Unsupported),
    #[error("request to broker {address} cannot be written")]
    Encode { address: Address, source: EncodeError },
    #[error("answer of broker {address} cannot be read")]
    Decode { address: Address, source: DecodeError },
}

impl RequestError {
    /// Whether the same request may succeed on another connection. For a request that changes something it is open
    /// whether the broker had carried it out.
    pub fn may_retry(&self) -> bool {
        matches!(self, Self::Closed { .. } | Self::Timeout { .. })
    }
}

/// A broker that does not speak the versions of an API that we do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("broker {address} speaks {api:?} {}, we need {}", Range(*broker), Range(Some(*ours)))]
pub struct Unsupported {
    pub address: Address,
    pub api: ApiKey,
    /// `None` when the broker has no such API.
    pub broker: Option<(i16, i16)>,
    pub ours: (i16, i16),
}

struct Range(Option<(i16, i16)>);

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some((min, max)) => write!(f, "v{min} to v{max}"),
            None => f.write_str("not at all"),
        }
    }
}

/// A broker's own words behind an error code.
struct Said<'a>(Option<&'a str>);

impl fmt::Display for Said<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(words) if !words.is_empty() => write!(f, " ({words})"),
            _ => Ok(()),
        }
    }
}

/// Why a cluster did not do what it was asked.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ClusterError {
    /// The pin does not hold: these addresses lead to another cluster.
    #[error("{address} belongs to cluster {found}, expected is {expected}; check the bootstrap addresses")]
    WrongCluster { address: Address, expected: ClusterId, found: ClusterId },
    #[error("no broker of the cluster can be reached ({tried} addresses tried)")]
    Unreachable { tried: usize, source: Option<Box<ConnectError>> },
    #[error("cannot connect to broker {broker}")]
    Connect { broker: i32, source: ConnectError },
    #[error(transparent)]
    Request(#[from] RequestError),
    /// A broker answered with an error.
    #[error("{api:?} for {subject} refused by {address}: {code}{}", Said(message.as_deref()))]
    Refused { api: ApiKey, address: Address, subject: String, code: ErrorCode, message: Option<String> },
    #[error("broker {address} answered {api:?} without a word about {subject}")]
    Missing { api: ApiKey, address: Address, subject: String },
    #[error("cluster has no broker {broker}")]
    NoSuchBroker { broker: i32 },
    #[error("cluster has no topic {topic}")]
    UnknownTopic { topic: String },
    #[error("{partition} has no leader at the moment")]
    NoLeader { partition: String },
    /// The broker does not know the producer id and sequence of a batch, which it did not append.
    #[error("producer has to take a new id for {partition}")]
    IdentityLost { partition: String, source: Box<ClusterError> },
    #[error("{what} did not succeed within {after:?}")]
    Deadline { what: String, after: Duration, source: Option<Box<ClusterError>> },
}

impl ClusterError {
    /// Whether the same call may succeed later without a change of settings.
    pub fn may_retry(&self) -> bool {
        match self {
            Self::WrongCluster { .. } | Self::Missing { .. } | Self::Deadline { .. } => false,
            Self::Unreachable { source, .. } => source.as_ref().is_none_or(|source| source.may_retry()),
            Self::Connect { source, .. } => {
                source.may_retry() || matches!(source, ConnectError::WrongCluster { .. })
            }
            Self::Request(source) => source.may_retry(),
            Self::Refused { code, .. } => code.is_retriable(),
            Self::NoSuchBroker { .. }
            | Self::UnknownTopic { .. }
            | Self::NoLeader { .. }
            | Self::IdentityLost { .. } => true,
        }
    }

    /// Whether what is known about leaders and brokers is likely out of date.
    pub fn wants_new_metadata(&self) -> bool {
        match self {
            Self::Refused { code, .. } => matches!(
                *code,
                ErrorCode::NOT_LEADER_OR_FOLLOWER
                    | ErrorCode::LEADER_NOT_AVAILABLE
                    | ErrorCode::UNKNOWN_TOPIC_OR_PARTITION
                    | ErrorCode::UNKNOWN_TOPIC_ID
                    | ErrorCode::INCONSISTENT_TOPIC_ID
                    | ErrorCode::FENCED_LEADER_EPOCH
                    | ErrorCode::UNKNOWN_LEADER_EPOCH
                    | ErrorCode::REPLICA_NOT_AVAILABLE
                    | ErrorCode::LISTENER_NOT_FOUND
                    | ErrorCode::KAFKA_STORAGE_ERROR
                    | ErrorCode::NOT_CONTROLLER
                    | ErrorCode::REBOOTSTRAP_REQUIRED
            ),
            Self::Connect { .. }
            | Self::NoSuchBroker { .. }
            | Self::UnknownTopic { .. }
            | Self::NoLeader { .. } => true,
            Self::Request(source) => source.may_retry(),
            Self::WrongCluster { .. }
            | Self::Unreachable { .. }
            | Self::Missing { .. }
            | Self::IdentityLost { .. }
            | Self::Deadline { .. } => false,
        }
    }

    /// Whether the call, with all its retries, ran out of time.
    pub fn is_deadline(&self) -> bool {
        matches!(self, Self::Deadline { .. })
    }

    /// Whether the member has to join its group again, which [`GroupConsumer`](crate::GroupConsumer) does by itself.
    pub(crate) fn is_rebalance(&self) -> bool {
        matches!(
            self.code(),
            Some(
                ErrorCode::REBALANCE_IN_PROGRESS
                    | ErrorCode::UNKNOWN_MEMBER_ID
                    | ErrorCode::ILLEGAL_GENERATION
                    | ErrorCode::MEMBER_ID_REQUIRED
                    | ErrorCode::GROUP_ID_NOT_FOUND
            )
        )
    }

    /// The broker's error code, where a broker answered at all.
    pub fn code(&self) -> Option<ErrorCode> {
        match self {
            Self::Refused { code, .. } => Some(*code),
            Self::Deadline { source: Some(source), .. } | Self::IdentityLost { source, .. } => source.code(),
            _ => None,
        }
    }
}
