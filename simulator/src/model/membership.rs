//! Who is a member and who runs, as each node sees it.

use lifecycle::NodeName;

use super::agenda::Task;
use super::counts::Count;
use super::node::Ix;
use super::{ClusterModel, Process};

impl ClusterModel {
    /// Node of a name.
    pub(super) fn find(&self, name: &NodeName) -> Option<Ix> {
        self.names.get(name).copied()
    }

    /// `cluster show` of a node, sorted by name.
    pub(super) fn members_seen(&self, at: Ix) -> Vec<(NodeName, bool)> {
        let node = &self.nodes[at.0];
        let alone = self.now < node.alone_until || node.joining.is_some_and(|j| self.now < j.own_view);
        let mut seen: Vec<_> = if alone && node.disk.view.contains(&at) {
            vec![(node.name.clone(), true)]
        } else {
            node.disk
                .view
                .iter()
                .filter(|member| !node.hidden.contains(member))
                .map(|member| (self.nodes[member.0].name.clone(), node.up.contains(member)))
                .collect()
        };
        seen.sort();
        seen
    }

    /// A node that comes up and its members get to see each other again.
    pub(super) fn meet_members(&mut self, ix: Ix) {
        // What changed in the membership meanwhile, from the first peer that counts it in.
        let (view, store) = (self.nodes[ix.0].disk.view.clone(), self.nodes[ix.0].disk.store);
        let peer = view.iter().map(|m| &self.nodes[m.0]).find(|m| {
            m.running()
                && m.name != self.nodes[ix.0].name
                && m.disk.store == store
                && m.disk.view.contains(&ix)
        });
        if let Some(known) = peer.map(|m| m.disk.view.clone()) {
            self.nodes[ix.0].disk.view = known;
        }
        let members: Vec<Ix> =
            self.nodes[ix.0].disk.view.iter().copied().filter(|member| *member != ix).collect();
        let life = self.nodes[ix.0].life;
        for member in members {
            if self.nodes[member.0].running() {
                self.nodes[ix.0].up.insert(member);
                let wait = self.vary(self.settings.timing.seen_up);
                let member_life = self.nodes[member.0].life;
                self.after(
                    wait,
                    Task::SeeUp { at: member, life: member_life, member: ix, member_life: life },
                );
            }
        }
        self.look_for_split(ix);
    }

    /// The others lose a node whose process has ended. One that has left is dropped by whoever lists it
    /// still, which is most of them: no recording shows a leaver as not running.
    pub(super) fn members_lose(&mut self, ix: Ix) {
        let (member_life, left) = (self.nodes[ix.0].life, self.nodes[ix.0].disk.left);
        for at in 0..self.nodes.len() {
            let at = Ix(at);
            let node = &self.nodes[at.0];
            if at != ix && node.alive() && node.up.contains(&ix) {
                let life = node.life;
                let timing = &self.settings.timing;
                let wait = self.vary(if left { timing.leave_seen_at_end } else { timing.seen_down });
                let task = if left {
                    Task::ViewRemove { at, life, member: ix }
                } else {
                    Task::SeeDown { at, life, member: ix, member_life }
                };
                self.after(wait, task);
            }
        }
    }

    pub(super) fn see_up(&mut self, at: Ix, life: u64, member: Ix, member_life: u64) {
        let known = self.nodes[at.0].disk.view.contains(&member);
        if self.lives(at, life) && self.lives(member, member_life) && known {
            self.nodes[at.0].up.insert(member);
            self.look_for_split(at);
        }
    }

    pub(super) fn see_down(&mut self, at: Ix, life: u64, member: Ix, member_life: u64) {
        // A node that is up again before its end was noticed was never seen down.
        let back = self.nodes[member.0].life > member_life + 1;
        if self.lives(at, life) && !(back && self.nodes[member.0].running()) {
            self.nodes[at.0].up.remove(&member);
            self.look_for_split(at);
        }
    }

    pub(super) fn view_add(&mut self, at: Ix, member: Ix) {
        let up = self.nodes[member.0].process == Process::Running;
        let node = &mut self.nodes[at.0];
        node.hidden.remove(&member);
        if up && node.disk.view.contains(&member) {
            node.up.insert(member);
        }
        self.look_for_split(at);
    }

    pub(super) fn view_remove(&mut self, at: Ix, member: Ix) {
        let node = &mut self.nodes[at.0];
        node.disk.view.remove(&member);
        node.up.remove(&member);
        node.hidden.remove(&member);
        node.disk.state_deleted = false;
        self.look_for_split(at);
    }

    /// Gossip brings the members back to a node that came up alone
    /// (docs/broker/netsplit.md, "The coordinator restarts").
    pub(super) fn find_lost_view(&mut self, ix: Ix) {
        if let Some(view) = self.nodes[ix.0].lost_view.take() {
            self.nodes[ix.0].disk.view = view;
            self.meet_members(ix);
        }
    }

    /// Counts a netsplit that begins or ends for a node.
    pub(super) fn look_for_split(&mut self, at: Ix) {
        let node = &mut self.nodes[at.0];
        let split = !node.whole();
        if split != node.split {
            node.split = split;
            node.counts.add(if split { Count::NetsplitDetected } else { Count::NetsplitResolved });
        }
    }

    /// Whether a message, or a queue, gets from one node to another.
    pub(super) fn reaches(&self, from: Ix, to: Ix) -> bool {
        if from == to {
            return true;
        }
        let (a, b) = (&self.nodes[from.0], &self.nodes[to.0]);
        b.running()
            && a.running()
            && a.disk.store == b.disk.store
            && a.disk.view.contains(&to)
            && (b.disk.view.contains(&from) || a.joining.is_some())
    }

    /// Whether a PUBLISH gets from one node to another: not in the first seconds
    /// after a join (docs/broker/join.md, "Losses after a join").
    pub(super) fn routes(&self, from: Ix, to: Ix) -> bool {
        let quiet = |node: Ix, back: bool| {
            self.nodes[node.0].joining.is_some_and(|j| self.now < if back { j.back } else { j.out })
        };
        self.reaches(from, to) && (from == to || !(quiet(from, true) || quiet(to, false)))
    }
}
