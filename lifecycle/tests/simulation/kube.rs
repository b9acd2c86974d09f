//! StatefulSet controller with `OrderedReady`, kubelet, EndpointSlices.

use crate::cluster::{Claim, Cluster, Disk, GRACE, Pod, PodListener, Process, Trouble};

impl Cluster {
    pub(crate) fn create(&mut self, ordinal: u32) {
        let uid = self.uid();
        if self.volumes && !self.claims.contains_key(&ordinal) {
            let uid = self.uid();
            self.claims.insert(ordinal, Claim { uid, deleting: false, disk: Disk::Fresh });
        }
        let pod = Pod {
            uid,
            serving: Some(true),
            routed: false,
            reroute: 0,
            deleting: None,
            restarts: 0,
            process: Process::Up { since: self.now },
            unready_until: 0,
            listener: PodListener::Running,
            online: 0,
            queues: 0,
            disk: self.claims.get(&ordinal).map_or(Disk::Fresh, |claim| claim.disk),
            deaf: false,
        };
        self.pods.insert(ordinal, pod);
    }

    /// The object is gone, and its process with it; a claim keeps the disk.
    pub(crate) fn remove(&mut self, ordinal: u32) -> bool {
        let Some(pod) = self.pods.remove(&ordinal) else { return false };
        if let Some(claim) = self.claims.get_mut(&ordinal) {
            claim.disk = pod.disk;
        }
        true
    }

    pub(crate) fn statefulset(&mut self) {
        let end = |pod: &Pod| if pod.deaf { GRACE } else { self.pod_end };
        let ended: Vec<u32> = self
            .pods
            .iter()
            .filter(|(_, pod)| pod.deleting.is_some_and(|since| self.now >= since + end(pod)))
            .map(|(ordinal, _)| *ordinal)
            .collect();
        for ordinal in ended {
            self.remove(ordinal);
        }
        let pods = &self.pods;
        self.claims.retain(|ordinal, claim| !claim.deleting || pods.contains_key(ordinal));
        let well =
            (0..self.replicas).take_while(|o| self.ready(*o) && self.pods[o].deleting.is_none()).count();
        let next = u32::try_from(well).unwrap();
        let free = self.claims.get(&next).is_none_or(|claim| !claim.deleting);
        let missing = next < self.replicas && !self.pods.contains_key(&next);
        let free = free && !(next == 2 && self.trouble == Some(Trouble::Unmade));
        let since = *self.missing.get_or_insert(self.now);
        if !missing {
            self.missing = None;
        } else if free && self.now >= since + self.ways.remake {
            self.create(next);
        }
        // It does not take a pod while a lower one is unhealthy.
        let top = self.pods.keys().next_back().copied().filter(|top| *top >= self.replicas);
        if let Some(top) = top
            && next >= self.replicas
            && self.pods[&top].deleting.is_none()
        {
            self.pods.get_mut(&top).unwrap().deleting = Some(self.now);
        }
    }

    pub(crate) fn kubelet(&mut self) {
        let now = self.now;
        for pod in self.pods.values_mut() {
            if matches!((pod.deleting, pod.process), (Some(at), Process::Up { since }) if at < since + 1_500)
            {
                pod.deaf = true;
            }
            if pod.deleting.is_some_and(|since| now >= since + 1_000) && !pod.deaf {
                pod.process = Process::Down { back: u64::MAX };
            }
            if matches!(pod.process, Process::Down { back } if now >= back) && pod.deleting.is_none() {
                pod.process = Process::Up { since: now };
                pod.restarts += 1;
                pod.listener = PodListener::Running;
            }
        }
    }

    pub(crate) fn endpoints(&mut self) {
        let ordinals: Vec<u32> = self.pods.keys().copied().collect();
        for ordinal in ordinals {
            let ready = self.ready(ordinal);
            let now = self.now;
            let pod = self.pods.get_mut(&ordinal).unwrap();
            let wanted = pod.serving == Some(true) && ready && pod.deleting.is_none();
            if wanted == pod.routed {
                pod.reroute = now;
            } else if now >= pod.reroute + 500 {
                pod.routed = wanted;
            }
        }
    }
}
