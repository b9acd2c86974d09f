//! A raise that cannot finish: it is named, and keeps nothing else from coming. Where fewer are wanted, its newcomer
//! goes again: by an ordered leave if it is a member, and without one if no member has ever known it.

use lifecycle::Kind;
use rstest::rstest;
use simulator::model::{Connect, Goodbye, Protocol, Spread};
use vernescale::api::Via;

use crate::cluster::{Cluster, minutes, seconds};
use crate::our_resource::delete;
use crate::steering::{claim, label, steered};

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
            Self::Unheard => "RoutingProbeLost",
        }
    }

    fn member(self) -> bool {
        !matches!(self, Self::Unmade | Self::Silent | Self::Alone)
    }
}

/// Two nodes serve, three are wanted, and the third is told not to come.
async fn stuck(via: Via, trouble: Trouble) -> Cluster {
    let mut cluster = steered(via, 2)
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
    cluster.load(2.0).await;
    cluster.start_controller("a");
    cluster.pass(seconds(8)).await;
    cluster.kubernetes.faults().stand_still(trouble == Trouble::Unmade);
    if trouble == Trouble::Silent {
        cluster.fleet.with_model(|model, _| model.settings_mut().timing.boot = Spread::exactly(3_600_000));
    }
    cluster.wish(3);
    if trouble == Trouble::Alone {
        reach_it_first(&mut cluster).await;
    }
    if trouble == Trouble::Unheard {
        // Not before: the routing probe is rehearsed on pod 0, and nothing would be raised.
        cluster.until("it is raised", minutes(1), |cluster| cluster.replicas() == 3).await;
        cluster
            .fleet
            .with_model(|model, _| model.settings_mut().denied_prefixes = vec!["vernescale/".into()]);
    }
    let told = |cluster: &Cluster| cluster.condition(trouble.told()).is_some();
    cluster.until("it is told", minutes(4), told).await;
    let growing = cluster.intent().is_some_and(|intent| intent.active() && intent.kind == Kind::Grow);
    assert!(growing && cluster.serving() == 2, "{}", cluster.dump());
    cluster
}

/// A client that knows its address, before its entrypoint has joined.
async fn reach_it_first(cluster: &mut Cluster) {
    let listens = |cluster: &Cluster| {
        cluster.node(2).is_some_and(|node| cluster.fleet.with_model(|model, _| model.listening(&node)))
    };
    cluster.until("it listens", minutes(1), listens).await;
    let node = cluster.node(2).expect("it listens");
    let early = Connect::new("early", Protocol::V4, true);
    let conn = cluster.fleet.with_model(|model, now| model.connect(&node, early, now));
    cluster.pass(seconds(1)).await;
    cluster.fleet.with_model(|model, now| model.disconnect(conn, Goodbye::Clean, now));
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
    let mut cluster = stuck(via, trouble).await;
    cluster.wish(2);
    cluster.until("the size is lowered", minutes(2), |cluster| cluster.replicas() == 2).await;
    assert_eq!(
        cluster.hooks.times("Leave") > 0,
        trouble.member(),
        "{trouble:?}: {:?}",
        cluster.hooks.names()
    );
    cluster.kubernetes.faults().stand_still(false);
    let ended = |cluster: &Cluster| {
        cluster.settled(2) && cluster.dead_members().is_empty() && claim(cluster, 2).is_none()
    };
    cluster.until("two nodes are left", minutes(4), ended).await;
    assert!(cluster.condition(trouble.told()).is_none(), "{}", cluster.dump());
    cluster.assert_invariants().await;
}

/// What it holds is not known: it is told by its name, and so is what a smaller size waits for.
#[rstest]
#[case(Via::ManagementApi)]
#[case(Via::Exec)]
#[tokio::test(start_paused = true)]
async fn one_that_never_answers_is_told_and_kept(#[case] via: Via) {
    let mut cluster = stuck(via, Trouble::Silent).await;
    assert!(cluster.condition("JoinFailed").is_none(), "{}", cluster.dump());
    cluster.wish(2);
    let waits = |cluster: &Cluster| cluster.condition("ShrinkWaits").is_some();
    cluster.until("a smaller size waits by its name", seconds(20), waits).await;
    let told = cluster.condition("NewcomerSilent").map(|told| told.message).unwrap_or_default();
    assert!(told.contains("nothing listens at its HTTP ports"), "{told}");
    assert_eq!((cluster.replicas(), cluster.serving()), (3, 2), "{}", cluster.dump());
}

/// The undo of its leave does not let it in: nothing has proven it.
#[rstest]
#[tokio::test(start_paused = true)]
async fn one_that_is_wanted_again_on_its_way_out_stays_fenced(
    #[values(Via::ManagementApi, Via::Exec)] via: Via,
    #[values(Trouble::Behind, Trouble::Unheard)] trouble: Trouble,
) {
    let mut cluster = stuck(via, trouble).await;
    cluster.hooks.after("record Suspend", std::future::pending);
    cluster.wish(2);
    cluster.until("it is on its way", minutes(1), |cluster| cluster.hooks.times("record Suspend") == 1).await;
    cluster.kill_controller("a").await;
    cluster.wish(3);
    cluster.start_controller("a");
    let grows =
        |cluster: &Cluster| cluster.intent().is_some_and(|one| one.active() && one.kind == Kind::Grow);
    cluster.until("it is a newcomer again", minutes(2), grows).await;
    cluster.pass(seconds(30)).await;
    assert_eq!((label(&cluster, 2).as_deref(), cluster.serving()), (Some("false"), 2), "{}", cluster.dump());
    let told = |cluster: &Cluster| cluster.condition(trouble.told()).is_some();
    cluster.until("it is told again", minutes(3), told).await;
}

/// More are wanted: that is said, and they come once the first is mended.
#[rstest]
#[tokio::test(start_paused = true)]
async fn a_further_raise_waits_by_its_name(#[values(Trouble::Unheard, Trouble::Unmade)] trouble: Trouble) {
    let mut cluster = stuck(Via::ManagementApi, trouble).await;
    cluster.wish(4);
    let waits =
        |cluster: &Cluster| cluster.condition("GrowWaits").map(|told| told.message).unwrap_or_default();
    cluster.until("it is said", seconds(10), |cluster| !waits(cluster).is_empty()).await;
    assert!(
        waits(&cluster).starts_with("4 nodes are wanted and 3 stay: pod 2 comes first"),
        "{}",
        waits(&cluster)
    );
    cluster.fleet.with_model(|model, _| model.settings_mut().denied_prefixes.clear());
    cluster.kubernetes.faults().stand_still(false);
    cluster.until("four nodes", minutes(6), |cluster| cluster.settled(4)).await;
    cluster.assert_invariants().await;
}

/// `kubectl delete` of our resource does not wait for ever for a pod that is never made.
#[tokio::test(start_paused = true)]
async fn one_that_is_never_made_does_not_keep_the_resource() {
    let mut cluster = stuck(Via::ManagementApi, Trouble::Unmade).await;
    let _anew = delete(&cluster, 2).await;
    cluster.until("the resource is gone", minutes(5), |cluster| cluster.resource().is_none()).await;
    assert_eq!((cluster.replicas(), cluster.serving()), (3, 2), "{}", cluster.dump());
}
