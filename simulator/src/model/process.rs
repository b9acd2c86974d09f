//! Processes and disks: start, stop, kill, wipe.

use lifecycle::{NodeName, Time};

use super::agenda::Task;
use super::counts::{Count, Counts};
use super::metric_table::GROUPS;
use super::node::{Commands, Disk, Ix, Node};
use super::session::Parting;
use super::store::{Store, StoreId};
use super::{ClusterModel, Event, NodeHost, Process, Signal, Spread};

impl ClusterModel {
    pub(super) fn boot_node(&mut self, name: &NodeName, host: &NodeHost, discover: Option<&NodeName>) {
        let ix = self.node_ix(name, host);
        if self.nodes[ix.0].alive() {
            return;
        }
        let (left, deleted) = {
            let disk = &self.nodes[ix.0].disk;
            (disk.left, disk.state_deleted)
        };
        let life = self.begin_life(ix, host);
        if left {
            // Restarted with its data: a singleton that cannot join
            // (docs/broker/join.md, "A node that has left").
            let disk = &mut self.nodes[ix.0].disk;
            disk.left = false;
            disk.dirty = true;
            disk.view = [ix].into();
        } else if deleted {
            let node = &mut self.nodes[ix.0];
            node.disk.state_deleted = false;
            node.lost_view = Some(std::mem::replace(&mut node.disk.view, [ix].into()));
        }
        // Not recorded: a member that was restarted is taken to have its groups.
        let member = self.nodes[ix.0].disk.view.len() > 1 || self.nodes[ix.0].lost_view.is_some();
        self.nodes[ix.0].exchanged = member.then_some([Time(0); GROUPS.len()]);
        let boot = self.vary(self.settings.timing.boot);
        self.after(boot, Task::HttpUp { node: ix, life });
        if let Some(peer) = discover {
            let wait = boot + self.vary(self.settings.timing.join_loop);
            self.after(wait, Task::JoinLoop { node: ix, life, peer: peer.clone() });
        }
    }

    fn begin_life(&mut self, ix: Ix, host: &NodeHost) -> u64 {
        let now = self.now;
        let node = &mut self.nodes[ix.0];
        node.host = host.clone();
        node.life += 1;
        node.process = Process::Booting;
        node.started = now;
        node.commands = Commands::Unregistered;
        node.counts = Counts::default();
        node.hidden.clear();
        node.up = [ix].into();
        node.split = false;
        node.keys = None;
        node.leaving = false;
        node.migration = None;
        node.joining = None;
        node.entering = false;
        node.lost_view = None;
        node.connect_free_us = 0;
        (node.not_ready_until, node.blip_until, node.alone_until) = (Time(0), Time(0), Time(0));
        node.life
    }

    /// HTTP and MQTT come up together (`join_refused_after_client_on_newcomer.txt`).
    pub(super) fn http_comes_up(&mut self, ix: Ix) {
        let store = self.nodes[ix.0].disk.store;
        // Clean sessions of the life before are forgotten now.
        let gone: Vec<_> = self.store(store).clients_at(ix);
        for key in gone {
            if !self.nodes[ix.0].queues.contains_key(&key) {
                self.forget_client(store, &key);
            }
        }
        let node = &mut self.nodes[ix.0];
        let stored = node.queues.len();
        node.counts.add_many(Count::QueueFromStorage, stored);
        node.counts.add_many(Count::QueueSetup, stored);
        node.counts.storage_scan.observe(60);
        node.process = Process::Running;
        node.http = true;
        let (name, life) = (node.name.clone(), node.life);
        self.events.push(Event::Http { node: name, on: true });
        self.open_listeners(ix);
        let wait = self.vary(self.settings.timing.commands);
        if self.vary(Spread::new(0, 2)) == 0 {
            self.after(wait, Task::CommandsCrash { node: ix, life });
        } else {
            self.after(wait, Task::CommandsReady { node: ix, life });
        }
        if self.nodes[ix.0].lost_view.is_some() {
            let alone = self.vary(self.settings.timing.issuer_alone);
            self.after(alone, Task::FindLostView { node: ix, life });
        } else {
            self.meet_members(ix);
        }
        if !self.settings.systree_interval.is_zero() {
            let tick = u64::try_from(self.settings.systree_interval.as_millis()).unwrap_or(u64::MAX);
            self.after(tick, Task::SysTick { node: ix, life });
        }
    }

    pub(super) fn commands_crash(&mut self, ix: Ix) {
        let life = self.nodes[ix.0].life;
        self.nodes[ix.0].commands = Commands::Crashing;
        let wait = self.vary(self.settings.timing.commands_500);
        self.after(wait, Task::CommandsReady { node: ix, life });
    }

    pub(super) fn commands_ready(&mut self, ix: Ix) {
        let alone = self.vary(self.settings.timing.boot_alone);
        let now = self.now.0;
        let node = &mut self.nodes[ix.0];
        node.commands = Commands::Ready;
        node.alone_until = Time(now + alone);
    }

    pub(super) fn send_signal(&mut self, name: &NodeName, signal: Signal) {
        let Some(ix) = self.find(name).filter(|ix| self.nodes[ix.0].alive()) else { return };
        match signal {
            Signal::Kill => {
                self.forget_unreplicated(ix);
                // No will is published, no record removed: it is gone at once.
                self.nodes[ix.0].process = Process::Stopping;
                self.exit(ix, 137);
            }
            // It is stopping by itself, and is not stopped twice.
            Signal::Term if self.nodes[ix.0].leaving => {}
            // The first process of a container gets no signal that it has not asked for, and the image's script asks
            // late: a pod deleted at its start ran to the end of its grace (`pods_delete_in_leave.txt`).
            Signal::Term if self.nodes[ix.0].process == Process::Booting => {}
            Signal::Term => {
                let breaks = self.breaks_its_leave(ix);
                // A leave that has begun is ended by it, stuck or not: the members drop the node (same recording).
                // Queues that have not moved by then stay where nobody finds them.
                if self.nodes[ix.0].migration.is_some() && !breaks {
                    self.nodes[ix.0].leaving = true;
                    self.own_store(ix);
                }
                let life = self.nodes[ix.0].life;
                self.stop_broker(ix, Parting::Dropped);
                let timing = &self.settings.timing;
                let spread = if breaks { timing.term_exit_moving } else { timing.term_exit };
                let wait = self.vary(spread);
                self.after(wait, Task::Exit { node: ix, life, code: 0 });
            }
        }
    }

    /// The broker ends, its process does not: `node stop`, SIGTERM, the end of a leave.
    pub(super) fn stop_broker(&mut self, ix: Ix, how: Parting) {
        self.close_listeners(ix);
        self.drop_clients(ix, how);
        self.fail_calls(ix, true);
        self.http_goes_down(ix);
    }

    pub(super) fn http_goes_down(&mut self, ix: Ix) {
        let node = &mut self.nodes[ix.0];
        node.process = Process::Stopping;
        if std::mem::take(&mut node.http) {
            let name = node.name.clone();
            self.events.push(Event::Http { node: name, on: false });
        }
    }

    /// The process ends, for whatever reason.
    pub(super) fn exit(&mut self, ix: Ix, code: i32) {
        self.close_listeners(ix);
        self.drop_clients(ix, Parting::Dropped);
        self.fail_calls(ix, false);
        self.http_goes_down(ix);
        let leaving = {
            let node = &mut self.nodes[ix.0];
            node.process = Process::Exited { code };
            node.joining = None;
            for queue in node.queues.values_mut() {
                queue.drain_until = None;
                (queue.pinned, queue.stuck) = (false, false);
            }
            if let Some(view) = node.lost_view.take() {
                node.disk.view = view;
                node.disk.state_deleted = true;
            }
            std::mem::take(&mut node.leaving)
        };
        if leaving {
            self.nodes[ix.0].disk.left = true;
        }
        self.leaves_lose(ix);
        self.members_lose(ix);
        let node = &mut self.nodes[ix.0];
        node.life += 1;
        let name = node.name.clone();
        self.events.push(Event::Exited { node: name, code });
    }

    pub(super) fn wipe_disk(&mut self, name: &NodeName) {
        let Some(ix) = self.find(name).filter(|ix| !self.nodes[ix.0].alive()) else { return };
        let store = self.new_store(Store::default());
        let node = &mut self.nodes[ix.0];
        node.disk = Disk::fresh(ix, store);
        node.queues.clear();
    }

    /// Sessions made just before a SIGKILL may be known to nobody else (`q8_…`).
    fn forget_unreplicated(&mut self, ix: Ix) {
        let store = self.nodes[ix.0].disk.store;
        let lag = self.vary(self.settings.timing.replication_lag);
        let since = self.now.0.saturating_sub(lag);
        let fresh: Vec<_> = self
            .store(store)
            .clients
            .iter()
            .filter(|(_, r)| r.home == ix && r.persistent && r.since.0 >= since)
            .map(|(key, _)| key.clone())
            .collect();
        let alone = self.nodes[ix.0].disk.view.len() < 2;
        if alone || fresh.len() <= self.settings.rates.replication_burst {
            return;
        }
        let percent = self.settings.rates.replication_lost_percent;
        for (at, key) in (0_u64..).zip(&fresh) {
            if at * percent / 100 != (at + 1) * percent / 100 {
                self.forget_client(store, key);
            }
        }
    }

    fn node_ix(&mut self, name: &NodeName, host: &NodeHost) -> Ix {
        if let Some(ix) = self.find(name) {
            return ix;
        }
        let ix = Ix(self.nodes.len());
        let store = self.new_store(Store::default());
        self.nodes.push(Node::new(name.clone(), ix, host.clone(), store));
        self.names.insert(name.clone(), ix);
        ix
    }

    pub(super) fn new_store(&mut self, store: Store) -> StoreId {
        self.next_id += 1;
        let id = StoreId(self.next_id);
        self.stores.insert(id, store);
        // Those that no disk belongs to any more are dropped, so that wipes and
        // leaves do not pile them up.
        let used: std::collections::BTreeSet<StoreId> = self.nodes.iter().map(|n| n.disk.store).collect();
        self.stores.retain(|known, _| *known == id || used.contains(known));
        id
    }

    pub(super) fn store(&self, id: StoreId) -> &Store {
        self.stores.get(&id).expect("a disk's store is kept as long as the disk")
    }

    pub(super) fn store_mut(&mut self, id: StoreId) -> &mut Store {
        self.stores.get_mut(&id).expect("a disk's store is kept as long as the disk")
    }
}
