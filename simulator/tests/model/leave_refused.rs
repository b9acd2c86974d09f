//! Leaves that do nothing, hang, or are revoked (docs/broker/leave.md).

use simulator::model::{
    Answer, ClusterModel, Command, Connect, Fault, Place, Protocol, Settings, Signal, Via,
};

use crate::harness::{Harness, host, leave, leave_without_kill, name, park, settings};
use crate::recording;
use crate::recording::{between, count, json_text, line, millis};

const DEAD: &str = recording!("dead_node_netsplit.txt");
const EDGE: &str = recording!("leave_edge_cases.txt");
const HANGING: &str = recording!("q2_hanging_leave_http.txt");
const ONLINE: &str = recording!("q4_still_online.txt");

fn text(answer: Option<Answer>) -> String {
    match answer {
        Some(Answer::Text(text)) => text,
        other => panic!("no text but {other:?}"),
    }
}

fn member() -> Command {
    leave(&name(2), 5)
}

#[test]
fn odd_arguments_are_answered_as_recorded() {
    let mut harness = Harness::cluster(2, settings());
    for (node, flags) in [("NoSuch@127.0.0.99", "-k -i 1 -t 5"), ("nonsense", "-k -i 1 -t 5")] {
        let want = recording::admin(DEAD, &format!("cluster leave node={node} {flags}"), 0);
        let (answer, _) = harness.admin(1, leave(&lifecycle::NodeName(node.into()), 5));
        assert_eq!((text(Some(answer.clone())), answer.exit_code()), (want.stdout, want.exit), "{node}");
    }
    let want = recording::admin(DEAD, "vmq-admin cluster leave", 0);
    let nobody = Command::ClusterLeave { node: None, kill: false, summary_interval: 5, timeout: 30 };
    let (answer, _) = harness.admin(1, nobody.clone());
    assert_eq!(answer, Answer::Alert(want.stdout));
    assert_eq!(answer.exit_code(), want.exit);
    let api = recording!("http_api.txt");
    let body = api.lines().skip_while(|l| !l.ends_with("/api/v1/cluster/leave")).nth(1).expect("a body");
    assert_eq!(harness.http(1, nobody).0.expect("an answer").json(), body);
    let want = recording::admin(DEAD, "node=VerneMQ2@127.0.0.12 -k -i 0 -t 5", 0);
    let zero = Command::ClusterLeave { node: Some(name(2)), kill: true, summary_interval: 0, timeout: 5 };
    let (answer, _) = harness.admin(1, zero);
    assert_eq!(answer.exit_code(), want.exit);
    let Answer::Failed { stderr, .. } = answer else { panic!("{answer:?}") };
    let head = want.stderr.lines().next().expect("a first line");
    assert!(stderr.starts_with(head), "{stderr}");
    assert!(stderr.contains("badarith") && want.stderr.contains("badarith"));
    assert_eq!(harness.show(1), "1=T 2=T");
}

#[test]
fn a_leave_by_vmq_admin_hangs_while_a_member_is_down_and_fires_later() {
    let mut harness = Harness::cluster(3, settings());
    harness.signal(3, Signal::Kill);
    harness.run(1_000);
    let (answer, ms) = harness.admin(1, member());
    let want = recording::admin(EDGE, "cluster leave node=VerneMQ2@127.0.0.12 -k -i 1 -t 5", 0);
    let expected = want.stderr.replace("VerneMQ1@127.0.0.11", &name(1).0);
    assert_eq!(answer, Answer::Failed { stdout: want.stdout, stderr: expected });
    assert!((60_100..=60_700).contains(&ms) && (60_100..=60_700).contains(&want.wall_ms), "{ms}");
    assert!(harness.model.listening(&name(2)), "n2 is untouched");
    harness.run(5_000);
    harness.boot(3);
    let fired = harness.until(20_000, |harness| !harness.model.http_up(&name(2)));
    assert!(fired.is_some(), "n2 leaves with nobody asking any more");
    harness.run(3_000);
    let after = line(EDGE, "after n3 came back: show", 0);
    assert!(after.contains(&format!("show {}", harness.show(1))), "{after}");
    assert!(harness.gone(2));
}

#[test]
fn a_leave_over_http_is_revoked_by_closing_before_it_begins() {
    for case in ["A1", "A2"] {
        let part = &HANGING[HANGING.find(&format!("===== {case}")).expect("the case")..];
        let closes = millis(line(part, "client closes after", 0), "closes after ");
        let mut harness = Harness::cluster(3, settings());
        harness.signal(3, Signal::Kill);
        harness.run(750);
        let call = harness.ask(1, member(), Via::Http);
        harness.run(closes);
        assert!(!harness.answers.contains_key(&call));
        harness.model.hang_up(call, lifecycle::Time(harness.now));
        harness.boot(3);
        harness.run(30_000);
        let left = between(line(part, "==> n5 left:", 0), "left: ", ";");
        assert_eq!(harness.gone(2).to_string(), left.to_lowercase());
        assert_eq!(harness.show(1), "1=T 2=T 3=T");
    }
}

#[test]
fn a_leave_over_http_fires_when_the_client_is_still_there() {
    let part = &HANGING[HANGING.find("===== B").expect("the case")..];
    let mut harness = Harness::cluster(3, settings());
    harness.signal(3, Signal::Kill);
    harness.run(400);
    let call = harness.ask(1, member(), Via::Http);
    harness.run(20_000);
    harness.boot(3);
    harness.until(30_000, |harness| harness.answers.contains_key(&call)).expect("an answer");
    let (_, answer) = harness.answers.remove(&call).expect("an answer");
    assert_eq!(text(answer), json_text(line(part, "HTTP reply after", 0)));
    harness.run(3_000);
    assert!(harness.gone(2));
}

#[test]
fn a_hanging_request_is_cut_at_60_s_and_then_dead() {
    let part = &HANGING[HANGING.find("===== C").expect("the case")..];
    let cut = line(part, "HTTP reply after", 0);
    assert!(cut.ends_with("EOF"));
    let mut harness = Harness::cluster(3, settings());
    harness.signal(3, Signal::Kill);
    harness.run(400);
    let (answer, ms) = harness.http(1, member());
    assert_eq!(answer, None, "no status line at all");
    assert!(ms.abs_diff(millis(cut, "after ")) <= 50, "{ms}");
    harness.run(16_000);
    harness.boot(3);
    harness.run(30_000);
    assert_eq!(harness.show(1), "1=T 2=T 3=T", "nothing fires");
}

#[test]
fn a_waiting_leave_dies_with_its_issuer() {
    for (case, signal) in [("===== D", Signal::Kill), ("===== E", Signal::Term)] {
        let part = HANGING.find(case).map_or("", |at| &HANGING[at..]);
        let mut harness = Harness::cluster(3, settings());
        harness.signal(3, Signal::Kill);
        harness.run(400);
        let call = harness.ask(1, member(), Via::Http);
        harness.run(5_000);
        harness.signal(1, signal);
        let (_, answer) = harness.answers.remove(&call).expect("it ends");
        match signal {
            Signal::Kill => assert_eq!(answer, None),
            Signal::Term => {
                assert_eq!(answer, Some(Answer::HttpStatus(500)));
                assert!(part.contains("HTTP/1.1 500"));
            }
        }
        harness.run(2_000);
        harness.boot(1);
        harness.boot(3);
        harness.run(30_000);
        assert_eq!(harness.show(2), "1=T 2=T 3=T", "{case}");
    }
}

#[test]
fn the_last_node_loses_its_listener_and_lives() {
    let flood = recording!("flood_scale_down_3_to_1.txt");
    let undo = recording!("last_node_and_undo.txt");
    let mut harness = Harness::cluster(1, settings());
    let want = recording::admin(flood, "cluster leave node=VerneMQ1@127.0.0.11 -k -i 1 -t 5", 0);
    let (answer, _) = harness.admin(1, leave(&name(1), 5));
    assert_eq!((text(Some(answer.clone())), answer.exit_code()), (want.stdout, want.exit));
    harness.run(5_000);
    assert!(!harness.gone(1) && !harness.model.listening(&name(1)));
    assert_eq!(harness.health(1).0, 200, "healthy without a listener");
    let start = Command::ListenerStart { place: Place::Tcp(host(1).mqtt) };
    let restart = Command::ListenerRestart { place: Place::Tcp(host(1).mqtt) };
    let want = recording::admin(undo, "listener start address=127.0.0.11 port=1883", 0);
    assert_eq!(text(Some(harness.admin(1, start.clone()).0)), want.stdout);
    harness.session(1, "h0", Protocol::V4, true);
    let (Some(shown), _) = harness.http(1, Command::ListenerShow) else { panic!("no listeners") };
    assert!(shown.json().contains(r#""max_conns":"infinity""#) && undo.contains(r#""max_conns":"infinity""#));
    // Undo of a leave without -k.
    harness.admin(1, leave_without_kill(&name(1)));
    let want = recording::admin(undo, "listener start address=127.0.0.11 port=1883", 1);
    assert_eq!(text(Some(harness.admin(1, start).0)), want.stdout);
    assert!(!harness.model.listening(&name(1)));
    let want = recording::admin(undo, "listener restart address=127.0.0.11 port=1883", 0);
    assert_eq!(text(Some(harness.admin(1, restart).0)), want.stdout);
    harness.session(1, "h2", Protocol::V4, true);
    assert_eq!(harness.health(1).0, 200);
}

#[test]
fn a_build_that_differs_is_noproc_but_the_target_itself_may_be_asked() {
    let rec = recording!("q5_mixed_build_leave.txt");
    let mut harness = Harness::empty(settings());
    for k in [1, 2, 3] {
        let mut host = host(k);
        if k == 2 {
            host.build = "2.1.2 and a dummy function".into();
        }
        harness.model.boot(&name(k), &host, None, lifecycle::Time(harness.now));
    }
    harness.run(4_000);
    for k in [2, 3] {
        harness.http(k, Command::ClusterJoin { peer: name(1) });
    }
    harness.run(20_000);
    let refused = json_text(line(rec, "HTTP reply after", 0));
    assert_eq!(text(harness.http(1, leave(&name(2), 30)).0), refused);
    let (answer, _) = harness.admin(1, leave(&name(2), 30));
    assert!(rec.contains(&format!("| {}", text(Some(answer.clone())))) && answer.exit_code() == 0);
    assert!(harness.model.listening(&name(2)), "the target is untouched");
    assert_eq!(text(harness.http(2, leave(&name(2), 30)).0), json_text(line(rec, "HTTP reply after", 1)));
    harness.run(3_000);
    assert_eq!(harness.show(1), "1=T 3=T");
}

#[test]
fn asking_again_while_it_stops_is_noproc_and_later_done() {
    let rec = recording!("rejoin_variants_retained_sys_in_netsplit.txt");
    let command = "cluster leave node=VerneMQ3@127.0.0.13 -k -i 1 -t 30";
    let mut harness = Harness::cluster(3, settings());
    harness.http(1, leave(&name(3), 30));
    assert_eq!(text(harness.http(1, leave(&name(3), 30)).0), recording::admin(rec, command, 2).stdout);
    harness.run(4_000);
    assert_eq!(text(harness.http(1, leave(&name(3), 30)).0), recording::admin(rec, command, 3).stdout);
}

fn pin(harness: &mut Harness, on: bool) {
    let fault = Fault::PinSession { node: name(3), client_id: "s0".into(), on };
    harness.model.fault(&fault, lifecycle::Time(harness.now));
}

#[test]
fn a_session_that_will_not_end_is_still_online() {
    let part = &ONLINE[ONLINE.find("== E:").expect("part E")..];
    let mut harness = Harness::cluster(3, settings());
    for s in 0..10 {
        park(&mut harness, 3, &format!("s{s}"), "q/#", 1);
    }
    let publisher = harness.session(1, "pub", Protocol::V4, true);
    for m in 0..5 {
        harness.publish(publisher, "q/x", &m.to_string(), 1);
    }
    pin(&mut harness, true);
    for nth in 0..2 {
        let (answer, ms) = harness.http(1, leave(&name(3), 2));
        let reply = line(part, "HTTP reply after", nth);
        assert_eq!(text(answer), json_text(reply));
        assert!(ms.abs_diff(millis(reply, "after ")) <= 50, "{ms}");
    }
    assert!(!harness.model.listening(&name(3)), "1883 is refused");
    assert_eq!((harness.show(1), harness.health(3).0), ("1=T 2=T 3=T".into(), 200));
    assert_eq!(harness.status(3).num_online, 0, "it does not show the culprit");
    let place = || Place::Tcp(host(3).mqtt);
    let (answer, _) = harness.http(3, Command::ListenerRestart { place: place() });
    assert!(part.contains("(500, '')") && answer == Some(Answer::HttpStatus(500)));
    assert_eq!(text(harness.http(3, Command::ListenerStart { place: place() }).0), "Done");
    let conn = harness.session(3, "s1", Protocol::V4, false);
    harness.run(100);
    assert_eq!(harness.seen(conn).connack, Some(true), "20 02 01 00");
    harness.goodbye(conn);
    pin(&mut harness, false);
    assert_eq!(text(harness.http(1, leave(&name(3), 2)).0), json_text(line(part, "HTTP reply after", 2)));
    harness.run(3_000);
    let mut received = 5;
    for s in (0..10).filter(|s| *s != 1) {
        let conn = harness.session(1, &format!("s{s}"), Protocol::V4, false);
        harness.run(20);
        received += harness.seen(conn).got.len();
    }
    assert_eq!(received, count::<usize>(line(part, "reconnected 10 sessions", 0), "received "));
}

#[test]
fn a_stuck_migration_stays_armed_and_fires_when_the_queue_ends() {
    let part = &ONLINE[ONLINE.find("== C:").expect("part C")..];
    let mut harness = Harness::cluster(3, settings());
    for s in 0..10 {
        park(&mut harness, 3, &format!("s{s}"), "q/#", 1);
    }
    let stick = |on| Fault::StickQueue { node: name(3), client_id: "s0".into(), on };
    harness.model.fault(&stick(true), lifecycle::Time(harness.now));
    for nth in 0..2 {
        let (answer, ms) = harness.http(1, leave(&name(3), 2));
        assert_eq!(answer, None);
        assert!(ms.abs_diff(millis(line(part, "HTTP reply after", nth), "after ")) <= 50);
        assert_eq!((harness.show(1), harness.health(3).0), ("1=T 2=T 3=T".into(), 200));
        assert!(harness.metric(3, "queue_processes") > 0);
    }
    let place = || Place::Tcp(host(3).mqtt);
    harness.http(3, Command::ListenerStart { place: place() });
    harness.connect(3, Connect::new("late", Protocol::V4, true));
    harness.model.fault(&stick(false), lifecycle::Time(harness.now));
    let fired = harness.until(2_000, |harness| !harness.model.http_up(&name(3)));
    assert!(fired.is_some(), "the leave fires with both connections long closed");
    harness.run(5_000);
    assert!(harness.gone(3));
    let reply = line(part, "HTTP reply after 0.00", 0);
    assert!(json_text(reply).contains("noproc"), "{reply}");
}

#[test]
fn killing_the_target_disarms_a_stuck_leave() {
    let mut harness = Harness::cluster(3, settings());
    park(&mut harness, 3, "s0", "q/#", 1);
    let stick = Fault::StickQueue { node: name(3), client_id: "s0".into(), on: true };
    harness.model.fault(&stick, lifecycle::Time(harness.now));
    let call = harness.ask(1, leave(&name(3), 2), Via::Http);
    harness.run(5_000);
    harness.signal(3, Signal::Kill);
    harness.run(2_000);
    assert!(matches!(harness.answers.remove(&call), Some((_, Some(Answer::Text(_))))));
    harness.boot(3);
    harness.run(30_000);
    assert_eq!(harness.show(1), "1=T 2=T 3=T", "it is a member still");
    assert_eq!(harness.status(3).num_offline, 1, "with its queue");
}

#[test]
fn nothing_happens_on_a_model_without_nodes() {
    let mut model = ClusterModel::new(Settings::default());
    assert_eq!(model.next_due(), None);
    let call = model.request(&name(9), Command::ClusterShow, Via::Http, lifecycle::Time(5));
    assert_eq!(model.take_events().len(), 1, "connection refused: {call:?}");
}
