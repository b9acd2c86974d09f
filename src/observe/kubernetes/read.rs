//! The calls.

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod, Secret, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::{Api, ListParams};
use kube::{Client, ResourceExt};

use super::fold::selector;
use super::resource::{Unreadable, parse, resources, target};
use crate::act::canary::Login;
use crate::act::deadline::{Failure, api};
use crate::act::owner::{Ownership, ownership};
use crate::act::serving::SERVING;
use crate::api::{Canary, LoginSecretRef, Management, VerneMQAutoscaler};
use crate::wire::Key;

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

/// Reads everything that a look needs. `seen` is told of our resource as soon as it is read: whatever fails after
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
    let aim = &resource.spec.target_ref.name;
    objects.rivals = all
        .iter()
        .filter(|other| other.uid() != resource.uid() && target(other) == Some(aim))
        .filter_map(|other| Some((other.uid()?, other.name_any())))
        .collect();
    let statefulsets = Api::<StatefulSet>::namespaced(client.clone(), namespace);
    objects.statefulset = api("get statefulset", statefulsets.get_opt(aim)).await?;
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

/// What changes seldom and decides nothing by itself: read every half minute.
#[derive(Clone, Debug, Default)]
pub struct Slow {
    /// Autoscalers of the namespace; none where RBAC does not let us list them.
    pub autoscalers: Option<Vec<HorizontalPodAutoscaler>>,
    /// The StatefulSet's governing Service exists.
    pub governing_service: Option<bool>,
    /// The Service of `spec.clientService`; none where the spec names none, or it could not be read.
    pub client_service: Option<ClientService>,
    /// The management key, or what is wrong with it.
    pub key: Option<Result<Key, String>>,
    /// Certificates (PEM) that the brokers' are proven by instead of the machine's own roots, or what is wrong
    /// with them.
    pub authorities: Option<Result<Vec<u8>, String>>,
    /// Who the canary is to the brokers, or what is wrong with its Secret.
    pub login: Option<Result<Login, String>>,
    /// Certificates (PEM) that the brokers' MQTT listeners are proven by, or what is wrong with them.
    pub canary_authorities: Option<Result<Vec<u8>, String>>,
    /// Calls that failed: what was known before stands in the place of what they would have answered.
    pub failed: Vec<Failure>,
    /// What was looked for.
    pub(super) of: Option<Named>,
}

impl Slow {
    /// Some of it was not answered, and may be a moment later. A right that is missing takes a person.
    pub fn unanswered(&self) -> bool {
        self.failed.iter().any(|failure| !matches!(failure, Failure::Forbidden { .. }))
    }
}

/// The objects that a spec names.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Named {
    management: Management,
    login: Option<LoginSecretRef>,
    canary: Canary,
    client_service: Option<String>,
}

impl Named {
    fn by(resource: &VerneMQAutoscaler) -> Self {
        let spec = resource.spec.clone();
        let (management, login) = (spec.management, spec.canary_secret_ref);
        Self { management, login, canary: spec.canary, client_service: spec.client_service }
    }
}

/// What the client Service is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientService {
    /// There is none of that name.
    Missing,
    /// It does not select on our label: a pod cannot be taken out of it.
    SelectsAll,
    /// A pod without the label is out of it.
    Fences,
}

fn client_service(service: Option<Service>) -> ClientService {
    let Some(service) = service else { return ClientService::Missing };
    let selector = service.spec.and_then(|spec| spec.selector).unwrap_or_default();
    if selector.get(SERVING).is_some_and(|value| value == "true") {
        ClientService::Fences
    } else {
        ClientService::SelectsAll
    }
}

/// Reads it. Nothing here fails the look: what a call that failed would have said is what `last` says of the same
/// objects, and absent where it says nothing.
pub async fn read_slow(
    client: &Client,
    resource: &VerneMQAutoscaler,
    statefulset: &StatefulSet,
    last: &Slow,
) -> Slow {
    let namespace = resource.namespace().unwrap_or_default();
    let autoscalers = Api::<HorizontalPodAutoscaler>::namespaced(client.clone(), &namespace);
    let everything = ListParams::default();
    let autoscalers = api("list horizontalpodautoscalers", autoscalers.list(&everything));
    let services = Api::<Service>::namespaced(client.clone(), &namespace);
    let governing = async {
        let name = statefulset.spec.as_ref()?.service_name.as_ref()?;
        Some(api("get service", services.get_opt(name)).await.map(|service| service.is_some()))
    };
    let clients = async {
        let name = resource.spec.client_service.as_ref()?;
        Some(api("get service", services.get_opt(name)).await.map(client_service))
    };
    let secrets = Secrets { api: Api::namespaced(client.clone(), &namespace), namespace: &namespace };
    let management = &resource.spec.management;
    let key = async {
        let reference = management.secret_ref.as_ref()?;
        Some(secrets.text(&reference.name, &reference.key).await.map(|text| Key::new(&text)))
    };
    let authorities = async {
        let reference = management.ca_secret_ref.as_ref()?;
        Some(secrets.bytes(&reference.name, &reference.key).await)
    };
    let canary_authorities = async {
        let reference = resource.spec.canary.ca_secret_ref.as_ref()?;
        Some(secrets.bytes(&reference.name, &reference.key).await)
    };
    let login = async {
        let name = &resource.spec.canary_secret_ref.as_ref()?.name;
        let (username, password) =
            tokio::join!(secrets.text(name, "username"), secrets.text(name, "password"));
        Some(match (username, password) {
            (Ok(username), Ok(password)) => Ok(Login::new(username, password)),
            // A call that failed says nothing, whatever the other one has said.
            (Err(failed @ Wrong::Failed(..)), _) | (_, Err(failed @ Wrong::Failed(..))) => Err(failed),
            (Err(answer), _) | (_, Err(answer)) => Err(answer),
        })
    };
    let (autoscalers, governing_service, client_service, key, authorities, canary_authorities, login) =
        tokio::join!(autoscalers, governing, clients, key, authorities, canary_authorities, login);
    let of = Some(Named::by(resource));
    let last = if last.of == of { last.clone() } else { Slow::default() };
    let autoscalers = autoscalers.map(|list| list.items);
    let mut failed = Vec::new();
    Slow {
        autoscalers: answered(Some(autoscalers), last.autoscalers, &mut failed),
        governing_service: answered(governing_service, last.governing_service, &mut failed),
        client_service: answered(client_service, last.client_service, &mut failed),
        key: secret(key, last.key, &mut failed),
        authorities: secret(authorities, last.authorities, &mut failed),
        login: secret(login, last.login, &mut failed),
        canary_authorities: secret(canary_authorities, last.canary_authorities, &mut failed),
        failed,
        of,
    }
}

/// What was answered, or what was known before.
fn answered<T>(read: Option<Result<T, Failure>>, last: Option<T>, failed: &mut Vec<Failure>) -> Option<T> {
    match read? {
        Ok(value) => Some(value),
        Err(failure) => {
            failed.push(failure);
            last
        }
    }
}

/// The same of something in a Secret: one that is missing is an answer, and one that was missing may be there by now.
fn secret<T>(
    read: Option<Result<T, Wrong>>,
    last: Option<Result<T, String>>,
    failed: &mut Vec<Failure>,
) -> Option<Result<T, String>> {
    Some(read?.or_else(|wrong| match wrong {
        Wrong::Answer(why) => Err(why),
        Wrong::Failed(place, failure) => {
            let why = format!("{place}: {failure}");
            failed.push(failure);
            last.and_then(Result::ok).ok_or(why)
        }
    }))
}

/// Why nothing was read from a Secret.
enum Wrong {
    /// It was seen that there is nothing to use.
    Answer(String),
    /// The call failed; of which key of which Secret.
    Failed(String, Failure),
}

/// The Secrets of a namespace.
struct Secrets<'a> {
    api: Api<Secret>,
    namespace: &'a str,
}

impl Secrets<'_> {
    /// One key of a Secret, or what is wrong with it.
    async fn bytes(&self, name: &str, key: &str) -> Result<Vec<u8>, Wrong> {
        let place = self.place(name, key);
        let secret = match api("get secret", self.api.get_opt(name)).await {
            Ok(Some(secret)) => secret,
            Ok(None) => return Err(Wrong::Answer(format!("{place}: the Secret does not exist"))),
            Err(failure) => return Err(Wrong::Failed(place, failure)),
        };
        let bytes = secret.data.and_then(|mut data| data.remove(key));
        bytes
            .map(|bytes| bytes.0)
            .ok_or_else(|| Wrong::Answer(format!("{place}: the Secret has no such key")))
    }

    /// As text.
    async fn text(&self, name: &str, key: &str) -> Result<String, Wrong> {
        match String::from_utf8(self.bytes(name, key).await?) {
            Ok(text) if !text.trim().is_empty() => Ok(text),
            _ => Err(Wrong::Answer(format!("{} is empty or not text", self.place(name, key)))),
        }
    }

    fn place(&self, name: &str, key: &str) -> String {
        format!("key `{key}` of Secret {}/{name}", self.namespace)
    }
}
