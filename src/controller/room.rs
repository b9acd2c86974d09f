//! Room for clients on the listeners of the nodes: how many connections each takes, and which is full. Pure.
//!
//! A TCP or TLS listener takes `max_connections` for each of its acceptors; a WebSocket listener held no limit at
//! all; and a client that comes to a full one hangs, with TCP accepted and no CONNACK, while no counter moves and
//! `/health` is well (`disc2_max_connections.txt`, 2.1.2 and 2.2.0).

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::apps::v1::StatefulSet;
use lifecycle::{ListenerState, NodeName, Ordinal, Severity, Time};

use super::brokers::Answered;
use crate::conditions::Told;
use crate::kubernetes::acceptors::acceptors;
use crate::vernemq::reply::ShownListener;
use autoscaler::decide::{ConnsMax, Room};
use autoscaler::metrics::{FleetView, Metric, Reading};

/// So many full listeners are named.
const NAMED_MAX: usize = 3;

/// A number of connections that stands for so long at a multiple of `max_connections` is no chance.
const STANDS_FOR: Duration = Duration::from_mins(1);

/// What the broker counts on the listeners that hold a limit, TCP and TLS (`metrics_n1_after_load.prom`).
const LIMITED_CONNECTIONS: &str = "active_mqtt_connections";

/// Connections that stand still at a multiple of their `max_connections`, and since when.
pub(super) type Still = BTreeMap<(Ordinal, u16), (u64, Time)>;

/// A limit and what it is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Limit {
    each: u64,
    acceptors: u64,
    assumed: bool,
}

impl Limit {
    fn total(self) -> u64 {
        self.each.saturating_mul(self.acceptors)
    }
}

impl std::fmt::Display for Limit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let assumed = if self.assumed { ", assumed" } else { "" };
        write!(f, "{} × {} acceptors{assumed}", self.each, self.acceptors)
    }
}

/// The acceptors of one StatefulSet's brokers.
pub(super) struct Listeners<'a> {
    statefulset: &'a StatefulSet,
    container: &'a str,
    nodes: &'a BTreeMap<Ordinal, Answered>,
}

impl<'a> Listeners<'a> {
    pub(super) fn new(
        statefulset: &'a StatefulSet,
        container: &'a str,
        nodes: &'a BTreeMap<Ordinal, Answered>,
    ) -> Self {
        Self { statefulset, container, nodes }
    }

    /// None where it holds no limit. More connections than were assumed to fit prove more acceptors.
    fn limit(&self, shown: &ShownListener) -> Option<Limit> {
        let limited = matches!(shown.listener.kind.as_str(), "mqtt" | "mqtts");
        let each = shown.connections_max.filter(|each| limited && *each > 0)?;
        let acceptors = acceptors(self.statefulset, self.container, &shown.listener.kind);
        let proven = self.proven(shown);
        Some(Limit { each, acceptors: u64::from(acceptors.count).max(proven), assumed: acceptors.assumed })
    }

    /// The acceptors that it takes to hold what some node holds: all of them are set alike.
    fn proven(&self, of: &ShownListener) -> u64 {
        let client_listeners = self.nodes.values().flat_map(|one| one.client_listeners.iter().flatten());
        let same = client_listeners.filter(|shown| name(shown) == name(of));
        let each = same.filter_map(|shown| Some(shown.active?.div_ceil(shown.connections_max?.max(1))));
        each.max().unwrap_or(0)
    }

    /// What a leave has to leave room for: each limited listener over all nodes, or, where the listeners do not say how
    /// many connections each has (the status page, by which we look where leaves go through exec), all of them together.
    pub(super) fn conns_max(&self) -> ConnsMax {
        let mut rooms: BTreeMap<String, (Limit, Option<u64>)> = BTreeMap::new();
        let mut together: Option<u64> = None;
        for one in self.nodes.values() {
            let Some(client_listeners) = &one.client_listeners else { return ConnsMax::Unknown };
            let limits: Vec<_> =
                client_listeners.iter().filter_map(|shown| Some((shown, self.limit(shown)?))).collect();
            if limits.is_empty() {
                continue;
            }
            let sum = limits.iter().map(|(_, limit)| limit.total()).sum();
            together = Some(together.map_or(sum, |smallest| smallest.min(sum)));
            for (shown, limit) in limits {
                let room = rooms.entry(name(shown)).or_insert((limit, Some(0)));
                if limit.total() < room.0.total() {
                    room.0 = limit;
                }
                room.1 = room.1.zip(shown.active).map(|(held, more)| held + more);
            }
        }
        let Some(together) = together else { return ConnsMax::Unlimited };
        if rooms.values().any(|(_, held)| held.is_none()) {
            let limits: Vec<_> = rooms.iter().map(|(name, (limit, _))| format!("{name} {limit}")).collect();
            let name = format!("TCP and TLS connections ({})", limits.join(", "));
            return ConnsMax::Limited(vec![Room { name, limit: together, held: None }]);
        }
        let room = |(name, (limit, held)): (String, (Limit, Option<u64>))| Room {
            name: format!("connections of {name} ({limit})"),
            limit: limit.total(),
            held,
        };
        ConnsMax::Limited(rooms.into_iter().map(room).collect())
    }

    /// Nodes that do not say how many connections each listener has, though they are asked.
    pub(super) fn uncounted(&self) -> Option<Told> {
        let pods: Vec<_> = self.nodes.iter().filter(|(_, one)| one.list_crashes).collect();
        let pods: Vec<_> = pods.iter().map(|(ordinal, _)| ordinal.to_string()).collect();
        let named = pods[..pods.len().min(NAMED_MAX)].join(", ");
        let more = if pods.len() > NAMED_MAX { ", …" } else { "" };
        let message = format!(
            "/api/v1/listener/show of pod {named}{more} answers HTTP 500 as a whole, as VerneMQ does where a listener \
             is a Unix socket (seen up to 2.2.0). The listeners are read from /status.json, which has no active_conns: \
             whether one is full is judged by all TCP and TLS connections of the pod together. Where that is too \
             coarse, do without the Unix socket"
        );
        (!pods.is_empty()).then_some(Told {
            message,
            blocks: false,
            name: "ListenerShowCrashes",
            severity: Severity::Info,
        })
    }

    /// Listeners whose next client hangs.
    pub(super) fn full(&self, still: &mut Still, fleet: &FleetView, now: Time) -> Option<Told> {
        let mut full = Vec::new();
        let mut perhaps = Vec::new();
        let mut stand = Still::new();
        for (&ordinal, one) in self.nodes {
            let client_listeners = one.client_listeners.iter().flatten();
            let open = client_listeners.filter(|shown| shown.listener.state == ListenerState::Running);
            let open: Vec<_> = open.filter_map(|shown| Some((shown, self.limit(shown)?))).collect();
            if open.iter().any(|(shown, _)| shown.active.is_none()) {
                full.extend(full_together(ordinal, &open, connections(fleet, one.node.name.as_ref())));
                continue;
            }
            for (shown, limit) in open {
                let held = shown.active.unwrap_or(0);
                let text = format!("{} of pod {ordinal} ({held} of {limit})", name(shown));
                let at = (ordinal, shown.listener.port);
                if held >= limit.total() {
                    full.push(text);
                } else if limit.assumed && held > 0 && held.is_multiple_of(limit.each) {
                    let before = still.get(&at).filter(|(count, _)| *count == held);
                    let since = before.map_or(now, |(_, since)| *since);
                    stand.insert(at, (held, since));
                    if now.since(since) >= STANDS_FOR {
                        perhaps.push(text);
                    }
                }
            }
        }
        *still = stand;
        told(&full, &perhaps)
    }
}

/// Of several listeners only the sum is known.
fn full_together(ordinal: Ordinal, open: &[(&ShownListener, Limit)], held: Option<u64>) -> Option<String> {
    let total: u64 = open.iter().map(|(_, limit)| limit.total()).sum();
    let held = held.filter(|held| *held >= total)?;
    let each: Vec<_> = open.iter().map(|(shown, limit)| format!("{} {limit}", name(shown))).collect();
    Some(format!("{} of pod {ordinal} ({held} connections together)", each.join(" and ")))
}

/// Of what the node said last, where that is fresh.
fn connections(fleet: &FleetView, node: Option<&NodeName>) -> Option<u64> {
    match fleet.nodes.get(node?)?.metrics.get(LIMITED_CONNECTIONS)? {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count of connections")]
        Metric::Gauge(Reading::Known(value)) if value.is_finite() => Some(*value as u64),
        _ => None,
    }
}

fn name(shown: &ShownListener) -> String {
    format!("{}:{}", shown.listener.kind, shown.listener.port)
}

fn told(full: &[String], perhaps: &[String]) -> Option<Told> {
    let (listeners, is) = match (full, perhaps) {
        ([], []) => return None,
        ([], perhaps) => (
            perhaps,
            "has stood for a minute at an exact multiple of max_connections: with fewer acceptors than assumed it is full",
        ),
        (full, _) => (full, "takes no more"),
    };
    let more = listeners.len().saturating_sub(NAMED_MAX);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let named = listeners[..listeners.len().min(NAMED_MAX)].join("; ");
    let message = format!(
        "{named}{more} {is}. The next client of a full listener hangs: TCP is accepted, no CONNACK comes, no counter \
         moves, and /health says OK. Raise max_connections or nr_of_acceptors of the listener in the broker's \
         configuration (a listener takes max_connections for each acceptor; 10 are assumed where the pod template sets \
         none), or add a node: raise minReplicas"
    );
    let mut told = Told { message, blocks: false, name: "ListenerFull", severity: Severity::Info };
    if !full.is_empty() {
        told.severity = Severity::Critical;
    }
    Some(told)
}

#[cfg(test)]
mod tests;
