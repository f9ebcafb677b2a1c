//! Who reaches whom: certificates made on the spot, real sockets on loopback.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    task::{Context, Poll},
    time::Duration,
};

use http_body_util::Full;
use hyper::{Request, Response, body::Bytes};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
};
use tokio_rustls::client::TlsStream;
use tokio_util::sync::CancellationToken;
use tonic::codegen::Service;

use super::*;
use crate::{
    Certified, Connections, Patience, grpc_server,
    link::{LinkRequest, link_client::LinkClient},
    serve_http,
};

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority() -> Authority {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("an authority")
}

/// A process whose certificate has this name, by an authority that it trusts too.
fn credentials(authority: &Authority, name: &str) -> Credentials {
    let key = KeyPair::generate().expect("a key");
    let params = CertificateParams::new(vec![name.to_owned()]).expect("a name");
    let certificate = params.signed_by(&key, authority).expect("signed");
    Credentials {
        identity: Identity { certificate: certificate.pem(), key: key.serialize_pem().into() },
        authorities: authority.pem(),
        everybody_certifies: false,
    }
}

fn transport(credentials: &Credentials) -> Transport {
    Transport::secured(credentials).expect("they belong together")
}

/// A client that trusts the authority and shows nothing.
fn without_certificate(authority: &Authority) -> Arc<ArcSwap<ClientConfig>> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(authority.der().clone()).expect("an authority");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let client = builder.expect("versions").with_root_certificates(roots).with_no_client_auth();
    Arc::new(ArcSwap::from_pointee(client))
}

/// A listener with this TLS that says of each connection who it was; its address.
async fn listen(tls: Option<ServerTls>) -> (String, mpsc::Receiver<Certified>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
    let port = listener.local_addr().expect("bound").port();
    let (seen, seeing) = mpsc::channel(16);
    tokio::spawn(async move {
        let mut connections = Connections::of_http(listener).with_tls(tls);
        loop {
            let (mut connection, _) = connections.accept().await;
            let _ = seen.send(connection.certified()).await;
            tokio::spawn(async move {
                let mut byte = [0];
                while connection.read_exact(&mut byte).await.is_ok()
                    && connection.write_all(&byte).await.is_ok()
                {}
            });
        }
    });
    (format!("localhost:{port}"), seeing)
}

/// Says yes to everything that it is asked.
#[derive(Clone)]
struct Yes;

impl Service<Request<Full<Bytes>>> for Yes {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<Full<Bytes>>) -> Self::Future {
        ready(Ok(Response::new(Full::default())))
    }
}

/// An http port with this TLS; its address.
async fn serve(tls: Option<ServerTls>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
    let port = listener.local_addr().expect("bound").port();
    let connections = Connections::of_http(listener).with_tls(tls);
    tokio::spawn(serve_http(connections, Yes, CancellationToken::new()));
    format!("localhost:{port}")
}

async fn connect(from: &Transport, address: &str) -> std::io::Result<TlsStream<TcpStream>> {
    let mut client = from.tls.as_ref().expect("secured").client.load_full();
    // These connections speak no gRPC.
    Arc::make_mut(&mut client).alpn_protocols.clear();
    let stream = TcpStream::connect(address).await.expect("loopback listens");
    let name = rustls::pki_types::ServerName::try_from("localhost").expect("a name");
    tokio_rustls::TlsConnector::from(client).connect(name, stream).await
}

/// The status of the answer to a request with this method.
async fn status(from: &Transport, address: &str, method: &str) -> String {
    let mut stream = connect(from, address).await.expect("the handshake is done");
    let request = format!("{method} / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("written");
    let mut said = Vec::new();
    stream.read_to_end(&mut said).await.expect("answered");
    String::from_utf8_lossy(&said).split(' ').nth(1).expect("a status").to_owned()
}

/// Whether a connection of `from` is taken and echoes a byte.
async fn reaches(from: &Transport, address: &str) -> bool {
    let Ok(mut stream) = connect(from, address).await else { return false };
    let mut byte = *b"?";
    stream.write_all(b"!").await.is_ok() && stream.read_exact(&mut byte).await.is_ok() && byte == *b"!"
}

#[tokio::test]
async fn two_processes_of_one_authority_reach_each_other() {
    let authority = authority();
    let server = transport(&credentials(&authority, "localhost"));
    let (address, mut seen) = listen(server.for_peers()).await;

    assert!(reaches(&transport(&credentials(&authority, "cli")), &address).await);
    assert_eq!(seen.recv().await, Some(Certified::Yes));
}

#[tokio::test]
async fn a_certificate_of_another_authority_is_refused_on_both_sides() {
    let (ours, theirs) = (authority(), authority());
    let server = transport(&credentials(&ours, "localhost"));
    let (address, _seen) = listen(server.for_peers()).await;
    let mut stranger = credentials(&theirs, "cli");

    assert!(!reaches(&transport(&stranger), &address).await, "it does not trust the server");

    stranger.authorities = ours.pem();
    assert!(!reaches(&transport(&stranger), &address).await, "the server does not trust it");
}

#[tokio::test]
async fn a_server_under_another_name_is_refused_unless_it_is_ourselves() {
    let authority = authority();
    let elsewhere = credentials(&authority, "elsewhere.example.com");
    let server = transport(&elsewhere);
    let (address, _seen) = listen(server.for_peers()).await;

    assert!(!reaches(&transport(&credentials(&authority, "cli")), &address).await);
    assert!(reaches(&transport(&elsewhere), &address).await);
}

#[tokio::test]
async fn tools_of_people_need_no_certificate_until_the_settings_want_one() {
    let authority = authority();
    let mut mine = credentials(&authority, "localhost");
    let server = transport(&mine);
    let (address, mut seen) = listen(server.for_people()).await;
    let bare = Transport {
        tls: server.tls.clone().map(|tls| Tls { client: without_certificate(&authority), ..tls }),
    };

    assert!(reaches(&bare, &address).await);
    assert_eq!(seen.recv().await, Some(Certified::No));

    mine.everybody_certifies = true;
    server.replace(&mine).expect("they belong together");
    assert!(!reaches(&bare, &address).await);
}

#[tokio::test]
async fn who_shows_no_certificate_may_read_at_the_http_port_and_no_more() {
    let authority = authority();
    let server = transport(&credentials(&authority, "localhost"));
    let address = serve(server.for_people()).await;
    let bare = Transport {
        tls: server.tls.clone().map(|tls| Tls { client: without_certificate(&authority), ..tls }),
    };

    assert_eq!(status(&bare, &address, "GET").await, "200");
    assert_eq!(status(&bare, &address, "POST").await, "403");
    assert_eq!(status(&transport(&credentials(&authority, "cli")), &address, "POST").await, "200");
}

#[tokio::test]
async fn a_peer_is_called_over_tls() {
    let authority = authority();
    let server = transport(&credentials(&authority, "localhost"));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
    let port = listener.local_addr().expect("bound").port();
    let incoming = Connections::of_grpc(listener).with_tls(server.for_peers()).into_stream();
    let nothing = tonic::service::Routes::default();
    tokio::spawn(grpc_server().add_routes(nothing).serve_with_incoming(incoming));

    let peer = transport(&credentials(&authority, "cli")).peer(&format!("https://localhost:{port}"));
    let mut client = LinkClient::new(peer.expect("an address").connect().await.expect("it is one of ours"));
    let answer = client.watermarks(LinkRequest { link: "a-to-b".to_owned() }).await;

    assert_eq!(answer.expect_err("nothing is served").code(), tonic::Code::Unimplemented);
}

#[tokio::test]
async fn certificates_can_be_replaced_while_it_listens() {
    let (old, new) = (authority(), authority());
    let server = transport(&credentials(&old, "localhost"));
    let (address, _seen) = listen(server.for_peers()).await;
    let later = transport(&credentials(&new, "cli"));
    assert!(!reaches(&later, &address).await);

    server.replace(&credentials(&new, "localhost")).expect("they belong together");

    assert!(reaches(&later, &address).await);
}

#[tokio::test]
async fn a_handshake_that_never_ends_holds_up_nobody() {
    let authority = authority();
    let server = transport(&credentials(&authority, "localhost"));
    let (address, _seen) = listen(server.for_peers()).await;
    let _silent = TcpStream::connect(&address).await.expect("loopback listens");

    assert!(reaches(&transport(&credentials(&authority, "cli")), &address).await);
}

#[tokio::test]
async fn a_handshake_that_never_ends_is_given_up() {
    let server = transport(&credentials(&authority(), "localhost"));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
    let address = listener.local_addr().expect("bound");
    let impatient = Patience { handshake: Duration::from_millis(20), ..Patience::default() };
    let connections = Connections::of_http(listener).with_tls(server.for_people()).with_patience(impatient);
    tokio::spawn(serve_http(connections, Yes, CancellationToken::new()));
    let mut silent = TcpStream::connect(address).await.expect("loopback listens");

    assert_eq!(silent.read(&mut [0]).await.expect("it is hung up on"), 0);
}

#[test]
fn a_key_of_another_certificate_is_refused() {
    let authority = authority();
    let mut mixed = credentials(&authority, "a");
    mixed.identity.key = credentials(&authority, "b").identity.key;

    assert!(matches!(Transport::secured(&mixed), Err(TlsError::Rustls(_))));
}

#[test]
fn an_address_with_tls_needs_certificates() {
    let refused = Transport::default().peer("https://leeward.example.com:7443").expect_err("none are there");

    assert!(refused.to_string().contains("give its settings `tls`"), "{refused}");
}

#[test]
fn keys_are_never_printed() {
    let mine = credentials(&authority(), "a");

    let printed = format!("{mine:?} {:?}", transport(&mine));

    assert!(!printed.contains("PRIVATE"), "{printed}");
}
