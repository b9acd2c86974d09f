//! `session disconnect` and `session show` (`disconnect_semantics.txt`).

use std::collections::BTreeMap;

use simulator::model::{Answer, CloseReason, Command, ConnId, Connect, Protocol, SessionFlag, Signal, Will};

use crate::harness::{Harness, host, name, settings};
use crate::recording;
use crate::recording::{count, line};

const REC: &str = recording!("disconnect_semantics.txt");

fn with_will(harness: &mut Harness, k: u8, id: &str, protocol: Protocol, clean: bool) -> ConnId {
    let will = Will { topic: format!("will/{id}"), payload: "gone".into(), qos: 0, retain: false };
    let connect = Connect { will: Some(will), ..Connect::new(id, protocol, clean) };
    let conn = harness.connect(k, connect);
    harness.run(2);
    conn
}

fn watcher(harness: &mut Harness) -> ConnId {
    let watch = harness.session(2, "watch", Protocol::V4, true);
    harness.subscribe(watch, "will/#", 0);
    watch
}

fn kick(client: &str, cleanup: bool) -> Command {
    Command::SessionDisconnect { client_id: Some(client.into()), mountpoint: String::new(), cleanup }
}

fn done() -> Answer {
    Answer::Text("Done".into())
}

#[test]
fn clients_see_what_was_recorded_and_every_will_is_published() {
    let mut harness = Harness::cluster(3, settings());
    let watch = watcher(&mut harness);
    for (id, protocol, clean) in [
        ("c4", Protocol::V4, true),
        ("p4", Protocol::V4, false),
        ("c5", Protocol::V5, true),
        ("p5", Protocol::V5, false),
    ] {
        let conn = with_will(&mut harness, 3, id, protocol, clean);
        assert_eq!(harness.http(1, kick(id, false)).0, Some(done()));
        let told = line(REC, &format!("{id}@n3 v"), 1).contains("from_server_packet=True");
        assert_eq!(harness.seen(conn).closed, Some(CloseReason::Administrative));
        assert_eq!(protocol == Protocol::V5, told, "only v5 is told, with 0x98 = 152");
        let will = line(REC, &format!("WILL seen on n2: will/{id} "), 0);
        let got = harness.seen(watch).got.last().expect("a will");
        assert!(will.ends_with(&format!("{} b'gone'", got.topic)), "{will}");
    }
    // Persistent sessions survive; unknown and offline ids are `Done` too.
    for id in ["nosuch", "p4"] {
        assert_eq!(harness.http(1, kick(id, false)).0, Some(done()));
    }
    let back = harness.session(3, "p4", Protocol::V4, false);
    assert_eq!(harness.seen(back).connack, Some(true));
}

#[test]
fn cleanup_removes_the_session_and_v5_gets_a_bare_close() {
    let mut harness = Harness::cluster(3, settings());
    let watch = watcher(&mut harness);
    let p5 = with_will(&mut harness, 3, "p5", Protocol::V5, false);
    harness.subscribe(p5, "x", 1);
    let before = harness.metric(3, "queue_processes");
    harness.http(1, kick("p5", true));
    assert_eq!(harness.seen(p5).closed, Some(CloseReason::Plain));
    assert!(REC.contains("p5@n3 v5 DISCONNECTED rc=Unspecified error value=128 from_server_packet=False"));
    assert_eq!(harness.seen(watch).got.len(), 1, "the will all the same");
    assert_eq!(harness.metric(3, "queue_processes"), before - 1);
    let again = harness.session(3, "p5", Protocol::V5, false);
    assert_eq!(harness.seen(again).connack, Some(false));
}

/// It says `Done`, and does nothing for whom it would have to be asked with the mountpoint.
#[test]
fn a_session_of_another_mountpoint_is_touched_by_its_name_only() {
    let recorded = recording!("listeners_mountpoint_unix.txt");
    let mut harness = Harness::cluster(3, settings());
    let tenant = |id: &str| Connect { mountpoint: "tenant-b".into(), ..Connect::new(id, Protocol::V4, true) };
    let on = |harness: &mut Harness, connect| {
        let conn = harness.connect(3, connect);
        harness.run(2);
        conn
    };
    // Of the same id in two mountpoints neither takes over the other's session.
    let own = on(&mut harness, Connect::new("pB", Protocol::V4, true));
    let theirs = on(&mut harness, tenant("pB"));
    let columns = ["client_id", "mountpoint", "node", "statename"];
    let shown = columns.map(|name| SessionFlag::Column(name.into())).to_vec();
    let Some(Answer::Table(rows)) = harness.http(1, Command::SessionShow { flags: shown, limit: None }).0
    else {
        panic!("no table")
    };
    let cells = |row: &simulator::model::Row| {
        let text = |at: usize| format!("'{}': '{}'", row[at].0, row[at].1.as_str().unwrap_or_default());
        format!("{{{}, {}, 'node': ", text(0), text(1))
    };
    let rows: Vec<String> = rows.iter().map(cells).collect();
    let of_tenant = rows.iter().find(|row| row.contains("tenant-b")).expect("it is listed");
    assert!(line(recorded, "session/show {", 0).contains(of_tenant.as_str()), "{rows:?}");
    assert_eq!(rows.len(), 2, "{rows:?}");
    let only = vec![SessionFlag::Is("mountpoint".into(), "tenant-b".into())];
    let Some(Answer::Table(rows)) = harness.http(1, Command::SessionShow { flags: only, limit: None }).0
    else {
        panic!("no table")
    };
    assert_eq!(rows.len(), 1, "{}", line(recorded, "mountpoint filter", 0));

    for (without, with) in [
        ("disconnect pB w/o mountpoint", "disconnect with mountpoint"),
        ("disconnect/clients pB", "disconnect/clients with mountpoint"),
    ] {
        let command = |mountpoint: &str| {
            let (mountpoint, cleanup, id) = (mountpoint.to_owned(), false, Some("pB".to_owned()));
            if without.contains("clients") {
                let client_ids = id.map(|id| vec![id]);
                Command::DisconnectClients { client_ids, mountpoint, cleanup }
            } else {
                Command::SessionDisconnect { client_id: id, mountpoint, cleanup }
            }
        };
        assert!(
            line(recorded, without, 0).contains("'Done'") && line(recorded, without, 0).contains("nothing")
        );
        let theirs = if without.contains("clients") { on(&mut harness, tenant("pB")) } else { theirs };
        assert_eq!(harness.http(1, command("")).0, Some(done()));
        assert_eq!(harness.seen(theirs).closed, None);
        assert!(
            line(recorded, with, 0).contains("'Done'") && line(recorded, with, 0).contains("reset by peer")
        );
        assert_eq!(harness.http(1, command("tenant-b")).0, Some(done()));
        assert_eq!(harness.seen(theirs).closed, Some(CloseReason::Administrative));
    }
    assert!(
        harness.seen(own).closed.is_some(),
        "that of the broker's own mountpoint was asked for without one"
    );
}

#[test]
fn a_missing_key_is_answered_with_the_help_text() {
    let mut harness = Harness::cluster(1, settings());
    let want = line(REC, "/api/v1/session/disconnect -> 200", 0);
    let head = want.split("\"text\":\"").nth(1).expect("a text").split("\\n\\n").next().expect("a head");
    let commands = [
        Command::SessionDisconnect { client_id: None, mountpoint: String::new(), cleanup: false },
        Command::DisconnectClients { client_ids: None, mountpoint: String::new(), cleanup: false },
        Command::DisconnectBatch {
            count: None,
            nodes: vec![],
            mountpoint: String::new(),
            except: vec![],
            cleanup: false,
        },
    ];
    for command in commands {
        let Some(Answer::Alert(text)) = harness.http(1, command).0 else { panic!("no alert") };
        assert!(head.starts_with(text.lines().next().expect("a line")), "{text} against {head}");
    }
}

#[test]
fn the_clients_form_reaches_all_nodes_and_costs_as_recorded() {
    let cost = recording!("disconnect_cost.txt");
    let mut harness = Harness::cluster(3, settings());
    let conns: Vec<ConnId> = (0..1_000)
        .map(|s| {
            harness.connect(
                1 + u8::try_from(s % 3).expect("small"),
                Connect::new(format!("a{s}"), Protocol::V5, true),
            )
        })
        .collect();
    harness.run(2_000);
    for ids in [1, 10, 50, 400, 1_000] {
        let clients = (0..ids).map(|s| format!("a{s}")).collect();
        let (answer, ms) = harness.http(
            1,
            Command::DisconnectClients {
                client_ids: Some(clients),
                mountpoint: String::new(),
                cleanup: false,
            },
        );
        assert_eq!(answer, Some(done()));
        let recorded = line(cost, &format!("clients n={ids} "), 0);
        let want: f64 = recorded
            .split(" ms;")
            .next()
            .and_then(|t| t.rsplit(' ').next())
            .and_then(|t| t.parse().ok())
            .expect("ms");
        let got = std::time::Duration::from_millis(ms).as_secs_f64() * 1_000.0;
        assert!((got - want).abs() <= 2.0, "{ids} ids: {got} ms, recorded {want}");
    }
    assert!(conns.iter().all(|c| harness.seen(*c).closed == Some(CloseReason::Administrative)));
}

fn batch(harness: &mut Harness, n: &str, nodes: &[u8], except: &[&str]) {
    let command = Command::DisconnectBatch {
        count: Some(n.into()),
        nodes: nodes.iter().map(|k| name(*k)).collect(),
        mountpoint: String::new(),
        except: except.iter().map(|id| (*id).into()).collect(),
        cleanup: false,
    };
    assert_eq!(harness.http(1, command).0, Some(done()));
}

/// A recorded `batch`, over HTTP or by `vmq-admin`.
fn recorded_batch(line: &str) -> Command {
    let asked = line.split(" -> ").next().expect("a request");
    let value = |key: &str| {
        let word = asked.split(['?', '&', ' ']).find_map(|word| word.strip_prefix(key)?.strip_prefix('='));
        word.map(str::to_owned)
    };
    let list = |key: &str| -> Vec<String> {
        value(key).iter().flat_map(|value| value.split(',')).map(str::to_owned).collect()
    };
    let nodes = list("--node").into_iter().map(lifecycle::NodeName).collect();
    let except = list("--filter-client-ids");
    Command::DisconnectBatch {
        count: value("count"),
        nodes,
        mountpoint: String::new(),
        except,
        cleanup: false,
    }
}

/// All that was done with `batch`, line by line. Rows of offline queues count, and always the same come first.
#[test]
fn batch_cuts_whom_it_cut_in_the_recording() {
    let from = REC.find("== batch forms").expect("the part");
    let to = REC.find("vmq-admin session disconnect client-id=on0").expect("the next part");
    let mut harness = Harness::cluster(3, settings());
    // They are on from the part before.
    let mut clients = BTreeMap::from([
        ("p4", harness.session(3, "p4", Protocol::V4, false)),
        ("p5", harness.session(3, "p5", Protocol::V5, false)),
    ]);
    let mut cut = 0;
    let mut checked = 0;
    for line in REC[from..to].lines().skip(1) {
        let (id, rest) = line[10..].trim().split_once('@').unwrap_or_default();
        if line.contains("disconnect/batch?") || line.contains("disconnect batch ") {
            let answer = harness.http(1, recorded_batch(line)).0.expect("an answer");
            assert_eq!(answer == done(), !line.contains("\"alert\""), "{line}");
        } else if rest.contains("CONNACK") {
            let clean = !["o0", "o1", "o2", "o3", "o4"].contains(&id);
            clients.insert(id, harness.session(count(rest, "n"), id, Protocol::V4, clean));
        } else if rest.contains("Normal disconnection") {
            harness.goodbye(clients.remove(id).expect("it was on"));
        } else if rest.contains("DISCONNECTED") {
            cut += 1;
        } else if let Some((_, left)) = line.split_once("still connected: ") {
            let on = |id: &&str| harness.seen(clients[id]).closed.is_none();
            // The recorder's list is of those that it made for this part.
            let still: Vec<&str> =
                clients.keys().copied().filter(|id| !id.starts_with('p') && on(id)).collect();
            let recorded = left.split(" watch").next().expect("a list").replace('\'', "\"");
            assert_eq!(format!("{still:?}"), recorded, "{line}");
            assert_eq!(clients.keys().filter(|id| !on(id)).count(), cut, "{line}");
            checked += 1;
        }
    }
    assert_eq!(checked, 11);
}

#[test]
fn batch_counts_per_node_and_ands_its_nodes() {
    let cost = recording!("disconnect_cost.txt");
    let mut harness = Harness::cluster(3, settings());
    for k in 1..=3 {
        for s in 0..60 {
            harness.session(k, &format!("n{k}-{s}"), Protocol::V4, true);
        }
    }
    let online = |harness: &Harness| (1..=3).map(|k| harness.status(k).num_online).collect::<Vec<_>>();
    batch(&mut harness, "1", &[3, 2], &[]);
    batch(&mut harness, "0", &[3], &[]);
    batch(&mut harness, "abc", &[], &[]);
    assert_eq!(online(&harness), [60, 60, 60], "two nodes, zero and a word hit nobody");
    let per_node = line(cost, "batch count=50 no node", 0);
    batch(&mut harness, "50", &[], &[]);
    assert_eq!(online(&harness), [10, 10, 10], "{per_node}");
    let all: Vec<String> = (0..60).map(|s| format!("n1-{s}")).collect();
    let except: Vec<&str> = all.iter().map(String::as_str).collect();
    batch(&mut harness, "10", &[1], &except);
    assert_eq!(online(&harness)[0], 10, "filtered ones are never cut");
}

#[test]
fn show_has_the_recorded_columns_and_limits_per_node() {
    let api = recording!("http_api.txt");
    let mut harness = Harness::cluster(3, settings());
    for k in 1..=3 {
        for s in 0..120 {
            let peer = Some(host(k).http);
            let connect = Connect { peer, ..Connect::new(format!("n{k}-{s}"), Protocol::V4, true) };
            harness.connect(k, connect);
        }
    }
    harness.run(1_000);
    let mut rows =
        |flags: Vec<SessionFlag>, limit| match harness.http(1, Command::SessionShow { flags, limit }).0 {
            Some(Answer::Table(rows)) => rows,
            other => panic!("{other:?}"),
        };
    let table = rows(vec![], None);
    assert_eq!(table.len(), 300, "100 a node by default");
    let body =
        api.lines().find(|l| l.starts_with("{\"table\":[{\"client_id\":\"systest3\"")).expect("a body");
    let want: serde_json::Value = serde_json::from_str(body).expect("JSON");
    let want: Vec<String> = want["table"][0].as_object().expect("a row").keys().cloned().collect();
    let got: Vec<String> = table[0].iter().map(|(column, _)| column.clone()).collect();
    assert_eq!(got, want);
    let cost = recording!("api_cost_5000.txt");
    let limited: usize = count(line(cost, "rows (limit is per node?)", 0), "");
    let flags =
        || vec![SessionFlag::Column("client_id".into()), SessionFlag::Is("is_online".into(), "true".into())];
    assert_eq!(rows(flags(), Some(50)).len(), limited);
    let one = |k| SessionFlag::Is("node".into(), name(k).0);
    assert_eq!(rows([flags(), vec![one(3)]].concat(), Some(50)).len(), 50);
    let pattern = SessionFlag::Is("client_id".into(), "~n3-1.3".into());
    assert_eq!(rows(vec![pattern], Some(10_000)).len(), 2, "n3-103 and n3-113");
}

#[test]
fn with_a_member_dead_kicked_clients_cannot_come_back() {
    let rec = recording!("api_with_dead_member.txt");
    let mut harness = Harness::cluster(3, settings());
    let a1 = harness.session(1, "A-1", Protocol::V4, true);
    harness.signal(3, Signal::Kill);
    harness.run(1_000);
    assert_eq!(harness.http(1, kick("A-1", false)).0, Some(done()));
    assert!(line(rec, "/api/v1/session/disconnect?client-id=A-1", 0).contains("Done"));
    assert!(harness.seen(a1).closed.is_some());
    let back = harness.connect(1, Connect::new("A-1", Protocol::V4, true));
    assert!(harness.seen(back).refused.is_some(), "{}", line(rec, "connack_0x03@11", 0));
    let page = harness.model.status(&name(1));
    assert_eq!(page.nodes.len(), 2, "the dead node is just missing");
}
