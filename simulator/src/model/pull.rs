//! Queues that go from node to node: pulled by a client that comes back
//! elsewhere, or moved by a leave.

use lifecycle::Time;

use super::agenda::Task;
use super::counts::Count;
use super::node::Ix;
use super::queue::{ClientKey, Queue};
use super::{ClusterModel, ConnId};

impl ClusterModel {
    /// Fetches a queue from another node: one after the other in the whole
    /// cluster, at most [`super::Rates::pull`] a second. Those that come
    /// faster pile up without end (docs/broker/drain.md, "Queues that clients pull").
    pub(super) fn pull(&mut self, conn: ConnId, key: &ClientKey, from: Ix, to: Ix) {
        let id = self.nodes[to.0].disk.store;
        let now_us = self.now.0.saturating_mul(1_000);
        let rates = &self.settings.rates;
        let backlog = self.store(id).pull_free_us.saturating_sub(now_us);
        let collapsed = backlog > rates.pull_backlog.saturating_mul(1_000);
        let cost = 1_000_000 / if collapsed { rates.pull_collapsed } else { rates.pull }.max(1);
        let store = self.store_mut(id);
        store.pull_free_us = store.pull_free_us.max(now_us) + cost;
        let turn = Time(store.pull_free_us / 1_000);
        let wait = self.vary(self.settings.timing.pull_wait);
        let state = self.vary(self.settings.timing.drain_state);
        let done = Time(turn.0 + wait);
        if let Some(waits) = self.conns.get_mut(&conn) {
            waits.pulling = true;
        }
        let until = done.max(Time(self.now.0 + state));
        let life = self.nodes[from.0].life;
        let losing = self.settings.takeover_loss.is_some_and(|loss| loss.strikes(self.pulls));
        self.pulls += 1;
        if let Some(queue) = self.nodes[from.0].queues.get_mut(key) {
            queue.losing = losing;
            queue.drain_until = Some(until);
            self.at(until, Task::DrainStateEnds { node: from, life, key: key.clone() });
        }
        self.at(done, Task::Pulled { conn, key: key.clone(), from, to });
    }

    /// A queue has arrived, or has been moved elsewhere meanwhile.
    pub(super) fn pulled(&mut self, conn: ConnId, key: &ClientKey, from: Ix, to: Ix) {
        let mut gone = true;
        if let Some(waits) = self.conns.get_mut(&conn) {
            waits.pulling = false;
            gone = waits.gone;
        }
        if gone {
            self.forget_conn(conn);
        }
        let store = self.nodes[to.0].disk.store;
        let home = self.stores.get(&store).and_then(|s| s.clients.get(key)).map(|r| r.home);
        if home != Some(from) || !self.reaches(to, from) {
            // The leave has moved it, or its node is gone: look again.
            self.register(conn);
            return;
        }
        self.move_queue(key, from, to, true);
        let persistent = self.conns.get(&conn).map(|c| c.connect.persistent());
        match persistent {
            Some(persistent) => self.resume_session(conn, to, key, persistent),
            None => self.look_offline(to, key),
        }
    }

    /// Moves a queue with its messages, subscriptions and counts. `shell`
    /// leaves an empty one in state `drain` behind.
    pub(super) fn move_queue(&mut self, key: &ClientKey, from: Ix, to: Ix, shell: bool) {
        let now = self.now;
        let source = &mut self.nodes[from.0];
        let Some(mut queue) = source.queues.remove(key) else {
            let store = self.nodes[to.0].disk.store;
            self.store_mut(store).rehome(key, to);
            return;
        };
        let until = queue.drain_until.take().filter(|until| shell && *until > now);
        if let Some(until) = until {
            let mut left = Queue::new(queue.protocol, queue.persistent, queue.started);
            left.drain_until = Some(until);
            source.queues.insert(key.clone(), left);
        }
        queue.take_back();
        queue.conn = None;
        (queue.losing, queue.pinned, queue.stuck) = (false, false, false);
        let messages = queue.len();
        source.counts.add(Count::QueueTeardown);
        source.counts.add_many(Count::QueueOut, if shell { messages } else { 0 });
        let target = &mut self.nodes[to.0];
        target.counts.add_many(Count::QueueIn, messages);
        target.counts.add_many(Count::ClusterReceived, messages * 115 + 60);
        for _ in 0..messages {
            target.counts.storage_write.observe(120);
        }
        if let Some(there) = target.queues.get_mut(key) {
            // Its own messages are the later ones.
            let late = std::mem::replace(there, queue);
            there.conn = late.conn;
            there.append(late);
        } else {
            target.counts.add(Count::QueueSetup);
            target.queues.insert(key.clone(), queue);
        }
        let store = self.nodes[to.0].disk.store;
        self.store_mut(store).rehome(key, to);
    }

    pub(super) fn drain_state_ends(&mut self, ix: Ix, key: &ClientKey) {
        let now = self.now;
        let node = &mut self.nodes[ix.0];
        let due = node.queues.get(key).and_then(|q| q.drain_until).is_some_and(|until| until <= now);
        if !due {
            return;
        }
        let store = node.disk.store;
        let home = self.store(store).clients.get(key).map(|r| r.home);
        let node = &mut self.nodes[ix.0];
        if home == Some(ix) {
            if let Some(queue) = node.queues.get_mut(key) {
                queue.drain_until = None;
            }
        } else {
            node.queues.remove(key);
        }
    }
}
