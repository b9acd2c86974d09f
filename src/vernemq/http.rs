//! One HTTP request on one connection to a broker. Nothing is pooled, because
//! closing the connection means something to VerneMQ: it revokes a
//! `cluster leave` that has not begun (`q2_hanging_leave_http.txt`). So dropping
//! the future of [`get`] closes its socket.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, header};
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::rt::TokioIo;
use lifecycle::Time;
use net::{Secret, TlsError, trust};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// Largest body that is read. `/metrics` has 40 kB and the widest list of
/// 5,000 sessions 1.7 MB (`api_cost_5000.txt`); beyond 4 MiB something else answers.
pub const BODY_BYTES_MAX: usize = 4 * 1024 * 1024;

/// How a TLS endpoint is proven.
#[derive(Clone)]
pub struct Tls {
    /// Holds the trusted roots.
    pub connector: TlsConnector,
    /// The name that the certificate must bear.
    pub server_name: ServerName<'static>,
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Tls({:?})", self.server_name)
    }
}

/// Why TLS could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsSetup {
    /// Certificates, or the TLS library.
    #[error(transparent)]
    Trust(#[from] TlsError),
    /// Not a host name or an address.
    #[error("`{0}` is not a name that a certificate can bear")]
    Name(String),
}

impl Tls {
    /// Trusts exactly the certificates in `ca_pem`, or the machine's own roots
    /// where none are given.
    pub fn new(server_name: &str, ca_pem: Option<&[u8]>) -> Result<Self, TlsSetup> {
        let config = trust(ca_pem)?;
        let name = ServerName::try_from(server_name.to_owned())
            .map_err(|_| TlsSetup::Name(server_name.to_owned()))?;
        Ok(Self { connector: TlsConnector::from(config), server_name: name })
    }
}

/// Where a broker's HTTP listener is.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// Address of the pod; none where it has none yet. Never a name: one that is made again keeps its old address in
    /// a caching resolver for half a minute (`disc2_dns_headless.txt`).
    pub host: Option<IpAddr>,
    /// TCP port.
    pub port: u16,
    /// Plain HTTP where absent. Where TLS is wanted and cannot be set up, why: nothing is sent then.
    pub tls: Option<Result<Tls, String>>,
    /// Sent as `x-api-key`, which the broker takes like basic auth (`http_api.txt`).
    pub key: Option<Secret>,
}

/// A whole HTTP response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Header `content-type`, empty where absent.
    pub content_type: String,
    /// Header `date`, in whole seconds: what the other side's clock said; none where absent or no date.
    pub date: Option<Time>,
    /// At most [`BODY_BYTES_MAX`].
    pub body: Bytes,
}

/// No whole response.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// The pod has no address.
    #[error("the pod has no address yet")]
    NoAddress,
    /// Nobody listens: the request was never sent.
    #[error("the connection was refused ({0})")]
    Refused(String),
    /// The connection could not be made for another reason: the request was never sent.
    #[error("no connection: {0}")]
    Unreachable(String),
    /// TLS cannot be set up, or the other side does not prove itself: the request was never sent.
    #[error("TLS: {0}")]
    Tls(String),
    /// The deadline passed before a connection was there: the request was never sent.
    #[error("no connection within {0:?}")]
    NoConnection(Duration),
    /// The request was sent, and no whole answer came within the deadline.
    #[error("no answer within {0:?}")]
    Silent(Duration),
    /// The request was sent, and the connection ended before the answer did.
    #[error("the connection ended before the answer did ({0})")]
    Cut(String),
}

impl Broken {
    /// The request cannot have had any effect.
    pub fn never_sent(&self) -> bool {
        matches!(
            self,
            Self::NoAddress | Self::Refused(_) | Self::Unreachable(_) | Self::Tls(_) | Self::NoConnection(_)
        )
    }
}

/// Sends `GET path` and reads the whole answer within `limit`.
///
/// Dropping the future closes the connection at once.
pub async fn get(endpoint: &Endpoint, path: &str, limit: Duration) -> Result<Answer, Broken> {
    let host = endpoint.host.ok_or(Broken::NoAddress)?;
    let deadline = tokio::time::sleep(limit);
    tokio::pin!(deadline);
    let stream = tokio::select! {
        biased;
        stream = connect((host, endpoint.port).into(), endpoint.tls.as_ref(), false) => stream?,
        () = &mut deadline => return Err(Broken::NoConnection(limit)),
    };
    tokio::select! {
        biased;
        answer = exchange(stream, endpoint, host, path) => answer,
        () = &mut deadline => Err(Broken::Silent(limit)),
    }
}

/// A connection, plain or TLS.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// Connects. With `proxy` the first bytes are a PROXY header (version 1, which every broker that knows any reads):
/// a listener that wants one takes nothing else.
pub(crate) async fn connect(
    address: SocketAddr,
    tls: Option<&Result<Tls, String>>,
    proxy: bool,
) -> Result<Box<dyn Stream>, Broken> {
    use std::io::ErrorKind::{ConnectionRefused, ConnectionReset};

    let tls = tls.map(Result::as_ref).transpose().map_err(|why| Broken::Tls(why.clone()))?;
    let mut stream = TcpStream::connect(address).await.map_err(|error| match error.kind() {
        ConnectionRefused | ConnectionReset => Broken::Refused(error.to_string()),
        _ => Broken::Unreachable(error.to_string()),
    })?;
    // One small request and its answer: waiting to fill a segment only costs time.
    let _ = stream.set_nodelay(true);
    if proxy {
        let own = stream.local_addr().map_err(|error| Broken::Cut(error.to_string()))?;
        let header = proxy_header(own, address);
        stream.write_all(header.as_bytes()).await.map_err(|error| Broken::Cut(error.to_string()))?;
    }
    match tls {
        None => Ok(Box::new(stream)),
        Some(tls) => tls
            .connector
            .connect(tls.server_name.clone(), stream)
            .await
            .map(|stream| Box::new(stream) as Box<dyn Stream>)
            .map_err(|error| Broken::Tls(format!("{}: {error}", tls.server_name.to_str()))),
    }
}

/// The PROXY header of a connection that nobody relays: it comes from where it comes from.
fn proxy_header(from: SocketAddr, to: SocketAddr) -> String {
    let family = if from.is_ipv4() { "TCP4" } else { "TCP6" };
    format!("PROXY {family} {} {} {} {}\r\n", from.ip(), to.ip(), from.port(), to.port())
}

async fn exchange(
    stream: Box<dyn Stream>,
    endpoint: &Endpoint,
    host: IpAddr,
    path: &str,
) -> Result<Answer, Broken> {
    let cut = |error: &dyn std::fmt::Display| Broken::Cut(error.to_string());
    // An IPv6 address comes in brackets: without them it is no host, and cowboy answers 400 to it.
    let authority = SocketAddr::new(host, endpoint.port).to_string();
    let mut request = Request::get(path).header(header::HOST, authority);
    if let Some(key) = &endpoint.key {
        request = request.header("x-api-key", key.expose());
    }
    let request = request
        .body(Empty::<Bytes>::new())
        .map_err(|error| Broken::Unreachable(format!("`{path}` is not a request: {error}")))?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|error| cut(&error))?;
    let talk = async {
        let response = sender.send_request(request).await.map_err(|error| cut(&error))?;
        let (head, body) = response.into_parts();
        let body = Limited::new(body, BODY_BYTES_MAX).collect().await.map_err(|error| cut(&error))?;
        let content_type = head.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        Ok(Answer {
            status: head.status.as_u16(),
            content_type: content_type.unwrap_or_default().to_owned(),
            date: head.headers.get(header::DATE).and_then(|value| date(value.to_str().ok()?)),
            body: body.to_bytes(),
        })
    };
    // The connection is driven here and not in a task of its own, so that it
    // cannot outlive this future. When it ends first, `talk` tells how.
    let drive = async {
        let _ = connection.await;
        std::future::pending::<()>().await;
    };
    tokio::select! {
        biased;
        answer = talk => answer,
        () = drive => unreachable!("the driver never ends"),
    }
}

/// An HTTP date (RFC 9110 §5.6.7).
fn date(text: &str) -> Option<Time> {
    let at = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text).ok()?;
    at.as_millisecond().try_into().ok().map(Time)
}

#[cfg(test)]
mod tests;
