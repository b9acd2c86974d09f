//! `session disconnect` in its three forms (`disconnect_semantics.txt`,
//! `disconnect_cost.txt`): all say `Done` whatever they did.

use lifecycle::{NodeName, Time};

use super::management::done;
use super::node::Ix;
use super::queue::ClientKey;
use super::session::Parting;
use super::{Answer, CallId, CloseReason, ClusterModel};

/// What the broker says when the key is missing (`disconnect_semantics.txt`).
pub(super) const HELP: &str = "vmq-admin session disconnect client-id=<ClientId>\n\n  Forcefully disconnects a client from the cluster. \n\n  --mountpoint=<Mountpoint>, -m\n      specifies the mountpoint, defaults to the default mountpoint\n  --cleanup, -c\n      removes the stored cluster state of this client like stored\n      messages and subscriptions.\n\n  Sub-commands:\n    clients     Forcefully disconnect multiple running sessions\n    batch       Forcefully disconnect a number of (random) session\n\n";

/// Ids in one call and milliseconds it took (`disconnect_cost.txt`).
const COST: [(usize, u64); 8] =
    [(1, 11), (10, 20), (50, 69), (100, 125), (200, 210), (400, 501), (700, 1_196), (1_000, 1_992)];

/// Milliseconds for `n` ids, on a straight line between the recorded points.
fn cost(n: usize) -> u64 {
    let mut last = (0, 5);
    for (ids, ms) in COST {
        if n <= ids {
            let (from, base) = last;
            return base + (ms - base) * (n - from) as u64 / (ids - from).max(1) as u64;
        }
        last = (ids, ms);
    }
    2 * n as u64
}

impl ClusterModel {
    pub(super) fn session_disconnect(
        &mut self,
        ix: Ix,
        client: Option<&str>,
        mountpoint: &str,
        cleanup: bool,
    ) -> Answer {
        let Some(client) = client else { return Answer::Alert(HELP.into()) };
        self.kick(ix, &ClientKey::new(mountpoint, client), cleanup);
        done()
    }

    pub(super) fn disconnect_clients(
        &mut self,
        ix: Ix,
        call: CallId,
        clients: Option<Vec<String>>,
        mountpoint: &str,
        cleanup: bool,
    ) {
        let Some(clients) = clients else {
            self.answer(call, Answer::Alert(HELP.into()));
            return;
        };
        for client in &clients {
            self.kick(ix, &ClientKey::new(mountpoint, client), cleanup);
        }
        // Two cores for all nodes, and each works on every call: those that come together wait for one another.
        let begins = self.disconnects_until.max(self.now);
        self.disconnects_until = Time(begins.0 + cost(clients.len()));
        let wait = self.disconnects_until.0 - self.now.0;
        self.answer_after(call, wait, done());
    }

    /// The first `count` rows of each node's queue table, offline ones
    /// included, always in the same order: a trap (docs/broker/drain.md, "Batch").
    pub(super) fn disconnect_batch(
        &mut self,
        ix: Ix,
        count: Option<&str>,
        nodes: &[NodeName],
        mountpoint: &str,
        except: &[String],
        cleanup: bool,
    ) -> Answer {
        let Some(count) = count else { return Answer::Alert(HELP.into()) };
        let Ok(count) = count.parse::<usize>() else { return done() };
        for member in self.answering(ix) {
            let node = &self.nodes[member.0];
            if nodes.iter().any(|wanted| *wanted != node.name) {
                continue;
            }
            let rows: Vec<ClientKey> = node
                .queues
                .keys()
                .filter(|key| *key.mountpoint == *mountpoint && !except.iter().any(|id| **id == *key.id))
                .take(count)
                .cloned()
                .collect();
            for key in rows {
                self.kick_at(member, &key, cleanup);
            }
        }
        done()
    }

    /// Nodes that a query reaches: the members that run, this one included.
    pub(super) fn answering(&self, ix: Ix) -> Vec<Ix> {
        let node = &self.nodes[ix.0];
        let mut members: Vec<Ix> = node
            .disk
            .view
            .iter()
            .copied()
            .filter(|m| node.up.contains(m) && self.nodes[m.0].running() && *m != ix)
            .collect();
        members.push(ix);
        members.sort_by(|a, b| self.nodes[a.0].name.cmp(&self.nodes[b.0].name));
        members
    }

    /// Cuts a client's session on whatever node it is: also the new one of a
    /// client that still shows up on its old node (docs/broker/drain.md, "Queues in state drain").
    fn kick(&mut self, ix: Ix, key: &ClientKey, cleanup: bool) {
        for member in self.answering(ix) {
            self.kick_at(member, key, cleanup);
        }
    }

    fn kick_at(&mut self, at: Ix, key: &ClientKey, cleanup: bool) {
        let Some(queue) = self.nodes[at.0].queues.get(key) else { return };
        // With `--cleanup` v5 gets a bare close (`disconnect_semantics.txt`).
        let how = if cleanup { Parting::Dropped } else { Parting::Closed(CloseReason::Administrative) };
        if let Some(conn) = queue.conn {
            self.part(conn, how);
        }
        if cleanup {
            let store = self.nodes[at.0].disk.store;
            let home = self.store(store).clients.get(key).map(|record| record.home);
            if home == Some(at) {
                self.end_session(at, key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::cost;

    #[test]
    fn the_cost_follows_the_recorded_points() {
        assert_eq!([cost(1), cost(50), cost(1_000)], [11, 69, 1_992]);
        assert!(cost(75) > 69 && cost(75) < 125);
        assert!(cost(0) < 11 && cost(2_000) > 1_992);
    }
}
