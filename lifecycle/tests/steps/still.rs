//! A StatefulSet that stands still: when that is said, and when it is touched.

use lifecycle::{Effect, Ordinal, Output, Time, Veto};
use rstest::rstest;

use crate::scene::{Scene, THEN, tells};

/// Pod 1 of three has been missing since `THEN`.
fn missing() -> Scene {
    let mut scene = Scene::new(3, 3);
    scene.facts.pods.remove(&Ordinal(1));
    scene.facts.claims.remove(&Ordinal(1));
    scene.facts.missing = Some((Ordinal(1), THEN));
    scene
}

fn told(out: &Output) -> bool {
    tells(out, "StatefulSetStill", "pod 1 is wanted and has not been made for")
}

fn touches(out: &Output) -> bool {
    out.effects.contains(&Effect::Touch { uid: "set".into() })
}

#[test]
fn after_half_a_minute_it_is_told_and_touched_and_again_every_half_minute() {
    let mut scene = missing();
    let out = scene.after(29_999);
    assert!(!told(&out) && !touches(&out), "{out:?}");
    let out = scene.after(30_000);
    assert!(told(&out) && touches(&out), "{out:?}");
    scene.facts.target.touched = Some(Time(THEN.0 + 30_000));
    let out = scene.after(59_999);
    assert!(told(&out) && !touches(&out), "{out:?}");
    assert!(touches(&scene.after(60_000)));
}

#[rstest]
#[case::lower_not_ready(|s: &mut Scene| s.pod(0).ready = false)]
#[case::lower_ends(|s: &mut Scene| s.pod(0).deleting = true)]
#[case::claim_ends(|s: &mut Scene| {
    let mut claim = s.facts.claims[&Ordinal(2)].clone();
    claim[0].deleting = true;
    s.facts.claims.insert(Ordinal(1), claim);
})]
#[case::not_wanted(|s: &mut Scene| s.facts.target.replicas = 1)]
#[case::all_goes(|s: &mut Scene| s.facts.target.deleting = true)]
fn one_that_has_to_wait_is_let_be(#[case] disturb: fn(&mut Scene)) {
    let mut scene = missing();
    disturb(&mut scene);
    let out = scene.after(90_000);
    assert!(!told(&out) && !touches(&out), "{out:?}");
}

#[test]
fn a_mode_that_changes_nothing_only_tells() {
    let mut scene = missing();
    scene.facts.grow_vetoes.insert(Veto::forbids("Shadow", ""));
    let out = scene.after(30_000);
    assert!(tells(&out, "StatefulSetStill", "in this mode we do not") && !touches(&out), "{out:?}");
}
