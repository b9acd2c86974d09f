//! A command in a pod, through `pods/exec`.

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Status;
use kube::api::{Api, AttachParams, AttachedProcess};
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::kubernetes::call::{Failure, within};

/// Most that is kept of one stream; the widest list of sessions has 1.7 MB (`api_cost_5000.txt`).
const OUTPUT_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// What a command has said. No status means that the connection ended before
/// the command did, as far as we know: it may still be running.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Output {
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
    /// Exit code; none where the server never said it.
    pub code: Option<i32>,
    /// What it said instead: that kubelet is not reached, that the container does not run.
    pub why: Option<String>,
}

/// Runs `argv` in a container, from the first packet to the last within `limit`. Dropping the
/// future drops the connection, which does **not** stop the command.
pub async fn run(
    pods: &Api<Pod>,
    pod: &str,
    container: &str,
    argv: &[String],
    limit: Duration,
) -> Result<Output, Failure> {
    let whole = async {
        let params = AttachParams::default().container(container).stdin(false).stdout(true).stderr(true);
        let process = within("open exec", limit, pods.exec(pod, argv, &params)).await?;
        Ok(finish(process).await)
    };
    tokio::time::timeout(limit, whole).await.unwrap_or_else(|_| {
        Err(Failure::Unknown {
            call: "exec",
            why: format!("`{}` has not ended within {limit:?}", argv.join(" ")),
        })
    })
}

async fn finish(mut process: AttachedProcess) -> Output {
    let status = process.take_status();
    let (stdout, stderr) = (process.stdout(), process.stderr());
    let status = async {
        match status {
            Some(status) => status.await,
            None => None,
        }
    };
    // The pipes hold 1 KiB: unless both are emptied while the status is
    // awaited, the connection stops and the status never comes.
    let read = async { tokio::join!(read(stdout), read(stderr)) };
    tokio::pin!(status, read);
    let (status, (stdout, stderr)) = tokio::select! {
        biased;
        status = &mut status => match status {
            Some(status) => (Some(status), read.await),
            // The connection was cut: the client ends without closing its pipes.
            None => return Output::default(),
        },
        texts = &mut read => (status.await, texts),
    };
    let code = status.as_ref().and_then(exit_code);
    let why = status.filter(|_| code.is_none()).and_then(|status| status.message);
    Output { stdout, stderr, code, why }
}

async fn read(stream: Option<impl AsyncRead + Unpin>) -> String {
    let mut bytes = Vec::new();
    if let Some(mut stream) = stream {
        // An error ends the text where it is; the missing status tells the rest.
        let _ = (&mut stream).take(OUTPUT_BYTES_MAX).read_to_end(&mut bytes).await;
        // What is beyond the limit is read and dropped, for the status' sake.
        let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// `v1.Status` of the status channel: `Success`, or `NonZeroExitCode` with a
/// cause `ExitCode`.
fn exit_code(status: &Status) -> Option<i32> {
    if status.status.as_deref() == Some("Success") {
        return Some(0);
    }
    let causes = status.details.as_ref()?.causes.as_deref()?;
    let code = causes.iter().find(|cause| cause.reason.as_deref() == Some("ExitCode"))?;
    code.message.as_deref()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_exit_code_is_in_the_status_or_unknown() {
        let read = |status| exit_code(&serde_json::from_value::<Status>(status).unwrap());
        assert_eq!(read(json!({ "status": "Success" })), Some(0));
        assert_eq!(
            read(json!({
                "status": "Failure", "reason": "NonZeroExitCode",
                "details": { "causes": [{ "reason": "ExitCode", "message": "7" }] },
            })),
            Some(7)
        );
        assert_eq!(read(json!({ "status": "Failure", "reason": "InternalError" })), None);
    }
}
