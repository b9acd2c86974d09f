//! Leaves through the management API over TLS, with certificates of a private authority: the Secret is read with
//! the rights that the chart gives.

use std::collections::BTreeSet;
use std::sync::Arc;

use k8s_openapi::ByteString;
use serde_json::json;

use crate::apply::apply;
use crate::cluster::{Cluster, NAME, Setup};
use crate::control_plane::ControlPlane;
use crate::front::{authority, front};

const NAMESPACE: &str = "mqtt-https";

/// Nothing happens while the listeners are not proven; then a node leaves.
pub(crate) async fn scenario(plane: &Arc<ControlPlane>) {
    let headless = format!("{NAME}-headless");
    let (theirs, _) = authority(&headless, NAMESPACE);
    let (ours, acceptor) = authority(&headless, NAMESPACE);
    let (port, _front) = front(acceptor).await;
    let management = |secret: &str| {
        json!({ "management": {
            "scheme": "Https", "port": port, "metricsPort": port, "caSecretRef": { "name": secret },
        }})
    };
    let setup = Setup {
        namespace: NAMESPACE,
        replicas: 2,
        spec: management("their-ca"),
        values: &["controller.managementSecrets={their-ca,our-ca}"],
        ..Setup::default()
    };
    let cluster = Cluster::on(plane, setup).await;
    for (name, pem) in [("their-ca", theirs), ("our-ca", ours)] {
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": { "name": name, "namespace": NAMESPACE },
            "data": { "ca.crt": ByteString(pem.into_bytes()) },
        });
        apply(&cluster.admin, &secret).await;
    }
    cluster.wish(1).await;
    let controller = cluster.start_controller().await;
    let unproven = || cluster.condition("ManagementTls");
    let told = cluster.until_told("the listeners are not proven", unproven, Option::is_some).await;
    assert!(told.is_some_and(|told| told.contains("the Secret of spec.management.caSecretRef")));
    // What a reconcile has seen is in the status; whatever it would do it has begun by then.
    let seen = cluster.seen().await;
    assert_eq!((seen.replicas, &seen.intent), (2, &None), "it acts on nodes that are not proven");

    cluster.edit_spec(&management("our-ca")).await;
    cluster.until("one node is left, alone", |w| w.replicas == 1 && w.pods == 1 && w.agreed(1)).await;
    let told = |reasons: &BTreeSet<String>| {
        ["ShrinkBegan", "ShrinkCompleted"].iter().all(|reason| reasons.contains(*reason))
    };
    cluster.until_told("its Events", || cluster.reasons(), told).await;
    controller.abort();
    let seen = cluster.seen().await;
    assert_eq!(seen.restarts, 0, "no container ran again on the data of a node that had left: {seen:?}");
    assert_eq!(cluster.condition("ManagementTls").await, None);
}
