//! SUBSCRIBE, UNSUBSCRIBE, PUBLISH, and the way of a message to its queues.

use std::ops::Bound;
use std::sync::Arc;

use super::counts::Count;
use super::filter_tree::{self, Subscriber};
use super::node::Ix;
use super::queue::{ClientKey, Message, Stored};
use super::{
    ClusterModel, ConnId, Filter, Protocol, Publish, PublishOutcome, SubscribeOutcome, UnsubscribeOutcome,
};

/// SUBACK code of a refusal: v4 knows only this one.
const REFUSED: u8 = 0x80;
/// v5 reason codes.
const NOT_AUTHORIZED: u8 = 0x87;
const IMPLEMENTATION_ERROR: u8 = 0x83;
const NO_SUBSCRIPTION: u8 = 0x11;

impl ClusterModel {
    fn client(&self, conn: ConnId) -> Option<(Ix, ClientKey, Protocol)> {
        let conn = self.conns.get(&conn).filter(|c| c.accepted)?;
        Some((conn.node, conn.key.clone(), conn.connect.protocol))
    }

    fn denied(&self, topic: &str) -> bool {
        self.settings.denied_prefixes.iter().any(|prefix| topic.starts_with(prefix))
    }

    pub(super) fn subscribe_client(&mut self, conn: ConnId, filters: &[Filter]) -> SubscribeOutcome {
        let Some((ix, key, protocol)) = self.client(conn) else { return SubscribeOutcome::Silent };
        let split = self.nodes[ix.0].split && !self.settings.allow_subscribe_during_netsplit;
        let counts = &mut self.nodes[ix.0].counts;
        counts.add_for(protocol, Count::SubscribeReceived4, Count::SubscribeReceived5);
        counts.add_many(Count::BytesReceived, filters.iter().map(|f| f.filter.len() + 3).sum::<usize>() + 4);
        counts.add_for(protocol, Count::SubackSent4, Count::SubackSent5);
        if split {
            counts.add_for(protocol, Count::SubscribeError4, Count::SubscribeError5);
            let honest = self.nodes[ix.0].host.version.refuses_v5_in_netsplit();
            let code = |f: &Filter| match protocol {
                Protocol::V4 => REFUSED,
                Protocol::V5 if honest => NOT_AUTHORIZED,
                // Told "granted" though nothing is stored (`netsplit_raw_bytes.txt`).
                Protocol::V5 => f.qos.min(2),
            };
            return SubscribeOutcome::Codes(filters.iter().map(code).collect());
        }
        let codes = filters.iter().map(|filter| self.subscribe_one(ix, &key, protocol, filter)).collect();
        SubscribeOutcome::Codes(codes)
    }

    fn subscribe_one(&mut self, ix: Ix, key: &ClientKey, protocol: Protocol, wanted: &Filter) -> u8 {
        if self.denied(&wanted.filter) {
            let counts = &mut self.nodes[ix.0].counts;
            counts.add_for(protocol, Count::SubscribeAuthError4, Count::SubscribeAuthError5);
            return if protocol == Protocol::V4 { REFUSED } else { NOT_AUTHORIZED };
        }
        if !filter_tree::valid(&wanted.filter) {
            return REFUSED;
        }
        let qos = wanted.qos.min(2);
        let filter: Arc<str> = wanted.filter.as_str().into();
        let store = self.nodes[ix.0].disk.store;
        self.nodes[ix.0].counts.metadata_put.observe(500);
        let store = self.store_mut(store);
        if let Some(record) = store.clients.get_mut(key) {
            record.filters.insert(filter.clone(), qos);
            store.filters.insert(&filter, key, Subscriber { qos, home: ix });
        }
        self.send_retained(ix, key, &filter, qos);
        qos
    }

    /// Retained messages for a new subscription, as far as a newcomer has been told of them
    /// (docs/broker/join.md, "Losses after a join").
    fn send_retained(&mut self, ix: Ix, key: &ClientKey, filter: &str, qos: u8) {
        let prefix = filter_tree::literal_prefix(filter);
        let store = self.store(self.nodes[ix.0].disk.store);
        // `a/#` matches `a` too, which sorts before its prefix `a/`.
        let from = prefix.strip_suffix('/').unwrap_or(prefix);
        let found: Vec<Arc<Message>> = store
            .retained
            .range::<str, _>((Bound::Included(from), Bound::Unbounded))
            .take_while(|(topic, _)| topic.starts_with(from))
            .filter(|(topic, _)| filter_tree::matches(filter, topic) && self.has(ix, topic))
            .map(|(_, message)| message.clone())
            .collect();
        for message in found {
            let qos = qos.min(message.qos);
            self.enqueue(ix, key, Stored { message, qos, retain: true, dup: false });
        }
    }

    pub(super) fn unsubscribe_client(&mut self, conn: ConnId, filters: &[String]) -> UnsubscribeOutcome {
        let Some((ix, key, protocol)) = self.client(conn) else { return UnsubscribeOutcome::Silent };
        let split = self.nodes[ix.0].split && !self.settings.allow_unsubscribe_during_netsplit;
        let counts = &mut self.nodes[ix.0].counts;
        counts.add_for(protocol, Count::UnsubscribeReceived4, Count::UnsubscribeReceived5);
        if split {
            counts.add_for(protocol, Count::UnsubscribeError4, Count::UnsubscribeError5);
            return UnsubscribeOutcome::Silent;
        }
        counts.add_for(protocol, Count::UnsubackSent4, Count::UnsubackSent5);
        let store = self.nodes[ix.0].disk.store;
        let store = self.store_mut(store);
        let mut codes = Vec::with_capacity(filters.len());
        for filter in filters {
            let known =
                store.clients.get_mut(&key).is_some_and(|r| r.filters.remove(filter.as_str()).is_some());
            if known {
                store.filters.remove(filter, &key);
            }
            codes.push(if known { 0 } else { NO_SUBSCRIPTION });
        }
        UnsubscribeOutcome::Codes(codes)
    }

    pub(super) fn publish_client(&mut self, conn: ConnId, publish: Publish) -> PublishOutcome {
        let Some((ix, _, protocol)) = self.client(conn) else { return PublishOutcome::Silent };
        let split = self.nodes[ix.0].split && !self.settings.allow_publish_during_netsplit;
        let denied = self.denied(&publish.topic);
        let counts = &mut self.nodes[ix.0].counts;
        // Refused ones are counted too (`dead_node_netsplit.txt`).
        counts.add_for(protocol, Count::PublishReceived4, Count::PublishReceived5);
        counts.add_many(Count::BytesReceived, publish.topic.len() + publish.payload.len() + 6);
        if split {
            counts.add_for(protocol, Count::PublishError4, Count::PublishError5);
            return match (protocol, publish.qos) {
                (Protocol::V4, _) | (_, 0) => PublishOutcome::Silent,
                (Protocol::V5, 1) => {
                    counts.add(Count::PubackRefused5);
                    PublishOutcome::Refused(IMPLEMENTATION_ERROR)
                }
                (Protocol::V5, _) => {
                    counts.add(Count::PubrecRefused5);
                    PublishOutcome::Refused(REFUSED)
                }
            };
        }
        if denied {
            counts.add_for(protocol, Count::PublishAuthError4, Count::PublishAuthError5);
            return match (protocol, publish.qos) {
                (_, 0) => PublishOutcome::Silent,
                (Protocol::V4, _) => PublishOutcome::Accepted,
                (Protocol::V5, qos) => {
                    counts.add(if qos == 1 {
                        Count::PubackNotAuthorized5
                    } else {
                        Count::PubrecNotAuthorized5
                    });
                    PublishOutcome::Refused(NOT_AUTHORIZED)
                }
            };
        }
        self.count_acknowledgement(ix, protocol, publish.qos);
        let (topic, qos) = (publish.topic.into(), publish.qos.min(2));
        self.publish_at(ix, Message { topic, payload: publish.payload, qos, retain: publish.retain });
        PublishOutcome::Accepted
    }

    fn count_acknowledgement(&mut self, ix: Ix, protocol: Protocol, qos: u8) {
        let counts = &mut self.nodes[ix.0].counts;
        match qos {
            0 => {}
            1 => {
                counts.add_for(protocol, Count::PubackSent4, Count::PubackSent5);
                counts.add_many(Count::BytesSent, 4);
            }
            _ => {
                counts.add_for(protocol, Count::PubrecSent4, Count::PubrecSent5);
                counts.add_for(protocol, Count::PubrelReceived4, Count::PubrelReceived5);
                counts.add_for(protocol, Count::PubcompSent4, Count::PubcompSent5);
                counts.add_many(Count::BytesSent, 8);
            }
        }
    }

    /// A message enters the cluster at a node.
    pub(super) fn publish_at(&mut self, ix: Ix, message: Message) {
        let message = Arc::new(message);
        if message.retain {
            let store = self.nodes[ix.0].disk.store;
            self.nodes[ix.0].disk.dirty = true;
            let retained = &mut self.store_mut(store).retained;
            if message.payload.is_empty() {
                if retained.remove(&message.topic).is_some() {
                    self.note_deletion(store);
                }
            } else {
                retained.insert(message.topic.clone(), message.clone());
            }
        }
        self.route(ix, &message);
    }

    /// Takes a message to every queue that is subscribed and can be reached.
    pub(super) fn route(&mut self, from: Ix, message: &Arc<Message>) {
        let mut found: Vec<(ClientKey, Subscriber)> = Vec::new();
        let store = self.nodes[from.0].disk.store;
        self.store(store).filters.visit(&message.topic, &mut |key, sub| found.push((key.clone(), sub)));
        let mut remote = std::collections::BTreeMap::new();
        let bytes = message.topic.len() + message.payload.len() + 60;
        for (key, sub) in found {
            if sub.home == from {
                self.nodes[from.0].counts.add(Count::MatchesLocal);
            } else if !self.knows(from, &key)
                || !*remote.entry(sub.home).or_insert_with(|| self.carry(from, sub.home, bytes))
            {
                continue;
            }
            let qos = sub.qos.min(message.qos);
            self.enqueue(sub.home, &key, Stored { message: message.clone(), qos, retain: false, dup: false });
        }
    }

    /// Sends a message from node to node once, however many clients want it there.
    fn carry(&mut self, from: Ix, to: Ix, bytes: usize) -> bool {
        let there = self.routes(from, to);
        let counts = &mut self.nodes[from.0].counts;
        counts.add(Count::MatchesRemote);
        if there {
            counts.add_many(Count::ClusterSent, bytes);
            self.nodes[to.0].counts.add_many(Count::ClusterReceived, bytes);
        } else {
            counts.add_many(Count::ClusterDropped, bytes);
        }
        there
    }
}
