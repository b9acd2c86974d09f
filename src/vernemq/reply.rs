//! What the broker's command layer answers, over HTTP (`/api/v1/…`) and from
//! `vmq-admin`: the same commands, the same JSON, other wrappings
//! (`http_api.txt`; `--format=json` in `disconnect_semantics.txt`).

use std::collections::BTreeMap;
use std::net::IpAddr;

use lifecycle::{Groups, Listener, ListenerState, NodeName};
use serde_json::{Map, Value};

use crate::vernemq::http;

mod text;

pub use text::{last_line, plain, table_of_text};

/// Most rows of one table that are looked at: ten times the sessions that one
/// query may list (`--limit`), and far more members than a cluster has.
const ROWS_MAX: usize = 100_000;

/// An answer of the command layer.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// `{"text":…,"type":"text"}`: `Done`, but also most failures
    /// (docs/broker/http-api.md, "Paths and answers").
    Text(String),
    /// `{"table":[…],"type":"table"}`.
    Table(Vec<Map<String, Value>>),
    /// `{"alert":[…],"type":"alert"}`: the command was not understood, and comes with status 200.
    Alert(String),
}

/// Why an HTTP answer says nothing about the cluster. Each has its own remedy, so
/// each has its own name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// No or a wrong key on this node; keys do not spread reliably (`apikey_create.txt`).
    #[error("HTTP 401: it wants an API key that this node knows, of this path's scope")]
    Unauthorized,
    /// Unknown command, or the command layer is not up yet (0.4–0.6 s of every boot).
    #[error("HTTP 400: the command layer does not know the command; normal while booting")]
    NotUnderstood,
    /// The command crashed, or the node is stopping.
    #[error("HTTP 500: the command crashed, or the node is stopping or booting")]
    Crashed,
    /// A page for people: a proxy, a login page, another program.
    #[error("HTTP {0} with an HTML page: something other than VerneMQ's management API answers")]
    Html(u16),
    /// Status 200 and nothing in it.
    #[error("HTTP {0} with an empty body")]
    Empty(u16),
    /// Another status, such as 404 where the listener lacks `vmq_http_mgmt_api`.
    #[error("HTTP {0}: the listener does not serve this path")]
    Status(u16),
    /// Status 200 with something else in it.
    #[error("not an answer of the command layer: {0}")]
    Malformed(String),
    /// `vmq-admin` failed.
    #[error("vmq-admin: {0}")]
    Admin(String),
    /// No answer at all.
    #[error(transparent)]
    Wire(#[from] http::Broken),
}

impl Unusable {
    /// One CamelCase word for conditions, metrics and logs.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Unauthorized => "Unauthorized",
            Self::NotUnderstood => "NotUnderstood",
            Self::Crashed => "Crashed",
            Self::Html(_) => "Html",
            Self::Empty(_) => "Empty",
            Self::Status(_) => "NotServed",
            Self::Malformed(_) => "Malformed",
            Self::Admin(_) => "AdminFailed",
            Self::Wire(http::Broken::Refused(_)) => "Refused",
            Self::Wire(http::Broken::Tls(_)) => "Tls",
            Self::Wire(_) => "Silent",
        }
    }
}

/// Reads an HTTP answer of `/api/v1/…`.
pub fn reply(answer: &http::Answer) -> Result<Reply, Unusable> {
    usable(answer)?;
    reply_of_json(&answer.body)
}

/// Whether an HTTP answer of a broker has anything in it that can be read.
pub(crate) fn usable(answer: &http::Answer) -> Result<(), Unusable> {
    let html = answer.content_type.starts_with("text/html") || answer.body.trim_ascii().starts_with(b"<");
    match answer.status {
        401 | 403 => Err(Unusable::Unauthorized),
        status if html => Err(Unusable::Html(status)),
        400 => Err(Unusable::NotUnderstood),
        500..=599 => Err(Unusable::Crashed),
        200 if answer.body.trim_ascii().is_empty() => Err(Unusable::Empty(200)),
        200 => Ok(()),
        status => Err(Unusable::Status(status)),
    }
}

/// Reads the JSON of an answer, as HTTP and `--format=json` give it.
pub fn reply_of_json(body: &[u8]) -> Result<Reply, Unusable> {
    let malformed = |why: &str| Unusable::Malformed(format!("{why}: {}", excerpt(body)));
    let Ok(Value::Object(mut object)) = serde_json::from_slice(body) else {
        return Err(malformed("no JSON object"));
    };
    match object.get("type").and_then(Value::as_str) {
        Some("text") => match object.remove("text") {
            Some(Value::String(text)) => Ok(Reply::Text(text)),
            _ => Err(malformed("no text")),
        },
        Some("table") => match object.remove("table") {
            Some(Value::Array(rows)) => rows
                .into_iter()
                .take(ROWS_MAX)
                .map(|row| match row {
                    Value::Object(row) => Ok(row),
                    _ => Err(malformed("a row that is no object")),
                })
                .collect::<Result<_, _>>()
                .map(Reply::Table),
            _ => Err(malformed("no table")),
        },
        Some("alert") => Ok(Reply::Alert(alert_text(&object))),
        _ => Err(malformed("unknown type")),
    }
}

fn alert_text(object: &Map<String, Value>) -> String {
    let parts = object.get("alert").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let texts: Vec<_> = parts.iter().filter_map(|part| part.get("text").and_then(Value::as_str)).collect();
    texts.join(" ")
}

/// The first bytes of something unexpected, for a message that people read.
fn excerpt(body: &[u8]) -> String {
    String::from_utf8_lossy(&body[..body.len().min(80)]).into_owned()
}

fn table(reply: Reply) -> Result<Vec<Map<String, Value>>, Unusable> {
    match reply {
        Reply::Table(rows) => Ok(rows),
        Reply::Text(text) | Reply::Alert(text) => {
            Err(Unusable::Malformed(format!("a table was expected, not `{text}`")))
        }
    }
}

fn field<'a>(row: &'a Map<String, Value>, name: &str) -> Result<&'a Value, Unusable> {
    row.get(name).ok_or_else(|| Unusable::Malformed(format!("a row without `{name}`")))
}

fn string(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// `cluster show`: member → running.
pub fn members(reply: Reply) -> Result<BTreeMap<NodeName, bool>, Unusable> {
    let rows = table(reply)?;
    if rows.is_empty() {
        // A node always shows itself.
        return Err(Unusable::Malformed("a cluster without members".into()));
    }
    rows.iter()
        .map(|row| {
            let running = match string(field(row, "Running")?).as_str() {
                "true" => true,
                "false" => false,
                other => return Err(Unusable::Malformed(format!("Running `{other}`"))),
            };
            Ok((NodeName(string(field(row, "Node")?)), running))
        })
        .collect()
}

/// `node swc_sync_status` (`http_api.txt`): groups, and how many of them were exchanged.
pub fn groups(reply: Reply) -> Result<Groups, Unusable> {
    let rows = table(reply)?;
    if rows.is_empty() {
        return Err(Unusable::Malformed("replicated metadata without groups".into()));
    }
    let mut groups = Groups { synced: 0, all: 0 };
    for row in &rows {
        groups.all += 1;
        match string(field(row, "InitSynced")?).as_str() {
            "true" => groups.synced += 1,
            "false" => {}
            other => return Err(Unusable::Malformed(format!("InitSynced `{other}`"))),
        }
    }
    Ok(groups)
}

/// A listener with the number of connections that it takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShownListener {
    /// As the lifecycle sees it.
    pub listener: Listener,
    /// `max_conns`, the setting `max_connections`; none where it says `infinity`, as after `listener start`
    /// (`last_node_and_undo.txt`). No limit by itself: there is one for each acceptor (`disc2_max_connections.txt`).
    pub connections_max: Option<u64>,
    /// `active_conns`; the status page has none.
    pub active: Option<u64>,
    /// `mountpoint`; empty for the broker's own.
    pub mountpoint: String,
}

impl ShownListener {
    /// Who is not in the pod of this address reaches it: a Unix socket and a listener that is bound to loopback take no
    /// client of the Service, and no routing probe, unless that is the pod's address.
    pub fn reached(&self, host: Option<IpAddr>) -> bool {
        // Anything else than an address is a path (`/run/…`, with port 0).
        let Ok(address) = self.listener.address.parse::<IpAddr>() else { return false };
        !address.to_canonical().is_loopback() || Some(address) == host
    }
}

/// `listener show`: the MQTT listeners. `http`, `https`, `vmq` and `vmqs` are left out.
pub fn listeners(reply: Reply) -> Result<Vec<ShownListener>, Unusable> {
    let rows = table(reply)?;
    rows.iter().filter_map(|row| listener(row).transpose()).collect()
}

/// One row of `listener show` or of the status page; none for listeners that take no MQTT clients.
pub(crate) fn listener(row: &Map<String, Value>) -> Result<Option<ShownListener>, Unusable> {
    let kind = string(field(row, "type")?);
    if !kind.starts_with("mqtt") {
        return Ok(None);
    }
    let state = match string(field(row, "status")?).as_str() {
        "running" => ListenerState::Running,
        "suspended" => ListenerState::Suspended,
        other => return Err(Unusable::Malformed(format!("listener status `{other}`"))),
    };
    let port = string(field(row, "port")?);
    let port = port.parse().map_err(|_| Unusable::Malformed(format!("listener port `{port}`")))?;
    // `ip` on the status page, and in `listener show` of brokers before 1.13.
    let address = row.get("address").or_else(|| row.get("ip"));
    let address = address.map(string).ok_or_else(|| Unusable::Malformed("a row without `address`".into()))?;
    let mountpoint = row.get("mountpoint").map(text).unwrap_or_default();
    let number = |name: &str| row.get(name).and_then(|value| string(value).parse().ok());
    let (connections_max, active) = (number("max_conns"), number("active_conns"));
    let listener = Listener { kind, address, port, state };
    Ok(Some(ShownListener { listener, connections_max, active, mountpoint }))
}

/// A string, or what the status page makes of one of Erlang's: the list of its bytes, or of its characters. What is
/// neither is replaced, for nothing at all would be the broker's own mountpoint.
fn text(value: &Value) -> String {
    let Value::Array(codes) = value else { return string(value) };
    let code = |value: &Value| u32::try_from(value.as_u64()?).ok();
    let codes: Vec<Option<u32>> = codes.iter().map(code).collect();
    let bytes: Option<Vec<u8>> = codes.iter().map(|code| u8::try_from((*code)?).ok()).collect();
    bytes.and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_else(|| {
        let character =
            |code: &Option<u32>| code.and_then(char::from_u32).unwrap_or(char::REPLACEMENT_CHARACTER);
        codes.iter().map(character).collect()
    })
}

/// A session: two mountpoints may each have one of the same client id.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Session {
    /// Empty for the broker's own.
    pub mountpoint: String,
    /// As its client gave it.
    pub client_id: String,
}

/// `session show --client_id --mountpoint`: the sessions. A mountpoint that is not said is not the broker's own.
pub fn sessions(reply: Reply) -> Result<Vec<Session>, Unusable> {
    let word = |row: &Map<String, Value>, name: &str| match field(row, name)? {
        Value::String(word) => Ok(word.clone()),
        other => Err(Unusable::Malformed(format!("a session whose {name} is `{other}`"))),
    };
    let session =
        |row| Ok(Session { mountpoint: word(row, "mountpoint")?, client_id: word(row, "client_id")? });
    table(reply)?.iter().map(session).collect()
}

#[cfg(test)]
mod tests;
