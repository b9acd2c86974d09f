//! What a listener lets in: protocol versions, a PROXY header, and how a Unix socket is shown.

use vernescale::standin::cluster_model::{ListenerSetting, Settings};

use crate::support::{Raw, Trio, connect_packet, lab};

#[tokio::test(start_paused = true)]
async fn by_version_header_and_path() {
    let five = ListenerSetting { versions: vec![5], ..ListenerSetting::on(1884) };
    let behind = ListenerSetting { proxy: true, ..ListenerSetting::on(1885) };
    let listeners = vec![ListenerSetting::unix("/run/mqtt.sock"), ListenerSetting::on(1883), five, behind];
    let trio = Trio::start(170, Settings { listeners, ..lab() }).await;
    let at = |port: u16| (trio.address(1), port).into();

    // CONNACK 1 is what the report of a listener for MQTT 5 alone has; 0x84 is its name in MQTT 5.
    assert_eq!(Raw::connect(at(1884), 4, "four", 2).await.1, "20020001");
    assert!(Raw::connect(at(1884), 5, "five", 2).await.1.starts_with("20030000"));

    // vmq_ranch: whatever is no header ends the connection, and nothing is said.
    assert_eq!(Raw::connect(at(1885), 4, "bare", 2).await.1, "");
    let mut raw = Raw::open(at(1885)).await;
    raw.send(b"PROXY TCP4 127.0.0.1 127.0.0.2 5 1885\r\n").await;
    raw.send(&connect_packet(4, "behind", 2, 0)).await;
    assert_eq!(raw.packet().await.as_deref(), Some("20020000"));

    let shown = trio.api(1, "listener/show").await.body;
    assert!(shown.contains(r#""address":"/run/mqtt.sock","port":"0""#), "{shown}");
    let restart = |address: &str| format!("listener/restart?address={address}&port=0");
    assert_eq!(trio.api(1, &restart("/run/mqtt.sock")).await.status, 400, "as for any name");
    assert_eq!(trio.api(1, &restart("local:/run/mqtt.sock")).await.status, 200);
}
