//! A preStop hook that leaves turns every restart into a leave: said at once, in every mode.

use rstest::rstest;
use serde_json::json;
use vernescale::api::Via;

use crate::cluster::{Cluster, minutes, seconds};

#[rstest]
#[tokio::test(start_paused = true)]
async fn a_leave_hook_is_reported_from_the_first_reconcile(
    #[values(Via::ManagementApi, Via::Exec)] via: Via,
    #[values("Shadow", "Active")] mode: &str,
) {
    let hook = "vmq-admin cluster leave node=VerneMQ@$(hostname -f) -k && sleep 10";
    let spec = json!({ "mode": mode, "minReplicas": 2 });
    let hooked = Cluster::builder(via).replicas(2).clients(1).spec(&spec).install(|install| {
        install.pre_stop = Some(["sh", "-c", hook].map(str::to_owned).to_vec());
    });
    let mut cluster = hooked.start().await;
    cluster.kubernetes.clear_log();
    cluster.start_controller("a");
    cluster.until("the first report", seconds(5), |cluster| !cluster.status().conditions.is_empty()).await;
    let told = cluster.condition("PreStopLeaves").unwrap_or_else(|| panic!("not said\n{}", cluster.dump()));
    assert!(told.message.contains("`vernemq`") && told.message.contains("Remove the hook"), "{told:?}");
    // It stands as long as the hook does, and is no reason to touch anything.
    cluster.pass(minutes(1)).await;
    assert!(cluster.condition("PreStopLeaves").is_some(), "said no more\n{}", cluster.dump());
    let log = cluster.kubernetes.log();
    let touched = |resource: &str| log.iter().filter(|write| write.resource.starts_with(resource)).count();
    assert_eq!((touched("pods"), touched("statefulsets/scale")), (0, 0), "{log:?}");
    if mode == "Shadow" {
        assert_eq!(touched("statefulsets"), 0, "a shadow writes nothing\n{log:?}");
    }
    cluster.assert_invariants().await;
}
