//! Listeners of four transports in a leave without the kill flag, and its undo.

use simulator::model::{Answer, Command, ListenerSetting, NodeStatus, Place, Settings, Transport};

use crate::harness::{Harness, host, leave_without_kill, name, settings};
use crate::recording;
use crate::recording::line;

const REC: &str = recording!("disc2_listeners_all_transports.txt");

const ALL: [(Transport, u16); 4] = [
    (Transport::Mqtt, 1883),
    (Transport::Mqttws, 8080),
    (Transport::Mqttwss, 8443),
    (Transport::Mqtts, 8883),
];

fn four() -> Settings {
    let listeners =
        ALL.map(|(transport, port)| ListenerSetting { transport, ..ListenerSetting::on(port) }).to_vec();
    Settings { listeners, ..settings() }
}

/// As the recording writes them.
fn shown(status: &NodeStatus) -> String {
    let state = |one: &simulator::model::StatusListener| match one.status {
        simulator::model::ListenerStatus::Running => "running",
        simulator::model::ListenerStatus::Suspended => "suspended",
    };
    let rows: Vec<_> = status
        .listeners
        .iter()
        .map(|one| format!("('{}', '{}', '{}')", one.kind, one.port, state(one)))
        .collect();
    format!("[{}]", rows.join(", "))
}

#[test]
fn a_leave_suspends_all_four_and_each_is_restarted_by_itself() {
    let mut harness = Harness::cluster(2, four());
    assert!(line(REC, "before", 0).ends_with(&shown(&harness.status(2))), "{}", shown(&harness.status(2)));
    harness.http(1, leave_without_kill(&name(2)));
    assert!(line(REC, "A7 after ", 0).ends_with(&shown(&harness.status(2))), "{}", shown(&harness.status(2)));
    let (status, body) = harness.health(2);
    assert_eq!(status, 503);
    assert!(line(REC, "A7 health", 0).contains(&body), "{body}");
    for (n, (_, port)) in ALL.into_iter().enumerate() {
        let suspended = shown(&harness.status(2)).matches("suspended").count();
        assert_eq!(suspended, ALL.len() - n);
        let place = Place::Tcp((host(2).mqtt.ip(), port).into());
        assert_eq!(harness.http(2, Command::ListenerRestart { place }).0, Some(Answer::Text("Done".into())));
    }
    assert!(line(REC, "A7 after undo", 0).ends_with(&shown(&harness.status(2))));
}

/// One key for each scope, and the same key may have several (`vmq_auth_apikey:check_key_exists/2`).
#[test]
fn a_key_is_added_for_each_scope_by_itself() {
    let mut harness = Harness::cluster(1, Settings { keyed_pages: vec!["metrics"], ..Settings::default() });
    let add = |scope: &str| Command::ApiKeyAdd { key: "k".into(), scope: Some(scope.into()) };
    harness.admin(1, add("mgmt"));
    let opens = |harness: &mut Harness, scope| harness.model.authorized(&name(1), Some("k"), scope);
    assert_eq!(
        [opens(&mut harness, "mgmt"), opens(&mut harness, "metrics"), opens(&mut harness, "status")],
        [true, false, true]
    );
    assert_eq!(harness.admin(1, add("metrics")).0, Answer::Text("ok".into()));
    assert!(opens(&mut harness, "metrics") && opens(&mut harness, "mgmt"));
}
