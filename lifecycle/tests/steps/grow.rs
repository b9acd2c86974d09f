//! A newcomer on its way to being served.

use lifecycle::{
    Call, Effect, Groups, Kind, Objects, Observed, Ordinal, Outcome, Reach, Step, Time, Veto, step,
};
use rstest::rstest;

use crate::fixture::{Fixture, THEN, at, kind, reasons, tells, unknown};

#[test]
fn a_raise_that_is_not_wanted_any_more_waits_for_a_patch_that_may_still_arrive() {
    for disturb in [
        |s: &mut Fixture| s.facts.wish = 2,
        |s: &mut Fixture| {
            s.facts.grow_vetoes.insert(Veto::forbids("Paused", ""));
        },
    ] {
        let mut fixture = Fixture::new(2, 3);
        fixture.turn(0);
        disturb(&mut fixture);
        assert_eq!((fixture.turn(1_000).effects, kind(&fixture.turn(1_000))), (vec![], Some(Kind::Grow)));
        assert_eq!(kind(&fixture.turn(10_900)), Some(Kind::Grow));
        assert_eq!(fixture.after(11_000).finished.unwrap().outcome, Outcome::Cancelled);
        fixture.facts.target.replicas = 3;
        assert_eq!(at(&fixture.after(11_000)), Step::FenceNewcomer, "it did arrive");
    }
}

#[test]
fn no_raise_onto_a_claim_that_turned_up() {
    let mut fixture = Fixture::new(2, 3);
    fixture.turn(0);
    let claim = fixture.facts.claims[&Ordinal(1)].clone();
    fixture.facts.claims.insert(Ordinal(2), claim);
    assert_eq!(fixture.after(1_000).effects, []);
}

#[test]
fn the_newcomer_is_fenced_before_anything_is_waited_for() {
    let mut fixture = Fixture::growing(3, Step::FenceNewcomer);
    fixture.pod(2).serving = Some(true);
    fixture.pod(2).ready = false;
    assert!(matches!(&fixture.after(0).effects[..], [Effect::LabelServing { serving: false, .. }]));
    fixture.pod(2).serving = Some(false);
    fixture.pod(2).routed = true;
    assert_eq!(at(&fixture.after(0)), Step::FenceNewcomer);
    fixture.pod(2).routed = false;
    assert_eq!(at(&fixture.after(0)), Step::Join);
}

#[test]
fn a_pod_that_is_going_is_not_the_newcomer() {
    let mut fixture = Fixture::growing(3, Step::FenceNewcomer);
    fixture.pod(2).deleting = true;
    assert_eq!((at(&fixture.after(0)), fixture.after(0).effects), (Step::FenceNewcomer, vec![]));
}

#[test]
fn ten_seconds_of_agreement_precede_the_routing_probe() {
    let mut fixture = Fixture::growing(3, Step::Join);
    assert_eq!(at(&fixture.turn(0)), Step::Join);
    assert_eq!(at(&fixture.turn(9_900)), Step::Join);
    let out = fixture.turn(10_000);
    assert_eq!(at(&out), Step::RoutingProbe);
    assert_eq!(out.effects, [Effect::RoutingProbe { newcomer: Ordinal(2), peer: Ordinal(0) }]);
}

#[rstest]
#[case::not_ready(|s: &mut Fixture| s.pod(2).ready = false)]
#[case::unlisted(|s: &mut Fixture| s.view(0, &[(0, true), (1, true)]))]
#[case::not_running(|s: &mut Fixture| s.view(1, &[(0, true), (1, true), (2, false)]))]
#[case::alone(|s: &mut Fixture| s.view(2, &[(2, true)]))]
#[case::views_differ(|s: &mut Fixture| s.view(1, &[(0, true), (1, true), (2, true), (9, false)]))]
#[case::blind(|s: &mut Fixture| s.node(1).members = unknown())]
#[case::nameless(|s: &mut Fixture| s.node(2).name = None)]
#[case::objects(|s: &mut Fixture| s.live(2, 494))]
#[case::too_many_objects(|s: &mut Fixture| s.live(2, 506))]
#[case::objects_of_one_member(|s: &mut Fixture| s.live(0, 494))]
#[case::none_of_few(|s: &mut Fixture| { (0..3).for_each(|o| s.live(o, 2)); s.live(2, 0); })]
#[case::its_own_keys_of_few(|s: &mut Fixture| { (0..3).for_each(|o| s.live(o, 4)); s.live(2, 1); })]
#[case::objects_unknown(|s: &mut Fixture| s.node(1).objects = unknown())]
#[case::objects_not_counted(|s: &mut Fixture| s.node(2).objects = Observed::Seen(Objects { live: None, at: THEN }))]
#[case::groups(|s: &mut Fixture| s.node(2).groups = Some(Observed::Seen(Groups { synced: 9, all: 10 })))]
#[case::groups_unknown(|s: &mut Fixture| s.node(2).groups = Some(unknown()))]
#[case::groups_not_asked(|s: &mut Fixture| s.node(2).groups = None)]
#[case::retained(|s: &mut Fixture| s.counts(0).retained = 4)]
#[case::counts_unknown(|s: &mut Fixture| s.node(1).counts = unknown())]
fn a_newcomer_out_of_step_is_not_served(#[case] disturb: fn(&mut Fixture)) {
    let mut fixture = Fixture::growing(3, Step::Join);
    disturb(&mut fixture);
    fixture.turn(0);
    let out = fixture.turn(20_000);
    assert_eq!((at(&out), out.effects), (Step::Join, vec![]));
    let late = fixture.turn(300_001);
    assert!(reasons(&late).contains(&"JoinFailed"), "{:?}", late.conditions);
}

/// As nodes of one cluster differ for ever (`join_sync_2.1.2.txt`: connects on their way; a hundredth at any size).
#[rstest]
#[case::three_of_few(|s: &mut Fixture| { (0..3).for_each(|o| s.live(o, 40)); s.live(2, 43); })]
#[case::a_hundredth_of_many(|s: &mut Fixture| { (0..3).for_each(|o| s.live(o, 20_000)); s.live(2, 19_800); })]
fn one_that_differs_as_members_do_is_in_step(#[case] disturb: fn(&mut Fixture)) {
    let mut fixture = Fixture::growing(3, Step::Join);
    disturb(&mut fixture);
    fixture.turn(0);
    assert_eq!(at(&fixture.turn(10_000)), Step::RoutingProbe);
}

/// `InitSynced` is 2.1's; on 2.2.0 it says nothing, and is not waited for where it cannot be had.
#[test]
fn a_later_version_needs_no_groups() {
    let mut fixture = Fixture::growing(3, Step::Join);
    (0..3).for_each(|o| fixture.node(o).version = Observed::Seen("2.2.0".into()));
    fixture.node(2).groups = Some(unknown());
    fixture.turn(0);
    assert_eq!(at(&fixture.turn(10_000)), Step::RoutingProbe);
}

/// The counts of a newcomer and a member may meet by chance on their way past each other.
#[test]
fn one_good_reading_is_not_enough() {
    let mut fixture = Fixture::growing(3, Step::Join);
    fixture.live(2, 100);
    fixture.turn(0);
    fixture.turn(12_000);
    fixture.live(2, 500);
    assert_eq!(at(&fixture.turn(12_500)), Step::Join);
    assert_eq!(at(&fixture.after(13_400)), Step::Join);
    fixture.live(2, 100);
    fixture.turn(13_000);
    fixture.live(2, 500);
    assert_eq!(at(&fixture.turn(13_500)), Step::Join, "begun anew");
    assert_eq!(at(&fixture.turn(14_500)), Step::RoutingProbe);
}

/// A page that was read once and is looked at twice is one reading.
#[test]
fn an_old_reading_is_not_a_second_one() {
    let mut fixture = Fixture::growing(3, Step::Join);
    fixture.turn(0);
    fixture.intent.as_mut().unwrap().in_step = None;
    let reads = |fixture: &Fixture, read: u64, now: u64| {
        let mut facts = fixture.facts.clone();
        for node in facts.nodes.values_mut() {
            node.objects = Observed::Seen(Objects { live: Some(500), at: Time(THEN.0 + read) });
        }
        step(fixture.intent.as_ref(), &facts, &fixture.limits, Time(THEN.0 + now))
    };
    fixture.intent = reads(&fixture, 10_000, 10_000).intent;
    assert_eq!(at(&reads(&fixture, 10_000, 12_000)), Step::Join);
    assert_eq!(at(&reads(&fixture, 11_000, 12_000)), Step::RoutingProbe);
}

/// I11: which number differs, on which node, by how much, while it is waited for and once it has failed.
#[test]
fn what_a_newcomer_lacks_is_said_in_numbers() {
    let mut fixture = Fixture::growing(3, Step::Join);
    fixture.live(2, 57);
    fixture.turn(0);
    let out = fixture.turn(10_000);
    let words = "pod 2 has 57 live objects, pod 0 has 500: 443 apart, 5 at most are in step";
    assert_eq!(out.wait.as_ref().and_then(|wait| wait.because.as_deref()), Some(words));
    assert!(tells(&out, "NewcomerBehind", words), "{:?}", out.conditions);
    assert!(tells(&fixture.turn(300_001), "JoinFailed", words));
    fixture.live(2, 500);
    fixture.node(2).groups = Some(Observed::Seen(Groups { synced: 7, all: 10 }));
    assert!(tells(&fixture.turn(300_002), "JoinFailed", "pod 2 has 7 of 10 groups"));
    fixture.counts(1).retained = 4;
    assert!(tells(
        &fixture.turn(300_003),
        "JoinFailed",
        "pod 2 has 3 retained messages, pod 1 has 4: 1 apart"
    ));
}

/// Another metadata plugin counts nothing of the kind: unknown, told at once, with the way out.
#[test]
fn objects_that_nobody_counts_are_told_at_once() {
    let mut fixture = Fixture::growing(3, Step::Join);
    fixture.node(1).objects = Observed::Seen(Objects { live: None, at: THEN });
    let out = fixture.turn(0);
    assert!(
        tells(&out, "ObjectsNotCounted", "/metrics of pod 1 has no swc_object_count"),
        "{:?}",
        out.conditions
    );
    assert!(tells(&out, "ObjectsNotCounted", "metadata_plugin = vmq_swc"));
}

/// No join takes so long: it will not become one by being waited for.
#[test]
fn one_that_is_ready_and_alone_for_half_a_minute_is_told() {
    let mut fixture = Fixture::growing(3, Step::Join);
    fixture.view(2, &[(2, true)]);
    fixture.pod(2).ready_changed = Some(THEN);
    fixture.turn(0);
    assert!(!reasons(&fixture.turn(29_900)).contains(&"JoinFailed"));
    let out = fixture.turn(30_000);
    let told = out.conditions.iter().find(|one| one.reason == "JoinFailed");
    assert!(told.is_some_and(|one| one.message.contains("Delete its claim and its pod")), "{out:?}");
}

/// Ready from its container's start, as without a probe, and listening two minutes later: it has only begun to join. Its
/// container's restart begins that anew.
#[test]
fn a_boot_is_no_part_of_the_join() {
    let mut fixture = Fixture::growing(3, Step::Join);
    fixture.view(2, &[(2, true)]);
    fixture.pod(2).ready_changed = Some(THEN);
    for (restarts, boots_until) in [(0, 299_000), (1, 340_000)] {
        fixture.pod(2).restarts = restarts;
        fixture.node(2).reach = Reach::Refused;
        let out = fixture.turn(boots_until);
        assert_eq!(out.wait.as_ref().map(|wait| wait.name), Some("NewcomerAnswers"));
        assert_eq!(reasons(&out).contains(&"NewcomerSilent"), boots_until > 300_000);
        fixture.node(2).reach = Reach::Answers;
        for later in [0, 29_900] {
            let out = fixture.turn(boots_until + later);
            assert_eq!(out.wait.as_ref().map(|wait| wait.name), Some("NewcomerInStep"));
            assert_eq!(reasons(&out), Vec::<&str>::new(), "{:?}", out.conditions);
        }
    }
    assert!(reasons(&fixture.turn(370_000)).contains(&"JoinFailed"));
}

#[test]
fn a_restart_or_a_gap_in_the_agreement_starts_the_ten_seconds_anew() {
    let mut fixture = Fixture::growing(3, Step::Join);
    fixture.turn(0);
    fixture.pod(2).restarts = 1;
    assert_eq!(at(&fixture.turn(10_000)), Step::Join);
    assert_eq!(at(&fixture.turn(19_900)), Step::Join);
    assert_eq!(at(&fixture.turn(20_000)), Step::RoutingProbe);
}

#[test]
fn the_fence_is_held_and_a_new_pod_is_fenced_anew() {
    for step in [Step::Join, Step::RoutingProbe] {
        let mut fixture = Fixture::growing(3, step);
        fixture.pod(2).serving = None;
        let effects = fixture.after(0).effects;
        assert!(matches!(effects[0], Effect::LabelServing { serving: false, .. }), "{effects:?}");
    }
    for step in [Step::Join, Step::RoutingProbe, Step::Serve] {
        let mut fixture = Fixture::growing(3, step);
        fixture.pod(2).uid = "other".into();
        fixture.pod(2).serving = Some(true);
        let out = fixture.after(0);
        assert_eq!(at(&out), Step::FenceNewcomer);
        assert!(
            matches!(&out.effects[..], [Effect::LabelServing { pod_uid, serving: false, .. }] if pod_uid == "other")
        );
    }
}

#[test]
fn only_a_routing_probe_that_crossed_lets_clients_in() {
    let mut fixture = Fixture::growing(3, Step::RoutingProbe);
    fixture.facts.calls.routing_probe_sent = Some(THEN);
    fixture.facts.calls.routing_probe = Call::Answered("lost".into());
    assert_eq!(at(&fixture.after(0)), Step::RoutingProbe);
    fixture.facts.calls.routing_probe = Call::InFlight;
    assert_eq!((at(&fixture.after(0)), fixture.after(0).effects), (Step::RoutingProbe, vec![]));
    fixture.facts.calls.routing_probe = Call::Answered("crossed".into());
    let out = fixture.after(0);
    assert_eq!(at(&out), Step::Serve);
    assert!(matches!(&out.effects[..], [Effect::LabelServing { serving: true, .. }]));
}

#[rstest]
#[case::restarted(|s: &mut Fixture| s.pod(2).restarts = 1)]
#[case::split(|s: &mut Fixture| s.view(0, &[(0, true), (1, true)]))]
fn a_newcomer_that_falls_out_of_step_at_the_routing_probe_joins_again(#[case] disturb: fn(&mut Fixture)) {
    let mut fixture = Fixture::growing(3, Step::RoutingProbe);
    fixture.facts.calls.routing_probe_sent = Some(THEN);
    fixture.facts.calls.routing_probe = Call::Answered("crossed".into());
    disturb(&mut fixture);
    assert_eq!(at(&fixture.after(0)), Step::Join);
}

#[test]
fn the_first_node_has_nobody_to_send_to() {
    let fixture = Fixture::growing(1, Step::RoutingProbe);
    assert_eq!(at(&fixture.after(0)), Step::Serve);
}

#[test]
fn served_means_routed_and_then_it_settles() {
    let mut fixture = Fixture::growing(3, Step::Serve);
    fixture.pod(2).serving = Some(true);
    assert_eq!(at(&fixture.turn(0)), Step::Serve);
    fixture.pod(2).routed = true;
    assert_eq!(at(&fixture.turn(1_000)), Step::Settle);
    assert_eq!(fixture.turn(30_900).finished, None);
    assert_eq!(fixture.turn(31_001).finished.unwrap().outcome, Outcome::Completed);
}

#[test]
fn a_wish_that_falls_does_not_stop_a_growth_that_has_begun() {
    let mut fixture = Fixture::growing(3, Step::Join);
    fixture.facts.wish = 1;
    fixture.turn(0);
    assert_eq!(at(&fixture.turn(10_000)), Step::RoutingProbe);
}

#[rstest]
fn a_foreign_fall_ends_a_growth(
    #[values(Step::FenceNewcomer, Step::Join, Step::RoutingProbe, Step::Serve)] step: Step,
) {
    let mut fixture = Fixture::growing(3, step);
    fixture.facts.target.replicas = 2;
    assert_eq!(fixture.after(0).finished.unwrap().outcome, Outcome::Failed);
}

/// `KubeBlocks` #10448: nothing shrinks while a join is open.
#[test]
fn a_join_ends_before_a_shrink_begins() {
    let mut fixture = Fixture::growing(3, Step::Join);
    fixture.facts.wish = 1;
    fixture.node(2).members = Observed::Unknown("booting".into());
    assert_eq!(kind(&fixture.after(100_000)), Some(Kind::Grow));
}

/// Its pod was made again while it was let in: a message that its predecessor passed on is no proof.
#[test]
fn a_newcomer_that_was_replaced_has_a_routing_probe_of_its_own() {
    let mut fixture = Fixture::growing(3, Step::Serve);
    fixture.facts.calls.routing_probe = Call::Answered("crossed".into());
    fixture.facts.calls.routing_probe_sent = Some(THEN);
    fixture.pod(2).uid = "other".into();
    assert_eq!(at(&fixture.turn(1_000)), Step::Join);
    fixture.turn(1_500);
    let out = fixture.turn(12_000);
    assert_eq!(at(&out), Step::RoutingProbe);
    assert!(matches!(&out.effects[..], [Effect::RoutingProbe { .. }]), "{:?}", out.effects);
    fixture.facts.calls.routing_probe_sent = Some(Time(THEN.0 + 12_000));
    assert_eq!(at(&fixture.turn(12_500)), Step::Serve);
}
