//! Clients that reach the gateway over TLS.

use leeward_buffer::Gateway;
use leeward_client::{ClientConfig, Cluster, TlsClientIdentity, TlsConfig};
use leeward_proto::transport::{Clients, Identity, ServerTls};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

use super::harness::*;

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority() -> Authority {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

fn identity(authority: &Authority, name: &str) -> Identity {
    let key = KeyPair::generate().unwrap();
    let certificate =
        CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, authority).unwrap();
    Identity { certificate: certificate.pem(), key: key.serialize_pem().into() }
}

/// A client of the gateway that trusts this authority, and shows this.
fn secured(gateway: &Gateway, authority: &Authority, shown: Option<Identity>) -> ClientConfig {
    let mut config = client(&[gateway.address()]);
    config.timeouts.operation = std::time::Duration::from_secs(2);
    let client = shown.map(|shown| TlsClientIdentity { cert_pem: shown.certificate, key_pem: shown.key });
    config.security.tls = Some(TlsConfig { ca_pem: authority.pem(), client, server_name: None });
    config
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_produced_over_tls_arrives() {
    let dir = tempfile::tempdir().unwrap();
    let node = node(&dir.path().join("a")).await;
    let authority = authority();
    let mut config = config(&dir.path().join("buffer"), &[("a", node.addr())]);
    config.acting = Some(region("a"));
    let shown = identity(&authority, "127.0.0.1");
    config.tls = Some(ServerTls::for_kafka(&shown, Clients::MustCertify(&authority.pem())).unwrap());
    let gateway = Gateway::start(config).await.unwrap();

    let mine = identity(&authority, "application");
    let through = Cluster::connect(secured(&gateway, &authority, Some(mine))).await.unwrap();
    produce(&producer(&through), 0, 200).await;

    let arrived = await_values(&connect(node.addr()).await, &orders(), 200).await;
    assert_eq!(arrived, numbered(0, 200));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_shows_no_certificate_or_speaks_in_clear_gets_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let node = node(&dir.path().join("a")).await;
    let authority = authority();
    let mut config = config(&dir.path().join("buffer"), &[("a", node.addr())]);
    let shown = identity(&authority, "127.0.0.1");
    config.tls = Some(ServerTls::for_kafka(&shown, Clients::MustCertify(&authority.pem())).unwrap());
    let gateway = Gateway::start(config).await.unwrap();
    let bare = secured(&gateway, &authority, None);
    let mut plain = bare.clone();
    plain.security.tls = None;

    assert!(Cluster::connect(bare).await.is_err());
    assert!(Cluster::connect(plain).await.is_err());
}
