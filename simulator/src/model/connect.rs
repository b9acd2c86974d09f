//! CONNECT: refusals, the queue in front of a busy node, and the client whose
//! queue lies on another node.

use lifecycle::Time;

use super::agenda::Task;
use super::counts::Count;
use super::migration::Migration;
use super::node::Ix;
use super::queue::{ClientKey, Queue};
use super::session::{Conn, Parting};
use super::store::Record;
use super::{CloseReason, ClusterModel, ConnId, Connect, Event, Protocol, Refusal};

/// Mean of `metadata_get_microseconds` in quiet times and in a storm
/// (docs/broker/drain.md, "Signs of a storm").
const METADATA_QUIET_US: u64 = 80;
const METADATA_STORM_US: u64 = 3_000;
/// Metadata reads of one CONNECT (`queue_migration_paced.txt`: 7430 for 2482).
const METADATA_READS: usize = 3;

impl ClusterModel {
    /// A connection that a listener has taken sends its CONNECT.
    pub(super) fn connect_client(&mut self, ix: Ix, port: u16, conn: ConnId, connect: Connect) {
        let protocol = connect.protocol;
        let counts = &mut self.nodes[ix.0].counts;
        counts.add(Count::SocketOpen);
        counts.add_for(protocol, Count::ConnectReceived4, Count::ConnectReceived5);
        counts.add_many(Count::BytesReceived, connect.client_id.len() + 14);
        let key = ClientKey::new(&connect.mountpoint, &connect.client_id);
        let refused = self.bad_user(&connect).or_else(|| self.not_ready(ix));
        if let Some(reason) = refused {
            self.refuse(ix, conn, protocol, reason);
            return;
        }
        let persistent = connect.persistent();
        self.conns.insert(
            conn,
            Conn {
                node: ix,
                port,
                key: key.clone(),
                connect,
                accepted: false,
                pulling: false,
                gone: false,
                since: self.now,
            },
        );
        self.nodes[ix.0].conns.insert(conn);
        self.take_place(ix, port);
        if persistent && self.zombie(ix) && self.store(self.nodes[ix.0].disk.store).clients.contains_key(&key)
        {
            let wait = self.vary(self.settings.timing.zombie_refusal);
            self.after(wait, Task::RefuseZombie { conn });
            return;
        }
        let served = self.serve_connect(ix);
        if served <= self.now {
            self.register(conn);
        } else {
            self.at(served, Task::Connected { conn });
        }
    }

    fn bad_user(&self, connect: &Connect) -> Option<Refusal> {
        let place = (connect.mountpoint.clone(), connect.client_id.clone());
        if self.settings.known_clients.as_ref().is_some_and(|known| !known.contains(&place)) {
            return Some(Refusal::NotAuthorized);
        }
        if self.settings.allow_anonymous {
            return None;
        }
        match (&connect.username, &connect.password) {
            (Some(user), Some(password)) => {
                (self.settings.users.get(user) != Some(password)).then_some(Refusal::BadCredentials)
            }
            _ => Some(Refusal::NotAuthorized),
        }
    }

    fn not_ready(&self, ix: Ix) -> Option<Refusal> {
        let node = &self.nodes[ix.0];
        let split = !node.whole() && !self.settings.allow_register_during_netsplit;
        (split || self.now < node.not_ready_until).then_some(Refusal::ServerUnavailable)
    }

    /// A node that others have removed while it still believes to be a member
    /// (docs/broker/netsplit.md, "A removed member that returns").
    fn zombie(&self, ix: Ix) -> bool {
        let node = &self.nodes[ix.0];
        node.disk.view.iter().any(|member| {
            let other = &self.nodes[member.0];
            other.running() && !other.disk.view.contains(&ix) && other.disk.store != node.disk.store
        })
    }

    /// When the node gets to a CONNECT that arrives now. A leave that migrates
    /// queues under reconnecting clients slows it down tenfold (docs/broker/drain.md, "Signs of a storm").
    fn serve_connect(&mut self, ix: Ix) -> Time {
        let storm = self.storm(ix);
        let rates = &self.settings.rates;
        let rate = if storm { rates.connect_storm } else { rates.connect };
        let now_us = self.now.0.saturating_mul(1_000);
        let node = &mut self.nodes[ix.0];
        let us = if storm { METADATA_STORM_US } else { METADATA_QUIET_US };
        for _ in 0..METADATA_READS {
            node.counts.metadata_get.observe(us);
        }
        node.connect_free_us = node.connect_free_us.max(now_us) + 1_000_000 / rate.max(1);
        Time(node.connect_free_us / 1_000)
    }

    /// Queues are being migrated in this node's cluster.
    pub(super) fn storm(&self, ix: Ix) -> bool {
        let store = self.nodes[ix.0].disk.store;
        self.nodes.iter().any(|n| n.disk.store == store && n.migration.as_ref().is_some_and(Migration::busy))
    }

    pub(super) fn refuse(&mut self, ix: Ix, conn: ConnId, protocol: Protocol, reason: Refusal) {
        let counts = &mut self.nodes[ix.0].counts;
        let (v4, v5) = match reason {
            Refusal::ServerUnavailable => (Count::ConnackUnavailable4, Count::ConnackUnavailable5),
            Refusal::BadCredentials => (Count::ConnackBadUser4, Count::ConnackBadUser5),
            Refusal::NotAuthorized => (Count::ConnackNotAuthorized4, Count::ConnackNotAuthorized5),
        };
        counts.add_for(protocol, v4, v5);
        counts.add(Count::SocketClose);
        self.events.push(Event::ConnackRefused { conn, reason });
    }

    pub(super) fn refuse_known_client(&mut self, conn: ConnId) {
        if let Some(gone) = self.forget_conn(conn) {
            self.refuse(gone.node, conn, gone.connect.protocol, Refusal::ServerUnavailable);
        }
    }

    /// The node has got to a CONNECT. A client that has gone meanwhile costs
    /// its time all the same (docs/broker/drain.md, "Queues that clients pull").
    pub(super) fn register(&mut self, conn: ConnId) {
        let Some((ix, key, persistent, clean)) =
            self.conns.get(&conn).map(|c| (c.node, c.key.clone(), c.connect.persistent(), c.connect.clean))
        else {
            return;
        };
        if !self.nodes[ix.0].running() {
            return;
        }
        let store = self.nodes[ix.0].disk.store;
        let record = self.store(store).clients.get(&key).map(|r| (r.home, r.persistent));
        // A newcomer does not know the others' clients yet: they wait
        // (docs/broker/drain.md, "Moving sessions to a newcomer").
        let known_from = self.nodes[ix.0].joining.map_or(Time(0), |j| j.out);
        if self.now < known_from && record.is_some_and(|(home, kept)| home != ix && kept) {
            self.at(known_from, Task::Connected { conn });
            return;
        }
        match record {
            None => self.start_session(conn, ix, &key, persistent),
            Some((home, kept)) if clean || !kept => {
                if self.reaches(ix, home) {
                    self.end_session(home, &key);
                } else {
                    self.forget_client(store, &key);
                }
                self.start_session(conn, ix, &key, persistent);
            }
            Some((home, _)) if home == ix => {
                self.take_over(ix, &key);
                self.resume_session(conn, ix, &key, persistent);
            }
            Some((home, _)) => {
                if !self.unreachable_home(conn, ix, home) {
                    self.take_over(home, &key);
                    self.pull(conn, &key, home, ix);
                }
            }
        }
    }

    /// Deals with a client whose queue lies where it cannot be had: closed
    /// without CONNACK if the node is dead or gone (`netsplit_allow_on_systree_2000.txt`,
    /// `q8_…`), never answered by a singleton (docs/broker/join.md, "A node that has left").
    fn unreachable_home(&mut self, conn: ConnId, ix: Ix, home: Ix) -> bool {
        if self.reaches(ix, home) {
            return false;
        }
        if !self.nodes[home.0].running() {
            self.part(conn, Parting::Dropped);
        }
        true
    }

    fn start_session(&mut self, conn: ConnId, ix: Ix, key: &ClientKey, persistent: bool) {
        let Some(protocol) = self.conns.get(&conn).map(|c| c.connect.protocol) else { return };
        let now = self.now;
        let store = self.nodes[ix.0].disk.store;
        let record = Record { home: ix, persistent, filters: std::collections::BTreeMap::new(), since: now };
        self.store_mut(store).clients.insert(key.clone(), record);
        let node = &mut self.nodes[ix.0];
        node.disk.dirty = true;
        node.counts.add(Count::QueueSetup);
        node.counts.metadata_put.observe(500);
        node.queues.insert(key.clone(), Queue::new(protocol, persistent, now));
        self.attach(conn, ix, key, false);
    }

    pub(super) fn resume_session(&mut self, conn: ConnId, ix: Ix, key: &ClientKey, persistent: bool) {
        let store = self.nodes[ix.0].disk.store;
        let present = {
            let record = self.store_mut(store).clients.get_mut(key);
            let present = record.as_ref().is_some_and(|r| r.persistent);
            if let Some(record) = record {
                record.persistent = persistent;
            }
            present
        };
        self.attach(conn, ix, key, present);
    }

    /// Connects a session to its queue on this node and sends what waits there.
    pub(super) fn attach(&mut self, conn: ConnId, ix: Ix, key: &ClientKey, session_present: bool) {
        let now = self.now;
        let Some(entry) = self.conns.get_mut(&conn) else { return };
        entry.accepted = true;
        entry.since = now;
        let (protocol, persistent) = (entry.connect.protocol, entry.connect.persistent());
        let node = &mut self.nodes[ix.0];
        let queue = node.queues.entry(key.clone()).or_insert_with(|| Queue::new(protocol, persistent, now));
        queue.take_back();
        queue.conn = Some(conn);
        queue.protocol = protocol;
        queue.persistent = persistent;
        queue.drain_until = None;
        node.counts.add_for(protocol, Count::Connack4, Count::Connack5);
        node.counts.add_many(Count::BytesSent, 4);
        self.events.push(Event::Connack { conn, session_present });
        self.pump(ix, key);
    }

    /// A connection of the same client that is already there gives way.
    fn take_over(&mut self, home: Ix, key: &ClientKey) {
        let old = self.nodes[home.0].queues.get(key).and_then(|queue| queue.conn);
        if let Some(old) = old {
            self.part(old, Parting::Closed(CloseReason::TakenOver));
        }
    }

    /// Removes a session, its queue and its subscriptions, from wherever it is.
    pub(super) fn end_session(&mut self, home: Ix, key: &ClientKey) {
        self.take_over(home, key);
        let store = self.nodes[home.0].disk.store;
        self.forget_client(store, key);
        let node = &mut self.nodes[home.0];
        node.counts.metadata_delete.observe(500);
        if let Some(queue) = node.queues.remove(key) {
            node.counts.add_many(Count::QueueUnhandled, queue.waiting.len());
            node.counts.add(Count::QueueTeardown);
        }
    }
}
