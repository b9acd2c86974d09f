//! A command in a pod, through `pods/exec`.

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Status;
use kube::api::{Api, AttachParams};
use tokio::io::{AsyncRead, AsyncReadExt};

use super::deadline::{Failure, within};

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
}

/// Runs `argv` in a container, within `limit` from the request to the last byte. Dropping the
/// future drops the connection, which does **not** stop the command.
pub async fn run(
    pods: &Api<Pod>,
    pod: &str,
    container: &str,
    argv: &[String],
    limit: Duration,
) -> Result<Output, Failure> {
    let params = AttachParams::default().container(container).stdin(false).stdout(true).stderr(true);
    let whole = async {
        let mut process = pods.exec(pod, argv, &params).await?;
        let status = process.take_status();
        let (stdout, stderr) = (process.stdout(), process.stderr());
        // The pipes hold 1 KiB: unless both are emptied while the status is
        // awaited, the connection stops and the status never comes.
        let status = async {
            match status {
                Some(status) => status.await,
                None => None,
            }
        };
        let (stdout, stderr, status) = tokio::join!(read(stdout), read(stderr), status);
        Ok(Output { stdout, stderr, code: status.as_ref().and_then(exit_code) })
    };
    within("exec", limit, whole).await
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
