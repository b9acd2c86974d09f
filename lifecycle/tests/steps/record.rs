//! The annotation: what another version of us wrote must still be read, or a crash during an
//! upgrade loses a half-done shrink.

use lifecycle::{Intent, Step};

use crate::fixture::Fixture;

#[test]
fn an_intent_survives_its_annotation() {
    let intent = Fixture::shrinking(3, Step::Drain).intent.unwrap();
    let text = serde_json::to_string(&intent).unwrap();
    assert_eq!(serde_json::from_str::<Intent>(&text).unwrap(), intent);
}

#[test]
fn the_names_in_the_annotation_stay() {
    let text = r#"{"epoch":7,"kind":"Shrink","ordinal":2,"podUid":"u","node":"VerneMQ@vmq-2",
        "listeners":[{"kind":"mqtt","address":"10.0.0.3","port":1883,"state":"running"}],
        "step":"PodGone","started":1000000,"entered":1000000}"#;
    let intent: Intent = serde_json::from_str(text).unwrap();
    assert_eq!((intent.epoch, intent.step, intent.verified), (7, Step::PodGone, false));
    let mut fixture = Fixture::shrinking(3, Step::PodGone);
    fixture.intent = Some(intent);
    fixture.facts.target.replicas = 2;
    fixture.dropped();
    fixture.gone();
    assert!(!fixture.after(0).effects.is_empty(), "the volume's turn");
}
