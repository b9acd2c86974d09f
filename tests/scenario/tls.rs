//! The brokers' HTTP listener speaks TLS, with a certificate that a private authority has signed.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::ByteString;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rstest::rstest;
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::json;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use vernescale::crd::Via;

use crate::bad_input::{stands, two_and_one_too_many};
use crate::world::{NAME, NAMESPACE, World, minutes};

/// Where the stand-in nodes speak plain HTTP.
const PLAIN: u16 = 8_888;

/// An authority's certificate (PEM), and a server that it has signed for all pods.
fn authority() -> (String, TlsAcceptor) {
    let key = KeyPair::generate().expect("a key");
    let mut params = CertificateParams::new([]).expect("no names");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let root = params.self_signed(&key).expect("a certificate");
    let issuer = Issuer::from_params(&params, &key);
    let own = KeyPair::generate().expect("a key");
    let names = [format!("*.{NAME}-headless.{NAMESPACE}.svc")];
    let signed =
        CertificateParams::new(names).expect("a name").signed_by(&own, &issuer).expect("a certificate");
    let own = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(own.serialize_der()));
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|config| config.with_no_client_auth().with_single_cert(vec![signed.der().clone()], own))
        .expect("a server");
    (root.pem(), TlsAcceptor::from(Arc::new(config)))
}

/// In front of every node at once: its address is where a connection has come in.
async fn front(acceptor: TlsAcceptor) -> (u16, JoinSet<()>) {
    let listener = TcpListener::bind("0.0.0.0:0").await.expect("a port");
    let port = listener.local_addr().expect("it is bound").port();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let mut open = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            open.spawn(async move {
                let Ok(node) = stream.local_addr() else { return };
                let Ok(mut behind) = TcpStream::connect((node.ip(), PLAIN)).await else { return };
                let Ok(mut stream) = acceptor.accept(stream).await else { return };
                let _ = copy_bidirectional(&mut stream, &mut behind).await;
            });
        }
    });
    // A paused clock goes to the next timer with each packet that is waited for, and here a question takes a
    // dozen of them: with timers a tenth of a second apart it would run into its deadline.
    tasks.spawn(async {
        loop {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    });
    (port, tasks)
}

/// Nothing is sent to a listener that is not proven; with the authority's certificate it is asked.
#[rstest]
#[case(Via::ManagementApi)]
#[case(Via::Exec)]
#[tokio::test(start_paused = true)]
async fn a_private_authority(#[case] via: Via) {
    let (pem, acceptor) = authority();
    let (port, _front) = front(acceptor).await;
    let spec = json!({ "management": { "scheme": "Https", "port": port, "metricsPort": port } });
    let mut world = two_and_one_too_many(via).spec(&spec).start().await;
    world.load(1.0).await;
    world.start_controller("a");
    stands(&mut world, "ManagementTls", "the Secret of spec.management.caSecretRef").await;

    world.edit_spec(&json!({ "management": { "caSecretRef": { "name": "misspelt" } } }));
    let missing = "key `ca.crt` of Secret mqtt/misspelt: the Secret does not exist";
    stands(&mut world, "ManagementCaMissing", missing).await;
    assert!(world.condition("ManagementTls").is_some(), "unproven meanwhile\n{}", world.dump());
    assert_eq!(world.status().members, Some(0), "nothing was asked of them\n{}", world.dump());

    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "vernemq-ca", "namespace": NAMESPACE },
        "data": { "ca.crt": ByteString(pem.into_bytes()) },
    });
    world.kubernetes.apply(&secret).expect("the Secret is made");
    // A paused clock goes to the next timer while packets are waited for, so that a question of so many of them may
    // run into its deadline: from here on time is real. The Secret is read at once when the resource has changed.
    tokio::time::resume();
    world.edit_spec(&json!({ "management": { "caSecretRef": { "name": "vernemq-ca" } } }));
    let read =
        |world: &World| world.condition("ManagementCaMissing").is_none() && world.status().members == Some(2);
    world.until("both members are seen", minutes(2), read).await;
    let proven = |world: &World| world.condition("ManagementTls").is_none();
    world.until("the listeners are proven", minutes(2), proven).await;
}
