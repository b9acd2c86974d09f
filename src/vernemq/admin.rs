//! Commands of the broker, and the two transports they go through: the HTTP
//! management API and `vmq-admin` by `pods/exec`.

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::api::Api;
use lifecycle::{Call, Listener, NodeName};
use url::form_urlencoded::byte_serialize;

use crate::kubernetes::call::Failure;
use crate::kubernetes::exec;
use crate::vernemq::http::{self, Endpoint};
use crate::vernemq::reply::{self, Reply, Unusable};

/// A command of the broker, in the words of both transports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// `cluster show`.
    ClusterShow,
    /// `listener show`.
    ListenerShow,
    /// `node swc_sync_status`.
    SyncStatus,
    /// `cluster leave` without the kill flag: suspends the node's listeners.
    Suspend(NodeName),
    /// `cluster leave -k -i 1 -t 30`.
    Leave(NodeName),
    /// `listener restart`, for a suspended listener.
    ListenerRestart(Listener),
    /// `listener start`, for a deleted one.
    ListenerStart(Listener),
    /// `session show --statename=online`. Never `is_online`, which lists queues in drain as well
    /// and has clients cut again on the node that they moved to
    /// (docs/broker/drain.md, "Queues in state drain").
    OnlineSessions {
        /// On this node only.
        node: NodeName,
        /// Rows at most; the broker's own default is 100.
        limit: usize,
    },
    /// `session disconnect client-id=…`. Without the mountpoint of a session it says `Done` and does nothing
    /// (`listeners_mountpoint_unix.txt`).
    Disconnect {
        /// Empty for the broker's own.
        mountpoint: String,
        /// Whom.
        client_id: String,
    },
    /// `session disconnect clients client-ids=…`. Never `batch`, which counts offline queues too
    /// (docs/broker/drain.md, "Batch").
    DisconnectClients {
        /// Of all of them; empty for the broker's own.
        mountpoint: String,
        /// Whom; none may hold a comma.
        client_ids: Vec<String>,
    },
}

/// A word of a command: `key=value` or `--flag[=value]`.
enum Argument {
    Key(&'static str, String),
    Flag(&'static str, Option<String>),
}

impl Command {
    fn words(&self) -> &'static [&'static str] {
        match self {
            Self::ClusterShow => &["cluster", "show"],
            Self::ListenerShow => &["listener", "show"],
            Self::SyncStatus => &["node", "swc_sync_status"],
            Self::Suspend(_) | Self::Leave(_) => &["cluster", "leave"],
            Self::ListenerRestart(_) => &["listener", "restart"],
            Self::ListenerStart(_) => &["listener", "start"],
            Self::OnlineSessions { .. } => &["session", "show"],
            Self::Disconnect { .. } => &["session", "disconnect"],
            Self::DisconnectClients { .. } => &["session", "disconnect", "clients"],
        }
    }

    fn arguments(&self) -> Vec<Argument> {
        use Argument::{Flag, Key};
        match self {
            Self::ClusterShow | Self::ListenerShow | Self::SyncStatus => Vec::new(),
            Self::Suspend(node) => vec![Key("node", node.0.clone())],
            // Long flags: HTTP knows no others (http_api.txt, leave_edge_cases.txt F6).
            Self::Leave(node) => vec![
                Key("node", node.0.clone()),
                Flag("kill_sessions", None),
                Flag("summary-interval", Some("1".into())),
                Flag("timeout", Some("30".into())),
            ],
            Self::ListenerRestart(listener) | Self::ListenerStart(listener) => {
                // A Unix socket is shown by its path, and taken with this word before it.
                let local = if listener.address.starts_with('/') { "local:" } else { "" };
                let address = format!("{local}{}", listener.address);
                vec![Key("address", address), Key("port", listener.port.to_string())]
            }
            Self::OnlineSessions { node, limit } => vec![
                Flag("client_id", None),
                Flag("mountpoint", None),
                Flag("statename", Some("online".into())),
                Flag("node", Some(node.0.clone())),
                Flag("limit", Some(limit.to_string())),
            ],
            Self::Disconnect { mountpoint, client_id } => {
                within(mountpoint, Key("client-id", client_id.clone()))
            }
            Self::DisconnectClients { mountpoint, client_ids } => {
                within(mountpoint, Key("client-ids", client_ids.join(",")))
            }
        }
    }

    /// The answer is a table, which `vmq-admin` prints as JSON only when it is told to.
    fn is_question(&self) -> bool {
        matches!(
            self,
            Self::ClusterShow | Self::ListenerShow | Self::SyncStatus | Self::OnlineSessions { .. }
        )
    }

    /// Path and query of the management API.
    pub fn path(&self) -> String {
        let arguments = self.arguments();
        let query: Vec<_> = arguments
            .iter()
            .map(|argument| match argument {
                Argument::Key(key, value) => format!("{key}={}", quoted(value)),
                Argument::Flag(flag, None) => format!("--{flag}"),
                Argument::Flag(flag, Some(value)) => format!("--{flag}={}", quoted(value)),
            })
            .collect();
        let separator = if query.is_empty() { "" } else { "?" };
        format!("/api/v1/{}{separator}{}", self.words().join("/"), query.join("&"))
    }

    /// Arguments of a process.
    pub fn argv(&self) -> Vec<String> {
        let mut argv = vec!["vmq-admin".to_owned()];
        argv.extend(self.words().iter().map(|&word| word.to_owned()));
        argv.extend(self.arguments().into_iter().map(|argument| match argument {
            Argument::Key(key, value) => format!("{key}={value}"),
            Argument::Flag(flag, None) => format!("--{flag}"),
            Argument::Flag(flag, Some(value)) => format!("--{flag}={value}"),
        }));
        if self.is_question() {
            argv.push("--format=json".into());
        }
        argv
    }
}

/// Of the broker's own mountpoint without a word of it.
fn within(mountpoint: &str, whom: Argument) -> Vec<Argument> {
    let named = (!mountpoint.is_empty()).then(|| Argument::Flag("mountpoint", Some(mountpoint.to_owned())));
    std::iter::once(whom).chain(named).collect()
}

/// Quoted for a query, except what node names and lists are made of: those are
/// sent as they were recorded (`VerneMQ3@127.0.0.13`, `a,b`).
fn quoted(value: &str) -> String {
    byte_serialize(value.as_bytes()).collect::<String>().replace("%40", "@").replace("%2C", ",")
}

/// The way to one broker's command layer.
#[derive(Clone)]
pub enum AdminClient {
    /// HTTP. Dropping a call closes its connection, which revokes a leave that has not begun.
    Http(Box<Endpoint>),
    /// `vmq-admin` in the pod. Dropping a call stops nothing.
    Exec(Box<ExecTransport>),
}

/// Where `vmq-admin` is run.
#[derive(Clone)]
pub struct ExecTransport {
    /// Pods of the namespace.
    pub pods: Api<Pod>,
    /// The pod that is asked.
    pub pod: String,
    /// The broker's container.
    pub container: String,
}

impl AdminClient {
    /// Asks one command.
    pub async fn ask(&self, command: &Command, limit: Duration) -> Result<Reply, Unusable> {
        match self {
            Self::Http(endpoint) => reply::reply(&http::get(endpoint, &command.path(), limit).await?),
            Self::Exec(client) => {
                let ExecTransport { pods, pod, container } = client.as_ref();
                let output = exec::run(pods, pod, container, &command.argv(), limit).await;
                admin_reply(&output.map_err(admin_failure)?)
            }
        }
    }
}

fn admin_failure(failure: Failure) -> Unusable {
    match failure {
        Failure::Unknown { why, .. } => Unusable::Wire(http::Broken::Cut(why)),
        refused => Unusable::Wire(http::Broken::Unreachable(refused.to_string())),
    }
}

fn admin_reply(output: &exec::Output) -> Result<Reply, Unusable> {
    let stdout = reply::plain(&output.stdout);
    match output.code {
        None => {
            let why = output.why.as_deref().unwrap_or("it does not say how the command ended");
            Err(Unusable::Wire(http::Broken::Cut(format!("exec: {why}"))))
        }
        Some(0) => {
            let text = stdout.trim();
            match text.chars().next() {
                None => Err(Unusable::Empty(0)),
                Some('{') if text.contains("\"type\"") => reply::reply_of_json(text.as_bytes()),
                Some('+') => reply::table_of_text(text),
                Some(_) => Ok(Reply::Text(reply::last_line(text).unwrap_or_default())),
            }
        }
        Some(code) => {
            let last = reply::last_line(&output.stderr).or_else(|| reply::last_line(&stdout));
            Err(Unusable::Admin(format!("exit {code}: {}", last.unwrap_or_default())))
        }
    }
}

/// What an answer means for a command that changes something. Only what
/// certainly never began is `Refused`.
pub fn call(answer: Result<Reply, Unusable>) -> Call {
    match answer {
        Ok(Reply::Text(text)) => Call::Answered(text),
        Ok(Reply::Alert(text)) => Call::Refused(format!("not understood: {text}")),
        Ok(Reply::Table(_)) => Call::Unknown("a table instead of a text".into()),
        Err(Unusable::Wire(broken)) if broken.never_sent() => Call::Refused(broken.to_string()),
        Err(Unusable::Admin(why)) if admin_refused(&why) => Call::Refused(why),
        Err(
            refused @ (Unusable::Unauthorized
            | Unusable::NotUnderstood
            | Unusable::Html(_)
            | Unusable::Status(_)),
        ) => Call::Refused(refused.to_string()),
        Err(unknown) => Call::Unknown(unknown.to_string()),
    }
}

/// Exit 1 that says itself that nothing was asked: the node does not answer,
/// or the arguments were refused (`leave_full_semantics.txt`, docs/broker/http-api.md, "vmq-admin").
/// `RPC to … failed: timeout` is not among them: that leave may still fire.
fn admin_refused(why: &str) -> bool {
    ["not responding to pings", "Invalid key", "Invalid value", "Usage"]
        .iter()
        .any(|words| why.contains(words))
}

#[cfg(test)]
mod tests;
