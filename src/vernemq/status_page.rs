//! `/status.json`: what each node says of itself, needs no key. One answer
//! speaks for every member (the node asks the others), but only the entry of
//! the node that was asked is taken: a member that is cut off must not be
//! described by others.

use std::collections::BTreeMap;

use lifecycle::NodeName;
use serde_json::{Map, Value};

use crate::vernemq::http;
use crate::vernemq::reply::{self, ShownListener, Unusable};

/// One node's own entry (`http_api.txt`).
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// `num_online`; can be negative in a migration backlog
    /// (docs/broker/status-and-metrics.md, "Negative counts").
    pub online: i64,
    /// `num_offline`, likewise.
    pub offline: i64,
    /// `num_retained`, of the whole cluster as this node knows them.
    pub retained: i64,
    /// Broker version.
    pub version: String,
    /// `mystatus`: the same view as its `cluster show`.
    pub members: BTreeMap<NodeName, bool>,
    /// Its MQTT listeners.
    pub listeners: Vec<ShownListener>,
    /// A listener of it, of whatever kind, is a Unix socket.
    pub unix_socket: bool,
}

/// The entry of `node` in an answer of `/status.json`.
pub fn entry(answer: &http::Answer, node: &NodeName) -> Result<Entry, Unusable> {
    reply::usable(answer)?;
    let page: Vec<BTreeMap<String, Map<String, Value>>> =
        serde_json::from_slice(&answer.body).map_err(|error| malformed(&error.to_string()))?;
    let entry = page
        .iter()
        .find_map(|nodes| nodes.get(&node.0))
        .ok_or_else(|| malformed(&format!("no entry of {node} itself")))?;
    let count = |name: &str| {
        entry.get(name).and_then(Value::as_i64).ok_or_else(|| malformed(&format!("no number `{name}`")))
    };
    Ok(Entry {
        online: count("num_online")?,
        offline: count("num_offline")?,
        retained: count("num_retained")?,
        version: entry.get("version").and_then(Value::as_str).unwrap_or_default().to_owned(),
        members: members(entry)?,
        listeners: listeners(entry)?,
        unix_socket: rows(entry)?.any(|row| row.get("ip").and_then(Value::as_str).is_some_and(is_path)),
    })
}

fn malformed(why: &str) -> Unusable {
    Unusable::Malformed(format!("status page: {why}"))
}

fn members(entry: &Map<String, Value>) -> Result<BTreeMap<NodeName, bool>, Unusable> {
    let parts = entry.get("mystatus").and_then(Value::as_array).ok_or_else(|| malformed("no `mystatus`"))?;
    let members: BTreeMap<_, _> = parts
        .iter()
        .filter_map(Value::as_object)
        .flatten()
        .map(|(node, running)| {
            let running = running.as_bool().ok_or_else(|| malformed("a member neither true nor false"))?;
            Ok((NodeName(node.clone()), running))
        })
        .collect::<Result<_, Unusable>>()?;
    if members.is_empty() {
        return Err(malformed("a cluster without members"));
    }
    Ok(members)
}

fn rows(entry: &Map<String, Value>) -> Result<impl Iterator<Item = &Map<String, Value>>, Unusable> {
    let rows = entry.get("listeners").and_then(Value::as_array).ok_or_else(|| malformed("no `listeners`"))?;
    Ok(rows.iter().filter_map(Value::as_object))
}

fn is_path(address: &str) -> bool {
    address.starts_with('/')
}

fn listeners(entry: &Map<String, Value>) -> Result<Vec<ShownListener>, Unusable> {
    rows(entry)?.filter_map(|row| reply::listener(row).transpose()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page() -> http::Answer {
        let recording = include_str!("../../tests/recordings/http_api.txt");
        let (_, rest) = recording.split_once("### http://127.0.0.11:8888/status.json\n").unwrap();
        let body = rest.lines().next().unwrap().to_owned();
        http::Answer { status: 200, content_type: "application/json".into(), date: None, body: body.into() }
    }

    #[test]
    fn takes_the_nodes_own_entry() {
        let entry = entry(&page(), &NodeName("VerneMQ1@127.0.0.11".into())).unwrap();
        assert_eq!((entry.online, entry.offline, entry.retained), (1, 0, 0));
        assert_eq!(entry.version, "2.1.2");
        assert_eq!(entry.members.len(), 3);
        assert!(entry.members.values().all(|running| *running));
        assert_eq!(entry.listeners.len(), 1);
        assert_eq!(entry.listeners[0].listener.port, 1883);
        assert!(!entry.unix_socket);
    }

    #[test]
    fn says_nothing_of_a_node_that_is_not_on_the_page() {
        assert!(entry(&page(), &NodeName("VerneMQ9@127.0.0.19".into())).is_err());
        let html = http::Answer { content_type: "text/html".into(), ..page() };
        assert_eq!(entry(&html, &NodeName("VerneMQ1@127.0.0.11".into())), Err(Unusable::Html(200)));
    }
}
