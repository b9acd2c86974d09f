//! What a management command is answered with.

use serde_json::Value;

/// A row of a table: column and value, in the order in which they are shown.
pub type Row = Vec<(String, Value)>;

/// Answer to a command. The node renders it: JSON over HTTP, text and an exit
/// code for `vmq-admin`.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// `{"text":…,"type":"text"}`; `vmq-admin`: the lines on stdout, exit 0.
    Text(String),
    /// `{"table":[…],"type":"table"}`; `vmq-admin`: a drawn table, exit 0.
    Table(Vec<Row>),
    /// `{"alert":[{"text":…,"type":"text"}],"type":"alert"}`; `vmq-admin`: the text, exit 0.
    Alert(String),
    /// HTTP status with an empty body: 400, 401 or 500.
    HttpStatus(u16),
    /// `vmq-admin` with exit 1.
    Failed {
        /// Its stdout.
        stdout: String,
        /// Its stderr.
        stderr: String,
    },
}

impl Answer {
    /// Status of the HTTP reply.
    pub fn http_status(&self) -> u16 {
        match self {
            Self::Text(_) | Self::Table(_) | Self::Alert(_) => 200,
            Self::HttpStatus(code) => *code,
            Self::Failed { .. } => 500,
        }
    }

    /// Exit code of `vmq-admin`.
    pub fn exit_code(&self) -> i32 {
        match self {
            Self::Text(_) | Self::Table(_) | Self::Alert(_) => 0,
            Self::HttpStatus(_) | Self::Failed { .. } => 1,
        }
    }

    /// Body of the HTTP reply; empty for a bare status.
    pub fn json(&self) -> String {
        let value = match self {
            Self::Text(text) => serde_json::json!({"text": text, "type": "text"}),
            Self::Table(rows) => {
                let rows: Vec<Value> = rows
                    .iter()
                    .map(|row| Value::Object(row.iter().map(|(k, v)| (k.clone(), v.clone())).collect()))
                    .collect();
                serde_json::json!({"table": rows, "type": "table"})
            }
            Self::Alert(text) => {
                serde_json::json!({"alert": [{"text": text, "type": "text"}], "type": "alert"})
            }
            Self::HttpStatus(_) | Self::Failed { .. } => return String::new(),
        };
        value.to_string()
    }
}
