use super::*;

const HTTP_API: &str = include_str!("../../../tests/recordings/http_api.txt");

/// The recorded answer to the request line that begins with `request`.
fn recorded(request: &str) -> http::Answer {
    let mut blocks = HTTP_API.split("\n### ").map(|block| block.trim_start_matches("### "));
    let block = blocks.find(|block| block.lines().next() == Some(request)).expect(request);
    let (_, rest) = block.split_once('\n').unwrap();
    let (body, foot) = rest.rsplit_once("\n[http=").unwrap();
    let status = foot[..3].parse().unwrap();
    let content_type = foot.split_once("ct=").unwrap().1.split(' ').next().unwrap().to_owned();
    http::Answer { status, content_type, date: None, body: body.to_owned().into() }
}

fn get(path: &str) -> Result<Reply, Unusable> {
    reply(&recorded(&format!("-u labkey-mgmt: http://127.0.0.11:8888/api/v1/{path}")))
}

#[test]
fn reads_the_recorded_members() {
    let members = members(get("cluster/show").unwrap()).unwrap();
    let names: Vec<_> = members.iter().map(|(node, running)| (node.0.as_str(), *running)).collect();
    assert_eq!(
        names,
        [("VerneMQ1@127.0.0.11", true), ("VerneMQ2@127.0.0.12", true), ("VerneMQ3@127.0.0.13", true)]
    );
}

#[test]
fn reads_the_recorded_listeners_without_http_and_cluster() {
    let listeners = listeners(get("listener/show").unwrap()).unwrap();
    assert_eq!(listeners.len(), 1);
    assert_eq!((listeners[0].connections_max, listeners[0].active), (Some(10_000), Some(1)));
    let Listener { kind, address, port, state } = &listeners[0].listener;
    assert_eq!((kind.as_str(), address.as_str(), *port), ("mqtt", "127.0.0.11", 1883));
    assert_eq!(*state, ListenerState::Running);
}

#[test]
fn a_suspended_listener_and_one_without_limit_are_read() {
    let body = br#"{"table":[{"type":"mqtt","status":"suspended","address":"127.0.0.11","port":"1883","max_conns":"infinity"}],"type":"table"}"#;
    let listeners = listeners(reply_of_json(body).unwrap()).unwrap();
    assert_eq!(listeners[0].listener.state, ListenerState::Suspended);
    assert_eq!(listeners[0].connections_max, None);
}

#[test]
fn every_recorded_refusal_has_its_own_name() {
    let unauthorized = reply(&recorded("http://127.0.0.11:8888/api/v1/cluster/show"));
    assert_eq!(unauthorized, Err(Unusable::Unauthorized));
    assert_eq!(get("cluster"), Err(Unusable::NotUnderstood));
    assert_eq!(get("cluster/leave?--help"), Err(Unusable::Crashed));
    assert_eq!(
        get("cluster/leave"),
        Ok(Reply::Alert("You have to provide a node".into())),
        "status 200, and yet nothing was done"
    );
    let page = reply(&recorded("http://127.0.0.11:8888/status"));
    assert_eq!(page, Err(Unusable::Html(200)));
    assert_eq!(reply(&recorded("http://127.0.0.11:8888/nosuch")), Err(Unusable::Status(404)));
    let nothing = http::Answer { status: 200, content_type: String::new(), date: None, body: "\n".into() };
    assert_eq!(reply(&nothing), Err(Unusable::Empty(200)));
    let half = http::Answer { body: r#"{"table":[{"Node":"#.into(), ..nothing };
    assert!(matches!(reply(&half), Err(Unusable::Malformed(_))));
}

#[test]
fn no_answer_is_ever_an_empty_cluster() {
    let empty = reply_of_json(br#"{"table":[],"type":"table"}"#).unwrap();
    assert!(members(empty).is_err());
    assert!(members(Reply::Text("Done".into())).is_err());
}

/// As the status page has them: the mountpoint is a list of character codes, a Unix socket has its path for `ip`.
#[test]
fn reads_the_status_pages_unix_socket_and_mountpoint() {
    let recording = include_str!("../../../tests/recordings/listeners_mountpoint_unix.txt");
    let (_, rest) = recording.split_once("status.json listeners: ").unwrap();
    // The recorder has cut the line.
    let (whole, _) = rest.lines().next().unwrap().rsplit_once(", {").unwrap();
    let rows: Vec<Map<String, Value>> = serde_json::from_str(&format!("{whole}]")).unwrap();
    let shown: Vec<_> = rows.iter().filter_map(|row| listener(row).unwrap()).collect();
    let (unix, tenant) = (&shown[0], shown.iter().find(|one| one.listener.port == 1887).unwrap());
    assert_eq!((unix.listener.address.as_str(), unix.listener.port), ("/run/L212.sock", 0));
    assert!(!unix.reached(None) && unix.active.is_none());
    assert_eq!((unix.mountpoint.as_str(), tenant.mountpoint.as_str()), ("", "tenant-b"));
    let of = |codes: &str| text(&serde_json::from_str(codes).unwrap());
    assert_eq!([of("[195,188]"), of("[252]"), of("[8364]"), of("[-1]")], ["ü", "ü", "€", "\u{fffd}"]);
}

#[test]
fn reads_sessions() {
    let listed = sessions(get("session/show").unwrap()).unwrap();
    let ids: Vec<&str> = listed.iter().map(|session| session.client_id.as_str()).collect();
    assert_eq!(ids, ["systest3", "systest2", "systest1"]);
    assert!(listed.iter().all(|session| session.mountpoint.is_empty()));
    for row in [r#"{"client_id":"a"}"#, r#"{"client_id":"a","mountpoint":null}"#] {
        let reply = reply_of_json(format!(r#"{{"table":[{row}],"type":"table"}}"#).as_bytes()).unwrap();
        assert!(matches!(sessions(reply), Err(Unusable::Malformed(_))), "{row}");
    }
}

#[test]
fn reads_tables_that_vmq_admin_prints_in_bold() {
    let recording = include_str!("../../../tests/recordings/apikey_create.txt");
    let printed: Vec<_> = recording
        .lines()
        .skip_while(|line| !line.starts_with('+'))
        .take_while(|line| !line.starts_with("[node"))
        .collect();
    let printed = printed.join("\n");
    assert!(printed.contains('\u{1b}'), "the recording must hold the escapes");
    let Ok(Reply::Table(rows)) = table_of_text(&printed) else { panic!("{printed}") };
    assert_eq!(rows[0]["Scope"], "mgmt");

    let cluster = "+---------------------+---------+\n\
                   | \u{1b}[1mNode\u{1b}[0m                | \u{1b}[1mRunning\u{1b}[0m |\n\
                   +---------------------+---------+\n\
                   | VerneMQ1@127.0.0.11 | false   |\n\
                   +---------------------+---------+\n";
    let members = members(table_of_text(cluster).unwrap()).unwrap();
    assert!(!members[&NodeName("VerneMQ1@127.0.0.11".into())]);
}

#[test]
fn the_last_line_judges_a_leave() {
    let printed =
        "Migrated 0/3 queues and 0/900 messages\nMigrated 3/3 queues and 900/900 messages\nDone\n\n";
    assert_eq!(last_line(printed).as_deref(), Some("Done"));
    assert_eq!(last_line(" \n"), None);
}

#[test]
fn groups_are_counted_as_they_were_recorded() {
    let of = |recording: &str, before: &str| {
        let (_, rest) = recording.split_once(before).unwrap();
        groups(reply_of_json(rest.lines().next().unwrap().as_bytes()).unwrap()).unwrap()
    };
    let member = include_str!("../../../tests/recordings/http_api.txt");
    assert_eq!(of(member, "/api/v1/node/swc_sync_status\n"), Groups { synced: 10, all: 10 });
    let alone = include_str!("../../../tests/recordings/join_refused_after_client_on_newcomer.txt");
    assert_eq!(of(alone, "swc_sync_status: "), Groups { synced: 0, all: 10 });
    let odd = |body: &str| groups(reply_of_json(body.as_bytes()).unwrap());
    assert!(odd(r#"{"table":[],"type":"table"}"#).is_err(), "nothing of something is not known");
    assert!(odd(r#"{"table":[{"InitSynced":"maybe"}],"type":"table"}"#).is_err());
    assert!(odd(r#"{"text":"Done","type":"text"}"#).is_err());
}
