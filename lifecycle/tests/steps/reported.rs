//! Dead members, foreign falls, split clusters: told by name, never acted on.

use lifecycle::{Effect, Kind, ListenerState, Ordinal, Step, Time, Veto, step};
use rstest::rstest;

use crate::fixture::{Fixture, name, reasons};

fn down(fixture: &mut Fixture, dead: u32) {
    for viewer in 0..3 {
        let members: Vec<_> = (0..3).map(|o| (o, o != dead)).collect();
        fixture.view(viewer, &members);
    }
    fixture.node(dead).members = crate::fixture::unknown();
}

#[test]
fn a_member_that_is_down_is_dead_when_its_pod_was_not_ready_for_ten_minutes() {
    let mut fixture = Fixture::new(3, 3);
    down(&mut fixture, 2);
    fixture.pod(2).ready = false;
    fixture.pod(2).ready_changed = Some(Time(1_000_000));
    assert_eq!(reasons(&fixture.after(599_000)), ["MemberDown"]);
    let out = fixture.after(600_000);
    assert_eq!((reasons(&out), &out.effects), (vec!["MemberDead"], &vec![]));
    let text = &out.conditions[0].message;
    let words = [&name(2).0, "vmq-admin cluster leave node=", "How many is not known", "queue_message_in - "];
    assert!(words.iter().all(|word| text.contains(*word)), "{text}");
}

/// A broken top ordinal is not a smaller cluster, even if it is wanted away.
#[test]
fn a_broken_top_ordinal_is_reported_and_not_removed() {
    let mut fixture = Fixture::new(3, 2);
    down(&mut fixture, 2);
    fixture.pod(2).ready = false;
    fixture.pod(2).running = false;
    let out = step(None, &fixture.facts, &fixture.limits, Time(10_000_000));
    assert!(reasons(&out).contains(&"MemberDead"), "{:?}", out.conditions);
    assert_eq!(out.effects, []);
}

#[test]
fn a_member_without_a_pod_is_dead_at_once_unless_a_pod_is_still_to_come() {
    let mut fixture = Fixture::new(3, 3);
    for viewer in 0..3 {
        fixture.view(viewer, &[(0, true), (1, true), (2, true), (7, false)]);
    }
    assert_eq!(reasons(&fixture.after(0)), ["MemberDead"]);
    fixture.node(2).name = None;
    assert_eq!(reasons(&fixture.after(0)), ["MemberDown"], "it may be the node of pod 2");
    fixture.gone();
    assert_eq!(reasons(&fixture.after(0)), ["MemberDown"], "it may be the node of a pod that is made again");
}

#[test]
fn a_fall_by_another_hand_is_told() {
    let mut fixture = Fixture::new(3, 2);
    fixture.facts.target.replicas = 2;
    assert!(reasons(&fixture.after(0)).contains(&"ForeignFall"));
}

#[test]
fn our_own_leaver_is_no_foreign_fall() {
    let mut fixture = Fixture::shrinking(3, lifecycle::Step::PodGone);
    fixture.intent.as_mut().unwrap().verified = true;
    fixture.facts.target.replicas = 2;
    fixture.dropped();
    assert_eq!(reasons(&fixture.after(0)), Vec::<&str>::new());
}

#[rstest]
#[case(&[(2, true)], true)]
#[case(&[(0, true), (1, true), (2, true)], false)]
fn a_ready_pod_that_does_not_see_the_others_is_told(#[case] view: &[(u32, bool)], #[case] told: bool) {
    let mut fixture = Fixture::new(3, 3);
    fixture.view(2, view);
    assert_eq!(reasons(&fixture.after(0)).contains(&"MembersDisagree"), told);
}

/// In every rollout a pod is ready before its node has joined: none of the two may be new.
#[rstest]
#[case::the_lone_one(2, 29_999, false)]
#[case::the_lone_one_for_long(2, 30_000, true)]
#[case::those_that_it_lacks(0, 29_999, false)]
fn a_pod_that_has_just_become_ready_may_join_first(#[case] young: u32, #[case] ms: u64, #[case] told: bool) {
    let mut fixture = Fixture::new(3, 3);
    fixture.view(2, &[(1, true), (2, true)]);
    fixture.pod(young).ready_changed = Some(crate::fixture::THEN);
    assert_eq!(reasons(&fixture.after(ms)).contains(&"MembersDisagree"), told);
}

/// Whoever is to delete a claim reads what it holds first: of the ones that are apart, not of the first that lacks one.
#[rstest]
#[case::one_of_three([&[0, 1][..], &[0, 1], &[2]], "pod 0, pod 1", &["pod 2 (100 sessions online, 50 offline, 150 queues, 3 retained messages)"])]
#[case::all_alone([&[0][..], &[1], &[2]], "", &["pod 0 (100 ", "pod 1 (100 ", "pod 2 (100 "])]
fn each_node_that_is_apart_is_told_with_what_it_holds(
    #[case] views: [&[u32]; 3],
    #[case] together: &str,
    #[case] apart: &[&str],
) {
    let mut fixture = Fixture::new(3, 3);
    for (viewer, members) in (0..).zip(views) {
        fixture.view(viewer, &members.iter().map(|member| (*member, true)).collect::<Vec<_>>());
    }
    // Fenced already, so that it is not taken for a newcomer.
    fixture.pod(2).serving = Some(false);
    let out = fixture.after(0);
    let told = out.conditions.iter().find(|condition| condition.reason == "MembersDisagree").unwrap();
    let whole = told.message.contains(together) && apart.iter().all(|one| told.message.contains(one));
    assert!(whole && told.message.contains("what one holds is lost"), "{}", told.message);
    fixture.node(2).counts = crate::fixture::unknown();
    let out = fixture.after(0);
    assert!(crate::fixture::tells(&out, "MembersDisagree", "pod 2 (what it holds is not known"));
}

/// What another hand's leave makes of a node that we serve: its container runs again, alone.
#[test]
fn a_served_pod_that_is_no_member_is_fenced_as_a_newcomer() {
    let mut fixture = Fixture::new(3, 3);
    fixture.view(2, &[(2, true)]);
    (0..2).for_each(|viewer| fixture.view(viewer, &[(0, true), (1, true)]));
    let out = fixture.after(0);
    let fence = Effect::LabelServing { ordinal: Ordinal(2), pod_uid: "pod-2".into(), serving: false };
    assert_eq!(out.effects, [fence]);
    assert_eq!(out.intent.map(|intent| (intent.kind, intent.step)), Some((Kind::Grow, Step::FenceNewcomer)));
}

#[rstest]
#[case::one_view_lists_it(&[(0, true), (1, true), (2, false)], &[(2, true)], 3, false)]
#[case::it_sees_another(&[(0, true), (1, true)], &[(1, false), (2, true)], 3, false)]
#[case::the_others_do_not_agree(&[(1, true)], &[(2, true)], 3, false)]
#[case::one_of_two(&[(0, true)], &[(1, true)], 2, false)]
#[case::in_shadow(&[(0, true), (1, true)], &[(2, true)], 3, true)]
fn it_is_let_be_where_that_is_not_certain(
    #[case] first: &[(u32, bool)],
    #[case] last: &[(u32, bool)],
    #[case] size: u32,
    #[case] vetoed: bool,
) {
    let mut fixture = Fixture::new(size, size);
    fixture.view(0, first);
    if size > 2 {
        fixture.view(1, &[(0, true), (1, true)]);
    }
    fixture.view(size - 1, last);
    if vetoed {
        fixture.facts.grow_vetoes.insert(Veto::forbids("Shadow", ""));
    }
    assert_eq!(fixture.after(0).effects, []);
}

#[rstest]
#[case::fenced(|s: &mut Fixture| s.pod(2).serving = Some(false), "pod 2 is fenced")]
#[case::closed(|s: &mut Fixture| s.listeners(Some(ListenerState::Suspended)), "all listeners of pod 2 are suspended")]
fn a_pod_that_nothing_lets_serve_again_is_told(#[case] disturb: fn(&mut Fixture), #[case] words: &str) {
    let mut fixture = Fixture::new(3, 3);
    assert!(reasons(&fixture.after(0)).is_empty());
    disturb(&mut fixture);
    let out = fixture.after(0);
    assert_eq!((reasons(&out), &out.effects), (vec!["PodUnroutable"], &vec![]));
    let text = &out.conditions[0].message;
    assert!(text.starts_with(words) && text.contains("kubectl label pod NAME"), "{text}");
    // A probe of `/health` says so, too, of closed listeners.
    fixture.pod(2).ready = false;
    assert!(reasons(&fixture.after(0)).contains(&"PodUnroutable"));
}

#[test]
fn a_pod_that_a_change_is_about_is_not_told() {
    for fixture in [Fixture::shrinking(3, Step::Drain), Fixture::growing(3, Step::RoutingProbe)] {
        assert!(!reasons(&fixture.after(0)).contains(&"PodUnroutable"));
    }
}
