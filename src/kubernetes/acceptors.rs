//! How many acceptors the broker's listeners have, as far as the pod template says it. Pure.
//!
//! A TCP or TLS listener takes `max_connections` for each of its acceptors: 5 set and 10 acceptors served 50
//! (`disc2_max_connections.txt`). The broker shows the first number and nowhere the second.

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::Container;

/// The broker's own default (`disc2_max_connections.txt`: 5 set, 50 served).
const DEFAULT: u32 = 10;

/// The image writes a variable with this head into the broker's configuration.
const HEAD: &str = "DOCKER_VERNEMQ_LISTENER__";

/// And this is the setting's name, behind nothing, a kind of listener, or kind and name of one.
const TAIL: &str = "NR_OF_ACCEPTORS";

/// Acceptors of a kind of listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Acceptors {
    /// So many.
    pub count: u32,
    /// Nothing that can be read from here sets them: the broker's default, where no configuration file says
    /// otherwise.
    pub assumed: bool,
}

/// Acceptors of the listeners of this kind, as `listener show` names it (`mqtt`, `mqtts`). Of several that are set,
/// the smallest: which listener a name belongs to is shown nowhere.
pub fn acceptors(statefulset: &StatefulSet, container: &str, kind: &str) -> Acceptors {
    let pod = statefulset.spec.as_ref().and_then(|spec| spec.template.spec.as_ref());
    let broker = pod.and_then(|pod| pod.containers.iter().find(|one| one.name == container));
    let own = match kind {
        "mqtts" => "SSL",
        _ => "TCP",
    };
    let mut all = None;
    let mut of_kind = None;
    let mut of_names = Vec::new();
    for (place, count) in broker.into_iter().flat_map(settings) {
        match place.split_once("__") {
            None if place.is_empty() => all = Some(count),
            None if place == own => of_kind = Some(count),
            Some((kind, _)) if kind == own => of_names.push(count),
            None | Some(_) => {}
        }
    }
    let rest = of_kind.or(all);
    match of_names.into_iter().chain(rest).min() {
        Some(count) => Acceptors { count, assumed: false },
        None => Acceptors { count: DEFAULT, assumed: true },
    }
}

/// What stands between head and tail, without the `__` before the tail, and the value. One that comes from elsewhere
/// (`valueFrom`) is not known from here.
fn settings(container: &Container) -> impl Iterator<Item = (String, u32)> + '_ {
    container.env.iter().flatten().filter_map(|variable| {
        let name = variable.name.to_ascii_uppercase();
        let place = name.strip_prefix(HEAD)?.strip_suffix(TAIL)?;
        let place = place.strip_suffix("__").unwrap_or(place).to_owned();
        let count = variable.value.as_deref()?.trim().parse().ok().filter(|count| *count > 0)?;
        Some((place, count))
    })
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    #[rstest]
    #[case::nothing(json!([]), (10, true), (10, true))]
    #[case::all(json!([["LISTENER__NR_OF_ACCEPTORS", "100"]]), (100, false), (100, false))]
    #[case::one_kind(json!([["LISTENER__TCP__NR_OF_ACCEPTORS", "2"]]), (2, false), (10, true))]
    #[case::the_kind_before_all(
        json!([["LISTENER__NR_OF_ACCEPTORS", "100"], ["LISTENER__SSL__NR_OF_ACCEPTORS", "20"]]),
        (100, false), (20, false)
    )]
    #[case::the_smallest_of_several(
        json!([["LISTENER__TCP__DEFAULT__NR_OF_ACCEPTORS", "30"], ["LISTENER__TCP__IN__NR_OF_ACCEPTORS", "4"],
               ["LISTENER__NR_OF_ACCEPTORS", "8"]]),
        (4, false), (8, false)
    )]
    #[case::no_number(json!([["LISTENER__NR_OF_ACCEPTORS", "many"]]), (10, true), (10, true))]
    #[case::another_setting(json!([["LISTENER__MAX_CONNECTIONS", "7"]]), (10, true), (10, true))]
    fn the_template_says_what_it_can(
        #[case] env: serde_json::Value,
        #[case] tcp: (u32, bool),
        #[case] ssl: (u32, bool),
    ) {
        let variable = |pair: &serde_json::Value| json!({ "name": format!("DOCKER_VERNEMQ_{}", pair[0].as_str().unwrap()), "value": pair[1] });
        let env: Vec<_> = env.as_array().unwrap().iter().map(variable).collect();
        let statefulset: StatefulSet = serde_json::from_value(json!({ "spec": {
            "selector": {}, "serviceName": "vmq",
            "template": { "spec": { "containers": [
                { "name": "proxy", "env": [{ "name": "DOCKER_VERNEMQ_LISTENER__NR_OF_ACCEPTORS", "value": "1" }] },
                { "name": "vernemq", "env": env },
            ] } },
        } }))
        .unwrap();
        let of = |kind| {
            let Acceptors { count, assumed } = acceptors(&statefulset, "vernemq", kind);
            (count, assumed)
        };
        assert_eq!((of("mqtt"), of("mqtts")), (tcp, ssl));
    }
}
