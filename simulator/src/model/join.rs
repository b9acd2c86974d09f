//! `cluster join`, the image's join loop, and a newcomer's first seconds.

use lifecycle::{NodeName, Time};

use super::agenda::Task;
use super::management::done;
use super::node::{Commands, Ix, Joining};
use super::queue::{ClientKey, Queue};
use super::{CallId, ClusterModel, Protocol, sync};

/// Filters from which on a join counts as one under load (`join_under_load.txt`).
const LOADED: i64 = 100;

/// What becomes of a join.
enum Joins {
    /// There is nothing to do.
    Already,
    /// It becomes a member of this node's cluster.
    Enters(Ix),
    NonEmpty,
    PeerDown,
}

impl ClusterModel {
    pub(super) fn join(&mut self, ix: Ix, call: CallId, peer: &NodeName) {
        let reason = match self.may_join(ix, peer) {
            Joins::Already => {
                self.answer(call, done());
                return;
            }
            Joins::Enters(peer) => {
                self.will_enter(ix, peer, Some(call));
                return;
            }
            Joins::NonEmpty => "non_empty_node",
            Joins::PeerDown => "nodedown",
        };
        self.join_fails(ix, call, peer, reason);
    }

    fn join_fails(&mut self, ix: Ix, call: CallId, peer: &NodeName, reason: &str) {
        // The crash around the reason is an artefact of the recorded build
        // (docs/broker/README.md, "The builds"); the reason is not.
        let stderr = format!(
            "RPC to '{}' failed: {{'EXIT',\n {{function_clause,\n  [{{clique_error,format,\n    \
             [\"vmq-admin\",\n     {{error,\n      {{{{badrpc,{reason}}},\n       '{peer}'}}}}],",
            self.nodes[ix.0].name
        );
        self.fail(call, 500, "", &stderr);
    }

    /// The image's loop: tries until it is joined, then ends for good; it has
    /// no memory of a leave (docs/broker/kubernetes.md, "The image").
    pub(super) fn join_loop(&mut self, ix: Ix, peer: &NodeName) {
        let node = &self.nodes[ix.0];
        let life = node.life;
        if node.commands == Commands::Ready && node.running() {
            let joined = self.find(peer).is_some_and(|peer| self.nodes[ix.0].disk.view.contains(&peer));
            if joined {
                return;
            }
            if let Joins::Enters(peer) = self.may_join(ix, peer) {
                self.will_enter(ix, peer, None);
            }
        }
        let wait = self.vary(self.settings.timing.join_loop);
        self.after(wait.max(1), Task::JoinLoop { node: ix, life, peer: peer.clone() });
    }

    fn may_join(&self, ix: Ix, peer: &NodeName) -> Joins {
        let Some(peer) = self.find(peer).filter(|peer| self.nodes[peer.0].running()) else {
            return Joins::PeerDown;
        };
        let disk = &self.nodes[ix.0].disk;
        if peer == ix || disk.view.contains(&peer) {
            return Joins::Already;
        }
        if disk.dirty || disk.view.len() > 1 {
            // With the guard off it says `Done` and never happens
            // (docs/broker/join.md, "A node that has left").
            return if self.settings.prevent_nonempty_join { Joins::NonEmpty } else { Joins::Already };
        }
        Joins::Enters(peer)
    }

    /// A second join meanwhile changes nothing: the image's loop asks every two seconds.
    fn will_enter(&mut self, ix: Ix, peer: Ix, call: Option<CallId>) {
        let node = &mut self.nodes[ix.0];
        let life = node.life;
        if std::mem::replace(&mut node.entering, true) && call.is_none() {
            return;
        }
        let wait = self.vary(self.settings.timing.join_answer);
        self.after(wait, Task::Enter { node: ix, life, peer, call });
    }

    /// The time of a join has come. Its peer may have gone meanwhile, or another join been quicker.
    pub(super) fn enters(&mut self, ix: Ix, peer: Ix, call: Option<CallId>) {
        self.nodes[ix.0].entering = false;
        if !self.nodes[peer.0].running() {
            if let Some(call) = call {
                let peer = self.nodes[peer.0].name.clone();
                self.join_fails(ix, call, &peer, "nodedown");
            }
            return;
        }
        if self.nodes[ix.0].disk.view.len() < 2 {
            self.enter(ix, peer);
        }
        if let Some(call) = call {
            self.answer(call, done());
        }
    }

    /// Makes a node a member; everybody notices in his own time.
    fn enter(&mut self, ix: Ix, peer: Ix) {
        let (store, mut view) = {
            let disk = &self.nodes[peer.0].disk;
            (disk.store, disk.view.clone())
        };
        let (local, other) = self.store(store).filters.subscriptions(peer);
        let t = self.settings.timing.clone();
        let own_subs = if local.max(other) < LOADED { t.join_own_subs_idle } else { t.join_own_subs };
        let mut when = |spread| {
            let ms = self.vary(spread);
            self.later(ms)
        };
        let (own_view, out) = (when(t.join_seen_by_newcomer), when(t.join_loss_out));
        let (start, end) = (when(t.join_sync_start), when(t.join_sync_end));
        let own_subs = when(own_subs);
        let back = Time(own_view.0.saturating_add(self.vary(t.join_link)));
        let groups = sync::groups(start, end);
        let joining = Joining { since: self.now, own_view, out, back, groups, own_subs };
        for member in view.clone() {
            let node = &mut self.nodes[member.0];
            // A node that was alone had nobody to exchange with (`pods_raise_1_to_4.txt`).
            node.exchanged.get_or_insert(groups);
            let life = node.life;
            node.disk.view.insert(ix);
            node.disk.state_deleted = false;
            if node.alive() {
                node.hidden.insert(ix);
                let wait = self.vary(t.join_seen_by_members);
                self.after(wait, Task::ViewAdd { at: member, life, member: ix });
            }
        }
        view.insert(ix);
        let up = view.iter().copied().filter(|m| self.nodes[m.0].running()).collect();
        let node = &mut self.nodes[ix.0];
        node.disk.view = view;
        node.disk.store = store;
        node.disk.dirty = true;
        node.up = up;
        node.joining = Some(joining);
        node.exchanged = Some(groups);
        self.look_for_split(ix);
        self.adopt_own_clients(ix);
        if self.settings.timing.left_over.max > 0 {
            self.leave_over(ix);
        }
    }

    /// Clients that the cluster still takes for this node's, from a life
    /// before its disk was wiped, get an empty queue.
    fn adopt_own_clients(&mut self, ix: Ix) {
        let now = self.now;
        let store = self.nodes[ix.0].disk.store;
        for key in self.store(store).clients_at(ix) {
            let persistent = self.store(store).clients.get(&key).is_some_and(|r| r.persistent);
            if persistent {
                let queues = &mut self.nodes[ix.0].queues;
                queues.entry(key).or_insert_with(|| Queue::new(Protocol::V4, true, now));
            } else {
                self.forget_client(store, &key);
            }
        }
    }

    /// The others keep queues of the clients that are this node's ([`super::Timing::left_over`]).
    fn leave_over(&mut self, ix: Ix) {
        let (store, members) = (self.nodes[ix.0].disk.store, self.nodes[ix.0].disk.view.clone());
        let spread = self.settings.timing.left_over;
        for key in self.store(store).clients_at(ix) {
            for member in members.iter().copied().filter(|member| *member != ix) {
                let life = self.nodes[member.0].life;
                if !self.nodes[member.0].running() || self.nodes[member.0].queues.contains_key(&key) {
                    continue;
                }
                let left = Queue { stuck: true, ..Queue::new(Protocol::V4, true, self.now) };
                self.nodes[member.0].queues.insert(key.clone(), left);
                let wait = self.vary(spread);
                self.after(wait, Task::LeftOverGoes { node: member, life, key: key.clone() });
            }
        }
    }

    /// It goes by itself, but for where a leave has begun to move it, and where its client has come to it.
    pub(super) fn left_over_goes(&mut self, ix: Ix, key: &ClientKey) {
        let store = self.nodes[ix.0].disk.store;
        let home = self.store(store).clients.get(key).map(|record| record.home);
        let node = &mut self.nodes[ix.0];
        let left = node.queues.get(key).is_some_and(|queue| queue.stuck && queue.conn.is_none());
        if left && home != Some(ix) && node.migration.is_none() {
            node.queues.remove(key);
        }
    }
}
