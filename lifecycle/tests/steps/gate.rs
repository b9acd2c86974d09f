//! What keeps a change of size from beginning.

use std::time::Duration;

use lifecycle::{Claim, Effect, Kind, ListenerState, Observed, Ordinal, Pod, Severity, Step, Veto};
use rstest::rstest;

use crate::fixture::{Fixture, at, kind, reasons, tells, unknown};

#[test]
fn a_clear_gate_records_what_the_undo_and_the_resume_need_before_the_first_effect() {
    let out = Fixture::new(3, 1).after(0);
    let intent = out.intent.unwrap();
    assert_eq!(
        (intent.kind, intent.ordinal, intent.step, intent.epoch),
        (Kind::Shrink, Ordinal(2), Step::Fence, 1)
    );
    assert_eq!((intent.pod_uid.as_deref(), intent.claims.len()), (Some("pod-2"), 1));
    assert_eq!(intent.listeners.len(), 1);
    assert!(intent.node.is_some());
    let label = Effect::LabelServing { ordinal: Ordinal(2), pod_uid: "pod-2".into(), serving: false };
    assert_eq!(out.effects, [label]);
}

#[rstest]
#[case::last_node("LastNode", |_: &mut Fixture| ())]
fn the_last_node_never_leaves(#[case] reason: &str, #[case] disturb: fn(&mut Fixture)) {
    let mut fixture = Fixture::new(1, 0);
    disturb(&mut fixture);
    assert_eq!((kind(&fixture.after(0)), reasons(&fixture.after(0))), (None, vec![reason]));
}

#[rstest]
#[case::veto("NumbersStale", "see the numbers", |s: &mut Fixture| {
    s.facts.shrink_vetoes.insert(Veto::unknown("NumbersStale", "see the numbers"));
})]
#[case::rollout("RolloutUnderWay", "kubectl rollout status", |s: &mut Fixture| s.facts.target.rollout = true)]
#[case::deleting("TargetDeleting", "being deleted", |s: &mut Fixture| s.facts.target.deleting = true)]
#[case::not_ready("PodNotReady", "kubectl describe pod", |s: &mut Fixture| s.pod(1).ready = false)]
#[case::leaver_not_ready("PodNotReady", "kubectl describe pod", |s: &mut Fixture| s.pod(2).ready = false)]
#[case::pod_deleting("PodDeleting", "kubectl get node", |s: &mut Fixture| s.pod(0).deleting = true)]
#[case::not_running("PodNotRunning", "kubectl logs --previous", |s: &mut Fixture| s.pod(0).running = false)]
#[case::missing("PodMissing", "kubectl describe statefulset", |s: &mut Fixture| { s.facts.pods.remove(&Ordinal(1)); })]
#[case::beyond("PodBeyondSize", "finalizers", |s: &mut Fixture| {
    let pod = Pod { deleting: true, ..s.pod(2).clone() };
    s.facts.pods.insert(Ordinal(3), pod);
})]
#[case::down_in_one_view("MemberDown", "Events and log", |s: &mut Fixture| s.view(1, &[(0, true), (1, true), (2, false)]))]
#[case::ghost("MemberDown", "Events and log", |s: &mut Fixture| s.view(0, &[(0, true), (1, true), (2, true), (9, false)]))]
#[case::stranger("MembersDisagree", "vmq-admin cluster leave", |s: &mut Fixture| s.view(0, &[(0, true), (1, true), (2, true), (9, true)]))]
#[case::split("MembersDisagree", "delete its claim", |s: &mut Fixture| s.view(2, &[(2, true)]))]
#[case::image("MixedVersions", "one fixed image tag", |s: &mut Fixture| s.pod(0).image = "vernemq:2.2.0".into())]
#[case::version("MixedVersions", "one fixed image tag", |s: &mut Fixture| s.node(1).version = Observed::Seen("2.2.0".into()))]
#[case::untried("VersionUnknown", "spec.leave.versions", |s: &mut Fixture| {
    (0..3).for_each(|ordinal| s.node(ordinal).version = Observed::Seen("2.3.0".into()));
})]
#[case::no_listener("NoListener", "restarting it", |s: &mut Fixture| s.node(2).listeners = Observed::Seen(Vec::new()))]
#[case::blind("ShrinkWaits", "spec.management.port", |s: &mut Fixture| s.node(1).members = unknown())]
#[case::nameless("ShrinkWaits", "spec.management.port", |s: &mut Fixture| s.node(1).name = None)]
#[case::not_asked("ShrinkWaits", "spec.management.port", |s: &mut Fixture| { s.facts.nodes.remove(&Ordinal(0)); })]
#[case::version_unknown("ShrinkWaits", "spec.management.port", |s: &mut Fixture| s.node(1).version = unknown())]
#[case::doors_unknown("ShrinkWaits", "spec.management.port", |s: &mut Fixture| s.node(2).listeners = unknown())]
fn a_shrink_does_not_begin(
    #[case] reason: &'static str,
    #[case] remedy: &str,
    #[case] disturb: fn(&mut Fixture),
) {
    let mut fixture = Fixture::new(3, 2);
    disturb(&mut fixture);
    let out = fixture.after(0);
    assert_eq!((&out.intent, &out.effects), (&None, &vec![]));
    assert!(tells(&out, reason, remedy), "{:?}", out.conditions);
}

#[test]
fn a_raise_begins_in_spite_of_a_veto_on_shrinking_and_of_a_dead_member_without_a_pod() {
    let mut fixture = Fixture::new(3, 5);
    fixture.facts.shrink_vetoes.insert(Veto::unknown("NumbersStale", ""));
    for viewer in 0..3 {
        fixture.view(viewer, &[(0, true), (1, true), (2, true), (9, false)]);
    }
    let out = fixture.after(0);
    assert_eq!((kind(&out), at(&out)), (Some(Kind::Grow), Step::Raise));
    assert_eq!(out.effects, [Effect::SetReplicas { uid: "set".into(), from: 3, to: 4, pod: None }]);
}

#[rstest]
#[case::veto("Paused", |s: &mut Fixture| { s.facts.grow_vetoes.insert(Veto::forbids("Paused", "")); })]
#[case::claim("ClaimInTheWay", |s: &mut Fixture| s.facts.claims.extend([(Ordinal(3), vec![left_over(false)])]))]
#[case::terminating("ClaimInTheWay", |s: &mut Fixture| s.facts.claims.extend([(Ordinal(3), vec![left_over(true)])]))]
#[case::down("MemberDown", |s: &mut Fixture| s.view(0, &[(0, true), (1, false), (2, true)]))]
#[case::split("MembersDisagree", |s: &mut Fixture| s.view(1, &[(1, true)]))]
#[case::blind("GrowWaits", |s: &mut Fixture| s.node(2).members = unknown())]
fn a_growth_does_not_begin(#[case] reason: &'static str, #[case] disturb: fn(&mut Fixture)) {
    let mut fixture = Fixture::new(3, 4);
    disturb(&mut fixture);
    let out = fixture.after(0);
    assert_eq!((&out.intent, &out.effects), (&None, &vec![]));
    assert!(reasons(&out).contains(&reason), "{:?}", out.conditions);
}

/// I11: a change that is wanted does not wait silently for ever because of something that is wrong.
#[rstest]
#[case::rollout(2, "ShrinkWaits", "RolloutUnderWay", |s: &mut Fixture| s.facts.target.rollout = true)]
#[case::not_ready(2, "ShrinkWaits", "PodNotReady", |s: &mut Fixture| s.pod(1).ready = false)]
#[case::untried(2, "ShrinkWaits", "MixedVersions", |s: &mut Fixture| s.pod(1).image = "vernemq:2.2.0".into())]
#[case::numbers(2, "ShrinkWaits", "NumbersUnknown", |s: &mut Fixture| {
    s.facts.shrink_vetoes.insert(Veto::unknown("NumbersUnknown", ""));
})]
#[case::blind(2, "ShrinkWaits", "not known yet", |s: &mut Fixture| s.node(1).members = unknown())]
#[case::no_growth(4, "GrowWaits", "PodNotReady", |s: &mut Fixture| s.pod(1).ready = false)]
#[case::a_veto_on_the_other_way(4, "GrowWaits", "PodNotReady", |s: &mut Fixture| {
    s.pod(1).ready = false;
    s.facts.shrink_vetoes.insert(Veto::forbids("Settling", ""));
})]
#[case::claim(4, "GrowWaits", "ClaimInTheWay", |s: &mut Fixture| s.facts.claims.extend([(Ordinal(3), vec![left_over(true)])]))]
fn what_is_wrong_and_lasts_becomes_a_warning(
    #[case] wish: u32,
    #[case] waits: &str,
    #[case] why: &str,
    #[case] disturb: fn(&mut Fixture),
) {
    let mut fixture = Fixture::new(3, wish);
    disturb(&mut fixture);
    let out = fixture.after(0);
    assert!(tells(&out, waits, why), "{:?}", out.conditions);
    let told = out.conditions.iter().find(|condition| condition.reason == waits).unwrap();
    let minutes = |minutes: u64| told.severity.after(Duration::from_secs(minutes * 60));
    assert_eq!((minutes(15), minutes(16)), (Severity::Info, Severity::Warning));
}

/// A veto that is meant to last is no trouble, alone or beside one.
#[rstest]
#[case::mode("Shadow")]
#[case::budget("ChurnBudgetSpent")]
fn what_is_meant_to_last_stays_as_it_is(
    #[case] veto: &'static str,
    #[values(2, 4)] wish: u32,
    #[values(
        |_: &mut Fixture| (),
        |s: &mut Fixture| s.pod(1).ready = false,
        |s: &mut Fixture| {
            s.facts.shrink_vetoes.insert(Veto::unknown("Absent", ""));
        },
    )]
    disturb: fn(&mut Fixture),
) {
    let mut fixture = Fixture::new(3, wish);
    disturb(&mut fixture);
    fixture.facts.shrink_vetoes.insert(Veto::forbids(veto, ""));
    fixture.facts.grow_vetoes.insert(Veto::forbids(veto, ""));
    let told = fixture.after(1_000_000).conditions;
    let told: Vec<_> = told.iter().map(|one| (one.reason, one.severity.after(Duration::MAX))).collect();
    assert_eq!(told, [(veto, Severity::Info)]);
}

fn left_over(deleting: bool) -> Claim {
    Claim { name: "data-3".into(), uid: "claim-3".into(), deleting }
}

/// docker-vernemq #264: only our own record says that what a claim holds may go.
#[rstest]
#[case::ours("claim-3", true, 1)]
#[case::another("claim-x", true, 0)]
#[case::not_verified("claim-3", false, 0)]
fn a_claim_in_the_way_is_deleted_only_by_the_record_of_a_verified_leave(
    #[case] recorded: &str,
    #[case] verified: bool,
    #[case] deletions: usize,
) {
    let mut fixture = Fixture::shrinking(4, Step::Done);
    let intent = fixture.intent.as_mut().unwrap();
    (intent.claims, intent.verified) = (vec![recorded.into()], verified);
    fixture.facts = Fixture::new(3, 4).facts;
    fixture.facts.claims.insert(Ordinal(3), vec![left_over(false)]);
    assert_eq!(fixture.after(0).effects.len(), deletions);
}

#[test]
fn epochs_go_on_after_a_finished_intent() {
    let mut fixture = Fixture::new(3, 2);
    fixture.intent = Fixture::shrinking(3, Step::Done).intent;
    fixture.listeners(Some(ListenerState::Running));
    assert_eq!(fixture.after(0).intent.unwrap().epoch, 2);
}

/// etcd-operator #193: neither fewer pods nor fewer members make the size smaller.
#[test]
fn what_is_seen_never_becomes_the_wish() {
    let mut fixture = Fixture::new(3, 3);
    fixture.gone();
    fixture.dropped();
    assert_eq!(fixture.after(0).effects, []);
    assert_eq!(kind(&fixture.after(0)), None);
}

/// A fall by another hand: its claim is what the member that is down comes back with.
#[test]
fn the_claim_of_a_member_without_a_pod_is_not_to_be_deleted() {
    let mut fixture = Fixture::new(3, 3);
    fixture.facts.target.replicas = 2;
    fixture.facts.pods.remove(&Ordinal(2));
    fixture.facts.nodes.remove(&Ordinal(2));
    for viewer in 0..2 {
        fixture.view(viewer, &[(0, true), (1, true), (2, false)]);
    }
    let out = fixture.after(0);
    assert!(tells(&out, "ClaimInTheWay", "VerneMQ@vmq-2 is a member without a pod"), "{:?}", out.conditions);
    assert!(tells(&out, "ClaimInTheWay", "kubectl scale statefulset --replicas=3"), "{:?}", out.conditions);
    fixture.node(1).name = None;
    let out = fixture.after(0);
    assert!(!tells(&out, "ClaimInTheWay", "kubectl scale"), "it may be pod 1's node: {:?}", out.conditions);
}

/// A newcomer that could not be served is not made; not known is no yes. A pod that is there already is fenced all the
/// same, or it would go on losing what its clients send.
#[rstest]
#[case::refused(Veto::forbids("RoutingProbeRefused", "CONNACK 0x05"))]
#[case::not_known(Veto::unknown("RoutingProbeUntried", "no answer"))]
fn no_newcomer_that_could_not_be_served(#[case] veto: Veto) {
    let mut fixture = Fixture::new(3, 4);
    fixture.facts.raise_vetoes.insert(veto.clone());
    let out = fixture.after(0);
    assert_eq!((&out.intent, &out.effects), (&None, &vec![]));
    assert!(tells(&out, veto.name, &veto.message), "{:?}", out.conditions);
    // What is meant to be told by its own name is not told twice.
    assert_eq!(tells(&out, "GrowWaits", veto.name), veto.unknown, "{:?}", out.conditions);

    fixture.view(2, &[(2, true)]);
    (0..2).for_each(|viewer| fixture.view(viewer, &[(0, true), (1, true)]));
    assert_eq!(fixture.after(0).effects.len(), 1, "it is fenced");

    let mut begun = Fixture::new(3, 4);
    begun.turn(0);
    begun.facts.raise_vetoes.insert(veto);
    assert_eq!(begun.after(0).effects, [], "nor raised where that was recorded before");
    begun.facts.raise_vetoes.clear();
    assert_eq!(begun.after(0).effects.len(), 1);
}
