//! What changes seldom and decides nothing by itself: read every half minute.

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::Service;
use kube::api::{Api, ListParams};
use kube::{Client, ResourceExt};
use net::{Login, Secret};

use crate::api::{LoginSecretRef, Management, RoutingProbe, VerneMQAutoscaler};
use crate::kubernetes::call::{Failure, api};
use crate::kubernetes::secrets::{Secrets, Wrong};
use crate::kubernetes::serving_label::SERVING;

/// What changes seldom and decides nothing by itself: read every half minute.
#[derive(Clone, Debug, Default)]
pub struct Cached {
    /// Autoscalers of the namespace; none where RBAC does not let us list them.
    pub autoscalers: Option<Vec<HorizontalPodAutoscaler>>,
    /// The StatefulSet's governing Service exists.
    pub governing_service: Option<bool>,
    /// The Service of `spec.clientService`; none where the spec names none, or it could not be read.
    pub client_service: Option<ClientService>,
    /// The management key, or what is wrong with it.
    pub key: Option<Result<Secret, String>>,
    /// Certificates (PEM) that the brokers' are proven by instead of the machine's own roots, or what is wrong
    /// with them.
    pub authorities: Option<Result<Vec<u8>, String>>,
    /// Who the routing probe is to the brokers, or what is wrong with its Secret.
    pub login: Option<Result<Login, String>>,
    /// Certificates (PEM) that the brokers' MQTT listeners are proven by, or what is wrong with them.
    pub routing_probe_authorities: Option<Result<Vec<u8>, String>>,
    /// Calls that failed: what was known before stands in the place of what they would have answered.
    pub failed: Vec<Failure>,
    /// What was looked for.
    pub(super) of: Option<Named>,
}

impl Cached {
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
    routing_probe: RoutingProbe,
    client_service: Option<String>,
}

impl Named {
    fn by(resource: &VerneMQAutoscaler) -> Self {
        let spec = resource.spec.clone();
        let (management, login) = (spec.management, spec.routing_probe_secret_ref);
        Self { management, login, routing_probe: spec.routing_probe, client_service: spec.client_service }
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

/// Reads it. Nothing here fails the reconcile: what a call that failed would have said is what `last` says of the same
/// objects, and absent where it says nothing.
pub async fn read(
    client: &Client,
    resource: &VerneMQAutoscaler,
    statefulset: &StatefulSet,
    last: &Cached,
) -> Cached {
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
        Some(
            secrets
                .text(&reference.name, &reference.key)
                .await
                .map(|text| Secret::new(text.trim().to_owned())),
        )
    };
    let authorities = async {
        let reference = management.ca_secret_ref.as_ref()?;
        Some(secrets.bytes(&reference.name, &reference.key).await)
    };
    let routing_probe_authorities = async {
        let reference = resource.spec.routing_probe.ca_secret_ref.as_ref()?;
        Some(secrets.bytes(&reference.name, &reference.key).await)
    };
    let login = async {
        let name = &resource.spec.routing_probe_secret_ref.as_ref()?.name;
        let (username, password) =
            tokio::join!(secrets.text(name, "username"), secrets.text(name, "password"));
        Some(match (username, password) {
            (Ok(username), Ok(password)) => Ok(Login { username, password: Secret::new(password) }),
            // A call that failed says nothing, whatever the other one has said.
            (Err(failed @ Wrong::Failed(..)), _) | (_, Err(failed @ Wrong::Failed(..))) => Err(failed),
            (Err(answer), _) | (_, Err(answer)) => Err(answer),
        })
    };
    let (autoscalers, governing_service, client_service, key, authorities, routing_probe_authorities, login) =
        tokio::join!(autoscalers, governing, clients, key, authorities, routing_probe_authorities, login);
    let of = Some(Named::by(resource));
    let last = if last.of == of { last.clone() } else { Cached::default() };
    let autoscalers = autoscalers.map(|list| list.items);
    let mut failed = Vec::new();
    Cached {
        autoscalers: answered(Some(autoscalers), last.autoscalers, &mut failed),
        governing_service: answered(governing_service, last.governing_service, &mut failed),
        client_service: answered(client_service, last.client_service, &mut failed),
        key: secret(key, last.key, &mut failed),
        authorities: secret(authorities, last.authorities, &mut failed),
        login: secret(login, last.login, &mut failed),
        routing_probe_authorities: secret(
            routing_probe_authorities,
            last.routing_probe_authorities,
            &mut failed,
        ),
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
