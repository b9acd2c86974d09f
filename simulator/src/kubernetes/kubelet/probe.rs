//! The readiness probe of one run of a container.

use std::{convert::Infallible, future::pending};

use tokio::time::{sleep, timeout};

use super::{
    pod::PodRun,
    spec::{self, Probe},
    status,
};

/// Probes for ever; what it finds goes into the pod's status.
pub(super) async fn keep(pod: &PodRun) -> Infallible {
    let Some(object) = pod.object() else { return pending().await };
    let Some(probe) = spec::probe(&object) else {
        set(pod, true);
        return pending().await;
    };
    sleep(probe.delay).await;
    let (mut good, mut bad) = (0, 0);
    loop {
        (good, bad) = if passes(pod, &probe).await { (good + 1, 0) } else { (0, bad + 1) };
        if good >= probe.successes {
            set(pod, true);
        } else if bad >= probe.failures {
            set(pod, false);
        }
        sleep(probe.period).await;
    }
}

async fn passes(pod: &PodRun, probe: &Probe) -> bool {
    timeout(probe.timeout, pod.shared.containers.ready(&pod.key.name)).await.unwrap_or(false)
}

fn set(pod: &PodRun, ready: bool) {
    let now = pod.shared.now();
    pod.edit(|object| status::ready(object, ready, now));
}
