//! `$SYS`: 141 to 159 topics a node and tick, QoS 0, not retained (`sys_default_n1.txt`).

use std::sync::Arc;

use bytes::Bytes;

use super::ClusterModel;
use super::agenda::Task;
use super::node::Ix;
use super::queue::Message;

impl ClusterModel {
    /// One tick of a node. A netsplit does not stop it (`sys_during_netsplit_defaults.txt`).
    pub(super) fn sys_tick(&mut self, ix: Ix) {
        let life = self.nodes[ix.0].life;
        if !self.nodes[ix.0].running() {
            return;
        }
        let period = self.settings.systree_interval + self.settings.systree_drift;
        let ms = u64::try_from(period.as_millis()).unwrap_or(u64::MAX).max(1);
        self.after(ms, Task::SysTick { node: ix, life });
        let store = self.nodes[ix.0].disk.store;
        if !self.store(store).filters.knows("$SYS") {
            return;
        }
        let name = self.nodes[ix.0].name.clone();
        for (metric, value) in self.sys_of(ix) {
            let topic: Arc<str> = format!("$SYS/{name}/{}", metric.replace('_', "/")).into();
            let payload = Bytes::from(value.to_string());
            self.route(ix, &Arc::new(Message { topic, payload, qos: 0, retain: false }));
        }
    }
}
