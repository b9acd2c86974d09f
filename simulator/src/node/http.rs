//! A node's HTTP: `/metrics`, `/status.json`, `/health*` and `/api/v1/*`.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use lifecycle::NodeName;
use tokio::net::TcpStream;

use super::{grammar, line::Line, render};
use crate::{
    fleet::{CallEnd, Fleet, Life, Visit},
    model::{Answer, CallId, Command, HealthPage, Via},
};

/// How long a connection may idle or send its head; the broker's is 60 s for the first
/// (docs/broker/leave.md, "Cut at 60 s").
const IDLE: Duration = Duration::from_mins(1);
/// How long the last answers may take when HTTP goes down.
const LAST_WORDS: Duration = Duration::from_millis(100);

type Reply = Response<Full<Bytes>>;

/// The connection ends without a byte: what hyper does with an error of its service.
#[derive(Debug, thiserror::Error)]
#[error("the connection is cut")]
struct Cut;

/// Serves one connection to its end. Hyper drops a request's future as soon as
/// the client has closed: that is the hang-up which revokes a leave.
pub(crate) async fn serve(stream: TcpStream, mut visit: Visit) {
    let _ = stream.set_nodelay(true);
    let (fleet, at) = (visit.fleet.clone(), visit.at.clone());
    let service = service_fn(move |request| {
        let (fleet, at) = (fleet.clone(), at.clone());
        async move {
            let mut reply = reply(&fleet, &at, &request).await?;
            // Cowboy says it, by its machine's clock.
            reply.headers_mut().extend(fleet.date(&at).map(|date| (header::DATE, date)));
            Ok::<_, Cut>(reply)
        }
    });
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(IDLE);
    let mut connection = std::pin::pin!(builder.serve_connection(TokioIo::new(stream), service));
    tokio::select! {
        result = connection.as_mut() => {
            if let Err(error) = result {
                tracing::debug!(%error, at = %visit.at, "HTTP connection ended");
            }
            return;
        }
        closing = visit.life.wait_for(|life| *life == Life::Closing) => {
            if closing.is_err() {
                return;
            }
        }
    }
    connection.as_mut().graceful_shutdown();
    tokio::select! {
        _ = tokio::time::timeout(LAST_WORDS, connection.as_mut()) => {}
        // The process has ended: no more words.
        _ = visit.life.changed() => {}
    }
}

async fn reply(fleet: &Fleet, at: &NodeName, request: &Request<Incoming>) -> Result<Reply, Cut> {
    // The order of the checks is the recorded one: method, key, command (http_api.txt).
    match *request.method() {
        Method::GET | Method::HEAD => {}
        Method::OPTIONS => return Ok(bare(StatusCode::OK)),
        _ => return Ok(bare(StatusCode::METHOD_NOT_ALLOWED)),
    }
    let path = request.uri().path();
    if path.starts_with("/api/v1/") {
        return api(fleet, at, request).await;
    }
    if path.starts_with("/api/v2/") {
        // Another scope, which nobody has a key of (disconnect_semantics.txt).
        return Ok(bare(StatusCode::UNAUTHORIZED));
    }
    let scope = match path {
        "/metrics" => "metrics",
        "/status.json" | "/status" => "status",
        _ => "health",
    };
    if !fleet.with_model(|model, _| model.authorized(at, key(request.headers()).as_deref(), scope)) {
        return Ok(bare(StatusCode::UNAUTHORIZED));
    }
    let page = |page| {
        let answer = fleet.with_model(|model, _| model.health(at, page));
        text(answer.status, "application/json", answer.body)
    };
    Ok(match path {
        "/metrics" => {
            let series = fleet.with_model(|model, _| model.metrics(at));
            text(200, "text/plain; version=0.0.4", render::metrics(&series, fleet.prefix()))
        }
        "/status.json" => {
            let status = fleet.with_model(|model, _| model.status(at));
            text(200, "application/json", render::status_json(&status))
        }
        "/status" => text(200, "text/html", "<!doctype html><title>simulator for VerneMQ</title>\n".into()),
        "/health" => page(HealthPage::Health),
        "/health/ping" => page(HealthPage::Ping),
        "/health/listeners" => page(HealthPage::Listeners),
        "/health/listeners_full_cluster" => page(HealthPage::ListenersFullCluster),
        _ => bare(StatusCode::NOT_FOUND),
    })
}

async fn api(fleet: &Fleet, at: &NodeName, request: &Request<Incoming>) -> Result<Reply, Cut> {
    let key = key(request.headers());
    if !fleet.with_model(|model, _| model.authorized(at, key.as_deref(), "mgmt")) {
        return Ok(bare(StatusCode::UNAUTHORIZED));
    }
    let line = Line::from_uri(request.uri());
    let command = line.and_then(|line| grammar::understand(&line).ok());
    let command = command.map_or(Command::Unknown, |understood| understood.command);
    if fleet.loses(&command) {
        return Err(Cut);
    }
    let (id, answer) = fleet.request(at, command, Via::Http);
    let guard = Hangup { fleet, id };
    let end = answer.await;
    drop(guard);
    match end {
        Ok(CallEnd::Answer(answer)) => Ok(answered(&answer)),
        Ok(CallEnd::Cut) | Err(_) => Err(Cut),
    }
}

/// Tells the model when the request's future is dropped before its end; after
/// it the call is gone, and this does nothing.
struct Hangup<'a> {
    fleet: &'a Fleet,
    id: CallId,
}

impl Drop for Hangup<'_> {
    fn drop(&mut self) {
        self.fleet.hang_up(self.id);
    }
}

fn answered(answer: &Answer) -> Reply {
    let body = render::answer_json(answer);
    if body.is_empty() {
        let status = StatusCode::from_u16(answer.http_status());
        return bare(status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR));
    }
    text(answer.http_status(), "application/json", body)
}

fn text(status: u16, kind: &'static str, body: String) -> Reply {
    let mut reply = bare(StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR));
    if !body.is_empty() {
        reply.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(kind));
    }
    *reply.body_mut() = Full::new(Bytes::from(body));
    reply
}

fn bare(status: StatusCode) -> Reply {
    let mut reply = Response::new(Full::default());
    *reply.status_mut() = status;
    reply
}

/// The key of a request: header `x-api-key`, or the user of basic auth.
fn key(headers: &HeaderMap) -> Option<String> {
    if let Some(key) = headers.get("x-api-key") {
        return key.to_str().ok().map(Into::into);
    }
    let basic = headers.get(header::AUTHORIZATION)?.to_str().ok()?.strip_prefix("Basic ")?;
    let decoded = String::from_utf8(base64(basic.trim())?).ok()?;
    Some(decoded.split(':').next().unwrap_or_default().to_owned())
}

/// Base64 of the standard alphabet; padding may be there or not.
fn base64(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len() * 3 / 4);
    let (mut bits, mut held) = (0_u32, 0_u32);
    for byte in text.trim_end_matches('=').bytes() {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = (bits << 6 | u32::from(value)) & 0xF_FFFF;
        held += 6;
        if held >= 8 {
            held -= 8;
            out.push(u8::try_from(bits >> held & 0xFF).ok()?);
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_key_in_both_headers() {
        let mut headers = HeaderMap::new();
        headers.insert("authorization", "Basic bGFia2V5LW1nbXQ6".parse().unwrap());
        assert_eq!(key(&headers).as_deref(), Some("labkey-mgmt"));
        headers.insert("x-api-key", "other".parse().unwrap());
        assert_eq!(key(&headers).as_deref(), Some("other"));
        headers.clear();
        headers.insert("authorization", "Basic %%%".parse().unwrap());
        assert_eq!(key(&headers), None);
    }
}
