//! Sessions: their connections, the messages in flight, their end.

use lifecycle::Time;

use super::counts::Count;
use super::node::Ix;
use super::queue::{ClientKey, Message, Stored};
use super::{CloseReason, ClusterModel, ConnId, Connect, DeliveryId, Event, Goodbye, Protocol};

/// A connection that has sent CONNECT.
#[derive(Debug)]
pub(super) struct Conn {
    pub(super) node: Ix,
    /// Port of the listener that took it.
    pub(super) port: u16,
    pub(super) key: ClientKey,
    pub(super) connect: Connect,
    /// CONNACK was sent.
    pub(super) accepted: bool,
    /// It waits for its queue from another node.
    pub(super) pulling: bool,
    /// The client has gone while it waited; the node goes on
    /// (docs/broker/drain.md, "Queues that clients pull").
    pub(super) gone: bool,
    pub(super) since: Time,
}

/// How a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Parting {
    /// The client goes.
    ByClient(Goodbye),
    /// The node closes, and says why.
    Closed(CloseReason),
    /// The node closes without a word.
    Dropped,
}

impl ClusterModel {
    /// Takes a connection off the books.
    pub(super) fn forget_conn(&mut self, conn: ConnId) -> Option<Conn> {
        let gone = self.conns.remove(&conn)?;
        self.nodes[gone.node.0].conns.remove(&conn);
        self.free_place(gone.node, gone.port);
        Some(gone)
    }

    /// Ends a connection: the queue of a persistent session goes offline, a
    /// clean one is removed; the will is published unless the client said
    /// goodbye (`disconnect_semantics.txt`).
    pub(super) fn part(&mut self, conn: ConnId, how: Parting) {
        if let (Parting::ByClient(_), Some(waits)) = (how, self.conns.get_mut(&conn))
            && waits.pulling
        {
            waits.gone = true;
            return;
        }
        let Some(gone) = self.forget_conn(conn) else {
            self.stop_waiting(conn);
            return;
        };
        let Conn { node: ix, key, connect, accepted, gone: client_gone, .. } = gone;
        let counts = &mut self.nodes[ix.0].counts;
        counts.add(Count::SocketClose);
        let reason = match how {
            Parting::ByClient(Goodbye::Clean) => {
                counts.add_for(connect.protocol, Count::DisconnectReceived4, Count::DisconnectReceived5);
                None
            }
            Parting::ByClient(Goodbye::Lost) => None,
            Parting::Closed(reason) => Some(reason),
            Parting::Dropped => Some(CloseReason::Plain),
        };
        if let Some(reason) = reason {
            if connect.protocol == Protocol::V5 {
                match reason {
                    CloseReason::Administrative => counts.add(Count::DisconnectAdministrative5),
                    CloseReason::TakenOver => counts.add(Count::DisconnectTakenOver5),
                    CloseReason::NodeStopped => counts.add(Count::DisconnectNormal5),
                    CloseReason::Plain => {}
                }
            }
            if !client_gone {
                self.events.push(Event::Close { conn, reason });
            }
        }
        if !accepted {
            return;
        }
        if self.nodes[ix.0].queues.get(&key).is_some_and(|queue| queue.conn == Some(conn)) {
            self.look_offline(ix, &key);
        }
        let spoken = how == Parting::ByClient(Goodbye::Clean) || !self.nodes[ix.0].running();
        if let Some(will) = connect.will.filter(|_| !spoken) {
            let message = Message {
                topic: will.topic.into(),
                payload: will.payload,
                qos: will.qos.min(2),
                retain: will.retain,
            };
            self.publish_at(ix, message);
        }
    }

    /// A queue without a connection: kept or removed.
    pub(super) fn look_offline(&mut self, ix: Ix, key: &ClientKey) {
        let limit = self.settings.max_offline_messages;
        let node = &mut self.nodes[ix.0];
        let Some(queue) = node.queues.get_mut(key) else { return };
        queue.conn = None;
        if queue.persistent {
            queue.take_back();
            let over = queue.waiting.len().saturating_sub(limit);
            queue.waiting.truncate(limit);
            node.counts.add_many(Count::QueueDrop, over);
            return;
        }
        // What has not been sent is left (`metrics_2.2.0.prom`: 618 in, 538 out, 80 unhandled).
        node.counts.add_many(Count::QueueUnhandled, queue.waiting.len());
        node.queues.remove(key);
        node.counts.add(Count::QueueTeardown);
        // A node that dies cannot say so: the others keep the record.
        if node.running() {
            let store = node.disk.store;
            node.counts.metadata_delete.observe(500);
            let home = self.store(store).clients.get(key).map(|r| r.home);
            if home == Some(ix) {
                self.forget_client(store, key);
            }
        }
    }

    /// Ends all connections of a node.
    pub(super) fn drop_clients(&mut self, ix: Ix, how: Parting) {
        let conns: Vec<ConnId> = self.nodes[ix.0].conns.iter().copied().collect();
        for conn in conns {
            self.part(conn, how);
        }
    }

    /// Puts a message into a queue, and on to the client if there is one.
    pub(super) fn enqueue(&mut self, ix: Ix, key: &ClientKey, stored: Stored) {
        let (online, offline) = (self.settings.max_online_messages, self.settings.max_offline_messages);
        let node = &mut self.nodes[ix.0];
        let Some(queue) = node.queues.get_mut(key) else { return };
        if stored.qos > 0 && std::mem::take(&mut queue.losing) {
            // Acknowledged to the publisher, and no counter tells (`disconnect_loss.txt`).
            return;
        }
        let limit = if queue.conn.is_some() { online } else { offline };
        if queue.conn.is_none() && (stored.qos == 0 || !queue.persistent) {
            return;
        }
        node.counts.add(Count::QueueIn);
        if stored.qos == 0 && queue.waiting.is_empty() {
            self.send(ix, key, stored);
            return;
        }
        if queue.waiting.len() >= limit {
            node.counts.add(Count::QueueDrop);
            return;
        }
        if queue.persistent {
            node.counts.storage_write.observe(120);
        }
        queue.waiting.push_back(stored);
        self.pump(ix, key);
    }

    /// Sends what may be in flight.
    pub(super) fn pump(&mut self, ix: Ix, key: &ClientKey) {
        let most = self.settings.max_inflight.max(1);
        loop {
            let Some(queue) = self.nodes[ix.0].queues.get_mut(key) else { return };
            if queue.conn.is_none() || queue.inflight.len() >= most {
                return;
            }
            let Some(stored) = queue.waiting.pop_front() else { return };
            self.send(ix, key, stored);
        }
    }

    fn send(&mut self, ix: Ix, key: &ClientKey, stored: Stored) {
        let delivery = DeliveryId(self.new_id());
        let node = &mut self.nodes[ix.0];
        let Some(queue) = node.queues.get_mut(key) else { return };
        let Some(conn) = queue.conn else { return };
        let message = &stored.message;
        node.counts.add_for(queue.protocol, Count::PublishSent4, Count::PublishSent5);
        node.counts.add_many(Count::BytesSent, message.topic.len() + message.payload.len() + 6);
        self.events.push(Event::Deliver {
            conn,
            delivery,
            topic: message.topic.clone(),
            payload: message.payload.clone(),
            qos: stored.qos,
            retain: stored.retain,
            dup: stored.dup,
        });
        node.counts.add(Count::QueueOut);
        if stored.qos > 0 {
            queue.inflight.push_back((delivery, stored));
        }
    }

    pub(super) fn acknowledge(&mut self, conn: ConnId, delivery: DeliveryId) {
        let Some((ix, key)) = self.conns.get(&conn).map(|c| (c.node, c.key.clone())) else { return };
        let node = &mut self.nodes[ix.0];
        let Some(queue) = node.queues.get_mut(&key).filter(|q| q.conn == Some(conn)) else { return };
        let Some(at) = queue.inflight.iter().position(|(id, _)| *id == delivery) else { return };
        let Some((_, stored)) = queue.inflight.remove(at) else { return };
        let protocol = queue.protocol;
        if stored.qos == 1 {
            node.counts.add_for(protocol, Count::PubackReceived4, Count::PubackReceived5);
        } else {
            node.counts.add_for(protocol, Count::PubrecReceived4, Count::PubrecReceived5);
            node.counts.add_for(protocol, Count::PubrelSent4, Count::PubrelSent5);
            node.counts.add_for(protocol, Count::PubcompReceived4, Count::PubcompReceived5);
        }
        self.pump(ix, &key);
    }
}
