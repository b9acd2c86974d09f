//! TLS in front of the simulated brokers' HTTP listeners, with certificates that a private authority has signed.

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

/// Where the simulated brokers speak plain HTTP.
pub(crate) const PLAIN: u16 = 8_888;

/// An authority's certificate (PEM), and a server that it has signed for all pods behind a headless Service.
pub(crate) fn authority(service: &str, namespace: &str) -> (String, TlsAcceptor) {
    let key = KeyPair::generate().expect("a key");
    let mut params = CertificateParams::new([]).expect("no names");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let root = params.self_signed(&key).expect("a certificate");
    let issuer = Issuer::from_params(&params, &key);
    let own = KeyPair::generate().expect("a key");
    let names = [format!("*.{service}.{namespace}.svc")];
    let signed =
        CertificateParams::new(names).expect("a name").signed_by(&own, &issuer).expect("a certificate");
    let own = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(own.serialize_der()));
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|config| config.with_no_client_auth().with_single_cert(vec![signed.der().clone()], own))
        .expect("a server");
    (root.pem(), TlsAcceptor::from(Arc::new(config)))
}

/// In front of every node at once: its address is where a connection has come in. It ends with the tasks.
pub(crate) async fn front(acceptor: TlsAcceptor) -> (u16, JoinSet<()>) {
    front_of(acceptor, PLAIN).await
}

/// The same in front of another port of theirs.
pub(crate) async fn front_of(acceptor: TlsAcceptor, plain: u16) -> (u16, JoinSet<()>) {
    let listener = TcpListener::bind("0.0.0.0:0").await.expect("a port");
    let port = listener.local_addr().expect("it is bound").port();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let mut open = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            open.spawn(async move {
                let Ok(node) = stream.local_addr() else { return };
                let Ok(mut behind) = TcpStream::connect((node.ip(), plain)).await else { return };
                let Ok(mut stream) = acceptor.accept(stream).await else { return };
                let _ = copy_bidirectional(&mut stream, &mut behind).await;
            });
        }
    });
    (port, tasks)
}
