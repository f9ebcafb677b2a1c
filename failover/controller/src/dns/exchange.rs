//! One question or update to one server, and its answer: datagrams first, TCP where they do not suffice.
//!
//! Knows nothing about what is asked. An answer that decides anything must be signed where the request was.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use hickory_proto::{
    op::{Edns, Message, MessageType, Query, ResponseCode},
    rr::{Name, RecordType, TSigVerifier, rdata::tsig::TsigError},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpStream, UdpSocket},
    time::timeout,
};

use super::{
    Tsig,
    limits::{DATAGRAM_BYTES_MAX, DATAGRAM_WAIT, DATAGRAMS_MAX, TCP_EXCHANGE},
};
use crate::clock::since_epoch;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ExchangeError {
    #[error("name server {server} cannot be reached")]
    Unreachable { server: SocketAddr, source: io::Error },
    #[error("name server {server} is silent")]
    Silent { server: SocketAddr },
    #[error("name server {server} sent an answer that is not DNS")]
    Malformed { server: SocketAddr, reason: String },
    #[error("the answer of name server {server} is not signed with our key")]
    NotAuthentic { server: SocketAddr, reason: String },
    #[error("the question cannot be written as DNS: {reason}")]
    Unwritable { reason: String },
}

/// What a server answered.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) message: Message,
}

impl Reply {
    pub(crate) fn code(&self) -> ResponseCode {
        self.message.metadata.response_code
    }

    /// What was wrong with our signature, in the server's words. Such an answer is itself unsigned (RFC 8945 §5.3.2).
    pub(crate) fn signature_error(&self) -> Option<TsigError> {
        self.message.signature().and_then(|signature| signature.data.error)
    }

    /// Whether it tells what the zone holds or held, so that acting on a forged one would be wrong.
    fn decides(&self) -> bool {
        matches!(
            self.code(),
            ResponseCode::NoError
                | ResponseCode::NXDomain
                | ResponseCode::NXRRSet
                | ResponseCode::YXDomain
                | ResponseCode::YXRRSet
        )
    }
}

/// Asks `server` itself, without recursion.
pub(crate) async fn ask(server: SocketAddr, name: &Name, kind: RecordType) -> Result<Reply, ExchangeError> {
    let mut message = Message::query();
    message.add_query(Query::query(name.clone(), kind));
    let mut edns = Edns::new();
    edns.set_max_payload(DATAGRAM_BYTES_MAX as u16).set_version(0);
    message.set_edns(edns);
    exchange(server, message, None).await
}

/// Sends an update, signed where there is a key.
pub(crate) async fn tell(
    server: SocketAddr,
    update: Message,
    key: Option<&Tsig>,
) -> Result<Reply, ExchangeError> {
    exchange(server, update, key).await
}

async fn exchange(
    server: SocketAddr,
    mut request: Message,
    key: Option<&Tsig>,
) -> Result<Reply, ExchangeError> {
    let unwritable =
        |error: hickory_proto::ProtoError| ExchangeError::Unwritable { reason: error.to_string() };
    let mut verifier = None;
    if let Some(key) = key {
        // Both sides compare wall time, within the fudge.
        verifier = request.finalize(key.signer(), since_epoch().as_secs()).map_err(unwritable)?;
    }
    let bytes = request.to_vec().map_err(unwritable)?;
    let mut answer = None;
    if bytes.len() <= DATAGRAM_BYTES_MAX {
        let (message, raw) = over_datagrams(server, &request, &bytes).await?;
        if !message.metadata.truncation {
            answer = Some((message, raw));
        }
    }
    let (message, raw) = match answer {
        Some(whole) => whole,
        None => timeout(TCP_EXCHANGE, over_tcp(server, &request, &bytes))
            .await
            .map_err(|_| ExchangeError::Silent { server })??,
    };
    let reply = Reply { message };
    if let Some(verifier) = &mut verifier {
        authentic(server, &reply, &raw, verifier)?;
    }
    Ok(reply)
}

fn authentic(
    server: SocketAddr,
    reply: &Reply,
    raw: &[u8],
    verifier: &mut TSigVerifier,
) -> Result<(), ExchangeError> {
    if !reply.decides() {
        return Ok(());
    }
    let verified = verifier.verify(raw);
    verified.map(drop).map_err(|error| ExchangeError::NotAuthentic { server, reason: error.to_string() })
}

async fn over_datagrams(
    server: SocketAddr,
    request: &Message,
    bytes: &[u8],
) -> Result<(Message, Vec<u8>), ExchangeError> {
    let unreachable = |source| ExchangeError::Unreachable { server, source };
    let any: IpAddr =
        if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0)).await.map_err(unreachable)?;
    socket.connect(server).await.map_err(unreachable)?;
    for _ in 0..DATAGRAMS_MAX {
        socket.send(bytes).await.map_err(unreachable)?;
        if let Ok(answered) = timeout(DATAGRAM_WAIT, matching_datagram(&socket, request)).await {
            return answered.map_err(unreachable);
        }
    }
    Err(ExchangeError::Silent { server })
}

/// Waits for the answer to `request`; whatever else arrives is dropped, as anybody can send a datagram.
async fn matching_datagram(socket: &UdpSocket, request: &Message) -> io::Result<(Message, Vec<u8>)> {
    let mut buffer = vec![0; usize::from(u16::MAX)];
    loop {
        let length = socket.recv(&mut buffer).await?;
        if let Some(message) = accepted(&buffer[..length], request) {
            return Ok((message, buffer[..length].to_vec()));
        }
    }
}

async fn over_tcp(
    server: SocketAddr,
    request: &Message,
    bytes: &[u8],
) -> Result<(Message, Vec<u8>), ExchangeError> {
    let unreachable = |source| ExchangeError::Unreachable { server, source };
    let length = u16::try_from(bytes.len())
        .map_err(|_| ExchangeError::Unwritable { reason: format!("{} bytes are too many", bytes.len()) })?;
    let mut stream = TcpStream::connect(server).await.map_err(unreachable)?;
    let framed = [&length.to_be_bytes(), bytes].concat();
    stream.write_all(&framed).await.map_err(unreachable)?;
    let length = stream.read_u16().await.map_err(unreachable)?;
    let mut raw = vec![0; usize::from(length)];
    stream.read_exact(&mut raw).await.map_err(unreachable)?;
    let message = Message::from_vec(&raw)
        .map_err(|error| ExchangeError::Malformed { server, reason: error.to_string() })?;
    if answers(&message, request) {
        return Ok((message, raw));
    }
    Err(ExchangeError::Malformed { server, reason: "it answers another question".into() })
}

/// The message of these bytes, where it is one that answers `request`.
pub(crate) fn accepted(bytes: &[u8], request: &Message) -> Option<Message> {
    Message::from_vec(bytes).ok().filter(|message| answers(message, request))
}

fn answers(message: &Message, request: &Message) -> bool {
    message.metadata.id == request.metadata.id
        && message.metadata.message_type == MessageType::Response
        && message.metadata.op_code == request.metadata.op_code
        && (message.queries.is_empty() || message.queries == request.queries)
}
