//! `session show`: columns, filters, and a limit that counts per node
//! (`api_cost_5000.txt`).

use std::sync::Arc;

use serde_json::Value;

use super::node::Ix;
use super::queue::{ClientKey, Queue};
use super::{Answer, ClusterModel, Protocol, Row, SessionFlag};

/// Columns without any flag (`http_api.txt`).
const DEFAULT: [&str; 6] = ["client_id", "is_online", "mountpoint", "peer_host", "peer_port", "user"];
/// Rows per node without `--limit`.
const LIMIT: usize = 100;

impl ClusterModel {
    pub(super) fn session_show(&self, ix: Ix, flags: &[SessionFlag], limit: Option<usize>) -> Answer {
        let mut columns: Vec<&str> = flags
            .iter()
            .filter_map(|flag| match flag {
                SessionFlag::Column(name) => Some(name.as_str()),
                SessionFlag::Is(..) => None,
            })
            .collect();
        if columns.is_empty() {
            columns.extend(DEFAULT);
        }
        columns.sort_unstable();
        columns.dedup();
        let limit = limit.unwrap_or(LIMIT);
        let mut rows = Vec::new();
        for member in self.answering(ix) {
            let matching = self.nodes[member.0].queues.iter().filter(|(key, queue)| {
                flags.iter().all(|flag| match flag {
                    SessionFlag::Column(_) => true,
                    SessionFlag::Is(name, wanted) => self.holds(member, key, queue, name, wanted),
                })
            });
            for (key, queue) in matching.take(limit) {
                rows.extend(self.session_rows(member, key, queue, &columns));
            }
        }
        Answer::Table(rows)
    }

    fn holds(&self, at: Ix, key: &ClientKey, queue: &Queue, name: &str, wanted: &str) -> bool {
        if name == "topic" {
            let topics = self.topics(at, key);
            return topics.iter().any(|(topic, _)| is(topic, wanted));
        }
        match self.value(at, key, queue, name) {
            Value::String(text) => is(&text, wanted),
            Value::Null => false,
            other => is(&other.to_string(), wanted),
        }
    }

    /// A session's row; one for each subscription where those are asked for.
    fn session_rows(&self, at: Ix, key: &ClientKey, queue: &Queue, columns: &[&str]) -> Vec<Row> {
        let row = |topic: Option<(&Arc<str>, u8)>| -> Row {
            let cell = |column: &&str| match (*column, topic) {
                ("topic", Some((topic, _))) => Value::from(&**topic),
                ("qos", Some((_, qos))) => Value::from(qos),
                (column, _) => self.value(at, key, queue, column),
            };
            columns.iter().map(|column| ((*column).to_owned(), cell(column))).collect()
        };
        let topics = self.topics(at, key);
        if !columns.iter().any(|c| matches!(*c, "topic" | "qos")) || topics.is_empty() {
            return vec![row(None)];
        }
        topics.iter().map(|(topic, qos)| row(Some((topic, *qos)))).collect()
    }

    fn topics(&self, at: Ix, key: &ClientKey) -> Vec<(Arc<str>, u8)> {
        let record = self.store(self.nodes[at.0].disk.store).clients.get(key);
        record.map(|r| r.filters.iter().map(|(f, q)| (f.clone(), *q)).collect()).unwrap_or_default()
    }

    /// A column. `is_online` is true in state `drain` too (docs/broker/drain.md, "Queues in state drain");
    /// what only a session knows is null for a queue without one.
    fn value(&self, at: Ix, key: &ClientKey, queue: &Queue, column: &str) -> Value {
        let conn = queue.conn.and_then(|conn| self.conns.get(&conn));
        let state = queue.state();
        match column {
            "client_id" => (*key.id).into(),
            "node" => self.nodes[at.0].name.0.clone().into(),
            "mountpoint" => (*key.mountpoint).into(),
            "is_online" => (state != "offline").into(),
            "is_offline" => (state == "offline").into(),
            "statename" => state.into(),
            "clean_session" => (!queue.persistent).into(),
            "offline_messages" => if conn.is_none() { queue.len() } else { 0 }.into(),
            "online_messages" => if conn.is_some() { queue.waiting.len() } else { 0 }.into(),
            "queue_started_at" => queue.started.0.into(),
            "user" => conn.and_then(|c| c.connect.username.clone()).into(),
            "peer_host" => conn.and_then(|c| c.connect.peer).map(|p| p.ip().to_string()).into(),
            "peer_port" => conn.and_then(|c| c.connect.peer).map(|p| p.port()).into(),
            "protocol" => conn.map(|c| if c.connect.protocol == Protocol::V4 { 4 } else { 5 }).into(),
            "session_started_at" => conn.map(|c| c.since.0).into(),
            "keep_alive" => conn.map(|c| c.connect.keep_alive).into(),
            "waiting_acks" => conn.map(|_| queue.inflight.len()).into(),
            _ => Value::Null,
        }
    }
}

fn is(value: &str, wanted: &str) -> bool {
    match wanted.strip_prefix('~') {
        Some(pattern) => pattern_found(pattern.as_bytes(), value.as_bytes()),
        None => value == wanted,
    }
}

/// A small part of regular expressions: `.`, `*` after a character, `^`, `$`.
fn pattern_found(pattern: &[u8], text: &[u8]) -> bool {
    match pattern.strip_prefix(b"^") {
        Some(anchored) => pattern_here(anchored, text),
        None => (0..=text.len()).any(|from| pattern_here(pattern, &text[from..])),
    }
}

fn pattern_here(pattern: &[u8], text: &[u8]) -> bool {
    let fits = |p: u8, c: u8| p == b'.' || p == c;
    match pattern {
        [] => true,
        [b'$'] => text.is_empty(),
        [p, b'*', rest @ ..] => {
            let run = text.iter().take_while(|c| fits(*p, **c)).count();
            (0..=run).any(|taken| pattern_here(rest, &text[taken..]))
        }
        [p, rest @ ..] => {
            text.split_first().is_some_and(|(c, text)| fits(*p, *c) && pattern_here(rest, text))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::is;

    #[test]
    fn patterns_are_found_anywhere() {
        assert!(is("C-173", "~C-1.3") && is("xC-1y3z", "~C-1.3") && !is("C-13", "~C-1.3"));
        assert!(is("aab", "~^a*b$") && !is("aabc", "~^a*b$") && is("plain", "plain"));
    }
}
