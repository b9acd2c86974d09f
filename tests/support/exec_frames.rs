//! What an API server sends to the client of an exec, message by message. The same table holds for the real one
//! (`tests/cluster`) and for the simulator (`simulator/tests/kubeapi`).

use futures::StreamExt as _;
use kube::Client;
use kube::api::AttachParams;
use kube::core::Request;
use serde_json::{Value, json};
use simulator::kubernetes::ExecOutput;

/// One message; those of one stream that follow one another are one, for where they are cut is chance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Frame {
    /// A stream is there, and nothing has been said on it.
    Open(u8),
    /// Bytes of standard output (1) or error (2).
    Data(u8, String),
    /// How it ended.
    Status(Value),
    /// The server closes.
    Close,
}

/// Runs a command; all that the server sends.
pub(crate) async fn frames(client: &Client, namespace: &str, pod: &str, argv: &[&str]) -> Vec<Frame> {
    let params = AttachParams::default().container("vernemq");
    let path = format!("/api/v1/namespaces/{namespace}/pods");
    let request = Request::new(path).exec(pod, argv.iter().copied(), &params).expect("a request");
    let connection = client.connect(request).await.expect("it is upgraded");
    assert!(connection.supports_stream_close(), "v5.channel.k8s.io was not taken");
    let mut stream = connection.into_stream();
    let mut frames = Vec::new();
    while let Some(message) = stream.next().await {
        let message = message.expect("it is not cut");
        if message.is_close() {
            frames.push(Frame::Close);
            break;
        }
        let bytes = message.into_data();
        let (channel, data) = bytes.split_first().expect("a channel");
        let text = String::from_utf8(data.to_vec()).expect("text");
        match (channel, frames.last_mut()) {
            (3, _) => frames.push(Frame::Status(serde_json::from_str(&text).expect("JSON"))),
            (_, _) if text.is_empty() => frames.push(Frame::Open(*channel)),
            (channel, Some(Frame::Data(last, said))) if last == channel => *said += &text,
            (channel, _) => frames.push(Frame::Data(*channel, text)),
        }
    }
    frames
}

/// What a command says and how it ends, and all that is sent for it.
pub(crate) fn table() -> [(ExecOutput, Vec<Frame>); 4] {
    let success = || Frame::Status(json!({ "metadata": {}, "status": "Success" }));
    let failure = |code: i32| {
        let said = format!("command terminated with exit code {code}");
        Frame::Status(json!({
            "metadata": {}, "status": "Failure", "reason": "NonZeroExitCode",
            "message": format!("command terminated with non-zero exit code: {said}"),
            "details": { "causes": [{ "reason": "ExitCode", "message": code.to_string() }] },
        }))
    };
    let says = |stdout: &str, stderr: &str, code| ExecOutput {
        stdout: stdout.to_owned(),
        stderr: stderr.to_owned(),
        code,
    };
    let much = "x".repeat(100_000);
    [
        (says("", "", 0), vec![Frame::Open(1), success(), Frame::Close]),
        (
            says("Done\n", "", 0),
            vec![Frame::Open(1), Frame::Data(1, "Done\n".into()), success(), Frame::Close],
        ),
        (says(&much, "", 0), vec![Frame::Open(1), Frame::Data(1, much.clone()), success(), Frame::Close]),
        (says("", "no", 7), vec![Frame::Open(1), Frame::Data(2, "no".into()), failure(7), Frame::Close]),
    ]
}

/// The container does not run: that comes after the upgrade, for the server learns it from the kubelet.
pub(crate) fn no_container() -> Vec<Frame> {
    let why = "unable to upgrade connection: container not found (\"vernemq\")";
    let status = json!({
        "metadata": {}, "status": "Failure", "reason": "InternalError", "code": 500,
        "message": format!("Internal error occurred: {why}"), "details": { "causes": [{ "message": why }] },
    });
    vec![Frame::Open(1), Frame::Status(status), Frame::Close]
}
