use rstest::rstest;
use serde_json::{Value, json};

use super::*;
use crate::kubernetes::ownership::OWNER;

fn objects(statefulset: &Value) -> Objects {
    let resource = json!({
        "apiVersion": "vernescale.dev/v1alpha1", "kind": "VerneMQAutoscaler",
        "metadata": { "name": "a", "namespace": "ns", "uid": "uid-a" },
        "spec": { "targetRef": { "name": "vmq" }, "maxReplicas": 5 },
    });
    let mut base = json!({
        "metadata": { "name": "vmq", "uid": "set" },
        "spec": {
            "selector": {}, "serviceName": "vmq-headless",
            "template": { "spec": { "containers": [{
                "name": "vernemq",
                "env": [{ "name": "DOCKER_VERNEMQ_ALLOW_REGISTER_DURING_NETSPLIT", "value": "on" }],
            }] } },
        },
    });
    json_patch::merge(&mut base, statefulset);
    Objects {
        resource: Some(serde_json::from_value(resource).unwrap()),
        unreadable: None,
        rivals: vec![("uid-b".into(), "b".into())],
        statefulset: Some(serde_json::from_value(base).unwrap()),
        pods: Vec::new(),
        claims: Vec::new(),
        slices: Vec::new(),
    }
}

fn reasons(found: &[Finding]) -> Vec<&'static str> {
    found.iter().map(|finding| finding.reason).collect()
}

#[test]
fn the_chart_as_it_should_be_gives_nothing() {
    assert_eq!(preflight(&objects(&json!({})), &Cached::default()), []);
}

#[rstest]
#[case(json!({ "podManagementPolicy": "Parallel" }), "PodManagementPolicy")]
#[case(json!({ "ordinals": { "start": 1 } }), "OrdinalsStart")]
#[case(json!({ "updateStrategy": { "type": "OnDelete" } }), "UpdateOnDelete")]
#[case(json!({ "updateStrategy": { "type": "RollingUpdate", "rollingUpdate": { "partition": 2 } } }), "UpdatePartition")]
fn what_breaks_the_order_blocks_every_change(#[case] spec: Value, #[case] reason: &str) {
    let found = preflight(&objects(&json!({ "spec": spec })), &Cached::default());
    assert_eq!(reasons(&found), [reason]);
    assert!(found[0].blocks && found[0].message.len() > 40, "{}", found[0].message);
}

#[test]
fn a_missing_or_taken_target_blocks() {
    let mut missing = objects(&json!({}));
    missing.statefulset = None;
    assert_eq!(reasons(&preflight(&missing, &Cached::default())), ["TargetMissing"]);
    let taken = objects(&json!({ "metadata": { "annotations": { OWNER: "uid-b" } } }));
    let found = preflight(&taken, &Cached::default());
    assert_eq!(reasons(&found), ["TargetTaken"]);
    assert!(found[0].message.contains("`b`"), "names the other one: {}", found[0].message);
}

fn with_container(container: &Value) -> Vec<Finding> {
    let spec = json!({ "spec": { "template": { "spec": { "containers": [container] } } } });
    preflight(&objects(&spec), &Cached::default())
}

#[test]
fn a_leave_hook_is_reported_and_ours_is_not() {
    let hook = |command: Value| {
        with_container(&json!({
            "name": "vernemq", "lifecycle": { "preStop": { "exec": { "command": command } } }
        }))
    };
    let seed = json!(["/bin/bash", "-c", "vmq-admin cluster leave node=VerneMQ@$HOSTNAME -k -i 1 -t 30"]);
    let found = hook(seed);
    assert_eq!(reasons(&found), ["PreStopLeaves"]);
    assert!(!found[0].blocks);
    assert_eq!(hook(json!(["sleep", "5"])), []);
    assert_eq!(hook(json!(["vernescale hook pre-stop # instead of cluster leave"])), []);
}

#[test]
fn netsplit_settings_are_judged_only_where_they_are_visible() {
    let env = |name: &str, value: &str| {
        with_container(&json!({ "name": "vernemq", "env": [{ "name": name, "value": value }] }))
    };
    assert_eq!(
        reasons(&env("DOCKER_VERNEMQ_ALLOW_REGISTER_DURING_NETSPLIT", "off")),
        ["RestartsRefuseClients"]
    );
    assert_eq!(reasons(&env("DOCKER_VERNEMQ_ACCEPT_EULA", "yes")), ["RestartsRefuseClients"]);
    assert_eq!(env("OTHER", "x"), []);
    // What a ConfigMap or a Secret says is not known, and nothing is said of it.
    let eula = json!({ "name": "DOCKER_VERNEMQ_ACCEPT_EULA", "value": "yes" });
    let from = json!([{ "configMapRef": { "name": "vernemq" } }]);
    assert_eq!(with_container(&json!({ "name": "vernemq", "env": [eula], "envFrom": from })), []);
    let key = json!({ "configMapKeyRef": { "name": "vernemq", "key": "netsplit" } });
    let one = json!({ "name": "DOCKER_VERNEMQ_ALLOW_REGISTER_DURING_NETSPLIT", "valueFrom": key });
    assert_eq!(with_container(&json!({ "name": "vernemq", "env": [eula, one] })), []);
    let off = json!({ "name": "DOCKER_VERNEMQ_ALLOW_REGISTER_DURING_NETSPLIT", "value": "off" });
    let both = with_container(&json!({ "name": "vernemq", "env": [off], "envFrom": from }));
    assert_eq!(reasons(&both), ["RestartsRefuseClients"], "the template's own goes before");
}

#[test]
fn an_autoscaler_on_the_statefulset_blocks_and_one_on_ours_does_not() {
    let cached = |kind: &str| Cached {
        autoscalers: Some(
            serde_json::from_value(json!([{
                "metadata": { "name": "hpa" },
                "spec": { "maxReplicas": 3, "scaleTargetRef": { "kind": kind, "name": "vmq" } },
            }]))
            .unwrap(),
        ),
        ..Cached::default()
    };
    let found = preflight(&objects(&json!({})), &cached("StatefulSet"));
    assert_eq!(reasons(&found), ["ForeignScaler"]);
    assert!(found[0].blocks);
    assert_eq!(preflight(&objects(&json!({})), &cached("VerneMQAutoscaler")), []);
}

#[test]
fn a_missing_service_and_key_are_told() {
    let cached = Cached {
        governing_service: Some(false),
        key: Some(Err("key `api-key` of Secret ns/k: the Secret does not exist".into())),
        ..Cached::default()
    };
    let found = preflight(&objects(&json!({})), &cached);
    assert_eq!(reasons(&found), ["HeadlessServiceMissing", "ManagementKeyMissing"]);
    assert!(found.iter().all(|finding| !finding.blocks));
}

#[rstest]
#[case(ClientService::Missing, &[("ClientServiceMissing", true)])]
#[case(ClientService::SelectsAll, &[("ClientServiceSelectsAll", false)])]
#[case(ClientService::Fences, &[])]
fn a_client_service_that_cannot_fence_is_told(
    #[case] service: ClientService,
    #[case] told: &[(&'static str, bool)],
) {
    let cached = Cached { client_service: Some(service), ..Cached::default() };
    let found = preflight(&objects(&json!({})), &cached);
    let found: Vec<_> = found.iter().map(|finding| (finding.reason, finding.blocks)).collect();
    assert_eq!(found, told);
}

#[test]
fn a_secret_that_cannot_be_read_is_told_with_its_field() {
    let cached = Cached {
        key: Some(Err("key `a` of Secret ns/b: the Secret does not exist".into())),
        authorities: Some(Err("c".into())),
        login: Some(Err("d".into())),
        ..Cached::default()
    };
    let found = preflight(&objects(&json!({})), &cached);
    assert_eq!(reasons(&found), ["ManagementKeyMissing", "ManagementCaMissing", "RoutingProbeLoginMissing"]);
    let fields = ["spec.management.secretRef", "spec.management.caSecretRef", "spec.routingProbeSecretRef"];
    for (finding, field) in found.iter().zip(fields) {
        assert!(finding.message.ends_with(&format!("correct {field}")) && !finding.blocks, "{finding:?}");
    }
}
