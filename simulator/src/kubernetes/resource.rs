//! The kinds that the simulator serves, and what is peculiar to each.

use k8s_openapi::api::{
    apps::v1::{ControllerRevision, StatefulSet},
    coordination::v1::Lease,
    core::v1::{ConfigMap, Event, Namespace, PersistentVolumeClaim, Pod, Secret, Service},
    discovery::v1::EndpointSlice,
    events::v1::Event as NewEvent,
};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// One kind of object.
#[derive(Debug)]
pub(super) struct Resource {
    /// Plural and group as error messages and role rules write them: `statefulsets.apps`.
    pub(super) id: &'static str,
    pub(super) group: &'static str,
    pub(super) version: &'static str,
    pub(super) plural: &'static str,
    pub(super) kind: &'static str,
    pub(super) short: &'static [&'static str],
    pub(super) namespaced: bool,
    /// Has a `status` subresource: the main path cannot write the status.
    pub(super) status: bool,
    /// Has a `scale` subresource.
    pub(super) scale: bool,
    /// Counts changes of its spec in `metadata.generation`.
    pub(super) generation: bool,
    /// A PUT must name the version that it replaces.
    pub(super) needs_version: bool,
    /// Reads the object as the typed API would, to refuse what it would refuse.
    check: fn(&Value) -> Result<(), String>,
}

impl Resource {
    /// `v1` or `apps/v1`.
    pub(super) fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.to_owned()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }

    /// Whether it is of a custom kind: no strategic merge, no metadata through `status`.
    pub(super) fn custom(&self) -> bool {
        self.group == "vernescale.dev"
    }

    /// Why the typed API would not read the object, if so.
    pub(super) fn check(&self, object: &Value) -> Result<(), String> {
        (self.check)(object)
    }
}

fn typed<K: DeserializeOwned>(object: &Value) -> Result<(), String> {
    K::deserialize(object).map(drop).map_err(|error| error.to_string())
}

/// `metav1.MicroTime` is read with a layout of exactly six fractional digits:
/// a client that writes nanoseconds or whole seconds is answered 400.
fn micro_times(object: &Value, pointers: &[&str]) -> Result<(), String> {
    for pointer in pointers {
        let Some(text) = object.pointer(pointer).and_then(Value::as_str) else { continue };
        let digits =
            text.split_once('.').map_or(0, |(_, rest)| rest.chars().take_while(char::is_ascii_digit).count());
        if digits != 6 {
            return Err(format!(
                "parsing time \"{text}\" as \"2006-01-02T15:04:05.000000Z07:00\": cannot parse"
            ));
        }
    }
    Ok(())
}

fn lease(object: &Value) -> Result<(), String> {
    micro_times(object, &["/spec/acquireTime", "/spec/renewTime"])?;
    typed::<Lease>(object)
}

fn new_event(object: &Value) -> Result<(), String> {
    micro_times(object, &["/eventTime", "/series/lastObservedTime"])?;
    typed::<NewEvent>(object)
}

fn old_event(object: &Value) -> Result<(), String> {
    micro_times(object, &["/eventTime"])?;
    typed::<Event>(object)
}

const PLAIN: Resource = Resource {
    id: "",
    group: "",
    version: "v1",
    plural: "",
    kind: "",
    short: &[],
    namespaced: true,
    status: false,
    scale: false,
    generation: false,
    needs_version: false,
    check: |_| Ok(()),
};

static RESOURCES: [Resource; 14] = [
    Resource {
        id: "pods",
        plural: "pods",
        kind: "Pod",
        short: &["po"],
        status: true,
        generation: true,
        check: typed::<Pod>,
        ..PLAIN
    },
    Resource {
        id: "services",
        plural: "services",
        kind: "Service",
        short: &["svc"],
        status: true,
        check: typed::<Service>,
        ..PLAIN
    },
    Resource {
        id: "persistentvolumeclaims",
        plural: "persistentvolumeclaims",
        kind: "PersistentVolumeClaim",
        short: &["pvc"],
        status: true,
        check: typed::<PersistentVolumeClaim>,
        ..PLAIN
    },
    Resource {
        id: "namespaces",
        plural: "namespaces",
        kind: "Namespace",
        short: &["ns"],
        namespaced: false,
        check: typed::<Namespace>,
        ..PLAIN
    },
    Resource { id: "secrets", plural: "secrets", kind: "Secret", check: typed::<Secret>, ..PLAIN },
    Resource {
        id: "configmaps",
        plural: "configmaps",
        kind: "ConfigMap",
        short: &["cm"],
        check: typed::<ConfigMap>,
        ..PLAIN
    },
    Resource { id: "events", plural: "events", kind: "Event", short: &["ev"], check: old_event, ..PLAIN },
    Resource {
        id: "events.events.k8s.io",
        group: "events.k8s.io",
        plural: "events",
        kind: "Event",
        check: new_event,
        ..PLAIN
    },
    Resource {
        id: "statefulsets.apps",
        group: "apps",
        plural: "statefulsets",
        kind: "StatefulSet",
        short: &["sts"],
        status: true,
        scale: true,
        generation: true,
        check: typed::<StatefulSet>,
        ..PLAIN
    },
    Resource {
        id: "controllerrevisions.apps",
        group: "apps",
        plural: "controllerrevisions",
        kind: "ControllerRevision",
        check: typed::<ControllerRevision>,
        ..PLAIN
    },
    Resource {
        id: "endpointslices.discovery.k8s.io",
        group: "discovery.k8s.io",
        plural: "endpointslices",
        kind: "EndpointSlice",
        generation: true,
        check: typed::<EndpointSlice>,
        ..PLAIN
    },
    Resource {
        id: "customresourcedefinitions.apiextensions.k8s.io",
        group: "apiextensions.k8s.io",
        plural: "customresourcedefinitions",
        kind: "CustomResourceDefinition",
        short: &["crd"],
        namespaced: false,
        check: typed::<CustomResourceDefinition>,
        ..PLAIN
    },
    Resource {
        id: "leases.coordination.k8s.io",
        group: "coordination.k8s.io",
        plural: "leases",
        kind: "Lease",
        needs_version: true,
        check: lease,
        ..PLAIN
    },
    Resource {
        id: "vernemqautoscalers.vernescale.dev",
        group: "vernescale.dev",
        version: "v1alpha1",
        plural: "vernemqautoscalers",
        kind: "VerneMQAutoscaler",
        short: &["vmqa"],
        status: true,
        scale: true,
        generation: true,
        needs_version: true,
        ..PLAIN
    },
];

/// All of them, for discovery.
pub(super) fn all() -> &'static [Resource] {
    &RESOURCES
}

/// The resource at a path.
pub(super) fn at(group: &str, version: &str, plural: &str) -> Option<&'static Resource> {
    RESOURCES.iter().find(|r| r.group == group && r.version == version && r.plural == plural)
}

/// The resource of an object.
pub(super) fn of(object: &Value) -> Option<&'static Resource> {
    let (api_version, kind) = (object.get("apiVersion")?.as_str()?, object.get("kind")?.as_str()?);
    RESOURCES.iter().find(|r| r.kind == kind && r.api_version() == api_version)
}

/// By id, such as `pods` or `statefulsets.apps`; also by plural alone where no
/// core kind has it.
pub(super) fn by_id(id: &str) -> Option<&'static Resource> {
    RESOURCES.iter().find(|r| r.id == id).or_else(|| RESOURCES.iter().find(|r| r.plural == id))
}
