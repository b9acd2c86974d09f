//! rumqttd inside the test process: one for all tests, since it cannot be
//! stopped. It has no port 0 and no ready signal, `start` blocks for ever, and
//! MQTT 5 needs a listener of its own.

use std::collections::HashMap;
use std::net::{SocketAddr, TcpStream};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use loadgen::Protocol;
use rumqttd::{Broker, Config, ConnectionSettings, RouterConfig, ServerSettings};

static LISTENERS: LazyLock<[SocketAddr; 2]> = LazyLock::new(start);

/// Where it listens for `protocol`.
pub(crate) fn address(protocol: Protocol) -> SocketAddr {
    LISTENERS[usize::from(protocol == Protocol::V5)]
}

fn start() -> [SocketAddr; 2] {
    let listeners = [(); 2].map(|()| SocketAddr::from(([127, 0, 0, 1], crate::free_port())));
    let config = Config {
        router: RouterConfig {
            max_connections: 1_000,
            max_outgoing_packet_count: 200,
            max_segment_size: 10 << 20,
            max_segment_count: 10,
            ..RouterConfig::default()
        },
        v4: Some(HashMap::from([("v4".to_owned(), server("v4", listeners[0]))])),
        v5: Some(HashMap::from([("v5".to_owned(), server("v5", listeners[1]))])),
        ..Config::default()
    };
    std::thread::spawn(move || Broker::new(config).start().unwrap());
    listeners.iter().for_each(wait_for);
    listeners
}

fn server(name: &str, listen: SocketAddr) -> ServerSettings {
    ServerSettings {
        name: name.to_owned(),
        listen,
        tls: None,
        next_connection_delay_ms: 0,
        connections: ConnectionSettings {
            connection_timeout_ms: 60_000,
            max_payload_size: 1 << 20,
            max_inflight_count: 500,
            auth: None,
            external_auth: None,
            dynamic_filters: true,
        },
    }
}

/// Returns when somebody accepts connections there.
#[expect(clippy::disallowed_methods, reason = "a broker of its own time: a real deadline for its start")]
pub(crate) fn wait_for(address: &SocketAddr) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while TcpStream::connect(address).is_err() {
        assert!(Instant::now() < deadline, "nobody listens on {address}");
        std::thread::yield_now();
    }
}
