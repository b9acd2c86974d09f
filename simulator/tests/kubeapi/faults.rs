//! Every fault, as a client meets it.

use std::time::Duration;

use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::{
    Api,
    api::{ListParams, Patch, PatchParams, PostParams},
};
use serde_json::json;
use simulator::kubernetes::{Fault, Rule, Storage, Verb};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::{sleep, timeout},
};

use super::{Cluster, refused};

fn map(name: &str) -> ConfigMap {
    serde_json::from_value(json!({"metadata": {"name": name}})).unwrap()
}

async fn maps() -> (Cluster, Api<ConfigMap>) {
    let cluster = Cluster::of(1, Storage::EmptyDir).await;
    let api = Api::namespaced(cluster.kubernetes.client(), "mqtt");
    (cluster, api)
}

#[tokio::test(start_paused = true)]
async fn answers_are_refused_so_often_and_nothing_is_applied() {
    let (cluster, api) = maps().await;
    let faults = cluster.kubernetes.faults();
    for (fault, code) in [
        (Fault::Conflict, 409),
        (Fault::TooManyRequests(3), 429),
        (Fault::ServerError, 500),
        (Fault::Forbidden, 403),
        (Fault::Invalid, 422),
    ] {
        let id = faults.add(Rule::new(fault).resource("configmaps").writes().times(1));
        let name = format!("m{code}");
        assert!(api.get_opt(&name).await.unwrap().is_none(), "reads are not matched");
        assert_eq!(refused(api.create(&PostParams::default(), &map(&name)).await).0, code);
        assert!(api.get_opt(&name).await.unwrap().is_none(), "nothing is applied");
        api.create(&PostParams::default(), &map(&name)).await.unwrap();
        assert_eq!(faults.hits(id), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn too_many_requests_say_when_to_come_back() {
    let (cluster, _) = maps().await;
    cluster.kubernetes.faults().add(Rule::new(Fault::TooManyRequests(3)));
    // kube hides the header: asked without it, over a plain connection.
    let address = cluster.kubernetes.url().replace("http://", "");
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let request = "GET /api/v1/pods HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 429"), "{answer}");
    assert!(answer.to_lowercase().contains("\r\nretry-after: 3\r\n"), "{answer}");
}

#[tokio::test(start_paused = true)]
async fn rules_choose_by_verb_resource_name_and_count() {
    let (cluster, api) = maps().await;
    let faults = cluster.kubernetes.faults();
    faults.add(Rule::new(Fault::ServerError).resource("configmaps").verb(Verb::Get).name("a").after(1));
    for name in ["a", "b"] {
        api.create(&PostParams::default(), &map(name)).await.unwrap();
    }
    let pods: Api<Pod> = Api::namespaced(cluster.kubernetes.client(), "mqtt");
    assert!(pods.get_opt("a").await.unwrap().is_none());
    let label = Patch::Merge(json!({"metadata": {"labels": {"a": "b"}}}));
    api.patch("a", &PatchParams::default(), &label).await.unwrap();
    api.get("a").await.unwrap();
    api.get("b").await.unwrap();
    assert_eq!(refused(api.get("a").await).0, 500);
    faults.clear();
    api.get("a").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn rules_leave_a_resource_alone_and_begin_again() {
    let (cluster, api) = maps().await;
    let pods: Api<Pod> = Api::namespaced(cluster.kubernetes.client(), "mqtt");
    let faults = cluster.kubernetes.faults();
    let rule = Rule::new(Fault::ServerError).or(Fault::Conflict).or(Fault::Forbidden);
    let rule = faults.add(rule.except("pods").verb(Verb::List).after(1).times(2).then_pass(1));
    let mut answers = Vec::new();
    for _ in 0..8 {
        pods.list(&ListParams::default()).await.unwrap();
        answers.push(match api.list(&ListParams::default()).await {
            Err(kube::Error::Api(status)) => status.code,
            answer => answer.map(|_| 200).unwrap(),
        });
    }
    assert_eq!(answers, [200, 500, 409, 200, 403, 500, 200, 409]);
    assert_eq!(faults.hits(rule), 5);
}

#[tokio::test(start_paused = true)]
async fn the_first_rule_that_matches_a_client_applies() {
    let (cluster, api) = maps().await;
    let other: Api<ConfigMap> = Api::namespaced(cluster.kubernetes.client_named("other"), "mqtt");
    let faults = cluster.kubernetes.faults();
    let first = faults.add(Rule::new(Fault::Conflict).client("other").times(1));
    let second = faults.add(Rule::new(Fault::ServerError).client("other"));
    let everything = ListParams::default();
    api.list(&everything).await.unwrap();
    assert_eq!(refused(other.list(&everything).await).0, 409);
    assert_eq!(refused(other.list(&everything).await).0, 500);
    assert_eq!((faults.hits(first), faults.hits(second)), (1, 1));
    faults.remove(second);
    other.list(&everything).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_lost_reply_is_applied_or_not() {
    let (cluster, api) = maps().await;
    let faults = cluster.kubernetes.faults();
    for (applied, name) in [(true, "a"), (false, "b")] {
        faults.add(Rule::new(Fault::Cut { applied }).verb(Verb::Create).times(1));
        let lost = api.create(&PostParams::default(), &map(name)).await;
        assert!(!matches!(lost, Ok(_) | Err(kube::Error::Api(_))), "{lost:?}");
        assert_eq!(api.get_opt(name).await.unwrap().is_some(), applied);
        let write = cluster.kubernetes.log().into_iter().find(|write| write.name == name).unwrap();
        assert_eq!(write.code, 0, "the client was left without an answer");
    }
}

#[tokio::test(start_paused = true)]
async fn a_hanging_request_is_applied_or_not() {
    let (cluster, api) = maps().await;
    for (applied, name) in [(true, "a"), (false, "b")] {
        cluster.kubernetes.faults().add(Rule::new(Fault::Hang { applied }).verb(Verb::Create).times(1));
        let (post, map) = (PostParams::default(), map(name));
        let hung = timeout(Duration::from_mins(5), api.create(&post, &map)).await;
        assert!(hung.is_err(), "{hung:?}");
        assert_eq!(api.get_opt(name).await.unwrap().is_some(), applied);
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_answer_is_a_right_one() {
    let (cluster, api) = maps().await;
    let rule = Rule::new(Fault::Slow(Duration::from_secs(7))).verb(Verb::Create);
    cluster.kubernetes.faults().add(rule);
    let began = cluster.clock.now();
    api.create(&PostParams::default(), &map("a")).await.unwrap();
    assert!(cluster.clock.now().since(began) >= Duration::from_secs(7));
}

#[tokio::test(start_paused = true)]
async fn stale_reads_show_the_past_and_writes_the_present() {
    let cluster = Cluster::of(2, Storage::EmptyDir).await;
    let api: Api<Pod> = Api::namespaced(cluster.kubernetes.client(), "mqtt");
    let then = cluster.kubernetes.revision();
    cluster.scale(1);
    cluster.ready(1).await;
    let fault = cluster.kubernetes.faults().add(Rule::new(Fault::Stale(then)).resource("pods"));
    assert_eq!(api.list(&ListParams::default()).await.unwrap().items.len(), 2);
    let old = api.get("vmq-1").await.unwrap();
    assert!(old.metadata.deletion_timestamp.is_none());
    let label = Patch::Merge(json!({"metadata": {"labels": {"a": "b"}}}));
    assert_eq!(refused(api.patch("vmq-1", &PatchParams::default(), &label).await).0, 404);
    cluster.kubernetes.faults().remove(fault);
    assert_eq!(api.list(&ListParams::default()).await.unwrap().items.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_statefulset_that_stands_still_makes_no_pod_until_it_is_written_to() {
    let cluster = Cluster::of(1, Storage::EmptyDir).await;
    cluster.kubernetes.faults().stand_still(true);
    cluster.scale(2);
    sleep(Duration::from_mins(10)).await;
    assert!(cluster.pod("vmq-1").is_none());
    cluster.kubernetes.edit("statefulsets", "mqtt", "vmq", |set| {
        set["metadata"]["annotations"]["example.org/touched"] = serde_json::json!("now");
    });
    cluster.until(|cluster| cluster.pod("vmq-1").is_some()).await;
}
