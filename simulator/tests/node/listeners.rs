//! What a listener lets in: protocol versions and a PROXY header; and how a Unix socket is shown.

use simulator::model::{ListenerSetting, Settings};

use crate::support::{Raw, Trio, connect_packet, get, no_key};

#[tokio::test(start_paused = true)]
async fn by_version_and_header() {
    let five = ListenerSetting { versions: vec![5], ..ListenerSetting::on(1884) };
    let behind = ListenerSetting { proxy: true, ..ListenerSetting::on(1885) };
    let listeners = vec![ListenerSetting::on(1883), five, behind];
    let trio = Trio::start(170, Settings { listeners, ..no_key() }).await;
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
}

/// The broker's JSON cannot carry the address of a Unix socket: `listener show` crashes as a whole, by both transports, and
/// the status page and the table for people say what there is.
#[tokio::test(start_paused = true)]
async fn a_unix_socket_crashes_the_list_and_is_opened_again_by_its_path() {
    let recorded = include_str!("../../../tests/recordings/listeners_mountpoint_unix.txt");
    let has = |line: &str| assert!(recorded.lines().any(|one| one.contains(line)), "not recorded: {line}");
    let tenant = ListenerSetting { mountpoint: "tenant-b".into(), ..ListenerSetting::on(1887) };
    let listeners = vec![ListenerSetting::unix("/run/L212.sock"), ListenerSetting::on(1883), tenant];
    let trio = Trio::start(171, Settings { listeners, ..no_key() }).await;

    let shown = trio.api(1, "listener/show").await;
    assert_eq!((shown.status, shown.body.as_str()), (500, ""));
    has(r#"listener/show: {"http": 500, "body": ""}"#);
    let page = get(trio.http(1), "/status.json").await.unwrap().body;
    for (kept, row) in [
        (
            r#""ip": "/run/L212.sock", "port": 0, "mountpoint": []"#,
            r#""ip":"/run/L212.sock","port":0,"mountpoint":[]"#,
        ),
        (
            r#""port": 1887, "mountpoint": [116, 101, 110, 97, 110, 116, 45, 98]"#,
            r#""port":1887,"mountpoint":[116,101,110,97,110,116,45,98]"#,
        ),
    ] {
        has(kept);
        assert!(page.contains(row), "{page}");
    }

    let table = trio.admin(1, "vmq-admin listener show").await.stdout;
    has(r#"{local,"/run/K212.sock"}"#);
    assert!(table.contains(r#"{local,"/run/L212.sock"}"#), "{table}");
    let json = trio.admin(1, "vmq-admin listener show --format=json").await;
    has("--format=json: {badrpc");
    assert!(json.stdout.starts_with("{badrpc"), "{json:?}");

    for (address, status) in
        [("/run/L212.sock", 400), ("local:/run/L212.sock", 200), ("local:/run/L212.sock:0", 500)]
    {
        has(&format!("restart address= {} {status}", address.replace("L212", "K212")));
        let restart = format!("listener/restart?address={address}&port=0");
        assert_eq!(trio.api(1, &restart).await.status, status, "{address}");
    }
}
