use lifecycle::Time;

use super::*;

fn store() -> Store {
    Store::new(Clock::starting_at(Time(1_790_000_000_000)))
}

fn lease(name: &str) -> Value {
    json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
           "metadata": {"name": name, "namespace": "ns"}, "spec": {"holderIdentity": "a"}})
}

fn set() -> Value {
    json!({"apiVersion": "apps/v1", "kind": "StatefulSet",
           "metadata": {"name": "vmq", "namespace": "ns"}, "spec": {"replicas": 1}})
}

#[tokio::test]
async fn versions_grow_with_every_write_and_stay_where_nothing_changes() {
    let mut store = store();
    let first = store.create(lease("a")).unwrap();
    let key = Key::of(&first).unwrap();
    let same = store.replace(&key, Value::clone(&first), Part::Spec).unwrap();
    assert_eq!(text(&same, "/metadata/resourceVersion"), text(&first, "/metadata/resourceVersion"));
    let mut edited = Value::clone(&first);
    edited["spec"]["holderIdentity"] = json!("b");
    let second = store.replace(&key, edited.clone(), Part::Spec).unwrap();
    assert_ne!(text(&second, "/metadata/resourceVersion"), text(&first, "/metadata/resourceVersion"));
    // The same edit again is based on the first version.
    assert_eq!(store.replace(&key, edited, Part::Spec).unwrap_err().reason, "Conflict");
}

#[tokio::test]
async fn generation_counts_the_spec_and_status_is_a_path_of_its_own() {
    let mut store = store();
    let first = store.create(set()).unwrap();
    let key = Key::of(&first).unwrap();
    let mut edited = set();
    edited["status"] = json!({"replicas": 9});
    edited["metadata"]["labels"] = json!({"a": "b"});
    let labelled = store.replace(&key, edited.clone(), Part::Spec).unwrap();
    assert_eq!(object::number(&labelled, "/metadata/generation"), Some(1));
    assert_eq!(labelled.get("status"), None);
    edited["spec"]["replicas"] = json!(5);
    let status = store.replace(&key, edited.clone(), Part::Status).unwrap();
    assert_eq!(object::number(&status, "/spec/replicas"), Some(1));
    assert_eq!(object::number(&status, "/status/replicas"), Some(9));
    let raised = store.replace(&key, edited, Part::Spec).unwrap();
    assert_eq!(object::number(&raised, "/metadata/generation"), Some(2));
    assert_eq!(object::uid(&raised), object::uid(&first));
}

#[tokio::test]
async fn a_name_comes_back_with_another_uid() {
    let mut store = store();
    let first = store.create(lease("a")).unwrap();
    let key = Key::of(&first).unwrap();
    let wrong = Deletion { uid: Some("other".to_owned()), ..Deletion::default() };
    assert_eq!(store.delete(&key, &wrong).unwrap_err().code, 409);
    let (_, gone) = store.delete(&key, &Deletion::default()).unwrap();
    assert!(gone);
    let second = store.create(lease("a")).unwrap();
    assert_ne!(object::uid(&first), object::uid(&second));
}

#[tokio::test]
async fn finalizers_hold_a_deleted_object() {
    let mut store = store();
    let mut held = lease("a");
    held["metadata"]["finalizers"] = json!(["x/y"]);
    let first = store.create(held).unwrap();
    let key = Key::of(&first).unwrap();
    let (marked, gone) = store.delete(&key, &Deletion::default()).unwrap();
    assert!(!gone && object::deleting(&marked));
    let before = store.revision();
    store.delete(&key, &Deletion::default()).unwrap();
    assert_eq!(store.revision(), before, "a second deletion changes nothing");
    store.change(&key, |object| object["metadata"]["finalizers"] = json!([]));
    assert!(store.get(&key).is_none());
}

#[tokio::test]
async fn older_states_are_rebuilt_from_the_history() {
    let mut store = store();
    let first = store.create(lease("a")).unwrap();
    let then = store.revision();
    let key = Key::of(&first).unwrap();
    store.create(lease("b")).unwrap();
    store.change(&key, |object| object["spec"]["holderIdentity"] = json!("b"));
    store.delete(&key, &Deletion::default()).unwrap();
    let kind = "leases.coordination.k8s.io";
    assert_eq!(store.list(kind, Some("ns")).len(), 1);
    assert_eq!(store.list_at(then, kind, Some("ns")), vec![first]);
    assert_eq!(store.history().since(then).map(Iterator::count), Some(3));
    store.forget();
    assert!(store.history().since(then).is_none());
    assert_eq!(store.history().since(store.revision()).map(Iterator::count), Some(0));
}
