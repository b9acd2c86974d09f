//! `pods/exec` by `kube::Api::exec`.

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api,
    api::{AttachParams, AttachedProcess},
};
use simulator::kubernetes::{ExecOutput, Fault, Rule, Storage, Verb};
use tokio::{io::AsyncReadExt, time::timeout};

use super::{
    Cluster,
    exec_frames::{frames, no_container, table},
    refused, soon,
};

async fn open(cluster: &Cluster, pod: &str, argv: &[&str]) -> kube::Result<AttachedProcess> {
    let api: Api<Pod> = Api::namespaced(cluster.kubernetes.client(), "mqtt");
    soon(api.exec(pod, argv.iter().copied(), &AttachParams::default().container("vernemq"))).await
}

/// Standard output, standard error, and the exit code where there was a status.
/// Without a status the client's pipes never end: what they hold is left there.
async fn finish(mut process: AttachedProcess) -> (String, String, Option<i32>) {
    let (mut stdout, mut stderr) = (process.stdout().unwrap(), process.stderr().unwrap());
    let status = process.take_status().unwrap();
    let (mut out, mut err) = (String::new(), String::new());
    let drained =
        async { tokio::try_join!(stdout.read_to_string(&mut out), stderr.read_to_string(&mut err)) };
    let mut drained = Box::pin(drained);
    let status = async {
        tokio::pin!(status);
        tokio::select! {
            biased;
            status = &mut status => {
                if status.is_some() {
                    drained.await.unwrap();
                }
                status
            }
            _ = &mut drained => status.await,
        }
    };
    let status = soon(status).await;
    let code = status.map(|status| {
        if status.status.as_deref() == Some("Success") {
            return 0;
        }
        assert_eq!(status.reason.as_deref(), Some("NonZeroExitCode"));
        let causes = status.details.unwrap().causes.unwrap();
        assert_eq!(causes[0].reason.as_deref(), Some("ExitCode"));
        causes[0].message.clone().unwrap().parse().unwrap()
    });
    (out, err, code)
}

#[tokio::test(start_paused = true)]
async fn output_and_exit_code_come_back() {
    let cluster = Cluster::of(1, Storage::EmptyDir).await;
    let process = open(&cluster, "vmq-0", &["echo", "--flag", "node=a b&c"]).await.unwrap();
    assert_eq!(finish(process).await, ("--flag node=a b&c".to_owned(), String::new(), Some(0)));
    let process = open(&cluster, "vmq-0", &["complain", "no"]).await.unwrap();
    assert_eq!(finish(process).await, (String::new(), "no".to_owned(), Some(7)));
    let process = open(&cluster, "vmq-0", &["flood", "100000"]).await.unwrap();
    assert_eq!(finish(process).await.0.len(), 100_000);
    let log = cluster.kubernetes.log();
    assert_eq!((log[0].verb, log[0].resource.as_str()), (Verb::Exec, "pods/exec"));
    assert_eq!(log[0].body, serde_json::json!(["echo", "--flag", "node=a b&c"]));
}

/// The words of the runtime under the simulator that end like this.
fn argv(output: &ExecOutput) -> Vec<String> {
    let words = match output {
        ExecOutput { code: 7, stderr, .. } => ["complain".to_owned(), stderr.clone()],
        ExecOutput { stdout, .. } if stdout.starts_with('x') => {
            ["flood".to_owned(), stdout.len().to_string()]
        }
        ExecOutput { stdout, .. } => ["echo".to_owned(), stdout.clone()],
    };
    words.to_vec()
}

#[tokio::test(start_paused = true)]
async fn every_message_is_as_the_real_one_sends_it() {
    let cluster = Cluster::of(1, Storage::EmptyDir).await;
    let client = cluster.kubernetes.client();
    for (output, expected) in table() {
        let argv = argv(&output);
        let argv: Vec<_> = argv.iter().map(String::as_str).collect();
        assert_eq!(soon(frames(&client, "mqtt", "vmq-0", &argv)).await, expected);
    }
    end_twice(&cluster).await;
    assert_eq!(soon(frames(&client, "mqtt", "vmq-0", &["echo"])).await, no_container());
}

/// The kubelet backs off before it runs the container the second time.
async fn end_twice(cluster: &Cluster) {
    for _ in 0..2 {
        cluster.fake.end("vmq-0", 1);
        tokio::time::sleep(Duration::from_secs(3)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_is_not_there_is_refused() {
    let cluster = Cluster::of(1, Storage::EmptyDir).await;
    let gone = open(&cluster, "vmq-9", &["echo"]).await;
    assert_eq!(refused(gone.map(drop)), (404, "NotFound".to_owned()));
    let api: Api<Pod> = Api::namespaced(cluster.kubernetes.client(), "mqtt");
    let other = api.exec("vmq-0", ["echo"], &AttachParams::default().container("other")).await;
    assert_eq!(refused(other.map(drop)), (400, "BadRequest".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_lost_connection_leaves_the_outcome_unknown() {
    let cluster = Cluster::of(1, Storage::EmptyDir).await;
    let faults = cluster.kubernetes.faults();
    let rule = faults.add(Rule::new(Fault::Cut { applied: true }).resource("pods/exec"));
    let process = open(&cluster, "vmq-0", &["echo", "done"]).await.unwrap();
    assert_eq!(finish(process).await, (String::new(), String::new(), None));
    assert_eq!(cluster.fake.log("exec"), ["exec vmq-0 echo done"]);
    faults.remove(rule);

    faults.add(Rule::new(Fault::Cut { applied: false }).resource("pods/exec").times(1));
    assert!(open(&cluster, "vmq-0", &["echo", "never"]).await.is_err());
    assert_eq!(cluster.fake.log("exec").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_command_that_never_ends_says_nothing() {
    let cluster = Cluster::of(1, Storage::EmptyDir).await;
    let mut process = open(&cluster, "vmq-0", &["hang"]).await.unwrap();
    let status = process.take_status().unwrap();
    assert!(timeout(Duration::from_mins(5), status).await.is_err());
}
