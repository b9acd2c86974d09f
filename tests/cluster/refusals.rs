//! A controller that cannot work says why, where and what to do, and ends.

use std::path::Path;

use crate::control_plane::{CONTROLLER, ControlPlane};
use crate::process::controller;

/// Runs one to its end; the one line that is for people.
async fn refusal(kubeconfig: &Path) -> String {
    let mut command = controller(kubeconfig);
    command.args(["--listen", "127.0.0.1:0", "--namespace", "mqtt"]);
    let output = command.output().await.expect("the binary starts");
    let said = String::from_utf8(output.stderr).expect("text");
    assert_eq!(output.status.code(), Some(1), "{said}");
    let lines: Vec<_> = said.lines().filter(|line| !line.starts_with('{')).collect();
    assert!(matches!(lines[..], [line] if line.starts_with("error: ")), "one line beside the log: {said}");
    lines.concat()
}

fn says(said: &str, words: &[&str]) {
    for word in words {
        assert!(said.contains(word), "`{word}` is not in: {said}");
    }
}

#[tokio::test]
async fn no_kubeconfig() {
    let said = refusal(Path::new("/nowhere/kubeconfig")).await;
    says(&said, &["/nowhere/kubeconfig", "No such file", "give --kubeconfig FILE"]);
}

#[tokio::test]
async fn a_kubeconfig_that_is_none() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("kubeconfig");
    std::fs::write(&file, "{{{").expect("a file");
    says(&refusal(&file).await, &["can be used", "YAML", "give --kubeconfig FILE"]);
}

#[tokio::test]
async fn nobody_there() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("kubeconfig");
    let text = serde_json::json!({
        "current-context": "a",
        "clusters": [{ "name": "a", "cluster": { "server": "http://127.0.0.1:1" } }],
        "users": [{ "name": "a", "user": {} }],
        "contexts": [{ "name": "a", "context": { "cluster": "a", "user": "a" } }],
    });
    std::fs::write(&file, text.to_string()).expect("a file");
    let said = refusal(&file).await;
    says(&said, &["http://127.0.0.1:1", "onnection refused", "correct the kubeconfig"]);
}

/// A real API server that has been given neither the chart nor our kind.
#[tokio::test]
async fn no_credentials_no_rights_no_definition() {
    let Some(plane) = ControlPlane::start().await else { return };
    let said = refusal(&plane.kubeconfig("nobody's")).await;
    says(&said, &["namespace mqtt of https://", "credentials are not accepted", "renew the token"]);
    let said = refusal(&plane.kubeconfig(&plane.token("mqtt", CONTROLLER).await)).await;
    says(&said, &["vernescale-controller", "vernemqautoscalers", "this right", "--namespace NAME"]);
    let said = refusal(&plane.admin_kubeconfig()).await;
    says(&said, &["vernescale crd | kubectl apply -f -"]);
}
