use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;

fn at(port: u16) -> Endpoint {
    Endpoint { host: Some([127, 0, 0, 1].into()), port, tls: None, key: Some(Secret::new("secret".into())) }
}

/// Takes one connection, reads the request, writes `reply`, and keeps the
/// connection until the client closes it or `close` says to end at once.
async fn server(reply: &'static [u8], close: bool) -> (u16, tokio::task::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let task = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut seen = vec![0; 4096];
        let read = stream.read(&mut seen).await.unwrap();
        stream.write_all(reply).await.unwrap();
        if !close {
            // Ends when the client has closed: that is what revokes a leave.
            while stream.read(&mut [0; 16]).await.unwrap_or(0) > 0 {}
        }
        String::from_utf8_lossy(&seen[..read]).into_owned()
    });
    (port, task)
}

#[tokio::test(start_paused = true)]
async fn reads_an_answer_and_sends_the_key() {
    let (port, seen) =
        server(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}", false)
            .await;
    let answer = get(&at(port), "/api/v1/cluster/show", Duration::from_secs(2)).await.unwrap();
    assert_eq!((answer.status, answer.content_type.as_str()), (200, "application/json"));
    assert_eq!(&answer.body[..], b"{}");
    let request = seen.await.unwrap();
    assert!(request.starts_with("GET /api/v1/cluster/show HTTP/1.1\r\n"), "{request}");
    assert!(request.contains("x-api-key: secret\r\n"), "the key is trimmed and sent: {request}");
}

#[tokio::test(start_paused = true)]
async fn tells_refused_from_cut_from_silent() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let refused = get(&at(port), "/", Duration::from_secs(2)).await.unwrap_err();
    assert!(matches!(refused, Broken::Refused(_)) && refused.never_sent(), "{refused:?}");

    let (port, _seen) = server(b"", true).await;
    let cut = get(&at(port), "/", Duration::from_secs(2)).await.unwrap_err();
    assert!(matches!(cut, Broken::Cut(_)) && !cut.never_sent(), "{cut:?}");

    let (port, _seen) = server(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf", true).await;
    let cut = get(&at(port), "/", Duration::from_secs(2)).await.unwrap_err();
    assert!(matches!(cut, Broken::Cut(_)), "half a body is no answer: {cut:?}");

    let (port, _seen) = server(b"", false).await;
    let silent = get(&at(port), "/", Duration::from_secs(2)).await.unwrap_err();
    assert_eq!(silent, Broken::Silent(Duration::from_secs(2)));

    let nowhere = Endpoint { host: None, ..at(port) };
    assert_eq!(get(&nowhere, "/", Duration::from_secs(2)).await, Err(Broken::NoAddress));
}

#[tokio::test(start_paused = true)]
async fn dropping_the_request_closes_its_connection() {
    let (port, seen) = server(b"", false).await;
    let request = tokio::spawn(async move { get(&at(port), "/leave", Duration::from_secs(90)).await });
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(!seen.is_finished(), "the server waits while the request is open");
    request.abort();
    let text = tokio::time::timeout(Duration::from_secs(1), seen).await.expect("closed").unwrap();
    assert!(text.starts_with("GET /leave"));
}

#[tokio::test(start_paused = true)]
async fn a_body_without_end_is_refused() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await;
        while stream.write_all(&[b'x'; 8_192]).await.is_ok() {}
    });
    let error = get(&at(port), "/metrics", Duration::from_mins(1)).await.unwrap_err();
    assert!(matches!(error, Broken::Cut(_)), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn an_address_of_ipv6_is_named_in_brackets() {
    let Ok(listener) = TcpListener::bind("[::1]:0").await else {
        eprintln!("not tried over a socket: this machine has no IPv6 loopback");
        return;
    };
    let port = listener.local_addr().unwrap().port();
    let seen = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut seen = vec![0; 4096];
        let read = stream.read(&mut seen).await.unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}").await.unwrap();
        String::from_utf8_lossy(&seen[..read]).into_owned()
    });
    let endpoint = Endpoint { host: Some(std::net::Ipv6Addr::LOCALHOST.into()), ..at(port) };
    assert_eq!(get(&endpoint, "/status.json", Duration::from_secs(2)).await.unwrap().status, 200);
    let request = seen.await.unwrap();
    assert!(request.contains(&format!("host: [::1]:{port}\r\n")), "{request}");
}

#[test]
fn a_key_is_never_printed() {
    assert!(!format!("{:?}", at(1)).contains("secret"));
}

/// A listener that proves itself with a certificate for `right.name`: its port, who signed it, and whether
/// it has read anything.
async fn proven() -> (u16, String, tokio::task::JoinHandle<bool>) {
    use rcgen::{CertificateParams, IsCa, Issuer, KeyPair};

    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new([]).unwrap();
    params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let pem = params.self_signed(&key).unwrap().pem();
    let own = KeyPair::generate().unwrap();
    let names = ["right.name".to_owned()];
    let issuer = Issuer::from_params(&params, &key);
    let signed = CertificateParams::new(names).unwrap().signed_by(&own, &issuer).unwrap();
    let own = rustls::pki_types::PrivatePkcs8KeyDer::from(own.serialize_der()).into();
    let config =
        rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![signed.der().clone()], own)
            .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let read = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
        let Ok(mut stream) = acceptor.accept(stream).await else { return false };
        let read = stream.read(&mut [0; 4096]).await.unwrap_or(0);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}").await;
        let _ = stream.read(&mut [0; 16]).await;
        read > 0
    });
    (port, pem, read)
}

// In real time: a paused clock with no other timer goes to the deadline while packets are waited for.
#[tokio::test]
async fn asks_only_who_proves_the_name() {
    let ask = async |name: &str, port, ca: &str| {
        let tls = Some(Tls::new(name, Some(ca.as_bytes())).map_err(|error| error.to_string()));
        get(&Endpoint { tls, ..at(port) }, "/", Duration::from_mins(1)).await
    };
    let (port, ca, read) = proven().await;
    assert_eq!(ask("right.name", port, &ca).await.unwrap().status, 200);
    assert!(read.await.unwrap());

    let (port, ca, read) = proven().await;
    let wrong = ask("wrong.name", port, &ca).await.unwrap_err();
    assert!(
        matches!(&wrong, Broken::Tls(why) if why.contains("wrong.name")) && wrong.never_sent(),
        "{wrong}"
    );
    assert!(!read.await.unwrap(), "the key was sent to somebody else");

    let ((port, _, read), (_, other, _)) = (proven().await, proven().await);
    let unsigned = ask("right.name", port, &other).await.unwrap_err();
    assert!(matches!(unsigned, Broken::Tls(_)), "{unsigned}");
    assert!(!read.await.unwrap(), "the key was sent to somebody else");
}

#[tokio::test(start_paused = true)]
async fn never_falls_back_to_plain_http() {
    let (port, seen) = server(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}", true).await;
    for ca in ["", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
        let tls = Tls::new("right.name", Some(ca.as_bytes())).map_err(|error| error.to_string());
        let broken = get(&Endpoint { tls: Some(tls), ..at(port) }, "/", Duration::from_secs(2)).await;
        assert!(matches!(&broken, Err(Broken::Tls(_))), "{broken:?}");
    }
    assert!(!seen.is_finished(), "a connection was made");
    seen.abort();
}

#[test]
fn the_date_of_a_broker_is_read_and_nothing_else_is_one() {
    let recorded = include_str!("../../../tests/recordings/http_date_2.1.2.txt");
    let said = recorded.lines().find_map(|line| line.strip_prefix("date: ")).unwrap();
    assert_eq!(date(said), Some(Time(1_795_896_450_000)));
    for odd in ["", "yesterday", "Sat, 31 Feb 2026 20:07:30 GMT", "1795896450"] {
        assert_eq!(date(odd), None, "{odd}");
    }
}
