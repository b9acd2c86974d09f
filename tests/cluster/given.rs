//! A cluster that was given: taken only where nothing of ours is on it, and left as it was.

use std::fmt::Debug;
use std::path::{Path, PathBuf};
use std::time::Duration;

use k8s_openapi::api::admissionregistration::v1::{
    ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding,
};
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{Namespace, Node, Pod};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use k8s_openapi::{ClusterResourceScope, NamespaceResourceScope};
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams};
use kube::config::Kubeconfig;
use kube::core::PartialObjectMeta;
use kube::{Client, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use serde_json::json;
use vernescale::api::VerneMQAutoscaler;

use crate::apply::OURS;
use crate::control_plane::{NAMESPACES, client};
use crate::kubelet::node;
use crate::programs::skip;

/// Its kubeconfig. A variable of its own: a shell's `KUBECONFIG` may well point to a cluster that people use.
pub(crate) const VARIABLE: &str = "VERNESCALE_TEST_KUBECONFIG";
const DEFINITION: &str = "vernemqautoscalers.vernescale.dev";
const GUARD: &str = "vernescale-guard";
/// Longest wait until all is gone; a namespace takes some seconds.
const DEADLINE: Duration = Duration::from_mins(2);

/// The file of the cluster that the tests are to use.
pub(crate) fn kubeconfig() -> Option<PathBuf> {
    std::env::var_os(VARIABLE).filter(|file| !file.is_empty()).map(PathBuf::from)
}

/// Whether this needs a control plane that is nobody else's, and one was given; says so.
pub(crate) fn will_not_do(why: &str) -> bool {
    let given = kubeconfig().is_some();
    if given {
        skip(&format!("not on the cluster of {VARIABLE}"), why);
    }
    given
}

/// A cluster in which the tests may do what they want; cleaned up with this value.
pub(crate) struct Given {
    admin: Kubeconfig,
}

impl Given {
    /// Takes it, where nothing is in the way.
    pub(crate) async fn take(file: &Path) -> (Self, Kubeconfig) {
        let admin = Kubeconfig::read_from(file);
        let admin = admin.unwrap_or_else(|error| panic!("{VARIABLE}={}: {error}", file.display()));
        let found = found(&client(admin.clone()).await).await;
        let found = found.unwrap_or_else(|error| panic!("{VARIABLE}={}: {error}", file.display()));
        let names = |found: &[Found]| found.iter().map(|one| one.name.clone()).collect::<Vec<_>>();
        let (file, all) = (file.display(), names(&found).join(", "));
        let (ours, others): (Vec<_>, Vec<_>) = found.into_iter().partition(|one| one.ours);
        assert!(
            others.is_empty(),
            "the cluster of {VARIABLE}={file} has {all}, and the tests use these names: give them a cluster without \
             vernescale",
        );
        assert!(
            ours.is_empty(),
            "an earlier run of the tests has left something on the cluster of {VARIABLE}={file}: kubectl delete {}",
            names(&ours).join(" "),
        );
        (Self { admin: admin.clone() }, admin)
    }
}

impl Drop for Given {
    fn drop(&mut self) {
        let admin = self.admin.clone();
        let clean = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(async move {
                let cleaned = tokio::time::timeout(DEADLINE, clean(&client(admin).await)).await;
                cleaned.unwrap_or_else(|_| Err(format!("not within {DEADLINE:?}")))
            })
        };
        // A runtime cannot wait inside the one of the test.
        let cleaned = std::thread::spawn(clean).join().unwrap_or_else(|_| Err("it broke".to_owned()));
        if let Err(error) = cleaned {
            let said = format!("the cluster of {VARIABLE} is not clean: {error}");
            // A second panic would hide the first.
            if std::thread::panicking() {
                tracing::error!("{said}");
            } else {
                panic!("{said}");
            }
        }
    }
}

/// Something with a name that the tests use.
struct Found {
    /// As `kubectl` takes it.
    name: String,
    /// A test has made it.
    ours: bool,
}

/// What the tests make outside of their namespaces, and these.
async fn found(client: &Client) -> Result<Vec<Found>, String> {
    let mut found = Vec::new();
    found.extend(there::<ValidatingAdmissionPolicyBinding>(client, GUARD).await?);
    found.extend(there::<ValidatingAdmissionPolicy>(client, GUARD).await?);
    for namespace in NAMESPACES {
        found.extend(there::<Namespace>(client, namespace).await?);
        found.extend(there::<Node>(client, &node(namespace)).await?);
    }
    found.extend(there::<CustomResourceDefinition>(client, DEFINITION).await?);
    Ok(found)
}

/// The object with this name, where there is one.
async fn there<K>(client: &Client, name: &str) -> Result<Option<Found>, String>
where
    K: Resource<Scope = ClusterResourceScope, DynamicType = ()> + Clone + Debug + DeserializeOwned,
{
    let found = Api::<K>::all(client.clone()).get_metadata_opt(name).await;
    let found = found.map_err(|error| format!("cannot look for {}/{name}: {error}", K::plural(&())))?;
    let ours = |object: PartialObjectMeta<K>| object.labels().contains_key(OURS);
    Ok(found.map(|object| Found { name: format!("{}/{name}", K::plural(&())), ours: ours(object) }))
}

/// Removes all that the tests may have made, and waits until it is gone.
async fn clean(client: &Client) -> Result<(), String> {
    // The guard first: without the kind that it asks for it would refuse every change of every StatefulSet.
    gone::<ValidatingAdmissionPolicyBinding>(client, GUARD).await?;
    gone::<ValidatingAdmissionPolicy>(client, GUARD).await?;
    for namespace in NAMESPACES {
        if there::<Namespace>(client, namespace).await?.is_some_and(|one| one.ours) {
            empty(client, namespace).await?;
        }
        gone::<Namespace>(client, namespace).await?;
        gone::<Node>(client, &node(namespace)).await?;
    }
    gone::<CustomResourceDefinition>(client, DEFINITION).await
}

/// Takes away what would hold a namespace up: a finalizer of ours, and pods that no kubelet will end.
async fn empty(client: &Client, namespace: &str) -> Result<(), String> {
    let resources: Api<VerneMQAutoscaler> = Api::namespaced(client.clone(), namespace);
    for resource in names(&resources).await? {
        let free = Patch::Merge(json!({ "metadata": { "finalizers": null } }));
        let freed = resources.patch(&resource, &PatchParams::default(), &free).await;
        freed.map_err(|error| format!("cannot free {resource}: {error}"))?;
    }
    let sets: Api<StatefulSet> = Api::namespaced(client.clone(), namespace);
    for set in names(&sets).await? {
        delete(&sets, &set).await?;
    }
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    loop {
        let left = names(&pods).await?;
        if left.is_empty() {
            return Ok(());
        }
        for pod in left {
            delete(&pods, &pod).await?;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// None where there is no such kind.
async fn names<K>(api: &Api<K>) -> Result<Vec<String>, String>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + Debug + DeserializeOwned,
{
    match api.list_metadata(&ListParams::default()).await {
        Ok(list) => Ok(list.items.iter().map(ResourceExt::name_any).collect()),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(Vec::new()),
        Err(error) => Err(format!("cannot list {}: {error}", K::plural(&()))),
    }
}

async fn delete<K>(api: &Api<K>, name: &str) -> Result<(), String>
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned,
{
    match api.delete(name, &DeleteParams::default().grace_period(0)).await {
        Ok(_) => Ok(()),
        // A namespace that is going already answers 409.
        Err(kube::Error::Api(status)) if status.code == 404 || status.code == 409 => Ok(()),
        Err(error) => Err(format!("cannot delete {}/{name}: {error}", K::plural(&()))),
    }
}

async fn gone<K>(client: &Client, name: &str) -> Result<(), String>
where
    K: Resource<Scope = ClusterResourceScope, DynamicType = ()> + Clone + Debug + DeserializeOwned,
{
    while there::<K>(client, name).await?.is_some_and(|one| one.ours) {
        delete(&Api::<K>::all(client.clone()), name).await?;
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    Ok(())
}
