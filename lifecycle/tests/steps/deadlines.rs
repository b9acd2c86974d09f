//! I11: every wait has a name and an end, and being late is a condition, never a guess.

use lifecycle::{ListenerState, Ordinal, Reach, Step};
use rstest::rstest;

use crate::fixture::{Fixture, at, reasons, tells, unknown};

fn lowered(fixture: &mut Fixture) {
    fixture.facts.target.replicas = fixture.top();
}

#[rstest]
#[case(Step::Fence, 30, "EndpointsDropped", "EndpointsStay", "kubectl get endpointslices", |s: &mut Fixture| s.pod(2).routed = true)]
#[case(Step::Fence, 30, "LeaverFenced", "FenceRefused", "the condition CallFailed", |s: &mut Fixture| s.pod(2).serving = Some(true))]
#[case(Step::Suspend, 30, "ListenersSuspended", "SuspendFailed", "vmq-admin listener show", |s: &mut Fixture| s.listeners(Some(ListenerState::Running)))]
#[case(Step::Drain, 900, "SessionsDrained", "DrainBudgetSpent", "spec.drain.budget", |_: &mut Fixture| ())]
#[case(Step::Leave, 60, "QueuesMigrated", "LeaveStuck", "broker in pod 2 (SIGTERM) has two ends, and neither is promised", |s: &mut Fixture| s.listeners(None))]
#[case(Step::Leave, 60, "LeaveOutcome", "LeaveOutcomeUnknown", "Look at its log", |s: &mut Fixture| s.node(2).listeners = unknown())]
#[case(Step::Verify, 30, "SurvivorDropsIt", "VerifyFailed", "compare `vmq-admin cluster show` on each pod", |s: &mut Fixture| s.listeners(None))]
#[case(Step::Shrink, 10, "ReplicasLowered", "ShrinkRefused", "admission policies on statefulsets/scale", |_: &mut Fixture| ())]
#[case(Step::PodGone, 90, "PodGone", "PodStays", "kubectl describe pod", |s: &mut Fixture| { lowered(s); s.dropped(); })]
#[case(Step::PodGone, 30, "SurvivorsAgree", "VerifyFailed", "compare `vmq-admin cluster show` on each pod", |s: &mut Fixture| { lowered(s); s.gone(); })]
#[case(Step::Volume, 30, "SurvivorsAgree", "VerifyFailed", "compare `vmq-admin cluster show` on each pod", |s: &mut Fixture| { lowered(s); s.gone(); })]
#[case(Step::Volume, 60, "VolumeGone", "ClaimStays", "kubectl describe pvc data-2", |s: &mut Fixture| { lowered(s); s.gone(); s.dropped(); })]
#[case(Step::Volume, 90, "UsedVolumeGone", "UsedVolumeStays", "kubectl describe pvc data-2", |s: &mut Fixture| s.dropped())]
#[case(Step::Cancel, 60, "Undone", "UndoStuck", "`listener show`", |_: &mut Fixture| ())]
fn a_late_shrink_says_so(
    #[case] step: Step,
    #[case] seconds: u64,
    #[case] wait: &str,
    #[case] reason: &'static str,
    #[case] remedy: &str,
    #[case] disturb: fn(&mut Fixture),
) {
    let mut fixture = Fixture::shrinking(3, step);
    fixture.intent.as_mut().unwrap().verified = true;
    disturb(&mut fixture);
    check(&mut fixture, seconds, wait, (reason, remedy));
}

#[rstest]
#[case(Step::Raise, 10, "ReplicasRaised", "RaiseRefused", "admission policies on statefulsets/scale", |s: &mut Fixture| s.facts.target.replicas = 2)]
#[case(Step::FenceNewcomer, 60, "NewcomerFenced", "NewcomerNotFenced", "Events of the StatefulSet", |s: &mut Fixture| {
    s.facts.pods.remove(&Ordinal(2));
})]
#[case(Step::Join, 300, "NewcomerInStep", "JoinFailed", "`vmq-admin cluster show` on each pod", |s: &mut Fixture| s.view(2, &[(1, true), (2, true)]))]
#[case(Step::Join, 300, "NewcomerAnswers", "NewcomerSilent", "`kubectl describe pod`", |s: &mut Fixture| s.node(2).reach = Reach::Silent)]
#[case(Step::RoutingProbe, 60, "RoutingProbeCrossed", "RoutingProbeLost", "user of spec.routingProbeSecretRef", |_: &mut Fixture| ())]
#[case(Step::Serve, 60, "NewcomerRouted", "NotRouted", "what the client Service selects", |s: &mut Fixture| s.pod(2).serving = Some(true))]
fn a_late_growth_says_so(
    #[case] step: Step,
    #[case] seconds: u64,
    #[case] wait: &str,
    #[case] reason: &'static str,
    #[case] remedy: &str,
    #[case] disturb: fn(&mut Fixture),
) {
    let mut fixture = Fixture::growing(3, step);
    disturb(&mut fixture);
    check(&mut fixture, seconds, wait, (reason, remedy));
}

fn check(fixture: &mut Fixture, seconds: u64, wait: &str, (reason, remedy): (&'static str, &str)) {
    let out = fixture.turn(0);
    assert_eq!(out.wait.map(|wait| wait.name), Some(wait));
    let on_time = fixture.after(seconds * 1_000);
    assert!(!reasons(&on_time).contains(&reason), "too early: {:?}", on_time.conditions);
    let late = fixture.after(seconds * 1_000 + 1);
    let place = fixture.top().to_string();
    let whole = tells(&late, reason, remedy) && tells(&late, reason, &place);
    assert!(whole, "what, where and what to do: {:?}", late.conditions);
    assert!(late.wait.is_none_or(|wait| !wait.remedy.is_empty()));
}

/// What is waited for is what is not known, whatever the step would wait for else.
#[test]
fn a_step_that_is_held_waits_for_what_is_not_known() {
    let mut fixture = Fixture::shrinking(3, Step::Fence);
    let why = lifecycle::Veto::unknown("NumbersUnknown", "no rate of a yet");
    fixture.facts.shrink_vetoes.insert(why);
    assert_eq!(fixture.after(0).wait.map(|wait| wait.name), Some("NotKnown"));
    let late = fixture.after(30_001);
    assert!(
        tells(&late, "NotKnown", "step Fence: NumbersUnknown: no rate of a yet"),
        "{:?}",
        late.conditions
    );
}

/// What the routing probe met is what people have to mend.
#[test]
fn a_late_routing_probe_says_what_it_met() {
    let mut fixture = Fixture::growing(3, Step::RoutingProbe);
    fixture.facts.calls.routing_probe = lifecycle::Call::Refused("pod 2 has no plain MQTT listener".into());
    let told = &fixture.after(60_001).conditions[0].message;
    assert!(told.contains("(pod 2 has no plain MQTT listener)"), "{told}");
}

#[test]
fn a_suspend_that_is_late_is_not_asked_again_in_the_reconcile_that_turns_back() {
    let mut fixture = Fixture::shrinking(3, Step::Suspend);
    fixture.listeners(Some(ListenerState::Running));
    let asks = |fixture: &Fixture, millis| {
        let effects = fixture.after(millis).effects;
        effects.iter().any(|effect| matches!(effect, lifecycle::Effect::Suspend { .. }))
    };
    assert!(asks(&fixture, 30_000));
    assert!(!asks(&fixture, 30_001));
}

/// It may be a right that is missing: nothing else would say so.
#[test]
fn a_suspend_that_is_late_says_what_was_answered() {
    let mut fixture = Fixture::shrinking(3, Step::Suspend);
    fixture.listeners(Some(ListenerState::Running));
    fixture.facts.calls.suspend = lifecycle::Call::Refused("pods \"vmq-0\" is forbidden".into());
    let late = fixture.after(30_001);
    let told = late.conditions.iter().any(|told| told.message.contains("pods \"vmq-0\" is forbidden"));
    assert!(told, "{:?}", late.conditions);
    assert!(late.intent.unwrap().reason.unwrap().contains("forbidden"));
}

#[test]
fn the_quiet_time_ends_a_shrink() {
    let mut fixture = Fixture::shrinking(3, Step::Quiet);
    lowered(&mut fixture);
    assert_eq!(at(&fixture.after(5_000)), Step::Quiet);
    assert_eq!(at(&fixture.after(5_001)), Step::Done);
}

#[test]
fn a_pod_without_deletion_mark_is_deleted_by_uid_after_five_seconds() {
    let mut fixture = Fixture::shrinking(3, Step::PodGone);
    lowered(&mut fixture);
    assert_eq!(fixture.after(4_900).effects, []);
    let delete = lifecycle::Effect::DeletePod { ordinal: Ordinal(2), uid: "pod-2".into() };
    assert_eq!(fixture.after(5_000).effects, [delete]);
    fixture.pod(2).deleting = true;
    assert_eq!(fixture.after(6_000).effects, []);
}
