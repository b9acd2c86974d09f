//! The controller is killed after each single thing that it does, and another one
//! goes on (I5). Enumerated: the n-th world is killed after its n-th thing, until
//! a story is over before it has done so many.

use rstest::rstest;
use serde_json::json;
use vernescale::crd::Via;
use vernescale::leader::Timing;
use vernescale::standin::kubernetes::VernemqInstall;

use crate::world::{World, minutes, seconds};

/// A third of the usual times: the successor only has to wait, and nothing else is different.
const TIMING: Timing = Timing { lease: seconds(6), act: seconds(4), retry: seconds(1) };

/// A size, and the size that is wished.
#[derive(Clone, Copy, Debug)]
enum Story {
    Shrink,
    Grow,
}

impl Story {
    fn sizes(self) -> (u32, u64) {
        match self {
            Self::Shrink => (2, 1),
            Self::Grow => (1, 2),
        }
    }

    /// The things that must be among those after which it was killed, or the story was another one.
    fn things(self) -> &'static [&'static str] {
        match self {
            Self::Shrink => &[
                "record Fence",
                "LabelServing",
                "record Suspend",
                "Suspend",
                "record Leave",
                "Leave",
                "Leave answered",
                "SetReplicas",
                "DeleteClaim",
            ],
            Self::Grow => {
                &["owner", "hold", "record Raise", "SetReplicas", "LabelServing", "Canary", "release"]
            }
        }
    }
}

async fn begin(via: Via, story: Story) -> World {
    let (from, to) = story.sizes();
    let spec = json!({ "wishFrom": "Scale", "replicas": to, "settle": "1s" });
    // A newcomer that nobody fences is served as soon as it is ready; the official chart's probe waits 90 s,
    // and this one still longer than a successor needs.
    let slow = |install: &mut VernemqInstall| install.probe_delay = seconds(15);
    let world = World::builder(via).replicas(from).clients(2).timing(TIMING).spec(&spec).install(slow);
    let mut world = world.start().await;
    world.load(2.0).await;
    world.start_controller("a");
    world
}

/// Kills the controller after its `n`-th thing; false where there were fewer.
async fn killed_after(via: Via, story: Story, n: usize) -> bool {
    let (_, to) = story.sizes();
    let mut world = begin(via, story).await;
    let Some(thing) = world.kill_after("a", n, minutes(2)).await else {
        assert!(world.settled(to), "nobody was killed, and it did not end\n{}", world.dump());
        let names = world.taps.names();
        assert!(story.things().iter().all(|thing| names.iter().any(|name| name == thing)), "{names:?}");
        world.assert_bars().await;
        return false;
    };
    world.start_controller("b");
    let what = format!("{story:?} ends though killed after {thing} ({n})");
    world.until(&what, minutes(10), |world| world.settled(to)).await;
    world.assert_bars().await;
    true
}

/// A world has its own time.
fn runtime() -> tokio::runtime::Runtime {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().start_paused(true).build().expect("a runtime")
}

/// Two halves of the things, so that two run at once: a world costs some two seconds of a core.
#[rstest]
fn killed_after_each_thing(
    #[values(Via::ManagementApi, Via::Exec)] via: Via,
    #[values(Story::Shrink, Story::Grow)] story: Story,
    #[values(1, 2)] first: usize,
) {
    let mut things = (first..).step_by(2);
    while things.next().is_some_and(|n| runtime().block_on(killed_after(via, story, n))) {}
}
