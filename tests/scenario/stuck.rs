//! A raise that cannot finish: it is named, and keeps nothing else from coming. Where fewer are wanted, its newcomer
//! goes again: by an ordered leave if it is a member, and without one if no member has ever known it.

use lifecycle::Kind;
use rstest::rstest;
use simulator::model::{Connect, Goodbye, Protocol, Spread};
use vernescale::api::Via;

use crate::our_resource::delete;
use crate::steering::{claim, label, steered};
use crate::world::{World, minutes, seconds};

/// What keeps the newcomer from its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trouble {
    /// Its StatefulSet stands still, and is not touched.
    Unmade,
    /// Its broker boots for ever.
    Silent,
    /// A member whose readiness probe does not come to say yes.
    Unready,
    /// A client reached it before it joined: a cluster of one (`join_refused_after_client_on_newcomer.txt`).
    Alone,
    /// A member that does not learn what the others know.
    Behind,
    /// A member through which no message of ours gets.
    Unheard,
}

impl Trouble {
    fn told(self) -> &'static str {
        match self {
            Self::Unmade => "NewcomerNotFenced",
            Self::Silent => "NewcomerSilent",
            Self::Unready | Self::Alone | Self::Behind => "JoinFailed",
            Self::Unheard => "CanaryLost",
        }
    }

    fn member(self) -> bool {
        !matches!(self, Self::Unmade | Self::Silent | Self::Alone)
    }
}

/// Two nodes serve, three are wanted, and the third is told not to come.
async fn stuck(via: Via, trouble: Trouble) -> World {
    let mut world = steered(via, 2)
        .limits(|limits| {
            limits.join = seconds(90);
            limits.boot = seconds(90);
            limits.still = minutes(60);
        })
        .install(|install| {
            if trouble == Trouble::Unready {
                install.probe_delay = seconds(240);
            }
        })
        .broker(|broker| {
            if trouble == Trouble::Behind {
                broker.timing.join_sync_end = Spread::exactly(3_600_000);
            }
        })
        .start()
        .await;
    world.load(2.0).await;
    world.start_controller("a");
    world.pass(seconds(8)).await;
    world.kubernetes.faults().stand_still(trouble == Trouble::Unmade);
    if trouble == Trouble::Silent {
        world.fleet.with_model(|model, _| model.settings_mut().timing.boot = Spread::exactly(3_600_000));
    }
    world.wish(3);
    if trouble == Trouble::Alone {
        reach_it_first(&mut world).await;
    }
    if trouble == Trouble::Unheard {
        // Not before: the canary is rehearsed on pod 0, and nothing would be raised.
        world.until("it is raised", minutes(1), |world| world.replicas() == 3).await;
        world.fleet.with_model(|model, _| model.settings_mut().denied_prefixes = vec!["vernescale/".into()]);
    }
    let told = |world: &World| world.condition(trouble.told()).is_some();
    world.until("it is told", minutes(4), told).await;
    let growing = world.intent().is_some_and(|intent| intent.active() && intent.kind == Kind::Grow);
    assert!(growing && world.serving() == 2, "{}", world.dump());
    world
}

/// A client that knows its address, before its entrypoint has joined.
async fn reach_it_first(world: &mut World) {
    let listens = |world: &World| {
        world.node(2).is_some_and(|node| world.fleet.with_model(|model, _| model.listening(&node)))
    };
    world.until("it listens", minutes(1), listens).await;
    let node = world.node(2).expect("it listens");
    let early = Connect::new("early", Protocol::V4, true);
    let conn = world.fleet.with_model(|model, now| model.connect(&node, early, now));
    world.pass(seconds(1)).await;
    world.fleet.with_model(|model, now| model.disconnect(conn, Goodbye::Clean, now));
}

const ALL: [Trouble; 5] =
    [Trouble::Unmade, Trouble::Unready, Trouble::Alone, Trouble::Behind, Trouble::Unheard];

#[rstest]
#[tokio::test(start_paused = true)]
async fn one_that_is_not_wanted_any_more_goes(
    #[values(Via::ManagementApi, Via::Exec)] via: Via,
    #[values(0, 1, 2, 3, 4)] trouble: usize,
) {
    let trouble = ALL[trouble];
    let mut world = stuck(via, trouble).await;
    world.wish(2);
    world.until("the size is lowered", minutes(2), |world| world.replicas() == 2).await;
    assert_eq!(world.hooks.times("Leave") > 0, trouble.member(), "{trouble:?}: {:?}", world.hooks.names());
    world.kubernetes.faults().stand_still(false);
    let ended =
        |world: &World| world.settled(2) && world.dead_members().is_empty() && claim(world, 2).is_none();
    world.until("two nodes are left", minutes(4), ended).await;
    assert!(world.condition(trouble.told()).is_none(), "{}", world.dump());
    world.assert_bars().await;
}

/// What it holds is not known: it is told by its name, and so is what a smaller size waits for.
#[rstest]
#[case(Via::ManagementApi)]
#[case(Via::Exec)]
#[tokio::test(start_paused = true)]
async fn one_that_never_answers_is_told_and_kept(#[case] via: Via) {
    let mut world = stuck(via, Trouble::Silent).await;
    assert!(world.condition("JoinFailed").is_none(), "{}", world.dump());
    world.wish(2);
    let waits = |world: &World| world.condition("ShrinkWaits").is_some();
    world.until("a smaller size waits by its name", seconds(20), waits).await;
    let told = world.condition("NewcomerSilent").map(|told| told.message).unwrap_or_default();
    assert!(told.contains("nothing listens at its HTTP ports"), "{told}");
    assert_eq!((world.replicas(), world.serving()), (3, 2), "{}", world.dump());
}

/// The undo of its leave does not let it in: nothing has proven it.
#[rstest]
#[tokio::test(start_paused = true)]
async fn one_that_is_wanted_again_on_its_way_out_stays_fenced(
    #[values(Via::ManagementApi, Via::Exec)] via: Via,
    #[values(Trouble::Behind, Trouble::Unheard)] trouble: Trouble,
) {
    let mut world = stuck(via, trouble).await;
    world.hooks.after("record Suspend", std::future::pending);
    world.wish(2);
    world.until("it is on its way", minutes(1), |world| world.hooks.times("record Suspend") == 1).await;
    world.kill_controller("a").await;
    world.wish(3);
    world.start_controller("a");
    let grows = |world: &World| world.intent().is_some_and(|one| one.active() && one.kind == Kind::Grow);
    world.until("it is a newcomer again", minutes(2), grows).await;
    world.pass(seconds(30)).await;
    assert_eq!((label(&world, 2).as_deref(), world.serving()), (Some("false"), 2), "{}", world.dump());
    let told = |world: &World| world.condition(trouble.told()).is_some();
    world.until("it is told again", minutes(3), told).await;
}

/// More are wanted: that is said, and they come once the first is mended.
#[rstest]
#[tokio::test(start_paused = true)]
async fn a_further_raise_waits_by_its_name(#[values(Trouble::Unheard, Trouble::Unmade)] trouble: Trouble) {
    let mut world = stuck(Via::ManagementApi, trouble).await;
    world.wish(4);
    let waits = |world: &World| world.condition("GrowWaits").map(|told| told.message).unwrap_or_default();
    world.until("it is said", seconds(10), |world| !waits(world).is_empty()).await;
    assert!(
        waits(&world).starts_with("4 nodes are wanted and 3 stay: pod 2 comes first"),
        "{}",
        waits(&world)
    );
    world.fleet.with_model(|model, _| model.settings_mut().denied_prefixes.clear());
    world.kubernetes.faults().stand_still(false);
    world.until("four nodes", minutes(6), |world| world.settled(4)).await;
    world.assert_bars().await;
}

/// `kubectl delete` of our resource does not wait for ever for a pod that is never made.
#[tokio::test(start_paused = true)]
async fn one_that_is_never_made_does_not_keep_the_resource() {
    let mut world = stuck(Via::ManagementApi, Trouble::Unmade).await;
    let _anew = delete(&world, 2).await;
    world.until("the resource is gone", minutes(5), |world| world.resource().is_none()).await;
    assert_eq!((world.replicas(), world.serving()), (3, 2), "{}", world.dump());
}
