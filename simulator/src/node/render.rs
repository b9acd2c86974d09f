//! Answers and pages as text: tables for people, JSON, Prometheus text 0.0.4.

use std::fmt::Write as _;

use lifecycle::NodeName;
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::{Value, json};

use crate::model::{Answer, Kind, ListenerStatus, NodeStatus, Row, Series, StatusPage};

/// An object whose members keep their order, as the recordings have it.
struct Ordered<'a>(Vec<(&'a str, Value)>);

impl Serialize for Ordered<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (key, value) in &self.0 {
            map.serialize_entry(key, value)?;
        }
        map.end()
    }
}

fn compact(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

/// Body of the HTTP reply to a command; empty for a bare status.
pub(crate) fn answer_json(answer: &Answer) -> String {
    match answer {
        Answer::Table(rows) => {
            let rows: Vec<String> = rows.iter().map(row_json).collect();
            format!(r#"{{"table":[{}],"type":"table"}}"#, rows.join(","))
        }
        Answer::Text(text) => json!({"text": text, "type": "text"}).to_string(),
        Answer::Alert(text) => {
            json!({"alert": [{"text": text, "type": "text"}], "type": "alert"}).to_string()
        }
        Answer::HttpStatus(_) | Answer::Failed { .. } => String::new(),
    }
}

fn row_json(row: &Row) -> String {
    compact(&Ordered(row.iter().map(|(key, value)| (key.as_str(), value.clone())).collect()))
}

/// A table as `vmq-admin` draws it, heads in ANSI bold even into a pipe
/// (`apikey_create.txt`). Empty without rows.
pub(crate) fn table(rows: &[Row]) -> String {
    let Some(first) = rows.first() else { return String::new() };
    let heads: Vec<&str> = first.iter().map(|(head, _)| head.as_str()).collect();
    let cells: Vec<Vec<String>> =
        rows.iter().map(|row| row.iter().map(|(_, value)| cell(value)).collect()).collect();
    let widths: Vec<usize> = heads
        .iter()
        .enumerate()
        .map(|(at, head)| {
            let widest = cells.iter().filter_map(|row| row.get(at)).map(|text| text.chars().count()).max();
            head.chars().count().max(widest.unwrap_or(0))
        })
        .collect();
    let rule =
        widths.iter().fold(String::from("+"), |text, width| text + &"-".repeat(width + 2) + "+") + "\n";
    let mut out = rule.clone();
    for (head, width) in heads.iter().zip(&widths) {
        let pad = width - head.chars().count();
        let _ = write!(out, "| \u{1b}[1m{head}\u{1b}[0m{:pad$} ", "");
    }
    out += "|\n";
    out += &rule;
    for row in &cells {
        for (text, width) in row.iter().zip(&widths) {
            let _ = write!(out, "| {text:<width$} ");
        }
        out += "|\n";
        out += &rule;
    }
    out
}

fn cell(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// `/status.json`: an array of one object, by node.
pub(crate) fn status_json(page: &StatusPage) -> String {
    let nodes: Vec<String> = page
        .nodes
        .iter()
        .map(|(name, status)| format!("{}:{}", compact(name), node_status(status)))
        .collect();
    format!("[{{{}}}]", nodes.join(","))
}

fn node_status(status: &NodeStatus) -> String {
    let mut numbers = compact(&Ordered(vec![
        ("num_online", status.num_online.into()),
        ("num_offline", status.num_offline.into()),
        ("msg_in", status.msg_in.into()),
        ("msg_out", status.msg_out.into()),
        ("queue_in", status.queue_in.into()),
        ("queue_out", status.queue_out.into()),
        ("queue_drop", status.queue_drop.into()),
        ("queue_unhandled", status.queue_unhandled.into()),
        ("num_subscriptions", status.num_subscriptions.into()),
        ("num_retained", status.num_retained.into()),
        ("matches_local", status.matches_local.into()),
        ("matches_remote", status.matches_remote.into()),
        ("version", status.version.as_str().into()),
    ]));
    numbers.pop();
    let members =
        Ordered(status.mystatus.iter().map(|(NodeName(name), up)| (name.as_str(), json!(up))).collect());
    let listeners: Vec<String> = status
        .listeners
        .iter()
        .map(|listener| {
            let state = match listener.status {
                ListenerStatus::Running => "running",
                ListenerStatus::Suspended => "suspended",
            };
            compact(&Ordered(vec![
                ("type", listener.kind.into()),
                ("status", state.into()),
                ("ip", listener.address.as_str().into()),
                ("port", listener.port.into()),
                // An Erlang string is a list to the broker's JSON.
                ("mountpoint", json!(listener.mountpoint.as_bytes())),
                ("max_conns", listener.max_conns.map_or_else(|| "infinity".into(), Into::into)),
            ]))
        })
        .collect();
    format!(r#"{numbers},"mystatus":[{}],"listeners":[{}]}}"#, compact(&members), listeners.join(","))
}

/// `/metrics`, Prometheus text 0.0.4. `prefix` is the broker's
/// `prometheus_namespace`, by default `vernemq_`.
pub(crate) fn metrics(series: &[Series], prefix: &str) -> String {
    // The recorded page has 40 kB; 64 spares the growth.
    let mut out = String::with_capacity(64 * 1024);
    let mut family = "";
    for line in series {
        if line.family != family {
            family = line.family;
            let kind = match line.kind {
                Kind::Counter => "counter",
                Kind::Gauge => "gauge",
                Kind::Histogram => "histogram",
            };
            let _ = writeln!(out, "# HELP {prefix}{family} {}", line.help);
            let _ = writeln!(out, "# TYPE {prefix}{family} {kind}");
        }
        out.push_str(prefix);
        out.push_str(&line.name);
        let mut open = '{';
        for (name, value) in &line.labels {
            out.push(open);
            open = ',';
            let _ = write!(out, "{name}=\"{}\"", escaped(value));
        }
        if open == ',' {
            out.push('}');
        }
        let _ = writeln!(out, " {}", line.value);
    }
    out
}

fn escaped(value: &str) -> std::borrow::Cow<'_, str> {
    if value.contains(['\\', '"', '\n']) {
        value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n").into()
    } else {
        value.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(key: &str) -> Row {
        vec![
            ("Key".into(), key.into()),
            ("Scope".into(), "mgmt".into()),
            ("Expires (UTC)".into(), "never".into()),
            ("has expired".into(), false.into()),
        ]
    }

    #[test]
    fn draws_the_recorded_table() {
        let drawn = table(&[key("shBkMr06nSLZzR1Mejco5KHbfqC71Yz2"), key("labkey-mgmt")]);
        let recording = include_str!("../../../tests/recordings/apikey_create.txt");
        assert!(recording.contains(&drawn), "{drawn}");
    }

    #[test]
    fn keeps_the_order_of_columns_in_json() {
        let answer =
            Answer::Table(vec![vec![("type".into(), "mqtt".into()), ("address".into(), Value::Null)]]);
        assert_eq!(answer_json(&answer), r#"{"table":[{"type":"mqtt","address":null}],"type":"table"}"#);
    }

    #[test]
    fn escapes_label_values() {
        let series = Series {
            family: "f",
            name: "f".into(),
            help: "h",
            kind: Kind::Gauge,
            labels: vec![("node", "a\"b\\c\nd".into()), ("x", "y".into())],
            value: -3,
        };
        assert_eq!(
            metrics(&[series], "vernemq_"),
            "# HELP vernemq_f h\n# TYPE vernemq_f gauge\nvernemq_f{node=\"a\\\"b\\\\c\\nd\",x=\"y\"} -3\n"
        );
    }
}
