//! Leave of a node that is down: out of the membership first, then its
//! sessions are made anew elsewhere, inside the request (docs/broker/netsplit.md, "Removing a dead member").

use std::collections::VecDeque;

use super::agenda::Task;
use super::counts::Count;
use super::management::done;
use super::node::Ix;
use super::queue::{ClientKey, Queue};
use super::{CallId, ClusterModel, Protocol, Via};

/// Sessions are recreated in steps of this many milliseconds.
const STEP_MS: u64 = 100;

/// The repair after a removal. It dies with its HTTP request (`q8_…`).
#[derive(Debug)]
pub(super) struct Repair {
    pub(super) issuer: Ix,
    pub(super) call: CallId,
    target: Ix,
    left: Option<VecDeque<ClientKey>>,
    turn: usize,
}

impl ClusterModel {
    pub(super) fn leave_of_dead(&mut self, ix: Ix, call: CallId, _via: Via, target: Ix) {
        let store = self.nodes[ix.0].disk.store;
        let member = self.nodes[ix.0].disk.view.contains(&target);
        if ix == target || (!member && self.store(store).clients_at(target).is_empty()) {
            self.answer(call, done());
            return;
        }
        let wait = if member { self.remove_dead(ix, target) } else { STEP_MS };
        let id = self.new_id();
        self.repairs.insert(id, Repair { issuer: ix, call, target, left: None, turn: 0 });
        self.after(wait, Task::RepairStep { repair: id });
    }

    /// Takes a dead node out of the membership of all; milliseconds until the
    /// sessions' turn. The dead one keeps its own idea on its disk.
    fn remove_dead(&mut self, ix: Ix, target: Ix) -> u64 {
        let wait = self.vary(self.settings.timing.dead_leave_wait);
        let store = self.nodes[ix.0].disk.store;
        if self.nodes[target.0].disk.store == store {
            let copy = self.store(store).clone();
            let own = self.new_store(copy);
            self.nodes[target.0].disk.store = own;
            self.nodes[target.0].disk.dirty = true;
        }
        for at in 0..self.nodes.len() {
            let at = Ix(at);
            let node = &self.nodes[at.0];
            if at == target || !node.disk.view.contains(&target) || node.disk.store != store {
                continue;
            }
            let life = node.life;
            if !node.alive() {
                self.nodes[at.0].disk.view.remove(&target);
                continue;
            }
            let seen = if at == ix { wait } else { self.vary(self.settings.timing.dead_leave_seen) };
            self.after(seen, Task::ViewRemove { at, life, member: target });
        }
        wait
    }

    /// One step of the repair.
    pub(super) fn repair_some(&mut self, id: u64) {
        let Some(mut repair) = self.repairs.remove(&id) else { return };
        let store = self.nodes[repair.issuer.0].disk.store;
        let targets: Vec<Ix> = self.nodes[repair.issuer.0]
            .disk
            .view
            .iter()
            .copied()
            .filter(|t| *t != repair.target && self.nodes[t.0].running())
            .collect();
        let mut left =
            repair.left.take().unwrap_or_else(|| self.store(store).clients_at(repair.target).into());
        let step = self.settings.rates.recreate * STEP_MS / 1_000;
        for _ in 0..step.max(1) {
            let Some(key) = left.pop_front() else { break };
            let Some(to) = targets.get(repair.turn % targets.len().max(1)).copied() else { break };
            if self.recreate(repair.issuer, repair.target, &key, to) {
                repair.turn += 1;
            }
        }
        if !left.is_empty() {
            repair.left = Some(left);
            self.repairs.insert(id, repair);
            self.after(STEP_MS, Task::RepairStep { repair: id });
            return;
        }
        // The issuer's membership file is gone until the next change (`q3_…`).
        self.nodes[repair.issuer.0].disk.state_deleted = true;
        self.answer(repair.call, done());
    }

    /// Makes a dead node's session anew, without its messages.
    fn recreate(&mut self, issuer: Ix, dead: Ix, key: &ClientKey, to: Ix) -> bool {
        let now = self.now;
        let store = self.nodes[issuer.0].disk.store;
        let Some(record) = self.store(store).clients.get(key) else { return false };
        if record.home != dead {
            return false;
        }
        if !record.persistent {
            self.forget_client(store, key);
            return false;
        }
        self.store_mut(store).rehome(key, to);
        let node = &mut self.nodes[to.0];
        node.queues.entry(key.clone()).or_insert_with(|| Queue::new(Protocol::V4, true, now));
        node.counts.add(Count::QueueSetup);
        true
    }
}
