//! `pods/exec` over a WebSocket: one byte of channel, then the data. What the real API server sends is
//! compared in `tests/support/exec_frames.rs`.

use std::sync::Arc;

use axum::{
    extract::{
        FromRequestParts,
        ws::{Message, WebSocket, WebSocketUpgrade},
    },
    response::Response,
};
use bytes::Bytes;
use futures::{SinkExt, StreamExt, stream::SplitStream};
use http::request::Parts;
use serde_json::{Value, json};

use super::{
    Shared,
    containers::ExecOutput,
    faults::Fault,
    object::{list, text},
    refusal::Refusal,
    request::{Query, Route},
};

const STDOUT: u8 = 1;
const STDERR: u8 = 2;
const STATUS: u8 = 3;

/// Bytes of one message, as the kubelet's copy buffer.
const CHUNK_BYTES: usize = 32 * 1024;

/// What the client asked for.
pub(super) struct Exec {
    pod: String,
    argv: Vec<String>,
    stdout: bool,
    stderr: bool,
    /// The container that does not run. The API server is told so by the kubelet, which it asks after the upgrade.
    gone: Option<String>,
}

impl Exec {
    /// Reads the query and looks at the pod: 404 and 400 come before the upgrade.
    pub(super) fn read(shared: &Shared, route: &Route, query: &Query) -> Result<Self, Refusal> {
        let pod = shared
            .store()
            .get(&route.key())
            .ok_or_else(|| Refusal::not_found(route.resource, &route.name))?;
        if text(&pod, "/spec/nodeName").is_empty() {
            let why = format!("pod {} does not have a host assigned", route.name);
            return Err(Refusal::bad_request(why));
        }
        let argv = query.all("command");
        if argv.is_empty() {
            return Err(Refusal::bad_request("you must specify at least 1 command for the container"));
        }
        let names: Vec<&str> = list(&pod, "/spec/containers").iter().map(|c| text(c, "/name")).collect();
        let asked = query.get("container");
        if !asked.is_empty() && !names.contains(&asked) {
            let why = format!("container {asked} is not valid for pod {}", route.name);
            return Err(Refusal::bad_request(why));
        }
        let gone = (!running(&pod)).then(|| names.first().unwrap_or(&"").to_string());
        let (stdout, stderr) = (query.flag("stdout"), query.flag("stderr"));
        Ok(Self { pod: route.name.clone(), argv, stdout, stderr, gone })
    }

    /// The command, for the record.
    pub(super) fn argv(query: &Query) -> Value {
        json!(query.all("command"))
    }

    /// Upgrades the connection and runs the command.
    pub(super) async fn upgrade(
        self,
        shared: Arc<Shared>,
        parts: &mut Parts,
        fault: Option<Fault>,
    ) -> Result<Response, Refusal> {
        let upgrade = WebSocketUpgrade::from_request_parts(parts, &())
            .await
            .map_err(|_| Refusal::bad_request("Upgrade request required"))?;
        let upgrade = upgrade.protocols(["v5.channel.k8s.io", "v4.channel.k8s.io"]);
        Ok(upgrade.on_upgrade(move |socket| self.run(shared, socket, fault)))
    }

    async fn run(self, shared: Arc<Shared>, socket: WebSocket, fault: Option<Fault>) {
        let (mut sender, mut receiver) = socket.split();
        // An empty message on the lowest stream says that it is open.
        let first = match (self.stdout, self.stderr) {
            (true, _) => STDOUT,
            (false, true) => STDERR,
            (false, false) => STATUS,
        };
        if sender.send(message(first, &[])).await.is_err() {
            return;
        }
        if let Some(name) = &self.gone {
            let why = format!("unable to upgrade connection: container not found (\"{name}\")");
            let mut status = Refusal::internal(&why).status();
            // In a stream it is an object without a kind.
            if let Some(fields) = status.as_object_mut() {
                fields.retain(|key, _| key != "kind" && key != "apiVersion");
            }
            let _ = sender.send(message(STATUS, status.to_string().as_bytes())).await;
            let _ = sender.send(Message::Close(None)).await;
            return;
        }
        let output = tokio::select! {
            output = shared.containers.exec(&self.pod, self.argv.clone()) => output,
            () = hung_up(&mut receiver) => return,
        };
        match fault {
            Some(Fault::Cut { applied: true }) => return,
            Some(Fault::Hang { applied: true }) => return hung_up(&mut receiver).await,
            _ => {}
        }
        let mut messages = Vec::new();
        for (channel, wanted, text) in
            [(STDOUT, self.stdout, &output.stdout), (STDERR, self.stderr, &output.stderr)]
        {
            let chunks = text.as_bytes().chunks(CHUNK_BYTES).filter(|_| wanted);
            messages.extend(chunks.map(|chunk| message(channel, chunk)));
        }
        messages.push(message(STATUS, status(&output).to_string().as_bytes()));
        messages.push(Message::Close(None));
        for message in messages {
            if sender.send(message).await.is_err() {
                return;
            }
        }
    }
}

fn running(pod: &Value) -> bool {
    list(pod, "/status/containerStatuses").iter().any(|c| c.pointer("/state/running").is_some())
}

fn message(channel: u8, data: &[u8]) -> Message {
    let mut bytes = Vec::with_capacity(data.len() + 1);
    bytes.push(channel);
    bytes.extend_from_slice(data);
    Message::Binary(Bytes::from(bytes))
}

/// Waits for the client to go. Its input is read and dropped; the v5 close
/// signal (channel 255) of its stdin ends nothing.
async fn hung_up(receiver: &mut SplitStream<WebSocket>) {
    while let Some(Ok(message)) = receiver.next().await {
        if matches!(message, Message::Close(_)) {
            return;
        }
    }
}

/// The last message: how the command ended.
fn status(output: &ExecOutput) -> Value {
    if output.code == 0 {
        return json!({"metadata": {}, "status": "Success"});
    }
    let why = format!("command terminated with exit code {}", output.code);
    json!({
        "metadata": {}, "status": "Failure", "reason": "NonZeroExitCode",
        "message": format!("command terminated with non-zero exit code: {why}"),
        "details": {"causes": [{"reason": "ExitCode", "message": output.code.to_string()}]},
    })
}
