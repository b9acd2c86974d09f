//! A StatefulSet that stands still: when that is said, and when it is touched.

use lifecycle::{Effect, Ordinal, Output, Time, Veto};
use rstest::rstest;

use crate::fixture::{Fixture, THEN, tells};

/// Pod 1 of three has been missing since `THEN`.
fn missing() -> Fixture {
    let mut fixture = Fixture::new(3, 3);
    fixture.facts.pods.remove(&Ordinal(1));
    fixture.facts.claims.remove(&Ordinal(1));
    fixture.facts.missing = Some((Ordinal(1), THEN));
    fixture
}

fn told(out: &Output) -> bool {
    tells(out, "StatefulSetStill", "pod 1 is wanted and has not been made for")
}

fn touches(out: &Output) -> bool {
    out.effects.contains(&Effect::Touch { uid: "set".into() })
}

#[test]
fn after_half_a_minute_it_is_told_and_touched_and_again_every_half_minute() {
    let mut fixture = missing();
    let out = fixture.after(29_999);
    assert!(!told(&out) && !touches(&out), "{out:?}");
    let out = fixture.after(30_000);
    assert!(told(&out) && touches(&out), "{out:?}");
    fixture.facts.target.touched = Some(Time(THEN.0 + 30_000));
    let out = fixture.after(59_999);
    assert!(told(&out) && !touches(&out), "{out:?}");
    assert!(touches(&fixture.after(60_000)));
}

#[rstest]
#[case::lower_not_ready(|s: &mut Fixture| s.pod(0).ready = false)]
#[case::lower_ends(|s: &mut Fixture| s.pod(0).deleting = true)]
#[case::claim_ends(|s: &mut Fixture| {
    let mut claim = s.facts.claims[&Ordinal(2)].clone();
    claim[0].deleting = true;
    s.facts.claims.insert(Ordinal(1), claim);
})]
#[case::not_wanted(|s: &mut Fixture| s.facts.target.replicas = 1)]
#[case::all_goes(|s: &mut Fixture| s.facts.target.deleting = true)]
fn one_that_has_to_wait_is_let_be(#[case] disturb: fn(&mut Fixture)) {
    let mut fixture = missing();
    disturb(&mut fixture);
    let out = fixture.after(90_000);
    assert!(!told(&out) && !touches(&out), "{out:?}");
}

#[test]
fn a_mode_that_changes_nothing_only_tells() {
    let mut fixture = missing();
    fixture.facts.grow_vetoes.insert(Veto::forbids("Shadow", ""));
    let out = fixture.after(30_000);
    assert!(tells(&out, "StatefulSetStill", "in this mode we do not") && !touches(&out), "{out:?}");
}
