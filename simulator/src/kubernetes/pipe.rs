//! HTTP without a kernel between: connections over pipes in memory.
//!
//! A paused clock jumps to the next timer whenever nothing is ready to run,
//! and bytes on their way through the kernel are not ready: on a busy machine
//! a request over loopback may cost minutes of that clock. Over a pipe, what
//! was written is ready at once.

use std::{
    future::Future,
    io,
    pin::Pin,
    task::{Context, Poll},
};

use http::Uri;
use hyper_util::{
    client::legacy::{
        Client,
        connect::{Connected, Connection},
    },
    rt::{TokioExecutor, TokioIo},
};
use kube::client::{Body, ClientBuilder, ConfigExt};
use tokio::{
    io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf, duplex},
    sync::mpsc,
};
use tower::Service;

/// Bytes in flight in either direction, about a socket's buffer.
const BUFFER_BYTES: usize = 256 * 1024;

/// Connections that wait to be accepted, as a listener's backlog.
pub(super) const BACKLOG: usize = 128;

/// The client's end of a connection.
pub(super) struct Pipe(DuplexStream);

impl Connection for Pipe {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl AsyncRead for Pipe {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl AsyncWrite for Pipe {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}

/// Opens connections to the server in this process.
#[derive(Clone)]
pub(super) struct Dial(pub(super) mpsc::Sender<DuplexStream>);

impl Service<Uri> for Dial {
    type Response = TokioIo<Pipe>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<TokioIo<Pipe>>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let server = self.0.clone();
        Box::pin(async move {
            let (ours, theirs) = duplex(BUFFER_BYTES);
            server.send(theirs).await.map_err(|_| io::ErrorKind::ConnectionRefused)?;
            Ok(TokioIo::new(Pipe(ours)))
        })
    }
}

/// A client over pipes, with connections of its own and without retries.
pub(super) fn client(dial: Dial, config: &kube::Config) -> kube::Client {
    let http: Client<Dial, Body> = Client::builder(TokioExecutor::new()).build(dial);
    let headers = config.extra_headers_layer().expect("nobody is impersonated, which alone can fail");
    ClientBuilder::new(http, config.default_namespace.clone())
        .with_layer(&config.base_uri_layer())
        .with_layer(&headers)
        .build()
}
