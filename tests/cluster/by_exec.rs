//! Leaves through `pods/exec`: the controller, the real API server, kubelet's own streams.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::authorization::v1::SelfSubjectAccessReview;
use k8s_openapi::api::core::v1::Pod;
use kube::Client;
use kube::api::{Api, PostParams};
use serde_json::json;
use simulator::kubernetes::ExecOutput;
use vernescale::kubernetes::call::Failure;
use vernescale::kubernetes::exec::{self, Output};

use crate::apply::apply;
use crate::cluster::{Cluster, DEADLINE, Setup};
use crate::control_plane::{CONTROLLER, ControlPlane};
use crate::exec_frames::{frames, no_container, table};
use crate::exec_kubelet::{CONTAINER, ExecKubelet, Instead};
use crate::given;
use crate::programs::skip;

const NAMESPACE: &str = "mqtt-exec";
const WHAT: &str = "leaves through pods/exec";
/// A deadline that passes in these tests.
const SHORT: Duration = Duration::from_secs(1);
/// One that does not.
const LONG: Duration = Duration::from_secs(30);

/// Up, and down again where the first leave is refused and a command is never answered.
pub(crate) async fn scenario(plane: &Arc<ControlPlane>) {
    let setup = Setup {
        namespace: NAMESPACE,
        spec: json!({ "leave": { "via": "Exec" } }),
        values: &["controller.allowExec=true"],
        ..Setup::default()
    };
    if !plane.has_parts() {
        return skip(WHAT, "kubelet's streams are built with Go");
    }
    let cluster = Cluster::on(plane, setup).await;
    let kubelet = ExecKubelet::start(&cluster).await;
    if let Some(why) = out_of_reach(&cluster).await {
        assert!(given::kubeconfig().is_some(), "our own API server does not reach it: {why}");
        return skip(WHAT, &why);
    }
    as_the_stand_in_has_it(&cluster, &kubelet).await;
    both_verbs_are_needed(&cluster).await;
    what_goes_wrong_is_told(&cluster, &kubelet).await;

    let controller = cluster.start_controller().await;
    cluster.wish(3).await;
    cluster.until("three nodes serve, each seen by all", |w| w.serving == 3 && w.agreed(3)).await;
    kubelet.instead("cluster leave", Instead::Hangs);
    let refusal = "Node 'VerneMQ@vmq-0' not responding to pings.\n".to_owned();
    kubelet.instead(
        "--kill_sessions",
        Instead::Says(ExecOutput { stderr: refusal, code: 1, ..ExecOutput::default() }),
    );
    cluster.wish(1).await;
    let cancelled = |notes: &Vec<String>| notes.iter().any(|note| note.contains("Cancelled LeaveRefused"));
    cluster.until_told("the leave that was refused is given up", || cluster.notes(), cancelled).await;
    assert!(cluster.seen().await.agreed(3), "nobody has left: {:?}", kubelet.asked());
    cluster.until("one node is left, alone", |w| w.replicas == 1 && w.pods == 1 && w.agreed(1)).await;
    controller.abort();
    let seen = cluster.seen().await;
    assert_eq!(seen.restarts, 0, "no container ran again on the data of a node that had left: {seen:?}");
    let asked = kubelet.asked();
    let leaves = asked.iter().filter(|line| line.contains("--kill_sessions")).count();
    assert_eq!(leaves, 3, "one was refused, two were done: {asked:#?}");
    let reopened = asked.iter().any(|line| line.starts_with("vmq-2: vmq-admin listener restart"));
    assert!(reopened, "the undo has opened the listeners again: {asked:#?}");
}

/// Why the API server cannot reach a kubelet of ours, where it is elsewhere.
async fn out_of_reach(cluster: &Cluster) -> Option<String> {
    match run(cluster.admin.clone(), &["true"], LONG).await {
        Ok(done) if done.code.is_some() => None,
        Ok(done) => Some(done.why.unwrap_or_default()),
        Err(failure) => Some(failure.to_string()),
    }
}

/// Every message that the real one sends is what the simulator sends, and in this order.
async fn as_the_stand_in_has_it(cluster: &Cluster, kubelet: &ExecKubelet) {
    for (output, expected) in table() {
        kubelet.instead("say", Instead::Says(output));
        assert_eq!(frames(&cluster.admin, NAMESPACE, "vmq-0", &["say", "--it=a b&c"]).await, expected);
    }
    assert_eq!(kubelet.asked().last().map(String::as_str), Some("vmq-0: say --it=a b&c"));
    kubelet.instead("vmq-0", Instead::IsGone);
    assert_eq!(frames(&cluster.admin, NAMESPACE, "vmq-0", &["say"]).await, no_container());
}

/// A WebSocket is opened by GET, and what it does is `create`: since 1.35 the API server wants both.
async fn both_verbs_are_needed(cluster: &Cluster) {
    for (account, verb) in [("nobody-1", "get"), ("nobody-2", "create")] {
        let token = cluster.plane.token(NAMESPACE, account).await;
        let rights = json!({ "apiGroups": [""], "resources": ["pods/exec"], "verbs": [verb] });
        let meta = json!({ "name": account, "namespace": NAMESPACE });
        let kind = "rbac.authorization.k8s.io/v1";
        let group = "rbac.authorization.k8s.io";
        let role = json!({ "apiVersion": kind, "kind": "Role", "metadata": meta, "rules": [rights] });
        let binding = json!({
            "apiVersion": kind, "kind": "RoleBinding", "metadata": meta,
            "roleRef": { "apiGroup": group, "kind": "Role", "name": account },
            "subjects": [{ "kind": "ServiceAccount", "name": account, "namespace": NAMESPACE }],
        });
        apply(&cluster.admin, &role).await;
        apply(&cluster.admin, &binding).await;
        let client = cluster.plane.client(&token).await;
        cluster.until_told("it has its right", || allowed(&client, verb), |allowed| *allowed).await;
        let refused = run(client, &["vmq-admin"], LONG).await;
        assert!(matches!(refused, Err(Failure::Forbidden { .. })), "with `{verb}` alone: {refused:?}");
    }
    let token = cluster.plane.token(NAMESPACE, CONTROLLER).await;
    let client = cluster.plane.client(&token).await;
    cluster.until_told("the chart gives both", || allowed(&client, "create"), |allowed| *allowed).await;
    let done = run(client, &["nonsense"], LONG).await.expect("the chart's rights will do");
    assert_eq!((done.code, done.stderr.as_str()), (Some(127), "nonsense: not found\n"));
}

async fn allowed(client: &Client, verb: &str) -> bool {
    let question = serde_json::from_value(json!({ "spec": { "resourceAttributes": {
        "namespace": NAMESPACE, "verb": verb, "resource": "pods", "subresource": "exec",
    }}}));
    let reviews: Api<SelfSubjectAccessReview> = Api::all(client.clone());
    let answer = reviews.create(&PostParams::default(), &question.expect("a review")).await;
    answer.ok().and_then(|answer| answer.status).is_some_and(|status| status.allowed)
}

async fn run(client: Client, argv: &[&str], limit: Duration) -> Result<Output, Failure> {
    let argv: Vec<_> = argv.iter().map(ToString::to_string).collect();
    let pods = Api::<Pod>::namespaced(client, NAMESPACE);
    let ended = tokio::time::timeout(DEADLINE, exec::run(&pods, "vmq-0", CONTAINER, &argv, limit)).await;
    ended.expect("every call has its deadline")
}

/// Whatever lies between us and the command has its deadline and its words.
async fn what_goes_wrong_is_told(cluster: &Cluster, kubelet: &ExecKubelet) {
    let asked = |limit| run(cluster.admin.clone(), &["vmq-admin", "cluster", "show"], limit);
    let shown = asked(LONG).await.expect("the node answers");
    assert_eq!(shown.code, Some(0));
    assert!(shown.stdout.contains("VerneMQ@vmq-0"), "{shown:?}");

    kubelet.instead("cluster show", Instead::Hangs);
    let hangs = asked(SHORT).await.expect_err("it never ends").to_string();
    assert!(hangs.contains("`vmq-admin cluster show` has not ended within 1s"), "{hangs}");

    kubelet.freeze();
    let frozen = asked(SHORT).await;
    kubelet.thaw();
    let frozen = frozen.expect_err("kubelet does not answer").to_string();
    assert!(frozen.contains("has not ended within 1s"), "{frozen}");

    kubelet.is_away().await;
    let away = asked(LONG).await.expect("the API server answers for it");
    assert_eq!(away.code, None, "{away:?}");
    let why = away.why.unwrap_or_default();
    assert!(why.contains("connection refused"), "{why}");
    kubelet.is_back().await;

    // What is refused before the upgrade certainly never began.
    let pods = Api::<Pod>::namespaced(cluster.admin.clone(), NAMESPACE);
    let other = exec::run(&pods, "vmq-0", "other", &["true".to_owned()], LONG).await;
    let why = "container other is not valid for pod vmq-0".to_owned();
    assert_eq!(other, Err(Failure::Refused { call: "open exec", code: 400, why }));
    let nobody = exec::run(&pods, "vmq-9", CONTAINER, &["true".to_owned()], LONG).await;
    assert!(matches!(nobody, Err(Failure::NotFound { .. })), "{nobody:?}");

    kubelet.instead("vmq-0", Instead::IsGone);
    let gone = asked(LONG).await.expect("the API server answers for it");
    let why = gone.why.unwrap_or_default();
    assert!(gone.code.is_none() && why.contains("container not found"), "{why}");
}
