//! Random faults for two minutes, then none.

use proptest::prelude::*;

use crate::cluster::{Cluster, Process};
use crate::drive::Drive;

#[derive(Clone, Debug)]
enum Fault {
    Crash,
    DieAtPoint(usize),
    KillContainer(u32),
    Evict(u32),
    Blind(u32, u64),
    Unready(u32, u64),
    Rollout(u64),
    KubeRefuses(u64),
    Stale(u64),
    LoseReply,
    Stuck(u64),
    PodEnd(u64),
    Wish(u32),
}

fn fault() -> impl Strategy<Value = Fault> {
    let ordinal = 0..4_u32;
    let span = 500..20_000_u64;
    prop_oneof![
        Just(Fault::Crash),
        (0..6_usize).prop_map(Fault::DieAtPoint),
        ordinal.clone().prop_map(Fault::KillContainer),
        ordinal.clone().prop_map(Fault::Evict),
        (ordinal.clone(), span.clone()).prop_map(|(o, t)| Fault::Blind(o, t)),
        (ordinal, span.clone()).prop_map(|(o, t)| Fault::Unready(o, t)),
        span.clone().prop_map(Fault::Rollout),
        span.clone().prop_map(Fault::KubeRefuses),
        span.clone().prop_map(Fault::Stale),
        Just(Fault::LoseReply),
        span.prop_map(Fault::Stuck),
        (500..30_000_u64).prop_map(Fault::PodEnd),
        (1..=4_u32).prop_map(Fault::Wish),
    ]
}

fn strike(drive: &mut Drive, fault: &Fault) {
    let now = drive.cluster.now;
    let cluster: &mut Cluster = &mut drive.cluster;
    match fault {
        Fault::Crash => cluster.crash(),
        Fault::DieAtPoint(after) => drive.die_at = Some(drive.points + after),
        Fault::KillContainer(ordinal) => {
            if let Some(pod) = cluster.pods.get_mut(ordinal).filter(|pod| pod.deleting.is_none()) {
                pod.process = Process::Down { back: now + 2_000 };
                pod.online = 0;
            }
            if *ordinal == 0 {
                // The coordinator is gone, and with it the request.
                cluster.reply(lifecycle::Call::Unknown("end of file".into()));
                cluster.close();
            }
        }
        Fault::Evict(ordinal) => {
            // Without volumes, two at once would be the end of the data, whatever anybody does.
            let calm = cluster.all_running() && cluster.pods.values().all(|pod| pod.deleting.is_none());
            if let Some(pod) = cluster.pods.get_mut(ordinal).filter(|_| calm) {
                pod.deleting.get_or_insert(now);
            }
        }
        Fault::Blind(ordinal, time) => {
            cluster.blind.insert(*ordinal, now + time);
        }
        Fault::Unready(ordinal, time) => {
            if let Some(pod) = cluster.pods.get_mut(ordinal) {
                pod.unready_until = now + time;
            }
        }
        Fault::Rollout(time) => cluster.rollout_until = now + time,
        Fault::KubeRefuses(time) => cluster.kube_refuses_until = now + time,
        Fault::Stale(time) => cluster.stale_until = now + time,
        Fault::LoseReply => cluster.lose_reply = true,
        Fault::Stuck(time) => cluster.stuck_until = now + time,
        Fault::PodEnd(time) => cluster.pod_end = *time,
        Fault::Wish(wish) => drive.wish = *wish,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn faults_break_no_invariant_and_the_wish_is_reached_when_they_stop(
        size in 1..=4_u32,
        wish in 1..=4_u32,
        volumes: bool,
        exec: bool,
        faults in prop::collection::vec((0..120_000_u64, fault()), 0..12),
    ) {
        let mut drive = Drive::new(size, wish, volumes, exec);
        let start = drive.cluster.now;
        let mut faults = faults;
        faults.sort_by_key(|(at, _)| *at);
        for (at, fault) in &faults {
            while drive.cluster.now < start + at {
                drive.round();
            }
            strike(&mut drive, fault);
        }
        drive.settle(1_800);
    }
}
