//! Events: what happened, beside our resource, where `kubectl describe` shows it.

use k8s_openapi::api::core::v1::{Event, EventSource, ObjectReference};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time as MetaTime};
use kube::api::{Api, PostParams};
use lifecycle::{Severity, Time};

use crate::kubernetes::call::{Failure, api};

/// Longest message that the API server takes in an Event.
const MESSAGE_BYTES_MAX: usize = 1024;

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Happened {
    /// CamelCase reason.
    pub reason: String,
    /// Info becomes `Normal`, the rest `Warning`.
    pub severity: Severity,
    /// A sentence or two.
    pub message: String,
}

/// Writes one Event about `about`. Best effort: nothing waits for it.
pub async fn publish(
    events: &Api<Event>,
    about: &ObjectReference,
    happened: &Happened,
    reporter: &str,
    now: Time,
) -> Result<(), Failure> {
    let event = event(about, happened, reporter, now);
    api("create event", events.create(&PostParams::default(), &event)).await.map(drop)
}

fn event(about: &ObjectReference, happened: &Happened, reporter: &str, now: Time) -> Event {
    let mut message = happened.message.clone();
    while message.len() > MESSAGE_BYTES_MAX {
        message.pop();
    }
    let at = MetaTime(timestamp(now));
    Event {
        metadata: ObjectMeta {
            generate_name: Some(format!("{}.", about.name.as_deref().unwrap_or("vernescale"))),
            namespace: about.namespace.clone(),
            ..ObjectMeta::default()
        },
        involved_object: about.clone(),
        reason: Some(happened.reason.clone()),
        message: Some(message),
        type_: Some(if happened.severity == Severity::Info { "Normal" } else { "Warning" }.to_owned()),
        first_timestamp: Some(at.clone()),
        last_timestamp: Some(at),
        count: Some(1),
        source: Some(EventSource { component: Some("vernescale".into()), host: None }),
        reporting_component: Some("vernescale.dev/controller".into()),
        reporting_instance: Some(reporter.to_owned()),
        ..Event::default()
    }
}

/// The moment as Kubernetes writes it.
pub(crate) fn timestamp(at: Time) -> jiff::Timestamp {
    i64::try_from(at.0).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warning_is_written_as_people_look_for_it() {
        let about = ObjectReference { name: Some("vmq".into()), ..ObjectReference::default() };
        let happened = Happened {
            reason: "VerifyFailed".into(),
            severity: Severity::Critical,
            message: "ü".repeat(2_000),
        };
        let event = event(&about, &happened, "me", Time(1_500));
        assert_eq!(event.type_.as_deref(), Some("Warning"));
        assert_eq!(event.message.as_deref().map(str::len), Some(1_024), "whole characters, bounded");
        assert_eq!(event.metadata.generate_name.as_deref(), Some("vmq."));
        assert_eq!(event.last_timestamp.unwrap().0.to_string(), "1970-01-01T00:00:01.5Z");
    }
}
