//! The undo: what is opened again, and for whom the label comes back.

use lifecycle::{Call, Effect, Listener, ListenerState, Ordinal, Outcome, Step, Veto};
use rstest::rstest;

use crate::fixture::{Fixture, at, listener, reasons, tells, unknown};

#[rstest]
#[case::wish("WishRaised", |s: &mut Fixture| s.facts.wish = 3)]
#[case::paused("Paused", |s: &mut Fixture| {
    s.facts.shrink_vetoes.insert(Veto::forbids("Paused", ""));
})]
#[case::rollout("RolloutUnderWay", |s: &mut Fixture| s.facts.target.rollout = true)]
#[case::other_not_ready("PodNotReady", |s: &mut Fixture| s.pod(1).ready = false)]
#[case::other_deleting("PodDeleting", |s: &mut Fixture| s.pod(1).deleting = true)]
#[case::member_down("MemberDown", |s: &mut Fixture| s.view(0, &[(0, true), (1, false), (2, true)]))]
#[case::split("MembersDisagree", |s: &mut Fixture| s.view(1, &[(1, true)]))]
#[case::restarted("LeaverRestarted", |s: &mut Fixture| s.pod(2).restarts = 1)]
#[case::replaced("LeaverReplaced", |s: &mut Fixture| s.pod(2).uid = "other".into())]
#[case::foreign_raise("ForeignScale", |s: &mut Fixture| s.facts.target.replicas = 4)]
#[case::foreign_fall("ForeignScale", |s: &mut Fixture| s.facts.target.replicas = 2)]
fn a_disruption_before_the_leave_turns_back(
    #[values(Step::Fence, Step::Suspend, Step::Drain)] step: Step,
    #[case] reason: &'static str,
    #[case] disturb: fn(&mut Fixture),
) {
    let mut fixture = Fixture::shrinking(3, step);
    disturb(&mut fixture);
    let out = fixture.after(1_000);
    assert!(matches!(at(&out), Step::Cancel | Step::Done), "{:?}", at(&out));
    assert!(out.effects.iter().all(|effect| matches!(effect, Effect::Reopen { .. })), "{:?}", out.effects);
    assert!(out.conditions.iter().any(|condition| condition.reason == reason), "{:?}", out.conditions);
}

#[rstest]
fn what_is_not_known_holds_a_step_and_ends_it_only_when_it_is_late(
    #[values((Step::Fence, 30), (Step::Suspend, 30), (Step::Drain, 900))] step: (Step, u64),
    #[values(
        |s: &mut Fixture| s.node(1).members = unknown(),
        // A controller that has just started.
        |s: &mut Fixture| { s.facts.shrink_vetoes.insert(Veto::unknown("NumbersUnknown", "")); },
    )]
    hide: fn(&mut Fixture),
) {
    let mut fixture = Fixture::shrinking(3, step.0);
    hide(&mut fixture);
    let out = fixture.after(step.1 * 1_000);
    assert_eq!((at(&out), out.effects), (step.0, vec![]));
    // Nobody waits silently beyond the step's own time.
    let late = step.1.max(120) * 1_000;
    let out = fixture.after((step.1 + 1).min(late / 1_000) * 1_000);
    assert_eq!((at(&out), reasons(&out).is_empty()), (step.0, step.1 > 120));
    let out = fixture.after(late + 1);
    assert_eq!((at(&out), reasons(&out)), (Step::Cancel, vec!["NotKnown"]));
    assert!(tells(&out, "NotKnown", "spec.management.port"), "{:?}", out.conditions);
}

/// Of two vetoes the one that is known counts, whichever comes first in the alphabet.
#[test]
fn what_is_known_to_forbid_it_ends_it_though_something_is_unknown() {
    let mut fixture = Fixture::shrinking(3, Step::Drain);
    fixture.facts.shrink_vetoes.insert(Veto::unknown("NumbersUnknown", ""));
    fixture.facts.shrink_vetoes.insert(Veto::forbids("Paused", ""));
    assert!(reasons(&fixture.after(1_000)).contains(&"Paused"));
}

/// `/health` as readiness probe says no as soon as the listeners are suspended.
#[test]
fn the_leavers_own_unreadiness_is_no_disruption() {
    let mut fixture = Fixture::shrinking(3, Step::Drain);
    fixture.pod(2).ready = false;
    assert_eq!(at(&fixture.after(1_000)), Step::Drain);
}

#[test]
fn listeners_first_then_the_label_then_done() {
    let mut fixture = Fixture::shrinking(3, Step::Cancel);
    let reopen =
        Effect::Reopen { ordinal: Ordinal(2), listener: listener(ListenerState::Running), deleted: false };
    assert_eq!(fixture.turn(0).effects, [reopen]);
    fixture.listeners(Some(ListenerState::Running));
    let label = Effect::LabelServing { ordinal: Ordinal(2), pod_uid: "pod-2".into(), serving: true };
    assert_eq!(fixture.turn(0).effects, [label]);
    fixture.pod(2).serving = Some(true);
    assert_eq!(fixture.turn(0).finished.unwrap().outcome, Outcome::Cancelled);
}

#[test]
fn a_listener_that_was_suspended_before_us_stays_so() {
    let mut fixture = Fixture::shrinking(3, Step::Cancel);
    let other = Listener { port: 8883, state: ListenerState::Suspended, ..listener(ListenerState::Running) };
    fixture.intent.as_mut().unwrap().listeners.push(other.clone());
    let shown = vec![listener(ListenerState::Running), other];
    fixture.node(2).listeners = lifecycle::Observed::Seen(shown);
    assert!(matches!(&fixture.after(0).effects[..], [Effect::LabelServing { serving: true, .. }]));
}

#[rstest]
#[case::not_listed(|s: &mut Fixture| s.view(1, &[(0, true), (1, true)]))]
#[case::listed_as_down(|s: &mut Fixture| s.view(1, &[(0, true), (1, true), (2, false)]))]
#[case::own_view_unknown(|s: &mut Fixture| s.node(2).members = unknown())]
#[case::nobody_says(|s: &mut Fixture| { s.node(0).members = unknown(); s.node(1).members = unknown(); })]
fn the_label_does_not_come_back_to_a_node_that_may_be_no_member(#[case] disturb: fn(&mut Fixture)) {
    let mut fixture = Fixture::shrinking(3, Step::Cancel);
    fixture.listeners(Some(ListenerState::Running));
    disturb(&mut fixture);
    assert_eq!(fixture.after(0).effects, []);
    assert!(reasons(&fixture.after(61_000)).contains(&"UndoStuck"));
}

/// It holds up every other change, and takes clients by its template's label.
#[test]
fn one_that_stays_a_cluster_of_one_is_a_newcomer() {
    let mut fixture = Fixture::shrinking(3, Step::Cancel);
    fixture.listeners(Some(ListenerState::Running));
    fixture.view(2, &[(2, true)]);
    assert_eq!((at(&fixture.after(60_000)), fixture.after(60_000).effects), (Step::Cancel, vec![]));
    fixture.pod(2).serving = Some(true);
    let out = fixture.after(60_001);
    assert_eq!((at(&out), crate::fixture::kind(&out)), (Step::FenceNewcomer, Some(lifecycle::Kind::Grow)));
    assert!(matches!(&out.effects[..], [Effect::LabelServing { serving: false, .. }]), "{:?}", out.effects);
    fixture.pod(2).ready = false;
    assert!(reasons(&fixture.after(61_000)).contains(&"UndoStuck"), "it may be starting");
}

/// Without a volume it knows nothing of the cluster. In a rollout, which makes all of them anew, somebody must serve.
#[test]
fn one_that_was_made_again_without_its_data_is_a_newcomer_at_once() {
    let mut fixture = Fixture::shrinking(3, Step::Cancel);
    fixture.facts.claims.remove(&Ordinal(2));
    fixture.pod(2).uid = "other".into();
    assert_eq!(at(&fixture.after(0)), Step::Join);
    fixture.facts.target.rollout = true;
    assert_eq!(at(&fixture.after(0)), Step::Cancel);
}

#[test]
fn a_leave_that_fired_after_all_is_finished() {
    let mut fixture = Fixture::shrinking(3, Step::Cancel);
    fixture.gone();
    fixture.dropped();
    assert_eq!(at(&fixture.after(0)), Step::Shrink);
}

#[test]
fn a_leave_that_has_begun_after_all_is_watched() {
    let mut fixture = Fixture::shrinking(3, Step::Cancel);
    fixture.listeners(None);
    assert_eq!((at(&fixture.after(0)), fixture.after(0).effects), (Step::Leave, vec![]));
}

#[test]
fn a_foreign_fall_leaves_nothing_to_undo() {
    let mut fixture = Fixture::shrinking(3, Step::Cancel);
    fixture.facts.target.replicas = 2;
    assert_eq!(fixture.after(0).finished.unwrap().outcome, Outcome::Failed);
}

#[test]
fn a_new_pod_of_a_member_is_waited_for_and_served() {
    let mut fixture = Fixture::shrinking(3, Step::Cancel);
    let there = fixture.clone();
    fixture.gone();
    assert_eq!((at(&fixture.turn(0)), fixture.after(0).effects), (Step::Cancel, vec![]));
    fixture.facts = there.facts;
    fixture.pod(2).uid = "other".into();
    fixture.listeners(Some(ListenerState::Running));
    let label = Effect::LabelServing { ordinal: Ordinal(2), pod_uid: "other".into(), serving: true };
    assert_eq!(fixture.turn(0).effects, [label]);
}

/// A broker listens on its pod's address, which a new pod has not got from the old one.
#[test]
fn the_listeners_of_a_new_pod_are_its_own() {
    let mut fixture = Fixture::shrinking(3, Step::Cancel);
    fixture.pod(2).uid = "other".into();
    fixture.listeners(None);
    assert_eq!((at(&fixture.after(0)), fixture.after(0).effects), (Step::Cancel, vec![]));
    let own = Listener { address: "10.0.0.9".into(), ..listener(ListenerState::Running) };
    fixture.node(2).listeners = lifecycle::Observed::Seen(vec![own]);
    let label = Effect::LabelServing { ordinal: Ordinal(2), pod_uid: "other".into(), serving: true };
    assert_eq!(fixture.turn(0).effects, [label]);
}

#[test]
fn a_pod_that_is_being_deleted_closes_its_doors_without_a_leave() {
    let mut fixture = Fixture::shrinking(3, Step::Cancel);
    fixture.pod(2).deleting = true;
    fixture.listeners(None);
    assert_eq!((at(&fixture.after(0)), fixture.after(0).effects), (Step::Cancel, vec![]));
}

#[test]
fn nothing_is_done_to_a_target_that_is_being_deleted() {
    let mut fixture = Fixture::shrinking(3, Step::Cancel);
    fixture.facts.target.deleting = true;
    assert_eq!((reasons(&fixture.after(0)), fixture.after(0).effects), (vec!["TargetDeleting"], vec![]));
}

/// The suspend cannot be taken back: it closes the listeners when it gets there.
#[test]
fn a_suspend_that_is_under_way_is_waited_for() {
    let mut fixture = Fixture::shrinking(3, Step::Suspend);
    fixture.listeners(Some(ListenerState::Running));
    fixture.facts.calls.suspend = Call::InFlight;
    fixture.facts.wish = 3;
    let out = fixture.turn(100);
    assert_eq!((at(&out), out.effects), (Step::Cancel, vec![]));
    fixture.listeners(Some(ListenerState::Suspended));
    fixture.facts.calls.suspend = Call::Answered("Done! Use -k".into());
    assert!(matches!(&fixture.turn(3_000).effects[..], [Effect::Reopen { deleted: false, .. }]));
    fixture.listeners(Some(ListenerState::Running));
    assert!(matches!(&fixture.turn(4_000).effects[..], [Effect::LabelServing { serving: true, .. }]));
}

/// The record of the first one was lost in its drain.
#[test]
fn the_undo_of_a_shrink_that_began_on_closed_doors_opens_them() {
    let mut fixture = Fixture::new(3, 2);
    fixture.pod(2).serving = Some(false);
    fixture.pod(2).routed = false;
    fixture.listeners(Some(ListenerState::Suspended));
    fixture.turn(0);
    fixture.facts.wish = 3;
    let out = fixture.turn(3_000);
    assert_eq!(at(&out), Step::Cancel);
    assert!(matches!(&out.effects[..], [Effect::Reopen { deleted: false, .. }]), "{:?}", out.effects);
}

/// Each has a restart of its own (`disc2_listeners_all_transports.txt`): one that is forgotten keeps its clients out.
#[test]
fn every_transport_is_opened_before_the_label_comes_back() {
    let kinds = [("mqtt", 1883), ("mqttws", 8080), ("mqttwss", 8443), ("mqtts", 8883)];
    let of = |(kind, port): (&str, u16), state| Listener { kind: kind.into(), port, ..listener(state) };
    let all = |state| kinds.map(|kind| of(kind, state)).to_vec();
    let mut fixture = Fixture::shrinking(3, Step::Cancel);
    fixture.intent.as_mut().unwrap().listeners = all(ListenerState::Running);
    for (n, forgotten) in kinds.into_iter().enumerate() {
        let mut shown = all(ListenerState::Running);
        shown[n] = of(forgotten, ListenerState::Suspended);
        fixture.node(2).listeners = lifecycle::Observed::Seen(shown);
        let listener = of(forgotten, ListenerState::Running);
        let reopen = Effect::Reopen { ordinal: Ordinal(2), listener, deleted: false };
        assert_eq!(fixture.after(0).effects, [reopen]);
    }
    fixture.node(2).listeners = lifecycle::Observed::Seen(all(ListenerState::Running));
    assert!(matches!(&fixture.after(0).effects[..], [Effect::LabelServing { serving: true, .. }]));
}

/// `listener start` knows an address and a port: in the place of TLS it would open plain MQTT.
#[test]
fn a_deleted_listener_with_certificates_is_left_to_a_restart() {
    let tls = Listener { kind: "mqtts".into(), port: 8883, ..listener(ListenerState::Running) };
    let mut fixture = Fixture::shrinking(3, Step::Cancel);
    fixture.intent.as_mut().unwrap().listeners.push(tls);
    fixture.listeners(None);
    fixture.said("error, still online queues, check the logs, and retry!");
    let out = fixture.after(0);
    let plain =
        Effect::Reopen { ordinal: Ordinal(2), listener: listener(ListenerState::Running), deleted: true };
    assert_eq!(out.effects, [plain]);
    assert!(tells(&out, "ListenerDeleted", "mqtts 10.0.0.3:8883 of pod 2"), "{:?}", out.conditions);
    // Nobody is sent to a node whose TLS clients it refuses.
    fixture.listeners(Some(ListenerState::Running));
    assert_eq!(fixture.after(0).effects, []);
}
