//! The sockets: connections in, answers out, and the faults between.

use std::{convert::Infallible, future::pending, sync::Arc, time::Duration};

use axum::body::Body;
use http::{HeaderValue, Request, Response, header, request::Parts};
use http_body_util::{BodyExt, Limited};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::{
    io::{AsyncRead, AsyncWrite, DuplexStream},
    net::TcpListener,
    sync::mpsc,
    task::JoinSet,
    time::sleep,
};

use super::{
    Shared, discovery,
    exec::Exec,
    faults::Fault,
    object,
    record::Write,
    refusal::Refusal,
    request::{Query, Route, Verb},
    verbs, watch,
};

/// Connections at a time: a controller, its watches and execs need some dozens.
const CONNECTIONS_MAX: usize = 512;

/// Bytes of a request body, as the API server's own limit.
const BODY_BYTES_MAX: usize = 3 * 1024 * 1024;

/// The connection is closed without an answer.
#[derive(Debug, thiserror::Error)]
#[error("the connection is cut by a fault that was switched on")]
struct Cut;

/// Accepts until it is dropped; the connections go with it.
pub(super) async fn serve(
    listener: TcpListener,
    mut dialled: mpsc::Receiver<DuplexStream>,
    shared: Arc<Shared>,
) -> Infallible {
    let mut connections = JoinSet::new();
    loop {
        let room = connections.len() < CONNECTIONS_MAX;
        tokio::select! {
            accepted = listener.accept(), if room => match accepted {
                Ok((stream, _)) => drop(connections.spawn(connection(stream, shared.clone()))),
                Err(error) => {
                    tracing::warn!(%error, "the simulated API cannot accept");
                    sleep(Duration::from_millis(50)).await;
                }
            },
            Some(stream) = dialled.recv(), if room => {
                connections.spawn(connection(stream, shared.clone()));
            }
            Some(_) = connections.join_next() => {}
            else => return pending().await,
        }
    }
}

async fn connection<S>(stream: S, shared: Arc<Shared>)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let service = service_fn(move |request| answer(shared.clone(), request));
    let served = http1::Builder::new().serve_connection(TokioIo::new(stream), service).with_upgrades();
    if let Err(error) = served.await {
        tracing::debug!(%error, "a connection to the simulated API ended");
    }
}

async fn answer(shared: Arc<Shared>, request: Request<Incoming>) -> Result<Response<Body>, Cut> {
    let (mut parts, body) = request.into_parts();
    if let Some(document) = discovery::document(parts.uri.path()) {
        return Ok(json_response(200, &document));
    }
    let query = Query::parse(parts.uri.query().unwrap_or_default());
    let route = match Route::parse(&parts.method, parts.uri.path(), &query) {
        Ok(route) => route,
        Err(refusal) => return Ok(refuse(&refusal)),
    };
    let Ok(body) = Limited::new(body, BODY_BYTES_MAX).collect().await else {
        let message = format!("Request entity too large: limit is {BODY_BYTES_MAX}");
        return Ok(refuse(&Refusal::new(413, "RequestEntityTooLarge", message)));
    };
    let body = body.to_bytes();
    let number = route.verb.writes().then(|| {
        let write = describe(&shared, &route, &query, &parts, &body);
        shared.record().asked(write)
    });
    let answered = exchange(&shared, &route, &query, &mut parts, &body).await;
    if let (Some(number), Ok(response)) = (number, &answered) {
        shared.record().answered(number, response.status().as_u16());
    }
    answered
}

/// One request and its fault.
async fn exchange(
    shared: &Arc<Shared>,
    route: &Route,
    query: &Query,
    parts: &mut Parts,
    body: &[u8],
) -> Result<Response<Body>, Cut> {
    let fault = shared.faults.meet(route, client(query, parts));
    let mut stale = None;
    match fault {
        Some(Fault::Hang { applied: false }) => return pending().await,
        Some(Fault::Cut { applied: false }) => return Err(Cut),
        Some(Fault::Slow(span)) => sleep(span).await,
        Some(Fault::Stale(revision)) => stale = Some(revision),
        Some(fault) => {
            if let Some(refusal) = refusal_of(fault, route) {
                return Ok(refuse(&refusal));
            }
        }
        None => {}
    }
    let response = match route.verb {
        Verb::Exec => match Exec::read(shared, route, query) {
            Ok(exec) => exec.upgrade(shared.clone(), parts, fault).await.unwrap_or_else(|r| refuse(&r)),
            Err(refusal) => refuse(&refusal),
        },
        Verb::Watch => match watch::start(shared, route, query) {
            Ok(body) => response(200, body),
            Err(refusal) => refuse(&refusal),
        },
        _ => {
            let content_type =
                parts.headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
            let done = verbs::carry_out(&mut shared.store(), route, query, content_type, body, stale);
            done.map_or_else(|refusal| refuse(&refusal), |(code, body)| json_response(code, &body))
        }
    };
    match fault {
        // An exec loses its output instead: the upgrade itself succeeds.
        Some(Fault::Hang { applied: true }) if route.verb != Verb::Exec => pending().await,
        Some(Fault::Cut { applied: true }) if route.verb != Verb::Exec => Err(Cut),
        _ => Ok(response),
    }
}

fn refusal_of(fault: Fault, route: &Route) -> Option<Refusal> {
    let (kind, name) = (route.resource, route.name.as_str());
    match fault {
        Fault::Conflict => Some(Refusal::stale(kind, name)),
        Fault::TooManyRequests(seconds) => Some(Refusal::too_many_requests(seconds)),
        Fault::ServerError => Some(Refusal::internal("switched on as a fault")),
        Fault::Forbidden => {
            let why = format!("{} \"{name}\" is forbidden: switched on as a fault", kind.id);
            Some(Refusal::new(403, "Forbidden", why))
        }
        Fault::Invalid => Some(Refusal::unprocessable_patch()),
        Fault::Hang { .. } | Fault::Cut { .. } | Fault::Slow(_) | Fault::Stale(_) => None,
    }
}

fn describe(shared: &Shared, route: &Route, query: &Query, parts: &Parts, body: &[u8]) -> Write {
    let body = match route.verb {
        Verb::Exec => Exec::argv(query),
        _ => super::patch::document(body).unwrap_or(Value::Null),
    };
    let name = if route.name.is_empty() { object::name(&body).to_owned() } else { route.name.clone() };
    Write {
        at: shared.now(),
        verb: route.verb,
        resource: route.path(),
        namespace: route.namespace.clone().unwrap_or_default(),
        name,
        path: parts.uri.path_and_query().map(ToString::to_string).unwrap_or_default(),
        client: client(query, parts).to_owned(),
        body,
        code: 0,
    }
}

/// Who asks.
fn client<'a>(query: &'a Query, parts: &'a Parts) -> &'a str {
    let agent = parts.headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok());
    let manager = Some(query.get("fieldManager")).filter(|manager| !manager.is_empty());
    manager.or(agent).unwrap_or_default()
}

fn refuse(refusal: &Refusal) -> Response<Body> {
    let mut response = json_response(refusal.code, &refusal.status());
    if let Some(seconds) = refusal.retry_after() {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

fn json_response(code: u16, body: &Value) -> Response<Body> {
    response(code, Body::from(body.to_string()))
}

fn response(code: u16, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() =
        http::StatusCode::from_u16(code).unwrap_or(http::StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
