//! Peers of our own ports who are silent, stop in the middle, never read or come in crowds.
//!
//! The servers here are impatient, so that nothing waits for long.

#![allow(clippy::unwrap_used, reason = "a failed test names its line")]

use std::{
    convert::Infallible,
    net::SocketAddr,
    task::{Context, Poll},
    time::Duration,
};

use futures::{StreamExt, future::BoxFuture};
use http_body_util::Full;
use hyper::{Request, Response, body::Bytes};
use leeward_proto::{
    Connections, Patience, grpc_server,
    limits::{BODY_BYTES_MAX, HEAD_BYTES_MAX},
    link::{LinkRequest, link_client::LinkClient},
    serve_http,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_util::sync::CancellationToken;
use tonic::codegen::Service;

const IMPATIENT: Patience = Patience {
    silence: Duration::from_millis(50),
    take: Duration::from_millis(50),
    handshake: Duration::from_millis(50),
    head: Duration::from_millis(50),
    body: Duration::from_millis(20),
};

/// Answers each request with as many bytes as its path says.
#[derive(Clone)]
struct Answers;

impl Service<Request<Full<Bytes>>> for Answers {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Full<Bytes>>) -> Self::Future {
        let bytes = request.uri().path()[1..].parse().unwrap_or(0);
        Box::pin(async move { Ok(Response::new(Full::new(Bytes::from(vec![b'x'; bytes])))) })
    }
}

async fn http() -> TcpStream {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(serve_http(
        Connections::of_http(listener).with_patience(IMPATIENT),
        Answers,
        CancellationToken::new(),
    ));
    TcpStream::connect(address).await.unwrap()
}

async fn grpc() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let incoming = Connections::of_grpc(listener).with_patience(IMPATIENT).into_stream();
    let routes = tonic::service::Routes::default();
    tokio::spawn(grpc_server().add_routes(routes).serve_with_incoming(incoming));
    address
}

/// All that the server says until it hangs up.
async fn said(peer: &mut TcpStream) -> String {
    let mut said = Vec::new();
    // A reset is a way of hanging up.
    let _ = peer.read_to_end(&mut said).await;
    String::from_utf8_lossy(&said).into_owned()
}

#[tokio::test]
async fn a_good_request_is_answered() {
    let mut peer = http().await;

    peer.write_all(b"POST /3 HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}")
        .await
        .unwrap();

    let said = said(&mut peer).await;
    assert!(said.starts_with("HTTP/1.1 200") && said.ends_with("xxx"), "{said}");
}

#[tokio::test]
async fn half_a_request_head_is_not_waited_for_for_ever() {
    let mut peer = http().await;

    peer.write_all(b"GET /3 HTTP/1.1\r\nHo").await.unwrap();

    said(&mut peer).await;
}

#[tokio::test]
async fn a_connection_without_a_request_is_closed() {
    let mut peer = http().await;

    assert_eq!(said(&mut peer).await, "");
}

#[tokio::test]
async fn half_a_body_is_answered_with_408() {
    let mut peer = http().await;

    peer.write_all(b"POST /3 HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{").await.unwrap();

    assert!(said(&mut peer).await.starts_with("HTTP/1.1 408"));
}

#[tokio::test]
async fn a_body_that_is_too_long_is_answered_with_413() {
    let mut peer = http().await;
    let head = format!("POST /3 HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n", BODY_BYTES_MAX + 1);

    peer.write_all(head.as_bytes()).await.unwrap();
    peer.write_all(&vec![b'x'; BODY_BYTES_MAX + 1]).await.unwrap();

    assert!(said(&mut peer).await.starts_with("HTTP/1.1 413"));
}

#[tokio::test]
async fn a_body_that_says_that_it_is_too_long_is_not_waited_for() {
    let mut peer = http().await;

    peer.write_all(b"POST /3 HTTP/1.1\r\nHost: x\r\nContent-Length: 2147483647\r\n\r\n").await.unwrap();

    assert!(said(&mut peer).await.starts_with("HTTP/1.1 413"));
}

#[tokio::test]
async fn a_head_that_is_too_long_is_answered_with_431() {
    let mut peer = http().await;

    peer.write_all(&[b"GET /3 HTTP/1.1\r\nx: ", &vec![b'y'; HEAD_BYTES_MAX][..]].concat()).await.unwrap();

    assert!(said(&mut peer).await.starts_with("HTTP/1.1 431"));
}

#[tokio::test]
async fn a_peer_that_never_reads_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut connections = Connections::of_http(listener).with_patience(IMPATIENT);
    let (peer, (mut stream, _)) = tokio::join!(TcpStream::connect(address), connections.accept());

    let given_up = loop {
        if let Err(error) = stream.write_all(&[0; 8 << 10]).await {
            break error;
        }
    };

    assert_eq!(given_up.kind(), std::io::ErrorKind::TimedOut);
    drop(peer);
}

#[tokio::test]
async fn a_grpc_peer_that_says_nothing_is_hung_up_on() {
    let mut peer = TcpStream::connect(grpc().await).await.unwrap();

    said(&mut peer).await;
}

#[tokio::test]
async fn a_grpc_peer_that_begins_and_says_no_more_is_hung_up_on() {
    let mut peer = TcpStream::connect(grpc().await).await.unwrap();

    peer.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();

    assert!(!said(&mut peer).await.is_empty(), "it was spoken to first");
}

#[tokio::test]
async fn a_grpc_client_is_served() {
    let address = grpc().await;
    let mut client = LinkClient::connect(format!("http://{address}")).await.unwrap();

    let answer = client.status(LinkRequest::default()).await;

    assert_eq!(answer.unwrap_err().code(), tonic::Code::Unimplemented);
}

#[tokio::test]
async fn one_connection_more_than_allowed_is_closed() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut incoming = Box::pin(Connections::of_http(listener).at_most(1).into_stream());
    let held = tokio::join!(TcpStream::connect(address), incoming.next());

    let mut one_more = TcpStream::connect(address).await.unwrap();
    let refused = tokio::select! {
        said = said(&mut one_more) => said,
        _ = incoming.next() => panic!("it was let in"),
    };

    assert_eq!(refused, "");
    drop(held);
}
