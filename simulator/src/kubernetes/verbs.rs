//! The verbs on objects, without I/O: a store, a request, an answer.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{
    object::{self, map, text},
    patch::PatchKind,
    refusal::Refusal,
    request::{Query, Route, Verb},
    resource::{self, Resource},
    rules, scale, schema,
    selector::Selector,
    store::{Deletion, Key, Part, Propagation, Store},
};

/// An answer: HTTP status and body.
pub(super) type Answer = Result<(u16, Value), Refusal>;

/// Carries out everything but watches and execs. Reads are served as of
/// `stale` where it is given.
pub(super) fn carry_out(
    store: &mut Store,
    route: &Route,
    query: &Query,
    content_type: &str,
    body: &[u8],
    stale: Option<u64>,
) -> Answer {
    match route.verb {
        Verb::Get => get(store, route, stale),
        Verb::List => list(store, route, query, stale),
        Verb::Create => create(store, route, query, body),
        Verb::Update => update(store, route, query, body),
        Verb::Patch => patch(store, route, query, content_type, body),
        Verb::Delete if route.name.is_empty() => delete_many(store, route, query, body),
        Verb::Delete => delete(store, route, query, body),
        Verb::Watch | Verb::Exec => Err(Refusal::no_such_path()),
    }
}

fn present(store: &Store, route: &Route) -> Result<Arc<Value>, Refusal> {
    store.get(&route.key()).ok_or_else(|| Refusal::not_found(route.resource, &route.name))
}

fn get(store: &Store, route: &Route, stale: Option<u64>) -> Answer {
    let object = match stale {
        None => present(store, route)?,
        Some(revision) => store
            .list_at(revision, route.resource.id, route.namespace.as_deref())
            .into_iter()
            .find(|object| object::name(object) == route.name)
            .ok_or_else(|| Refusal::not_found(route.resource, &route.name))?,
    };
    if route.sub == "scale" {
        // The wish of a custom resource may be absent, and then it has no scale.
        if route.resource.custom() && object.pointer("/spec/replicas").is_none() {
            return Err(Refusal::internal("the spec replicas field \".spec.replicas\" does not exist"));
        }
        return Ok((200, scale::of(&object)));
    }
    Ok((200, Value::clone(&object)))
}

fn list(store: &Store, route: &Route, query: &Query, stale: Option<u64>) -> Answer {
    let selector = Selector::parse(route.resource, query.get("labelSelector"), query.get("fieldSelector"))?;
    let (resource, namespace) = (route.resource.id, route.namespace.as_deref());
    let all = match stale {
        None => store.list(resource, namespace),
        Some(revision) => store.list_at(revision, resource, namespace),
    };
    // `limit` may be ignored: a server may answer everything at once.
    let items: Vec<&Value> = all.iter().map(Arc::as_ref).filter(|object| selector.matches(object)).collect();
    let revision = stale.unwrap_or(store.revision()).to_string();
    Ok((
        200,
        json!({
            "kind": format!("{}List", route.resource.kind), "apiVersion": route.resource.api_version(),
            "metadata": {"resourceVersion": revision}, "items": items,
        }),
    ))
}

/// Reads a body as an object of the route's kind.
fn read(route: &Route, body: &[u8]) -> Result<Value, Refusal> {
    let mut object: Value = serde_json::from_slice(body)
        .map_err(|error| Refusal::bad_request(format!("the object could not be read: {error}")))?;
    let kind = route.resource;
    let stated = resource::of(&object);
    if object.get("kind").is_some() && stated.is_none_or(|stated| stated.id != kind.id) {
        return Err(Refusal::bad_request(format!(
            "the object provided is unrecognized: expected {} {}",
            kind.api_version(),
            kind.kind
        )));
    }
    object["apiVersion"] = json!(kind.api_version());
    object["kind"] = json!(kind.kind);
    let namespace = route.namespace.clone().unwrap_or_default();
    let metadata = map(&mut object, "metadata");
    let given = metadata.get("namespace").and_then(Value::as_str).unwrap_or(&namespace);
    if kind.namespaced && given != namespace {
        return Err(Refusal::bad_request(
            "the namespace of the provided object does not match the namespace sent on the request",
        ));
    }
    if kind.namespaced {
        metadata.insert("namespace".into(), json!(namespace));
    }
    Ok(object)
}

fn check(kind: &Resource, object: &Value) -> Result<(), Refusal> {
    kind.check(object).map_err(|why| {
        Refusal::bad_request(format!(
            "{} in version \"{}\" cannot be handled as a {}: {why}",
            kind.kind, kind.version, kind.kind
        ))
    })
}

fn create(store: &mut Store, route: &Route, query: &Query, body: &[u8]) -> Answer {
    let mut object = read(route, body)?;
    let kind = route.resource;
    let namespace = object::namespace(&object).to_owned();
    let home = kind.namespaced.then(|| store.find("namespaces", "", &namespace));
    match home {
        Some(None) => {
            let namespaces = resource::by_id("namespaces").expect("the table has it");
            return Err(Refusal::not_found(namespaces, &namespace));
        }
        Some(Some(home)) if object::deleting(&home) => {
            return Err(Refusal::terminating(kind, object::name(&object), &namespace));
        }
        Some(Some(_)) | None => {}
    }
    if object::name(&object).is_empty() {
        let prefix = text(&object, "/metadata/generateName").to_owned();
        if prefix.is_empty() {
            return Err(Refusal::invalid(
                kind,
                "",
                "metadata.name",
                "Required value: name or generateName is required",
            ));
        }
        let name = format!("{prefix}{:05x}", store.revision());
        map(&mut object, "metadata").insert("name".into(), json!(name));
    }
    if !text(&object, "/metadata/resourceVersion").is_empty() {
        return Err(Refusal::bad_request("resourceVersion should not be set on objects to be created"));
    }
    if kind.status {
        object.as_object_mut().map(|fields| fields.remove("status"));
    }
    rules::default(kind, &mut object);
    schema::conform(store, kind, &mut object)?;
    check(kind, &object)?;
    rules::admit(kind, None, &object)?;
    if query.get("dryRun") == "All" {
        return Ok((201, object));
    }
    store.create(object).map(|object| (201, Value::clone(&object)))
}

fn update(store: &mut Store, route: &Route, query: &Query, body: &[u8]) -> Answer {
    let old = present(store, route)?;
    if route.sub == "scale" {
        let scale: Value = serde_json::from_slice(body)
            .map_err(|error| Refusal::bad_request(format!("the scale could not be read: {error}")))?;
        return rescale(store, route, query, &old, &scale);
    }
    let object = read(route, body)?;
    if object::name(&object) != route.name {
        return Err(Refusal::bad_request("the name of the object does not match the name on the URL"));
    }
    if route.resource.needs_version && text(&object, "/metadata/resourceVersion").is_empty() {
        return Err(Refusal::invalid(
            route.resource,
            &route.name,
            "metadata.resourceVersion",
            "Invalid value: 0x0: must be specified for an update",
        ));
    }
    let uid = object::uid(&object);
    if !uid.is_empty() && uid != object::uid(&old) {
        return Err(Refusal::precondition(route.resource, &route.name, "UID", uid, object::uid(&old)));
    }
    write(store, route, query, &old, object)
}

fn patch(store: &mut Store, route: &Route, query: &Query, content_type: &str, body: &[u8]) -> Answer {
    let kind = PatchKind::of(route.resource, content_type)?;
    let old = match present(store, route) {
        Err(_) if kind == PatchKind::Apply && route.sub.is_empty() => {
            let document = super::patch::document(body)?.to_string();
            return create(store, route, query, document.as_bytes());
        }
        found => found?,
    };
    if route.sub == "scale" {
        let scale = kind.apply(&scale::of(&old), body)?;
        return rescale(store, route, query, &old, &scale);
    }
    let object = kind.apply(&old, body)?;
    let immutable = [("metadata.uid", "/metadata/uid"), ("metadata.name", "/metadata/name")];
    for (field, pointer) in immutable {
        if text(&object, pointer) != text(&old, pointer) {
            return Err(Refusal::invalid(
                route.resource,
                &route.name,
                field,
                "Invalid value: field is immutable",
            ));
        }
    }
    write(store, route, query, &old, object)
}

/// The part of an update and of a patch that is the same.
fn write(store: &mut Store, route: &Route, query: &Query, old: &Value, mut object: Value) -> Answer {
    schema::conform(store, route.resource, &mut object)?;
    check(route.resource, &object)?;
    let part = if route.sub == "status" { Part::Status } else { Part::Spec };
    if part == Part::Spec {
        rules::admit(route.resource, Some(old), &object)?;
    }
    if query.get("dryRun") == "All" {
        return Ok((200, object));
    }
    store.replace(&route.key(), object, part).map(|object| (200, Value::clone(&object)))
}

fn rescale(store: &mut Store, route: &Route, query: &Query, old: &Value, scale: &Value) -> Answer {
    let mut object = scale::write(route.resource, old, scale)?;
    schema::conform(store, route.resource, &mut object)?;
    rules::admit(route.resource, Some(old), &object)?;
    if query.get("dryRun") == "All" {
        return Ok((200, scale::of(&object)));
    }
    let written = store.replace(&route.key(), object, Part::Spec)?;
    Ok((200, scale::of(&written)))
}

fn deletion(query: &Query, body: &[u8]) -> Result<(Deletion, bool), Refusal> {
    let options: Value = if body.is_empty() {
        json!({})
    } else {
        serde_json::from_slice(body)
            .map_err(|error| Refusal::bad_request(format!("the options could not be read: {error}")))?
    };
    let owned = |pointer| options.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
    let policy = owned("/propagationPolicy").unwrap_or_else(|| query.get("propagationPolicy").to_owned());
    let propagation = match policy.as_str() {
        "Orphan" => Propagation::Orphan,
        "Foreground" => Propagation::Foreground,
        _ => Propagation::Background,
    };
    let grace = object::number(&options, "/gracePeriodSeconds")
        .or_else(|| query.get("gracePeriodSeconds").parse().ok());
    let dry = !object::list(&options, "/dryRun").is_empty() || query.get("dryRun") == "All";
    let (uid, resource_version) = (owned("/preconditions/uid"), owned("/preconditions/resourceVersion"));
    Ok((Deletion { uid, resource_version, grace, propagation }, dry))
}

fn delete(store: &mut Store, route: &Route, query: &Query, body: &[u8]) -> Answer {
    let (how, dry) = deletion(query, body)?;
    let old = present(store, route)?;
    if dry {
        return Ok((200, Value::clone(&old)));
    }
    let (object, gone) = store.delete(&route.key(), &how)?;
    // Kinds whose strategy says so answer the object even when it is gone.
    let always = ["pods", "services", "persistentvolumeclaims"].contains(&route.resource.id);
    if !gone || always {
        return Ok((200, Value::clone(&object)));
    }
    let details = json!({"name": route.name, "kind": route.resource.plural,
                         "group": route.resource.group, "uid": object::uid(&object)});
    Ok((
        200,
        json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}),
    ))
}

fn delete_many(store: &mut Store, route: &Route, query: &Query, body: &[u8]) -> Answer {
    let (how, _) = deletion(query, body)?;
    let found = list(store, route, query, None)?;
    for object in object::list(&found.1, "/items") {
        let key = Key::new(route.resource, object::namespace(object), object::name(object));
        store.delete(&key, &how)?;
    }
    Ok(found)
}
