//! Ways to look at a cluster, and to wait for it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointSlice};
use k8s_openapi::api::events::v1::Event;
use kube::ResourceExt as _;
use kube::api::ListParams;
use vernescale::api::{VerneMQAutoscaler, VerneMQAutoscalerStatus};

use crate::cluster::{Cluster, DEADLINE, NAME};

/// One look at everything.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) replicas: i32,
    pub(crate) pods: usize,
    pub(crate) serving: usize,
    pub(crate) restarts: i32,
    pub(crate) intent: Option<String>,
    /// What every running broker lists: names and whether each runs.
    views: Vec<Vec<(String, bool)>>,
}

impl Seen {
    /// So many brokers run, and each lists exactly all of them as running.
    pub(crate) fn agreed(&self, size: usize) -> bool {
        self.views.len() == size
            && self.views.iter().all(|view| view.len() == size && view.iter().all(|(_, up)| *up))
    }
}

impl Cluster {
    async fn events(&self) -> Vec<Event> {
        self.api::<Event>().list(&ListParams::default()).await.expect("events").items
    }

    /// Reasons of all Events so far.
    pub(crate) async fn reasons(&self) -> BTreeSet<String> {
        self.events().await.into_iter().filter_map(|event| event.reason).collect()
    }

    /// Texts of all Events so far.
    pub(crate) async fn notes(&self) -> Vec<String> {
        self.events().await.into_iter().filter_map(|event| event.note).collect()
    }

    /// The status of our resource; the default where the API server does not say it.
    pub(crate) async fn status(&self) -> VerneMQAutoscalerStatus {
        let resource = self.api::<VerneMQAutoscaler>().get(NAME).await;
        resource.ok().and_then(|resource| resource.status).unwrap_or_default()
    }

    /// What a condition says, where it stands.
    pub(crate) async fn condition(&self, name: &str) -> Option<String> {
        let conditions = self.status().await.conditions;
        conditions.into_iter().find(|one| one.type_ == name && one.status == "True").map(|one| one.message)
    }

    /// Names and uids of all claims, those that are going too.
    pub(crate) async fn claims(&self) -> BTreeMap<String, String> {
        let claims = self.api::<PersistentVolumeClaim>().list(&ListParams::default()).await;
        let claims = claims.expect("claims").items;
        claims.iter().map(|claim| (claim.name_any(), claim.uid().unwrap_or_default())).collect()
    }

    pub(crate) async fn seen(&self) -> Seen {
        let (pods, slices) = (self.api::<Pod>(), self.api::<EndpointSlice>());
        let (Ok(set), Ok(pods), Ok(slices)) = (
            self.sets().get(NAME).await,
            pods.list(&ListParams::default()).await,
            slices.list(&ListParams::default().labels(&format!("kubernetes.io/service-name={NAME}"))).await,
        ) else {
            // The API server is being restarted.
            return Seen::default();
        };
        let ready = |endpoint: &Endpoint| {
            endpoint.conditions.as_ref().is_some_and(|conditions| conditions.ready == Some(true))
        };
        let restarts = |pod: &Pod| {
            let statuses =
                pod.status.as_ref().and_then(|status| status.container_statuses.clone()).unwrap_or_default();
            statuses.iter().map(|status| status.restart_count).sum::<i32>()
        };
        let fleet = self.pods.fleet();
        let views = pods.iter().filter_map(|pod| self.pods.node_of(&pod.name_any())).filter_map(|node| {
            let view = fleet.with_model(|model, _| model.members_seen_by(&node));
            (!view.is_empty()).then(|| view.into_iter().map(|(node, up)| (node.0, up)).collect())
        });
        Seen {
            replicas: set.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or_default(),
            pods: pods.items.len(),
            serving: slices.iter().flat_map(|slice| slice.endpoints.iter()).filter(|e| ready(e)).count(),
            restarts: pods.iter().map(restarts).sum(),
            intent: set.annotations().get("vernescale.dev/intent").cloned(),
            views: views.collect(),
        }
    }

    pub(crate) async fn until(&self, what: &str, holds: impl Fn(&Seen) -> bool) {
        let waiting = async {
            loop {
                let seen = self.seen().await;
                if holds(&seen) {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        if tokio::time::timeout(DEADLINE, waiting).await.is_err() {
            let status = self.status().await;
            panic!("not within {DEADLINE:?}: {what}\nseen: {:#?}\nstatus: {status:#?}", self.seen().await);
        }
    }

    /// Asks again and again until the answer will do; what it was.
    pub(crate) async fn until_told<T: std::fmt::Debug, F: Future<Output = T>>(
        &self,
        what: &str,
        ask: impl Fn() -> F,
        will_do: impl Fn(&T) -> bool,
    ) -> T {
        let mut last = None;
        let waiting = async {
            loop {
                let told = ask().await;
                if will_do(&told) {
                    return told;
                }
                last = Some(told);
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        let told = tokio::time::timeout(DEADLINE, waiting).await.ok();
        told.unwrap_or_else(|| panic!("not within {DEADLINE:?}: {what}; last {last:#?}"))
    }
}
