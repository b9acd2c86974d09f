//! Which listeners a routing probe goes through: such as a client in the cluster reaches, the same on both sides. Pure.

use std::net::IpAddr;

use lifecycle::{ListenerState, Ordinal};

use crate::vernemq::http::Tls;
use crate::vernemq::reply::ShownListener;
use crate::vernemq::routing_probe::Side;

/// Listeners that are tried one after the other, at most: each may take its whole time.
const TRIED_MAX: usize = 3;

/// One of the two brokers.
#[derive(Clone, Debug)]
pub struct Broker<'a> {
    /// Its pod.
    pub ordinal: Ordinal,
    /// The pod's address.
    pub host: IpAddr,
    /// What it shows of its listeners.
    pub listeners: &'a [ShownListener],
    /// How its TLS listeners are proven; none where nothing to prove them by is set.
    pub tls: Option<Result<Tls, String>>,
}

/// What is set of the routing probe.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wanted {
    /// Only the listener on this port.
    pub port: Option<u16>,
    /// It wants a PROXY header.
    pub proxy: bool,
}

/// Pairs of listeners of one kind, port and mountpoint, the likeliest first: the broker's own mountpoint before another,
/// for logins are kept by it; a plain listener before TLS; the lower port, which is 1883 as a rule.
pub fn choose(newcomer: &Broker<'_>, peer: &Broker<'_>, wanted: Wanted) -> Result<Vec<(Side, Side)>, String> {
    let theirs = usable(peer, wanted);
    let pairs: Vec<_> = usable(newcomer, wanted)
        .into_iter()
        .filter_map(|one| {
            let peers = theirs.iter().find(|other| same(one, other))?;
            Some((side(newcomer, one, wanted), side(peer, peers, wanted)))
        })
        .take(TRIED_MAX)
        .collect();
    if pairs.is_empty() { Err(none(newcomer, peer, wanted)) } else { Ok(pairs) }
}

fn same(one: &ShownListener, other: &ShownListener) -> bool {
    let key =
        |shown: &ShownListener| (shown.listener.kind.clone(), shown.listener.port, shown.mountpoint.clone());
    key(one) == key(other)
}

fn usable<'a>(broker: &Broker<'a>, wanted: Wanted) -> Vec<&'a ShownListener> {
    let speaks = |kind: &str| kind == "mqtt" || (kind == "mqtts" && broker.tls.is_some());
    let mut usable: Vec<_> = broker
        .listeners
        .iter()
        .filter(|one| speaks(&one.listener.kind) && one.listener.state == ListenerState::Running)
        .filter(|one| one.reached(Some(broker.host)))
        .filter(|one| wanted.port.is_none_or(|port| port == one.listener.port))
        .collect();
    usable.sort_by_key(|one| (!one.mountpoint.is_empty(), one.listener.kind.clone(), one.listener.port));
    usable
}

fn side(broker: &Broker<'_>, one: &ShownListener, wanted: Wanted) -> Side {
    let address = (broker.host, one.listener.port).into();
    let mut place = format!("pod {}, {} {address}", broker.ordinal, one.listener.kind);
    if !one.mountpoint.is_empty() {
        place = format!("{place} (mountpoint {})", one.mountpoint);
    }
    let tls = (one.listener.kind == "mqtts").then(|| broker.tls.clone()).flatten();
    Side { place, address, tls, proxy: wanted.proxy }
}

/// Why there is none, with what is there.
fn none(newcomer: &Broker<'_>, peer: &Broker<'_>, wanted: Wanted) -> String {
    let (lacks, other) =
        if usable(newcomer, wanted).is_empty() { (newcomer, peer) } else { (peer, newcomer) };
    let shown: Vec<_> = lacks
        .listeners
        .iter()
        .map(|one| format!("{} {} port {}", one.listener.kind, one.listener.address, one.listener.port))
        .collect();
    let port =
        wanted.port.map(|port| format!(" on port {port} (spec.routingProbe.port)")).unwrap_or_default();
    let like = if usable(other, wanted).is_empty() {
        String::new()
    } else {
        format!(" as pod {} has", other.ordinal)
    };
    format!(
        "pod {} has no MQTT listener that the routing probe can use{port}{like}: it speaks plain MQTT, and TLS where \
         spec.routingProbe.caSecretRef says what to prove it by. There is: {}. Open such a listener to the pod's address, or \
         correct spec.routingProbe",
        lacks.ordinal,
        if shown.is_empty() { "none".into() } else { shown.join(", ") }
    )
}

#[cfg(test)]
mod tests {
    use lifecycle::Listener;
    use rstest::rstest;

    use super::*;

    const HOST: [u8; 4] = [10, 0, 0, 1];

    fn shown(kind: &str, address: &str, port: u16, mountpoint: &str) -> ShownListener {
        let listener =
            Listener { kind: kind.into(), address: address.into(), port, state: ListenerState::Running };
        ShownListener { listener, connections_max: Some(1), active: None, mountpoint: mountpoint.into() }
    }

    /// Ports that are tried, in order.
    fn tried(listeners: &[ShownListener], ca: bool, port: Option<u16>) -> Result<Vec<u16>, String> {
        let tls = ca.then(|| Err("unproven".to_owned()));
        let one = Broker { ordinal: Ordinal(1), host: HOST.into(), listeners, tls };
        let pairs = choose(&one, &one, Wanted { port, proxy: false })?;
        Ok(pairs.iter().map(|(side, _)| side.address.port()).collect())
    }

    #[rstest]
    #[case::unix_first(&[shown("mqtt", "/run/m.sock", 0, ""), shown("mqtt", "10.0.0.1", 1883, "")], &[1883])]
    #[case::loopback(&[shown("mqtt", "127.0.0.1", 1883, ""), shown("mqtt", "0.0.0.0", 1884, "")], &[1884])]
    #[case::own_mountpoint(&[shown("mqtt", "0.0.0.0", 1883, "t"), shown("mqtt", "0.0.0.0", 1884, "")], &[1884, 1883])]
    #[case::plain_first(&[shown("mqtts", "0.0.0.0", 883, ""), shown("mqtt", "0.0.0.0", 1883, "")], &[1883, 883])]
    #[case::no_websocket(&[shown("mqttws", "0.0.0.0", 80, ""), shown("mqtts", "0.0.0.0", 883, "")], &[883])]
    fn the_likeliest_first(#[case] listeners: &[ShownListener], #[case] ports: &[u16]) {
        assert_eq!(tried(listeners, true, None).as_deref(), Ok(ports));
    }

    #[test]
    fn what_is_set_goes_before_and_what_lacks_is_said() {
        let listeners = [shown("mqtt", "0.0.0.0", 1883, ""), shown("mqtts", "0.0.0.0", 8883, "")];
        assert_eq!(tried(&listeners, true, Some(8883)), Ok(vec![8883]));
        let why = tried(&listeners, false, Some(8883)).unwrap_err();
        assert!(
            why.contains("port 8883 (spec.routingProbe.port)")
                && why.contains("spec.routingProbe.caSecretRef"),
            "{why}"
        );
        assert!(why.contains("mqtts 0.0.0.0 port 8883"), "{why}");
    }

    #[test]
    fn both_sides_are_the_same_listener() {
        let (two, one) = (
            [shown("mqtt", "0.0.0.0", 1883, "t"), shown("mqtt", "0.0.0.0", 1884, "")],
            [shown("mqtt", "0.0.0.0", 1883, "t")],
        );
        let broker = |ordinal, listeners| Broker {
            ordinal: Ordinal(ordinal),
            host: HOST.into(),
            listeners,
            tls: None,
        };
        let pairs = choose(&broker(1, &two), &broker(0, &one), Wanted::default()).unwrap();
        assert_eq!(pairs.len(), 1);
        assert_eq!(pairs[0].0.address.port(), 1883, "the one that both have");
        let other = [shown("mqtt", "0.0.0.0", 1883, "")];
        let apart = choose(&broker(1, &one), &broker(0, &other), Wanted::default());
        assert!(apart.is_err(), "a message does not cross between two mountpoints");
        let why = choose(&broker(1, &[]), &broker(0, &one), Wanted::default()).unwrap_err();
        assert!(why.contains("pod 1 has no MQTT listener") && why.contains("as pod 0 has"), "{why}");
    }
}
