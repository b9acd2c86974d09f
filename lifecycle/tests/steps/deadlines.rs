//! I11: every wait has a name and an end, and being late is a condition, never a guess.

use lifecycle::{ListenerState, Ordinal, Reach, Step};
use rstest::rstest;

use crate::scene::{Scene, at, reasons, tells, unknown};

fn lowered(scene: &mut Scene) {
    scene.facts.target.replicas = scene.top();
}

#[rstest]
#[case(Step::Fence, 30, "EndpointsDropped", "EndpointsStay", "kubectl get endpointslices", |s: &mut Scene| s.pod(2).routed = true)]
#[case(Step::Fence, 30, "LeaverFenced", "FenceRefused", "the condition CallFailed", |s: &mut Scene| s.pod(2).serving = Some(true))]
#[case(Step::Suspend, 30, "ListenersSuspended", "SuspendFailed", "vmq-admin listener show", |s: &mut Scene| s.doors(Some(ListenerState::Running)))]
#[case(Step::Drain, 900, "SessionsDrained", "DrainBudgetSpent", "spec.drain.budget", |_: &mut Scene| ())]
#[case(Step::Leave, 60, "QueuesMigrated", "LeaveStuck", "broker in pod 2 (SIGTERM) has two ends, and neither is promised", |s: &mut Scene| s.doors(None))]
#[case(Step::Leave, 60, "LeaveOutcome", "LeaveOutcomeUnknown", "Look at its log", |s: &mut Scene| s.node(2).listeners = unknown())]
#[case(Step::Verify, 30, "SurvivorDropsIt", "VerifyFailed", "compare `vmq-admin cluster show` on each pod", |s: &mut Scene| s.doors(None))]
#[case(Step::Shrink, 10, "ReplicasLowered", "ShrinkRefused", "admission policies on statefulsets/scale", |_: &mut Scene| ())]
#[case(Step::PodGone, 90, "PodGone", "PodStays", "kubectl describe pod", |s: &mut Scene| { lowered(s); s.dropped(); })]
#[case(Step::PodGone, 30, "SurvivorsAgree", "VerifyFailed", "compare `vmq-admin cluster show` on each pod", |s: &mut Scene| { lowered(s); s.gone(); })]
#[case(Step::Volume, 30, "SurvivorsAgree", "VerifyFailed", "compare `vmq-admin cluster show` on each pod", |s: &mut Scene| { lowered(s); s.gone(); })]
#[case(Step::Volume, 60, "VolumeGone", "ClaimStays", "kubectl describe pvc data-2", |s: &mut Scene| { lowered(s); s.gone(); s.dropped(); })]
#[case(Step::Volume, 90, "UsedVolumeGone", "UsedVolumeStays", "kubectl describe pvc data-2", |s: &mut Scene| s.dropped())]
#[case(Step::Cancel, 60, "Undone", "UndoStuck", "`listener show`", |_: &mut Scene| ())]
fn a_late_shrink_says_so(
    #[case] step: Step,
    #[case] seconds: u64,
    #[case] wait: &str,
    #[case] reason: &'static str,
    #[case] remedy: &str,
    #[case] disturb: fn(&mut Scene),
) {
    let mut scene = Scene::shrinking(3, step);
    scene.intent.as_mut().unwrap().verified = true;
    disturb(&mut scene);
    check(&mut scene, seconds, wait, (reason, remedy));
}

#[rstest]
#[case(Step::Raise, 10, "ReplicasRaised", "RaiseRefused", "admission policies on statefulsets/scale", |s: &mut Scene| s.facts.target.replicas = 2)]
#[case(Step::FenceNewcomer, 60, "NewcomerFenced", "NewcomerNotFenced", "Events of the StatefulSet", |s: &mut Scene| {
    s.facts.pods.remove(&Ordinal(2));
})]
#[case(Step::Join, 300, "NewcomerInStep", "JoinFailed", "`vmq-admin cluster show` on each pod", |s: &mut Scene| s.view(2, &[(1, true), (2, true)]))]
#[case(Step::Join, 300, "NewcomerAnswers", "NewcomerSilent", "`kubectl describe pod`", |s: &mut Scene| s.node(2).reach = Reach::Silent)]
#[case(Step::Canary, 60, "CanaryCrossed", "CanaryLost", "user of spec.canarySecretRef", |_: &mut Scene| ())]
#[case(Step::Serve, 60, "NewcomerRouted", "NotRouted", "what the client Service selects", |s: &mut Scene| s.pod(2).serving = Some(true))]
fn a_late_growth_says_so(
    #[case] step: Step,
    #[case] seconds: u64,
    #[case] wait: &str,
    #[case] reason: &'static str,
    #[case] remedy: &str,
    #[case] disturb: fn(&mut Scene),
) {
    let mut scene = Scene::growing(3, step);
    disturb(&mut scene);
    check(&mut scene, seconds, wait, (reason, remedy));
}

fn check(scene: &mut Scene, seconds: u64, wait: &str, (reason, remedy): (&'static str, &str)) {
    let out = scene.turn(0);
    assert_eq!(out.wait.map(|wait| wait.name), Some(wait));
    let on_time = scene.after(seconds * 1_000);
    assert!(!reasons(&on_time).contains(&reason), "too early: {:?}", on_time.conditions);
    let late = scene.after(seconds * 1_000 + 1);
    let place = scene.top().to_string();
    let whole = tells(&late, reason, remedy) && tells(&late, reason, &place);
    assert!(whole, "what, where and what to do: {:?}", late.conditions);
    assert!(late.wait.is_none_or(|wait| !wait.remedy.is_empty()));
}

/// What is waited for is what is not known, whatever the step would wait for else.
#[test]
fn a_step_that_is_held_waits_for_what_is_not_known() {
    let mut scene = Scene::shrinking(3, Step::Fence);
    let why = lifecycle::Veto::unknown("NumbersUnknown", "no rate of a yet");
    scene.facts.shrink_vetoes.insert(why);
    assert_eq!(scene.after(0).wait.map(|wait| wait.name), Some("NotKnown"));
    let late = scene.after(30_001);
    assert!(
        tells(&late, "NotKnown", "step Fence: NumbersUnknown: no rate of a yet"),
        "{:?}",
        late.conditions
    );
}

/// What the canary met is what people have to mend.
#[test]
fn a_late_canary_says_what_it_met() {
    let mut scene = Scene::growing(3, Step::Canary);
    scene.facts.calls.canary = lifecycle::Call::Refused("pod 2 has no plain MQTT listener".into());
    let told = &scene.after(60_001).conditions[0].message;
    assert!(told.contains("(pod 2 has no plain MQTT listener)"), "{told}");
}

#[test]
fn a_suspend_that_is_late_is_not_asked_again_in_the_reconcile_that_turns_back() {
    let mut scene = Scene::shrinking(3, Step::Suspend);
    scene.doors(Some(ListenerState::Running));
    let asks = |scene: &Scene, millis| {
        let effects = scene.after(millis).effects;
        effects.iter().any(|effect| matches!(effect, lifecycle::Effect::Suspend { .. }))
    };
    assert!(asks(&scene, 30_000));
    assert!(!asks(&scene, 30_001));
}

/// It may be a right that is missing: nothing else would say so.
#[test]
fn a_suspend_that_is_late_says_what_was_answered() {
    let mut scene = Scene::shrinking(3, Step::Suspend);
    scene.doors(Some(ListenerState::Running));
    scene.facts.calls.suspend = lifecycle::Call::Refused("pods \"vmq-0\" is forbidden".into());
    let late = scene.after(30_001);
    let told = late.conditions.iter().any(|told| told.message.contains("pods \"vmq-0\" is forbidden"));
    assert!(told, "{:?}", late.conditions);
    assert!(late.intent.unwrap().reason.unwrap().contains("forbidden"));
}

#[test]
fn the_quiet_time_ends_a_shrink() {
    let mut scene = Scene::shrinking(3, Step::Quiet);
    lowered(&mut scene);
    assert_eq!(at(&scene.after(5_000)), Step::Quiet);
    assert_eq!(at(&scene.after(5_001)), Step::Done);
}

#[test]
fn a_pod_without_deletion_mark_is_deleted_by_uid_after_five_seconds() {
    let mut scene = Scene::shrinking(3, Step::PodGone);
    lowered(&mut scene);
    assert_eq!(scene.after(4_900).effects, []);
    let delete = lifecycle::Effect::DeletePod { ordinal: Ordinal(2), uid: "pod-2".into() };
    assert_eq!(scene.after(5_000).effects, [delete]);
    scene.pod(2).deleting = true;
    assert_eq!(scene.after(6_000).effects, []);
}
