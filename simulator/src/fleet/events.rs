//! What the model decided, done to the sockets, in the model's order.

use std::sync::Arc;

use super::{CallEnd, Core, Shared, conn::Message, sockets};
use crate::model::Event;

/// Carries out everything that has happened since the last time.
pub(super) fn carry_out(core: &mut Core, shared: &Arc<Shared>) {
    for event in core.model.take_events() {
        one(core, shared, event);
    }
}

fn one(core: &mut Core, shared: &Arc<Shared>, event: Event) {
    match event {
        Event::Deliver { conn, delivery, topic, payload, qos, retain, dup } => {
            let Some(conn) = core.conns.get(&conn) else { return };
            let message = Message { topic: &topic, payload: &payload, qos, retain, dup };
            if !conn.deliver(delivery, &message) {
                core.dropped += 1;
            }
        }
        Event::Connack { conn, session_present } => {
            if let Some(conn) = core.conns.get(&conn) {
                conn.connack(session_present);
            }
        }
        Event::ConnackRefused { conn, reason } => {
            if let Some(conn) = core.conns.remove(&conn) {
                conn.refuse(reason);
            }
        }
        Event::Close { conn, reason } => {
            if let Some(conn) = core.conns.remove(&conn) {
                conn.close(reason);
            }
        }
        Event::Answer { call, answer } => {
            let lost = core.lost.remove(&call);
            if let Some(call) = core.calls.remove(&call) {
                // Nobody waits any more where `vmq-admin` was killed.
                let _ = call.send(if lost { CallEnd::Cut } else { CallEnd::Answer(answer) });
            }
        }
        Event::CallCut { call } => {
            if let Some(call) = core.calls.remove(&call) {
                let _ = call.send(CallEnd::Cut);
            }
        }
        Event::Listening { node, at, on } => sockets::want(core, shared, &node, sockets::Which::Mqtt(at), on),
        Event::Http { node, on } => sockets::want(core, shared, &node, sockets::Which::Http, on),
        Event::Exited { node, code } => {
            tracing::debug!(%node, code, "simulated broker's process ended");
            sockets::slam(core, &node);
        }
    }
}
