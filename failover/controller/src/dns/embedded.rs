//! An authoritative server for one zone, so that trials, drills and tests need no other.
//!
//! Answers anybody; changes the zone for holders of its key only, and answers them when the change is durable.

use std::{
    fmt, io, iter,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use async_trait::async_trait;
use hickory_net::runtime::Time;
use hickory_proto::{
    op::{Edns, Header, HeaderCounts, Message, MessageType, Metadata, OpCode, ResponseCode},
    rr::{Name, Record, RecordType, TSigResponseContext, rdata::tsig::TsigError},
    serialize::binary::BinEncoder,
};
use hickory_server::{
    Server,
    server::{Request, RequestHandler, ResponseHandler, ResponseInfo},
    zone_handler::MessageResponseBuilder,
};
use parking_lot::Mutex;
use tokio::net::{TcpListener, UdpSocket};
use tracing::{info, warn};

use super::{
    StoreError, Tsig,
    limits::{BIND_TRIES, DATAGRAM_BYTES_MAX, TCP_ANSWERS, TCP_IDLE},
    store,
    zone::{Answer, Zone},
};

/// What an embedded server is started with.
#[derive(Clone, Debug)]
pub struct EmbeddedDnsConfig {
    /// Port 0 takes one that is free for both UDP and TCP.
    pub listen: SocketAddr,
    /// The zone that it serves, such as `leeward.test`.
    pub zone: String,
    /// Who may change the zone.
    pub key: Tsig,
    /// Where the zone is kept; made when it is first changed.
    pub file: PathBuf,
}

/// Why a server does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("`{0}` is not a zone's name")]
    Zone(String),
    #[error("{listen} cannot be listened on")]
    Listen { listen: SocketAddr, source: io::Error },
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A running server. Dropped, it stops at once.
pub struct EmbeddedDns {
    address: SocketAddr,
    server: Server<Handler>,
}

impl EmbeddedDns {
    /// Loads the zone and serves it until the handle is dropped or shut down.
    pub async fn start(config: EmbeddedDnsConfig) -> Result<Self, StartError> {
        let origin = Name::from_ascii(&config.zone).map_err(|_| StartError::Zone(config.zone.clone()))?;
        let zone = store::load(&config.file, &origin)?.unwrap_or_else(|| Zone::new(&origin));
        let (tcp, udp) = bind(config.listen)
            .await
            .map_err(|source| StartError::Listen { listen: config.listen, source })?;
        let address =
            udp.local_addr().map_err(|source| StartError::Listen { listen: config.listen, source })?;
        let keeper = Arc::new(Keeper { zone: Mutex::new(zone), file: config.file });
        let mut server = Server::new(Handler { keeper, key: config.key });
        server.register_socket(udp);
        server.register_listener(tcp, TCP_IDLE, TCP_ANSWERS);
        info!(%address, zone = config.zone, "embedded DNS serves");
        Ok(Self { address, server })
    }

    /// Where it listens, by UDP and TCP.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops, and returns when both ports are free again.
    pub async fn shut_down(mut self) {
        if let Err(error) = self.server.shutdown_gracefully().await {
            warn!(%error, "embedded DNS ended badly");
        }
    }
}

impl fmt::Debug for EmbeddedDns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EmbeddedDns").field("address", &self.address).finish_non_exhaustive()
    }
}

async fn bind(listen: SocketAddr) -> io::Result<(TcpListener, UdpSocket)> {
    let mut tries = 0;
    loop {
        tries += 1;
        let tcp = TcpListener::bind(listen).await?;
        match UdpSocket::bind(tcp.local_addr()?).await {
            Ok(udp) => return Ok((tcp, udp)),
            Err(error) if listen.port() != 0 || tries == BIND_TRIES => return Err(error),
            Err(_) => {}
        }
    }
}

/// The zone in memory and on disk; the lock makes updates happen one after the other.
struct Keeper {
    zone: Mutex<Zone>,
    file: PathBuf,
}

impl Keeper {
    /// Durable before it is visible, so that no answer is taken back by a crash.
    fn update(&self, update: &Message) -> ResponseCode {
        let mut zone = self.zone.lock();
        let next = match zone.updated(update) {
            Ok(next) => next,
            Err(code) => return code,
        };
        if next != *zone {
            if let Err(error) = store::save(Path::new(&self.file), &next) {
                warn!(%error, "embedded DNS refused an update that it could not keep");
                return ResponseCode::ServFail;
            }
            *zone = next;
        }
        ResponseCode::NoError
    }
}

struct Handler {
    keeper: Arc<Keeper>,
    key: Tsig,
}

/// Whether a request is signed, and how its answer is.
enum Signature {
    Absent,
    Good(TSigResponseContext),
    Bad(TSigResponseContext),
}

/// What is answered, before it is signed.
struct Response {
    metadata: Metadata,
    answers: Vec<Record>,
    authorities: Vec<Record>,
    edns: Option<Edns>,
}

#[async_trait]
impl RequestHandler for Handler {
    async fn handle_request<R: ResponseHandler, T: Time>(
        &self,
        request: &Request,
        response_handle: R,
    ) -> ResponseInfo {
        let Ok(message) = Message::from_vec(request.as_slice()) else {
            return failed(request, ResponseCode::FormErr);
        };
        let signature = self.signature(&message, request.as_slice(), T::current_time());
        let response = self.response(message, &signature).await;
        send(request, response, signature, response_handle).await
    }
}

impl Handler {
    fn signature(&self, message: &Message, raw: &[u8], now: u64) -> Signature {
        let Some(tsig) = message.signature() else { return Signature::Absent };
        let (id, signer) = (message.metadata.id, self.key.signer());
        if tsig.name != *signer.signer_name() {
            return Signature::Bad(TSigResponseContext::unknown_key(id, now, tsig.name.clone()));
        }
        let Ok((_, _, good)) = signer.verify_message_byte(raw, None, true) else {
            return Signature::Bad(TSigResponseContext::bad_signature(id, now, signer.clone()));
        };
        let context = |error| TSigResponseContext::new(id, now, signer.clone(), tsig.data.mac.clone(), error);
        if good.contains(&now) {
            Signature::Good(context(None))
        } else {
            Signature::Bad(context(Some(TsigError::BadTime)))
        }
    }

    async fn response(&self, request: Message, signature: &Signature) -> Response {
        let mut response = Response {
            metadata: Metadata::response_from_request(&request.metadata),
            answers: Vec::new(),
            authorities: Vec::new(),
            edns: request.edns.is_some().then(own_edns),
        };
        let code = match (request.metadata.op_code, signature) {
            (_, Signature::Bad(_)) => ResponseCode::NotAuth,
            _ if request.version() > 0 => ResponseCode::BADVERS,
            (OpCode::Query, _) => self.look_up(&request, &mut response),
            (OpCode::Update, Signature::Good(_)) => self.change(request).await,
            (OpCode::Update, Signature::Absent) => ResponseCode::Refused,
            _ => ResponseCode::NotImp,
        };
        response.metadata.response_code = code;
        response
    }

    fn look_up(&self, request: &Message, response: &mut Response) -> ResponseCode {
        let [question] = request.queries.as_slice() else { return ResponseCode::FormErr };
        if matches!(question.query_type(), RecordType::AXFR | RecordType::IXFR) {
            return ResponseCode::Refused;
        }
        let zone = self.keeper.zone.lock();
        let answer = zone.answer(question.name(), question.query_type());
        response.metadata.authoritative = answer != Answer::OutsideZone;
        match answer {
            Answer::Records(records) => {
                response.answers = records;
                ResponseCode::NoError
            }
            Answer::OutsideZone => ResponseCode::Refused,
            absent @ (Answer::NoSuchType | Answer::NoSuchName) => {
                response.authorities = vec![zone.start_of_authority()];
                if absent == Answer::NoSuchName { ResponseCode::NXDomain } else { ResponseCode::NoError }
            }
        }
    }

    async fn change(&self, update: Message) -> ResponseCode {
        let keeper = Arc::clone(&self.keeper);
        let changed = tokio::task::spawn_blocking(move || keeper.update(&update)).await;
        changed.unwrap_or(ResponseCode::ServFail)
    }
}

async fn send<R: ResponseHandler>(
    request: &Request,
    response: Response,
    signature: Signature,
    mut response_handle: R,
) -> ResponseInfo {
    let edns = response.edns.as_ref();
    let build = || {
        MessageResponseBuilder::new(&request.queries, edns).build(
            response.metadata,
            response.answers.iter(),
            response.authorities.iter(),
            iter::empty(),
            iter::empty(),
        )
    };
    let mut message = build();
    if let Signature::Good(context) | Signature::Bad(context) = signature {
        let mut unsigned = Vec::new();
        let emitted = build().destructive_emit(&mut BinEncoder::new(&mut unsigned));
        match emitted.and_then(|_| context.sign(&unsigned)) {
            Ok(signed) => message.set_signature(signed),
            Err(error) => {
                warn!(%error, "embedded DNS could not sign an answer");
                return failed(request, ResponseCode::ServFail);
            }
        }
    }
    match response_handle.send_response(message).await {
        Ok(info) => info,
        Err(error) => {
            warn!(%error, client = %request.src(), "embedded DNS could not answer");
            failed(request, ResponseCode::ServFail)
        }
    }
}

/// For the server's own log; nothing is sent.
fn failed(request: &Request, code: ResponseCode) -> ResponseInfo {
    let mut metadata = Metadata::new(request.metadata.id, MessageType::Response, request.metadata.op_code);
    metadata.response_code = code;
    Header { metadata, counts: HeaderCounts::default() }.into()
}

fn own_edns() -> Edns {
    let mut edns = Edns::new();
    edns.set_max_payload(DATAGRAM_BYTES_MAX as u16).set_version(0);
    edns
}

#[cfg(test)]
#[path = "embedded_tests.rs"]
mod tests;
