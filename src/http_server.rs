//! The world out, read-only: metrics, health, readiness.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use tokio::net::TcpListener;

mod listener;

use listener::Bounded;

/// The text format that VerneMQ's own page speaks. `OpenMetrics` would force `_total` upon the old names.
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";
/// Connections at a time: scrapers, probes and people; the next one waits.
const CONNECTIONS_MAX: usize = 64;
/// A connection that neither reads nor writes for as long is closed; Prometheus keeps one open between scrapes.
const IDLE_MAX: Duration = Duration::from_mins(5);

/// `/metrics` with what `page` renders, `/healthz` and `/readyz`.
///
/// Ready means listening and configured: the state of the broker is a metric. Were it readiness, Kubernetes would
/// take the exporter out of the Service exactly when people want to see what is wrong.
pub fn router(page: impl Fn() -> String + Clone + Send + Sync + 'static) -> Router {
    Router::new()
        .route("/", get(async || "vernescale: see /metrics, /healthz, /readyz\n"))
        .route("/metrics", get(async move || ([(CONTENT_TYPE, TEXT)], page())))
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(async || "ok\n"))
}

/// Reads an address to serve on.
pub fn listen_address(text: &str) -> Result<SocketAddr, &'static str> {
    text.parse()
        .map_err(|_| "write an IP address (names are not looked up) and a port, such as 127.0.0.1:8888")
}

/// Serves until `stop` resolves, then lets what is under way end.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    stop: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    let listener = Bounded::new(listener, CONNECTIONS_MAX, IDLE_MAX);
    axum::serve(listener, router).with_graceful_shutdown(stop).await
}
