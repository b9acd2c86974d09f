//! `cluster join`, the image's join loop, and a newcomer's first seconds.

use lifecycle::NodeName;

use super::agenda::Task;
use super::management::done;
use super::node::{Commands, Ix, Joining};
use super::queue::Queue;
use super::{CallId, ClusterModel, Protocol};

/// Filters from which on a join counts as one under load (`join_under_load.txt`).
const LOADED: i64 = 100;

/// Outcome of a join.
enum Joined {
    Done,
    NonEmpty,
    PeerDown,
}

impl ClusterModel {
    pub(super) fn join(&mut self, ix: Ix, call: CallId, peer: &NodeName) {
        let reason = match self.try_join(ix, peer) {
            Joined::Done => {
                self.answer(call, done());
                return;
            }
            Joined::NonEmpty => "non_empty_node",
            Joined::PeerDown => "nodedown",
        };
        // The crash around the reason is an artefact of the recorded build
        // (vernemq.md §0); the reason is not.
        let stderr = format!(
            "RPC to '{}' failed: {{'EXIT',\n {{function_clause,\n  [{{clique_error,format,\n    \
             [\"vmq-admin\",\n     {{error,\n      {{{{badrpc,{reason}}},\n       '{peer}'}}}}],",
            self.nodes[ix.0].name
        );
        self.fail(call, 500, "", &stderr);
    }

    /// The image's loop: tries until it is joined, then ends for good; it has
    /// no memory of a leave (vernemq.md §6.4).
    pub(super) fn join_loop(&mut self, ix: Ix, peer: &NodeName) {
        let node = &self.nodes[ix.0];
        let life = node.life;
        if node.commands == Commands::Ready && node.running() {
            let joined = self.find(peer).is_some_and(|peer| self.nodes[ix.0].disk.view.contains(&peer));
            if joined {
                return;
            }
            let _ = self.try_join(ix, peer);
        }
        let wait = self.vary(self.settings.timing.join_loop);
        self.after(wait.max(1), Task::JoinLoop { node: ix, life, peer: peer.clone() });
    }

    fn try_join(&mut self, ix: Ix, peer: &NodeName) -> Joined {
        let Some(peer) = self.find(peer).filter(|peer| self.nodes[peer.0].running()) else {
            return Joined::PeerDown;
        };
        let disk = &self.nodes[ix.0].disk;
        if peer == ix || disk.view.contains(&peer) {
            return Joined::Done;
        }
        if disk.dirty || disk.view.len() > 1 {
            // With the guard off it says `Done` and never happens (vernemq.md §4.6).
            return if self.settings.prevent_nonempty_join { Joined::NonEmpty } else { Joined::Done };
        }
        self.enter(ix, peer);
        Joined::Done
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
        let joining = Joining {
            own_view: when(t.join_seen_by_newcomer),
            out: when(t.join_loss_out),
            back: when(t.join_loss_back),
            sync_start: when(t.join_sync_start),
            sync_end: when(t.join_sync_end),
            own_subs: when(own_subs),
        };
        for member in view.clone() {
            let node = &mut self.nodes[member.0];
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
        self.look_for_split(ix);
        self.adopt_own_clients(ix);
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
                self.store_mut(store).forget(&key);
            }
        }
    }
}
