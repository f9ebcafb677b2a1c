//! A broker made of a closure: it gets each request and says what to do.

use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use bytes::{BufMut, Bytes, BytesMut};
use futures::future::BoxFuture;
use leeward_client::{ClientConfig, Resolve, ResolveError};
use leeward_model::{PartitionIndex, TopicName, TopicPartition};
use leeward_wire::{
    ApiKey, Reader, RequestHeader,
    api::{
        ApiVersionsResponse, ApiVersionsResponseKey, MetadataRequest, MetadataResponse,
        MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic, RequestBody, ResponseBody,
        SPOKEN, versions,
    },
    decode_request_header,
    frame::FrameDecoder,
};
use parking_lot::Mutex;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpSocket},
};
use tokio_util::sync::CancellationToken;

/// What a broker does with a request.
pub(crate) enum Reply {
    Answer(ResponseBody),
    /// In another version than that of the request.
    AnswerIn(i16, ResponseBody),
    /// With another correlation id.
    Misnumbered(ResponseBody),
    Close,
    Silence,
    /// As [`Broker::usual`] does.
    Usual,
}

pub(crate) type Behaviour = Arc<dyn Fn(&Broker, &RequestHeader, &RequestBody) -> Reply + Send + Sync>;

/// A listening broker, until it is dropped.
#[derive(Clone)]
pub(crate) struct Broker {
    pub id: i32,
    pub cluster: &'static str,
    pub address: SocketAddr,
    /// All brokers of the cluster; this one alone unless a test says else.
    pub peers: Arc<Mutex<Vec<(i32, SocketAddr)>>>,
    /// The leader of partition 0 of topic `t`, and its epoch.
    pub leader: Arc<Mutex<(i32, i32)>>,
    pub seen: Arc<Mutex<Vec<RequestHeader>>>,
    stop: CancellationToken,
}

impl Broker {
    pub(crate) async fn start(id: i32, cluster: &'static str, behaviour: Behaviour) -> Self {
        let (broker, listener) = Self::bind(id, cluster).await;
        let serving = broker.clone();
        tokio::spawn(async move {
            loop {
                let (stream, _) = tokio::select! {
                    () = serving.stop.cancelled() => return,
                    accepted = listener.accept() => accepted.unwrap(),
                };
                let (broker, behaviour) = (serving.clone(), behaviour.clone());
                tokio::spawn(async move { broker.serve(stream, behaviour).await });
            }
        });
        broker
    }

    pub(crate) async fn bind(id: i32, cluster: &'static str) -> (Self, TcpListener) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let broker = Self {
            id,
            cluster,
            address,
            peers: Arc::new(Mutex::new(vec![(id, address)])),
            leader: Arc::new(Mutex::new((id, 0))),
            seen: Arc::default(),
            stop: CancellationToken::new(),
        };
        (broker, listener)
    }

    /// Stops listening and drops all connections.
    pub(crate) fn kill(&self) {
        self.stop.cancel();
    }

    pub(crate) fn config(&self) -> ClientConfig {
        config(vec![self.address.to_string()])
    }

    pub(crate) fn requests_of(&self, api: ApiKey) -> Vec<RequestHeader> {
        self.seen.lock().iter().filter(|header| header.api_key == api).cloned().collect()
    }

    pub(crate) async fn serve(&self, mut stream: impl AsyncRead + AsyncWrite + Unpin, behaviour: Behaviour) {
        let mut received = BytesMut::new();
        loop {
            while let Ok(Some(frame)) = FrameDecoder::default().decode(&mut received) {
                match self.answer(frame, &behaviour) {
                    Ok(Some(answer)) => {
                        if stream.write_all(&answer).await.is_err() {
                            return;
                        }
                    }
                    Ok(None) => {}
                    Err(()) => return,
                }
            }
            tokio::select! {
                () = self.stop.cancelled() => return,
                read = stream.read_buf(&mut received) => {
                    if read.unwrap_or(0) == 0 {
                        return;
                    }
                }
            }
        }
    }

    fn answer(&self, frame: Bytes, behaviour: &Behaviour) -> Result<Option<Bytes>, ()> {
        let mut input = Reader::new(frame);
        let header = decode_request_header(&mut input).unwrap();
        let body = RequestBody::decode(header.api_key, header.api_version, &mut input).unwrap();
        self.seen.lock().push(header.clone());
        let mut version = header.api_version;
        let mut correlation = header.correlation_id;
        let answer = match behaviour(self, &header, &body) {
            Reply::Answer(answer) => answer,
            Reply::AnswerIn(other, answer) => {
                version = other;
                answer
            }
            Reply::Misnumbered(answer) => {
                correlation += 1;
                answer
            }
            Reply::Close => return Err(()),
            Reply::Silence => return Ok(None),
            Reply::Usual => self.usual(&body),
        };
        let mut out = BytesMut::new();
        out.put_i32(0);
        out.put_i32(correlation);
        if header.api_key.response_header_is_flexible(version) {
            out.put_u8(0);
        }
        answer.encode(version, &mut out).unwrap();
        let size = i32::try_from(out.len() - 4).unwrap();
        out[..4].copy_from_slice(&size.to_be_bytes());
        Ok(Some(out.freeze()))
    }

    /// Speaks everything, and knows topic `t` with one partition.
    pub(crate) fn usual(&self, body: &RequestBody) -> ResponseBody {
        match body {
            RequestBody::ApiVersions(_) => ResponseBody::ApiVersions(speaks(i16::MAX)),
            RequestBody::Metadata(request) => ResponseBody::Metadata(self.metadata(request)),
            other => panic!("no usual answer to {other:?}"),
        }
    }

    fn metadata(&self, request: &MetadataRequest) -> MetadataResponse {
        let (leader_id, leader_epoch) = *self.leader.lock();
        let partition = MetadataResponsePartition { leader_id, leader_epoch, ..Default::default() };
        let wanted = request.topics.as_ref().is_none_or(|topics| !topics.is_empty());
        let topic = MetadataResponseTopic {
            name: Some("t".to_owned()),
            partitions: vec![partition],
            ..Default::default()
        };
        let brokers = self
            .peers
            .lock()
            .iter()
            .map(|(node_id, address)| MetadataResponseBroker {
                node_id: *node_id,
                host: address.ip().to_string(),
                port: i32::from(address.port()),
                rack: None,
            })
            .collect();
        MetadataResponse {
            brokers,
            cluster_id: Some(self.cluster.to_owned()),
            controller_id: self.id,
            topics: wanted.then_some(topic).into_iter().collect(),
            ..Default::default()
        }
    }
}

/// An answer to `ApiVersions`: everything, but `Produce` only up to `produce_max`.
pub(crate) fn speaks(produce_max: i16) -> ApiVersionsResponse {
    let key = |api: &ApiKey| {
        let (min_version, max_version) = versions(*api).unwrap();
        let max_version = if *api == ApiKey::Produce { max_version.min(produce_max) } else { max_version };
        ApiVersionsResponseKey { api_key: api.code(), min_version, max_version }
    };
    ApiVersionsResponse { api_keys: SPOKEN.iter().map(key).collect(), ..Default::default() }
}

/// Answers everything as usual.
pub(crate) fn usual() -> Behaviour {
    Arc::new(|_, _, _| Reply::Usual)
}

/// Short waits: no test here is about patience.
pub(crate) fn config(bootstrap: Vec<String>) -> ClientConfig {
    let mut config = ClientConfig::new(bootstrap);
    config.timeouts.connect = Duration::from_secs(5);
    config.timeouts.request = Duration::from_secs(5);
    config.timeouts.operation = Duration::from_secs(10);
    config
}

pub(crate) fn t_0() -> TopicPartition {
    TopicPartition { topic: TopicName::new("t").unwrap(), partition: PartitionIndex::from_wire(0).unwrap() }
}

/// An address at which nobody listens, and nobody will while the socket is held.
pub(crate) fn nobody() -> (TcpSocket, SocketAddr) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}

/// Names with addresses that a test moves.
#[derive(Debug, Default)]
pub(crate) struct Names(pub Mutex<HashMap<String, IpAddr>>);

impl Resolve for Names {
    fn resolve<'a>(&'a self, host: &'a str) -> BoxFuture<'a, Result<Vec<IpAddr>, ResolveError>> {
        let known = self.0.lock().get(host).copied().or_else(|| host.parse().ok());
        Box::pin(async move {
            known.map(|ip| vec![ip]).ok_or_else(|| ResolveError::NoAddress { host: host.to_owned() })
        })
    }
}
