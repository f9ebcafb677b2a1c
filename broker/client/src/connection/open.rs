//! Opens connections: name, TCP, TLS, versions, login, and whether it is the right cluster.

use std::{
    collections::{BTreeMap, VecDeque},
    fmt,
    net::SocketAddr,
    sync::{Arc, OnceLock, atomic::AtomicI32},
};

use bytes::Bytes;
use leeward_model::ClusterId;
use leeward_wire::{
    ApiKey, ErrorCode, Message, Reader, Request,
    api::{ApiVersionsRequest, ApiVersionsResponse, MetadataRequest, MetadataResponse},
};
use parking_lot::Mutex;
use tokio::{
    net::TcpStream,
    sync::{Semaphore, mpsc},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use super::{
    Connection, Line, Shared, Waiting, decode_body, login,
    tasks::{self, ReadHalf, WriteHalf},
};
use crate::{
    Address, ClientConfig, ConnectError, RequestError,
    limits::{ADDRESSES_PER_NAME_MAX, IN_FLIGHT_MAX, SESSION_USED_PERCENT},
    tls::Tls,
};

/// The version of `ApiVersions` that is tried first: all brokers since 2.4 speak it.
const API_VERSIONS_FIRST: i16 = 3;

/// Opens connections under one configuration.
pub(crate) struct Dialer {
    config: ClientConfig,
    tls: Option<Tls>,
}

/// A connection that is ready, and what its broker said about the cluster.
pub(crate) struct Opened {
    pub(crate) connection: Connection,
    pub(crate) metadata: MetadataResponse,
}

impl Dialer {
    pub(crate) fn new(config: ClientConfig) -> Result<Self, ConnectError> {
        let tls = config.security.tls.as_ref().map(Tls::new).transpose()?;
        Ok(Self { config, tls })
    }

    pub(crate) fn config(&self) -> &ClientConfig {
        &self.config
    }

    /// All addresses of a broker.
    pub(crate) async fn resolve(&self, address: &Address) -> Result<Vec<SocketAddr>, ConnectError> {
        let resolving = self.config.resolver.resolve(&address.host);
        let found = tokio::time::timeout(self.config.timeouts.connect, resolving)
            .await
            .map_err(|_| self.too_late(address))?
            .map_err(|source| ConnectError::Resolve { address: address.clone(), source })?;
        Ok(found
            .into_iter()
            .take(ADDRESSES_PER_NAME_MAX)
            .map(|ip| SocketAddr::new(ip, address.port))
            .collect())
    }

    /// Connects to the first of a broker's addresses that takes us.
    pub(crate) async fn open(
        &self,
        address: &Address,
        expected: Option<&ClusterId>,
    ) -> Result<Opened, ConnectError> {
        let mut last = None;
        for at in self.resolve(address).await? {
            match self.open_at(address, at, expected).await {
                Ok(opened) => return Ok(opened),
                Err(error) => last = Some(error),
            }
        }
        Err(last.expect("a resolved name has at least one address"))
    }

    /// Connects to one address.
    pub(crate) async fn open_at(
        &self,
        address: &Address,
        at: SocketAddr,
        expected: Option<&ClusterId>,
    ) -> Result<Opened, ConnectError> {
        tokio::time::timeout(self.config.timeouts.connect, self.establish(address, at, expected))
            .await
            .map_err(|_| self.too_late(address))?
    }

    fn too_late(&self, address: &Address) -> ConnectError {
        ConnectError::Timeout { address: address.clone(), after: self.config.timeouts.connect }
    }

    async fn establish(
        &self,
        address: &Address,
        at: SocketAddr,
        expected: Option<&ClusterId>,
    ) -> Result<Opened, ConnectError> {
        let tcp = |error: std::io::Error| ConnectError::Tcp {
            address: address.clone(),
            at,
            source: Arc::new(error),
        };
        let stream = TcpStream::connect(at).await.map_err(tcp)?;
        stream.set_nodelay(true).map_err(tcp)?;
        let (read, write) = self.secure(address, stream).await?;
        let connection = self.start(address, read, write);
        let failed = |error| ConnectError::Handshake { address: address.clone(), source: Box::new(error) };
        let versions = negotiate(&connection).await.map_err(failed)?;
        connection.shared.versions.set(versions).expect("set once, here");
        if let Some(sasl) = &self.config.security.sasl
            && let Some(lifetime) = login::login(&connection, sasl).await?
        {
            let stale_at = Instant::now() + lifetime * SESSION_USED_PERCENT / 100;
            connection.shared.stale_at.set(stale_at).expect("set once, here");
        }
        let metadata = who_are_you(&connection).await.map_err(failed)?;
        check_cluster(address, expected, &metadata)?;
        Ok(Opened { connection, metadata })
    }

    async fn secure(
        &self,
        address: &Address,
        stream: TcpStream,
    ) -> Result<(ReadHalf, WriteHalf), ConnectError> {
        let Some(tls) = &self.tls else {
            let (read, write) = stream.into_split();
            return Ok((Box::new(read), Box::new(write)));
        };
        let name = tls.server_name(&address.host)?;
        let stream = tls
            .connector()
            .connect(name, stream)
            .await
            .map_err(|error| ConnectError::Tls { address: address.clone(), source: Arc::new(error) })?;
        let (read, write) = tokio::io::split(stream);
        Ok((Box::new(read), Box::new(write)))
    }

    fn start(&self, address: &Address, read: ReadHalf, write: WriteHalf) -> Connection {
        let (outgoing, frames) = mpsc::unbounded_channel();
        let line = Arc::new(Line {
            waiting: Mutex::new(Waiting { answers: VecDeque::new(), outgoing }),
            closed: OnceLock::new(),
            stop: CancellationToken::new(),
        });
        tasks::spawn(&line, read, write, frames);
        Connection {
            shared: Arc::new(Shared {
                address: address.clone(),
                client_id: self.config.client_id.clone(),
                request_timeout: self.config.timeouts.request,
                line,
                versions: OnceLock::new(),
                stale_at: OnceLock::new(),
                next_correlation: AtomicI32::new(0),
                room: Arc::new(Semaphore::new(IN_FLIGHT_MAX)),
            }),
        }
    }
}

impl fmt::Debug for Dialer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dialer").field("config", &self.config).finish_non_exhaustive()
    }
}

/// Asks for the broker's versions, in an older version where it does not know ours.
async fn negotiate(connection: &Connection) -> Result<BTreeMap<ApiKey, (i16, i16)>, RequestError> {
    let mut answer = api_versions(connection, API_VERSIONS_FIRST).await?;
    if ErrorCode::new(answer.error_code) == ErrorCode::UNSUPPORTED_VERSION {
        let known = answer.api_keys.iter().find(|key| key.api_key == ApiKey::ApiVersions.code());
        let version = known.map_or(0, |key| key.max_version.clamp(0, API_VERSIONS_FIRST));
        answer = api_versions(connection, version).await?;
    }
    Ok(answer
        .api_keys
        .iter()
        .filter_map(|key| Some((ApiKey::from_code(key.api_key)?, (key.min_version, key.max_version))))
        .collect())
}

async fn api_versions(connection: &Connection, version: i16) -> Result<ApiVersionsResponse, RequestError> {
    let request = ApiVersionsRequest {
        client_software_name: "leeward".to_owned(),
        client_software_version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    let pending = connection.submit(&request, version, connection.request_timeout()).await?;
    let body = pending.raw.answer().await?;
    // A broker that does not know the version answers in version 0.
    let refused = body.first_chunk::<2>().copied().map(i16::from_be_bytes)
        == Some(ErrorCode::UNSUPPORTED_VERSION.code());
    if refused { decode_refusal(body) } else { decode_body::<ApiVersionsRequest>(body, version) }
        .map_err(|source| RequestError::Decode { address: connection.address().clone(), source })
}

fn decode_refusal(body: Bytes) -> Result<ApiVersionsResponse, leeward_wire::DecodeError> {
    ApiVersionsResponse::decode(&mut Reader::new(body), ApiVersionsRequest::MIN_VERSION)
}

/// Asks for cluster id and brokers, without any topic.
async fn who_are_you(connection: &Connection) -> Result<MetadataResponse, RequestError> {
    let request = MetadataRequest {
        topics: Some(Vec::new()),
        allow_auto_topic_creation: false,
        ..MetadataRequest::default()
    };
    connection.send(&request, connection.version_for::<MetadataRequest>()?).await
}

fn check_cluster(
    address: &Address,
    expected: Option<&ClusterId>,
    metadata: &MetadataResponse,
) -> Result<(), ConnectError> {
    let found = ClusterId::new(metadata.cluster_id.clone().unwrap_or_default());
    match expected {
        Some(expected) if *expected != found => {
            Err(ConnectError::WrongCluster { address: address.clone(), expected: expected.clone(), found })
        }
        _ => Ok(()),
    }
}
