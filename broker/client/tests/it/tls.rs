//! TLS: whom the client trusts.

use std::sync::Arc;

use leeward_client::{ClientConfig, Cluster, TlsConfig};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::{
    ServerConfig,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
};
use tokio_rustls::TlsAcceptor;

use crate::fake::{Broker, usual};

/// A broker with a certificate for `localhost`, and the authority that signed it.
async fn start() -> (Broker, String) {
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, &authority).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let server = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der())),
        )
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(server));
    let (broker, listener) = Broker::bind(1, "secure").await;
    let serving = broker.clone();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            if let Ok(stream) = acceptor.accept(stream).await {
                let broker = serving.clone();
                tokio::spawn(async move { broker.serve(stream, usual()).await });
            }
        }
    });
    (broker, authority.pem())
}

fn config(broker: &Broker, ca_pem: &str, server_name: Option<&str>) -> ClientConfig {
    let mut config = broker.config();
    config.security.tls = Some(TlsConfig {
        ca_pem: ca_pem.to_owned(),
        client: None,
        server_name: server_name.map(ToOwned::to_owned),
    });
    config
}

#[tokio::test]
async fn a_broker_with_a_trusted_certificate_is_talked_to() {
    let (broker, ca_pem) = start().await;

    let cluster = Cluster::connect(config(&broker, &ca_pem, Some("localhost"))).await;

    assert_eq!(cluster.unwrap().cluster_id().as_str(), "secure");
}

#[tokio::test]
async fn a_broker_under_another_name_is_refused_for_good() {
    let (broker, ca_pem) = start().await;

    let refused = Cluster::connect(config(&broker, &ca_pem, None)).await.unwrap_err();

    assert!(!refused.may_retry(), "{refused:?}");
}

#[tokio::test]
async fn a_broker_whom_another_authority_signed_is_refused_for_good() {
    let (broker, _) = start().await;
    let (_other, other_pem) = start().await;

    let refused = Cluster::connect(config(&broker, &other_pem, Some("localhost"))).await.unwrap_err();

    assert!(!refused.may_retry(), "{refused:?}");
}
