//! The life of the binary on a real API server: it leads, scales, is seen, hands over.

use serde_json::{Value, json};

use crate::cluster::{Cluster, NAME, NAMESPACE, Setup};
use crate::control_plane::{CONTROLLER, ControlPlane};
use crate::given;
use crate::network;
use crate::process::Running;

#[test]
fn leads_scales_and_hands_over() {
    if given::will_not_do("the binary finds pods in a network of its own alone") {
        return;
    }
    if network::inside("the_binary::leads_scales_and_hands_over") {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(scenario());
    }
}

async fn scenario() {
    let Some(plane) = ControlPlane::start().await else { return };
    let cluster = Cluster::on(&plane, Setup { own_network: true, ..Setup::default() }).await;
    let kubeconfig = plane.kubeconfig(&plane.token(NAMESPACE, CONTROLLER).await);
    let first = Running::start(&kubeconfig, NAMESPACE, "first");
    leads(&cluster, "first", &first).await;
    let second = Running::start(&kubeconfig, NAMESPACE, "second");
    let waits = |page: &String| page.contains("vernescale_leading 0");
    cluster.until_told("the second waits", || second.page("/metrics"), waits).await;

    cluster.wish(2).await;
    cluster.until("two nodes serve", |w| w.serving == 2 && w.agreed(2)).await;
    let scale = ["scale", "vmqa/vmq", "--replicas=1", "--namespace", NAMESPACE];
    let said = plane.kubectl(&scale).await;
    assert!(said.contains("vmq scaled"), "{said}");
    cluster.until("one node is left", |w| w.replicas == 1 && w.pods == 1 && w.agreed(1)).await;
    assert_eq!(
        cluster.seen().await.restarts,
        0,
        "no container ran again on the data of a node that had left"
    );
    counted(&cluster, &first).await;
    assert!(waits(&second.page("/metrics").await), "two lead at a time");

    seen_by_people(&cluster).await;

    let (ended, log) = first.terminate().await;
    assert!(ended.success(), "{ended}");
    // A lease that is not given back would be the first one's for another 15 s.
    assert_ne!(cluster.leader().await.as_deref(), Some("first"), "the lease was given back");
    leads(&cluster, "second", &second).await;
    structured(&log);
    cluster.edit_spec(&json!({ "mode": "Active", "wishFrom": "Scale", "replicas": 1 })).await;
    cluster.wish(2).await;
    cluster.until("the second one goes on", |w| w.replicas == 2).await;
    assert!(second.terminate().await.0.success());
}

/// It holds the lease, says so, and answers the probes.
async fn leads(cluster: &Cluster, name: &str, process: &Running) {
    let leader = |leader: &Option<String>| leader.as_deref() == Some(name);
    cluster.until_told("it leads", || cluster.leader(), leader).await;
    let leading = |page: &String| page.contains("vernescale_leading 1");
    cluster.until_told("it says so", || process.page("/metrics"), leading).await;
    for probe in ["/healthz", "/readyz"] {
        assert_eq!(process.page(probe).await, "200 ok\n", "{probe}");
    }
}

/// What the change has left in the metrics, once its last step is through.
async fn counted(cluster: &Cluster, process: &Running) {
    let shrunk = format!(r#"vernescale_changes_total{{kind="Shrink",name="{NAME}",outcome="Completed"}} 1"#);
    let page = cluster
        .until_told("the shrink is counted", || process.page("/metrics"), |page| page.contains(&shrunk))
        .await;
    let grown = format!(r#"vernescale_changes_total{{kind="Grow",name="{NAME}",outcome="Completed"}} 1"#);
    assert!(page.contains(&grown), "{page}");
    for gauge in ["wanted", "replicas", "members"] {
        assert!(page.contains(&format!(r#"vernescale_{gauge}{{name="{NAME}"}} 1"#)), "{gauge}: {page}");
    }
}

/// One line a decision, one object a line, no key twice.
fn structured(log: &[String]) {
    let read = |line: &String| -> Value {
        serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
    };
    let decisions: Vec<_> = log.iter().filter(|line| read(line)["message"] == "decision").collect();
    let keys = ["replicas", "wanted", "step", "wait", "shrink_vetoes", "grow_vetoes", "explain", "target"];
    for line in &decisions {
        for key in keys {
            assert_eq!(line.matches(&format!("\"{key}\":")).count(), 1, "{key} in {line}");
        }
    }
    let metrics = |line: &&String| read(line)["metrics"].as_str().is_some_and(|shown| shown.ends_with("/1k"));
    assert!(decisions.iter().any(metrics), "the last decision was not logged: {decisions:#?}");
}

/// `kubectl get` and `kubectl describe`, in Shadow mode, where nothing is changed and all is shown.
async fn seen_by_people(cluster: &Cluster) {
    let metric = json!({ "type": "Pods", "pods": {
        "metric": { "name": "mqtt_publish_received" },
        "target": { "type": "AverageValue", "averageValue": "1k" },
    }});
    cluster
        .edit_spec(&json!({ "mode": "Shadow", "wishFrom": "Metrics", "replicas": 0, "metrics": [metric] }))
        .await;
    let get = || cluster.plane.kubectl(&["get", "vmqa", "--namespace", NAMESPACE]);
    let measured = |table: &String| table.contains("/1k") && !table.contains("<unknown>");
    let table = cluster.until_told("the load is shown", get, measured).await;
    let mut lines = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let columns = ["NAME", "TARGET", "MIN", "MAX", "REPLICAS", "WANTED", "STEP", "MODE", "AGE"];
    assert_eq!(lines.next().unwrap_or_default(), columns, "{table}");
    let row = lines.next().unwrap_or_default();
    // No step, no cell.
    assert_eq!(row[2..row.len() - 1], ["1", "3", "1", "1", "Shadow"], "{table}");
    assert!(row[0] == NAME && row[1].ends_with("/1k"), "{table}");

    let text = cluster.plane.kubectl(&["describe", "vmqa", NAME, "--namespace", NAMESPACE]).await;
    let (object, events) = text.split_once("Events:").expect("a part of its own");
    assert!(
        object.contains("the last reconcile was whole, brokers answer"),
        "the condition Ready is missing: {text}"
    );
    for reason in ["GrowBegan", "GrowCompleted", "ShrinkBegan", "ShrinkCompleted"] {
        assert!(events.contains(reason), "no Event {reason}: {text}");
    }
}
