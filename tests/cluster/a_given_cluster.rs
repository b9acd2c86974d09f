//! The tests on a cluster that was given: it is really used, and is left as it was.

use std::collections::BTreeSet;
use std::process::Output;
use std::sync::Arc;

use k8s_openapi::ClusterResourceScope;
use k8s_openapi::api::admissionregistration::v1::ValidatingAdmissionPolicy;
use k8s_openapi::api::core::v1::{Namespace, Node};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, ListParams};
use kube::{Resource, ResourceExt as _};
use tokio::process::Command;

use crate::apply::DEFINITION;
use crate::control_plane::ControlPlane;
use crate::given;

const TEST: &str = "the_guard_refuses_everybody_but_the_controller";

#[tokio::test]
async fn is_used_and_left_as_it_was() {
    if given::will_not_do("it is given to a test in this test") {
        return;
    }
    let Some(plane) = ControlPlane::start().await else { return };
    let before = everything(&plane).await;
    let (output, used) = tokio::join!(on(&plane), is_used(&plane));
    let said = said(&output);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
    assert!(used, "the test was somewhere else");
    assert_eq!(everything(&plane).await, before, "something was left behind");
}

#[tokio::test]
async fn is_not_touched_where_vernescale_is_installed() {
    if given::will_not_do("it is given to a test in this test") {
        return;
    }
    let Some(plane) = ControlPlane::start().await else { return };
    // Not as the tests do it.
    plane.kubectl(&["apply", "--filename", DEFINITION]).await;
    let before = everything(&plane).await;
    let output = on(&plane).await;
    let said = said(&output);
    assert!(!output.status.success(), "it went to work: {said}");
    let words =
        "has customresourcedefinitions/vernemqautoscalers.vernescale.dev, and the tests use these names";
    assert!(said.contains(words) && !said.contains("kubectl delete"), "{said}");
    assert_eq!(everything(&plane).await, before, "it was changed");
}

/// Runs a test on this cluster, in a process of its own.
async fn on(plane: &ControlPlane) -> Output {
    let mut command = Command::new(std::env::current_exe().expect("this test"));
    command.args(["--exact", TEST, "--nocapture"]).env(given::VARIABLE, plane.admin_kubeconfig());
    command.kill_on_drop(true).output().await.expect("this test can be started")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned()
}

/// True once the namespace of the tests is there.
async fn is_used(plane: &Arc<ControlPlane>) -> bool {
    let namespaces: Api<Namespace> = Api::all(plane.admin().await);
    let there = async {
        while !matches!(namespaces.get_opt("mqtt").await, Ok(Some(_))) {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(crate::cluster::DEADLINE, there).await.is_ok()
}

/// Names of all that the tests could have left, and of what is not theirs.
async fn everything(plane: &ControlPlane) -> BTreeSet<String> {
    let mut all = names::<Namespace>(plane).await;
    all.extend(names::<Node>(plane).await);
    all.extend(names::<CustomResourceDefinition>(plane).await);
    all.extend(names::<ValidatingAdmissionPolicy>(plane).await);
    all
}

async fn names<K>(plane: &ControlPlane) -> BTreeSet<String>
where
    K: Resource<Scope = ClusterResourceScope, DynamicType = ()>
        + Clone
        + std::fmt::Debug
        + serde::de::DeserializeOwned,
{
    let api = Api::<K>::all(plane.admin().await);
    let list = api.list_metadata(&ListParams::default()).await.expect("a list");
    list.items.iter().map(|one| format!("{}/{}", K::plural(&()), one.name_any())).collect()
}
