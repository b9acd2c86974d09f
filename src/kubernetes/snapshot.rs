//! One look at the API server: everything that a reconcile decides by, read afresh.

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::{Api, ListParams};
use kube::{Client, ResourceExt};

use crate::api::VerneMQAutoscaler;
use crate::kubernetes::call::{Failure, api};
use crate::kubernetes::facts::selector;
use crate::kubernetes::ownership::{Ownership, ownership};
use crate::kubernetes::resource::{Unreadable, parse, resources, target};

/// One look at the API server.
#[derive(Clone, Debug)]
pub struct Objects {
    /// Our resource; none where it has been deleted, or cannot be read.
    pub resource: Option<VerneMQAutoscaler>,
    /// Our resource where this version cannot read it: nothing else was looked at then.
    pub unreadable: Option<Unreadable>,
    /// Other resources that aim at the same StatefulSet: (uid, name).
    pub rivals: Vec<(String, String)>,
    /// The StatefulSet; none where it does not exist.
    pub statefulset: Option<StatefulSet>,
    /// Pods that its selector finds.
    pub pods: Vec<Pod>,
    /// Claims of the namespace. Without a selector on purpose: a claim whose labels somebody has
    /// changed must be found as well before a node starts on it.
    pub claims: Vec<PersistentVolumeClaim>,
    /// Slices of the client Service; empty where the spec names none.
    pub slices: Vec<EndpointSlice>,
}

impl Objects {
    /// Whose the StatefulSet is.
    pub fn ownership(&self) -> Option<Ownership> {
        let uid = self.resource.as_ref()?.uid()?;
        Some(ownership(self.statefulset.as_ref()?, &uid, &self.rivals))
    }
}

/// Reads everything that a reconcile needs. `seen` is told of our resource as soon as it is read: whatever fails after
/// it is reported on that very version, for the status of another one is not taken.
pub async fn read(
    client: &Client,
    namespace: &str,
    name: &str,
    seen: impl FnOnce(&VerneMQAutoscaler),
) -> Result<Objects, Failure> {
    let everything = ListParams::default();
    let all = api("list vernemqautoscalers", resources(client, namespace).list(&everything)).await?.items;
    let own = all.iter().find(|object| object.name_any() == name);
    let (resource, unreadable) = match own.map(|object| (object, parse(object))) {
        Some((_, Ok(resource))) => (Some(resource), None),
        Some((object, Err(why))) => (None, Some(Unreadable { object: object.clone(), why })),
        None => (None, None),
    };
    let mut objects = Objects {
        resource,
        unreadable,
        rivals: Vec::new(),
        statefulset: None,
        pods: Vec::new(),
        claims: Vec::new(),
        slices: Vec::new(),
    };
    let Some(resource) = &objects.resource else { return Ok(objects) };
    seen(resource);
    let set = &resource.spec.target_ref.name;
    objects.rivals = all
        .iter()
        .filter(|other| other.uid() != resource.uid() && target(other) == Some(set))
        .filter_map(|other| Some((other.uid()?, other.name_any())))
        .collect();
    let statefulsets = Api::<StatefulSet>::namespaced(client.clone(), namespace);
    objects.statefulset = api("get statefulset", statefulsets.get_opt(set)).await?;
    let Some(statefulset) = &objects.statefulset else { return Ok(objects) };

    let pods = Api::<Pod>::namespaced(client.clone(), namespace);
    let selected = ListParams::default().labels(&selector(statefulset));
    let claims = Api::<PersistentVolumeClaim>::namespaced(client.clone(), namespace);
    let slices = Api::<EndpointSlice>::namespaced(client.clone(), namespace);
    let read_pods = api("list pods", pods.list(&selected));
    let read_claims = api("list persistentvolumeclaims", claims.list(&everything));
    let read_slices = async {
        let Some(service) = &resource.spec.client_service else { return Ok(Vec::new()) };
        let of_service = ListParams::default().labels(&format!("kubernetes.io/service-name={service}"));
        api("list endpointslices", slices.list(&of_service)).await.map(|list| list.items)
    };
    let (read_pods, read_claims, read_slices) = tokio::join!(read_pods, read_claims, read_slices);
    objects.pods = read_pods?.items;
    objects.claims = read_claims?.items;
    objects.slices = read_slices?;
    Ok(objects)
}
