//! What clients are protected by while the size changes (`status.protectionLevel`). Pure.

use k8s_openapi::api::core::v1::PodTemplateSpec;

use super::observation::Observation;
use crate::api::Via;
use crate::kubernetes::cached::{Cached, ClientService};
use crate::kubernetes::serving_label::SERVING;
use autoscaler::decide::Mode;

/// What is known to be there. What could not be read is not.
#[derive(Clone, Copy, Debug)]
struct Means {
    mode: Mode,
    /// Every broker can be read, and asked for a leave as far as it can be seen.
    asked: bool,
    /// Pods serve without us, and the client Service drops one that has lost its label.
    fence: bool,
    /// A container that starts asks first whether its node has left.
    hook: bool,
}

/// Each level holds the ones below it.
fn level(means: Means) -> u8 {
    match means {
        Means { mode: Mode::Shadow | Mode::Paused, .. } | Means { asked: false, .. } => 0,
        Means { fence: false, .. } => 1,
        Means { hook: false, .. } => 2,
        Means { hook: true, .. } => 3,
    }
}

/// The level of this reconcile; `readable`: no ready pod's broker has been unreadable for long.
pub(super) fn of(observed: &Observation, cached: &Cached, readable: bool) -> u8 {
    let spec = &observed.resource.spec;
    let template = observed.statefulset.spec.as_ref().map(|spec| &spec.template);
    level(Means {
        mode: spec.mode,
        asked: readable && can_be_asked(spec.leave.via, cached),
        fence: cached.client_service == Some(ClientService::Fences) && template.is_some_and(serves),
        hook: template.is_some_and(hooked),
    })
}

/// Through `pods/exec` no key is needed; whether we may is seen when it is asked.
fn can_be_asked(via: Via, cached: &Cached) -> bool {
    via == Via::Exec || !matches!(cached.key, Some(Err(_)))
}

fn serves(template: &PodTemplateSpec) -> bool {
    let labels = template.metadata.as_ref().and_then(|metadata| metadata.labels.as_ref());
    labels.and_then(|labels| labels.get(SERVING)).is_some_and(|value| value == "true")
}

fn hooked(template: &PodTemplateSpec) -> bool {
    let containers = template.spec.as_ref().map(|spec| &spec.containers);
    containers.into_iter().flatten().any(|container| {
        let command = container.command.iter().chain(&container.args).flatten();
        command.cloned().collect::<Vec<_>>().join(" ").contains("vernescale hook start")
    })
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;
    use net::Secret;

    #[rstest]
    #[case::all(Mode::Active, true, true, true, 3)]
    #[case::without_the_hook(Mode::Active, true, true, false, 2)]
    #[case::a_newcomer_is_fenced_too(Mode::GrowOnly, true, true, false, 2)]
    #[case::service_selects_all_or_is_missing(Mode::Active, true, false, false, 1)]
    #[case::a_hook_alone_keeps_nobody_away(Mode::Active, true, false, true, 1)]
    #[case::no_door(Mode::Active, false, true, true, 0)]
    #[case::paused(Mode::Paused, true, true, true, 0)]
    #[case::shadow(Mode::Shadow, true, true, true, 0)]
    fn a_level_is_what_stands(
        #[case] mode: Mode,
        #[case] asked: bool,
        #[case] fence: bool,
        #[case] hook: bool,
        #[case] expected: u8,
    ) {
        assert_eq!(level(Means { mode, asked, fence, hook }), expected);
    }

    #[rstest]
    #[case::no_key_needed(Via::ManagementApi, None, true)]
    #[case::a_key(Via::ManagementApi, Some(Ok(Secret::new("key".into()))), true)]
    #[case::its_secret_is_missing(Via::ManagementApi, Some(Err("no such Secret".into())), false)]
    #[case::exec_needs_none(Via::Exec, Some(Err("no such Secret".into())), true)]
    fn a_key_that_is_missing_opens_nothing(
        #[case] via: Via,
        #[case] key: Option<Result<Secret, String>>,
        #[case] expected: bool,
    ) {
        let mut cached = Cached::default();
        cached.key = key;
        assert_eq!(can_be_asked(via, &cached), expected);
    }

    #[rstest]
    #[case(json!({}), false, false)]
    #[case(json!({ "metadata": { "labels": { SERVING: "true" } } }), true, false)]
    #[case(json!({ "metadata": { "labels": { SERVING: "false" } } }), false, false)]
    #[case(json!({ "spec": { "containers": [{ "name": "vernemq", "command": ["vernescale", "hook", "start"] }] } }), false, true)]
    fn the_template_says_label_and_hook(
        #[case] template: serde_json::Value,
        #[case] label: bool,
        #[case] hook: bool,
    ) {
        let template: PodTemplateSpec = serde_json::from_value(template).unwrap();
        assert_eq!((serves(&template), hooked(&template)), (label, hook));
    }
}
