use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::*;

fn statefulset(annotations: Option<&[(&str, &str)]>) -> StatefulSet {
    let mut object = StatefulSet::default();
    object.metadata.uid = Some("uid-1".into());
    object.metadata.resource_version = Some("41".into());
    object.metadata.annotations = annotations.map(|pairs| {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect::<BTreeMap<_, _>>()
    });
    object
}

/// Applies a patch as the API server does.
fn apply(object: &StatefulSet, patch: &Value) -> Result<Value, String> {
    let mut value = serde_json::to_value(object).unwrap();
    json_patch::patch(&mut value, &operations(patch)).map_err(|error| error.to_string())?;
    Ok(value["metadata"]["annotations"][INTENT].clone())
}

fn moved(object: &StatefulSet) -> StatefulSet {
    let mut moved = object.clone();
    moved.metadata.resource_version = Some("42".into());
    moved
}

#[test]
fn the_first_annotation_needs_the_very_version_that_was_read() {
    let read = statefulset(None);
    let patch = swap_patch(&read, INTENT, None, "new");
    assert_eq!(apply(&read, &patch), Ok(json!("new")));
    assert!(apply(&moved(&read), &patch).is_err(), "another one may have written its first intent");
}

#[test]
fn the_first_intent_needs_the_annotations_that_were_read_and_no_version() {
    let read = statefulset(Some(&[("a", "b")]));
    let patch = swap_patch(&read, INTENT, None, "new");
    assert_eq!(apply(&moved(&read), &patch), Ok(json!("new")), "status changes of pods do not disturb");

    let other = statefulset(Some(&[("a", "b"), (INTENT, "theirs")]));
    assert!(apply(&other, &patch).is_err(), "another one has written its first intent");
    let mut successor = read;
    successor.metadata.uid = Some("uid-2".into());
    assert!(apply(&successor, &patch).is_err(), "a recreated StatefulSet is another one");
}

#[test]
fn a_swap_needs_the_text_that_was_read_and_no_version() {
    let read = statefulset(Some(&[(INTENT, "old")]));
    let patch = swap_patch(&read, INTENT, Some("old"), "new");
    assert_eq!(apply(&moved(&read), &patch), Ok(json!("new")), "status changes of dying pods do not disturb");

    assert!(apply(&statefulset(Some(&[(INTENT, "other")])), &patch).is_err());
    assert!(apply(&statefulset(None), &patch).is_err());
    let mut successor = read;
    successor.metadata.uid = Some("uid-2".into());
    assert!(apply(&successor, &patch).is_err(), "a recreated StatefulSet is another one");
}

#[test]
fn what_cannot_be_read_is_not_taken_for_absent() {
    assert_eq!(Held::read(&statefulset(None)), Ok(Held::default()));
    let error = Held::read(&statefulset(Some(&[(INTENT, "{}")]))).unwrap_err();
    assert!(error.to_string().contains("restore it"), "{error}");
}

/// As the error advises: the status holds the intent, and neither who wrote it nor how often.
#[test]
fn what_is_restored_from_the_status_can_be_read() {
    let intent: Intent = serde_json::from_value(json!({
        "epoch": 3, "kind": "Shrink", "ordinal": 2, "podUid": "p", "node": null, "listeners": [],
        "step": "Drain", "started": 0, "entered": 0,
    }))
    .unwrap();
    let restored = serde_json::to_string(&intent).unwrap();
    let held = Held::read(&statefulset(Some(&[(INTENT, &restored)]))).unwrap();
    assert_eq!(held.intent(), Some(&intent));
}

/// A controller may be upgraded in the middle of a change: what the version before has written is read for one version.
#[test]
fn the_names_of_the_version_before_are_read() {
    let record = json!({
        "epoch": 3, "kind": "Shrink", "ordinal": 2, "podUid": "p", "node": "VerneMQ@vmq-2", "listeners": [],
        "step": "Leave", "started": 0, "entered": 0, "asker": { "uid": "u", "restarts": 1 }, "unserved": true,
    });
    let held = Held::read(&statefulset(Some(&[(INTENT, &record.to_string())]))).unwrap();
    let intent = held.intent().unwrap();
    let coordinator = intent.coordinator.as_ref().map(|process| (process.uid.as_str(), process.restarts));
    assert_eq!((coordinator, intent.unroutable), (Some(("u", 1)), true));
    let mut record = record;
    record["step"] = json!("Canary");
    let held = Held::read(&statefulset(Some(&[(INTENT, &record.to_string())]))).unwrap();
    assert_eq!(held.intent().unwrap().step, lifecycle::Step::RoutingProbe);
}
