//! Server-side apply of any kind.

use kube::api::{Api, DynamicObject, Patch, PatchParams};
use kube::discovery::Discovery;
use kube::{Client, ResourceExt as _};
use serde_json::{Value, json};

/// On all that we make outside of a namespace: nothing else is ever deleted.
pub(crate) const OURS: &str = "vernescale.dev/test";

/// Our kind, as the chart defines it.
pub(crate) const DEFINITION: &str = "charts/vernescale/crds/vernemqautoscalers.yaml";

/// A namespace, where there is none yet.
pub(crate) async fn namespace(client: &Client, name: &str) {
    apply(client, &json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name } })).await;
}

/// Defines our kind, with something changed.
pub(crate) async fn define(client: &Client, change: impl Fn(&str) -> String) {
    let text = std::fs::read_to_string(DEFINITION).expect("the chart has it");
    apply_yaml(client, &change(&text)).await;
}

/// Every document of a text in YAML.
pub(crate) async fn apply_yaml(client: &Client, text: &str) {
    for document in text.split("\n---") {
        let object: Value = serde_saphyr::from_str(document).expect("YAML");
        if !object.is_null() {
            apply(client, &object).await;
        }
    }
}

/// One object that must be taken.
pub(crate) async fn apply(client: &Client, object: &Value) {
    try_apply(client, object).await.unwrap_or_else(|error| panic!("{error}\nof {object:#}"));
}

/// One object.
pub(crate) async fn try_apply(client: &Client, object: &Value) -> Result<(), String> {
    let mut object: DynamicObject =
        serde_json::from_value(object.clone()).map_err(|error| error.to_string())?;
    let types = object.types.clone().ok_or("an object has a kind")?;
    let gvk = kube::core::GroupVersionKind::try_from(&types).map_err(|error| error.to_string())?;
    let discovery = Discovery::new(client.clone()).filter(&[gvk.group.as_str()]);
    let discovery = discovery.run().await.map_err(|error| error.to_string())?;
    let (resource, capabilities) =
        discovery.resolve_gvk(&gvk).ok_or_else(|| format!("{gvk:?} is not served"))?;
    let api: Api<DynamicObject> = match (capabilities.scope, object.namespace()) {
        (kube::discovery::Scope::Namespaced, namespace) => {
            Api::namespaced_with(client.clone(), namespace.as_deref().unwrap_or("default"), &resource)
        }
        (kube::discovery::Scope::Cluster, _) => {
            object.labels_mut().insert(OURS.to_owned(), "made".to_owned());
            Api::all_with(client.clone(), &resource)
        }
    };
    let params = PatchParams::apply("test").force();
    api.patch(&object.name_any(), &params, &Patch::Apply(&object))
        .await
        .map(drop)
        .map_err(|error| error.to_string())
}
