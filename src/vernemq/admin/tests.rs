use rstest::rstest;

use super::*;

fn node() -> NodeName {
    NodeName("VerneMQ3@127.0.0.13".into())
}

#[test]
fn the_leave_is_written_as_it_was_recorded() {
    let recording = include_str!("../../../tests/recordings/leave_edge_cases.txt");
    let leave = Command::Leave(node());
    assert!(
        recording.contains(&format!("GET {} -> (200, '{{\"text\":\"Done\"", leave.path())),
        "{}",
        leave.path()
    );
    let suspend = Command::Suspend(node());
    assert!(recording.contains(&format!("GET {} -> (200, '{{\"text\":\"Done! Use -k", suspend.path())));
    assert_eq!(
        leave.argv().join(" "),
        "vmq-admin cluster leave node=VerneMQ3@127.0.0.13 --kill_sessions --summary-interval=1 --timeout=30"
    );
}

#[test]
fn the_groups_are_asked_as_they_were_recorded() {
    let recording = include_str!("../../../tests/recordings/http_api.txt");
    assert!(
        recording.contains(&format!(":8888{}\n", Command::SyncStatus.path())),
        "{}",
        Command::SyncStatus.path()
    );
    assert_eq!(Command::SyncStatus.argv().join(" "), "vmq-admin node swc_sync_status --format=json");
}

#[test]
fn odd_client_ids_are_quoted_and_lists_are_not() {
    let one = Command::Disconnect { mountpoint: String::new(), client_id: "a,b &c=ü".into() };
    assert_eq!(one.path(), "/api/v1/session/disconnect?client-id=a,b+%26c%3D%C3%BC");
    let many = |mountpoint: &str| Command::DisconnectClients {
        mountpoint: mountpoint.into(),
        client_ids: vec!["a".into(), "b".into()],
    };
    let path = "/api/v1/session/disconnect/clients?client-ids=a,b";
    assert_eq!(many("").path(), path, "the broker's own mountpoint has no name");
    assert_eq!(many("tenant-b").path(), format!("{path}&--mountpoint=tenant-b"));
    assert_eq!(many("tenant-b").argv().last().map(String::as_str), Some("--mountpoint=tenant-b"));
}

#[test]
fn online_sessions_are_asked_by_state() {
    let command = Command::OnlineSessions { node: node(), limit: 50 };
    assert_eq!(
        command.path(),
        "/api/v1/session/show?--client_id&--mountpoint&--statename=online&--node=VerneMQ3@127.0.0.13&--limit=50"
    );
    assert_eq!(command.argv().last().map(String::as_str), Some("--format=json"));
}

fn output(stdout: &str, stderr: &str, code: Option<i32>) -> Call {
    call(admin_reply(&exec::Output { stdout: stdout.into(), stderr: stderr.into(), code, why: None }))
}

#[test]
fn a_leave_by_exec_is_judged_by_its_last_line_and_never_by_exit_0() {
    assert_eq!(
        output("Migrated 2/3 queues and 400/900 messages\n\u{1b}[1mDone\u{1b}[0m\n", "", Some(0)),
        Call::Answered("Done".into())
    );
    assert_eq!(
        output("Unknown error: noproc\n", "", Some(0)),
        Call::Answered("Unknown error: noproc".into())
    );
    let timeout = output("", "RPC to 'VerneMQ1@127.0.0.11' failed: timeout\n", Some(1));
    assert!(matches!(timeout, Call::Unknown(_)), "it fires when the dead member returns: {timeout:?}");
    assert!(matches!(output("Done", "", None), Call::Unknown(_)), "no status is unknown");
    let down = output("Node 'VerneMQ1@127.0.0.11' not responding to pings.\n", "", Some(1));
    assert!(matches!(down, Call::Refused(_)), "{down:?}");
}

#[test]
fn what_the_server_says_instead_of_an_exit_code_is_told() {
    let why = "Internal error occurred: error sending request: connect: connection refused";
    let answer = admin_reply(&exec::Output { why: Some(why.into()), ..exec::Output::default() });
    assert!(matches!(call(answer), Call::Unknown(text) if text.contains(why)));
}

#[rstest]
#[case(401, "", "Refused")]
#[case(400, "", "Refused")]
#[case(404, "", "Refused")]
#[case(500, "", "Unknown")]
#[case(200, "", "Unknown")]
#[case(200, "<html>", "Refused")]
#[case(200, r#"{"alert":[{"text":"You have to provide a node","type":"text"}],"type":"alert"}"#, "Refused")]
#[case(200, r#"{"text":"Done","type":"text"}"#, "Answered")]
fn an_http_answer_is_judged_by_what_it_proves(#[case] status: u16, #[case] body: &str, #[case] kind: &str) {
    let answer =
        http::Answer { status, content_type: String::new(), date: None, body: body.to_owned().into() };
    let call = call(reply::reply(&answer));
    assert!(format!("{call:?}").starts_with(kind), "{call:?}");
}

#[test]
fn what_was_cut_may_have_happened_and_what_was_refused_has_not() {
    let unknown = |broken: http::Broken| matches!(call(Err(Unusable::Wire(broken))), Call::Unknown(_));
    assert!(unknown(http::Broken::Silent(Duration::from_secs(65))));
    assert!(unknown(http::Broken::Cut("EOF".into())));
    assert!(!unknown(http::Broken::Refused(String::new())));
    assert!(!unknown(http::Broken::NoAddress));
}
