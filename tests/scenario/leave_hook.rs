//! A preStop hook that leaves turns every restart into a leave: said at once, in every mode.

use rstest::rstest;
use serde_json::json;
use vernescale::api::Via;

use crate::world::{World, minutes, seconds};

#[rstest]
#[tokio::test(start_paused = true)]
async fn a_leave_hook_is_reported_from_the_first_reconcile(
    #[values(Via::ManagementApi, Via::Exec)] via: Via,
    #[values("Shadow", "Active")] mode: &str,
) {
    let hook = "vmq-admin cluster leave node=VerneMQ@$(hostname -f) -k && sleep 10";
    let spec = json!({ "mode": mode, "minReplicas": 2 });
    let hooked = World::builder(via).replicas(2).clients(1).spec(&spec).install(|install| {
        install.pre_stop = Some(["sh", "-c", hook].map(str::to_owned).to_vec());
    });
    let mut world = hooked.start().await;
    world.kubernetes.clear_log();
    world.start_controller("a");
    world.until("the first report", seconds(5), |world| !world.status().conditions.is_empty()).await;
    let told = world.condition("PreStopLeaves").unwrap_or_else(|| panic!("not said\n{}", world.dump()));
    assert!(told.message.contains("`vernemq`") && told.message.contains("Remove the hook"), "{told:?}");
    // It stands as long as the hook does, and is no reason to touch anything.
    world.pass(minutes(1)).await;
    assert!(world.condition("PreStopLeaves").is_some(), "said no more\n{}", world.dump());
    let log = world.kubernetes.log();
    let touched = |resource: &str| log.iter().filter(|write| write.resource.starts_with(resource)).count();
    assert_eq!((touched("pods"), touched("statefulsets/scale")), (0, 0), "{log:?}");
    if mode == "Shadow" {
        assert_eq!(touched("statefulsets"), 0, "a shadow writes nothing\n{log:?}");
    }
    world.assert_bars().await;
}
