//! `cluster leave` of a node that lives (`leave_full_semantics.txt`).

use std::time::Duration;

use lifecycle::Time;
use simulator::model::{Answer, CloseReason, Command, Connect, Fault, Protocol, Settings, Spread, Via};

use crate::harness::{Harness, leave, leave_without_kill, name, settings};
use crate::recording;
use crate::recording::{at_ms, between, count, health, line, millis, shown};

const FULL: &str = recording!("leave_full_semantics.txt");

/// The recorded sessions on n3: two live ones, 500 and 300 messages offline,
/// 100 for one that never acknowledges.
fn recorded_setup() -> (Harness, [simulator::model::ConnId; 3]) {
    let mut harness = Harness::cluster(3, settings());
    let live = harness.session(3, "c3live", Protocol::V4, true);
    harness.subscribe(live, "live/#", 1);
    let live5 = harness.session(3, "c3v5", Protocol::V5, true);
    harness.subscribe(live5, "live/#", 1);
    crate::harness::park(&mut harness, 3, "p3", "q/p3", 1);
    let p35 = harness.session(3, "p35", Protocol::V5, false);
    harness.subscribe(p35, "q/p35", 2);
    harness.goodbye(p35);
    let on = harness.session(3, "p3on", Protocol::V4, false);
    harness.clients.get_mut(&on).expect("it is there").mute = true;
    harness.subscribe(on, "q/on", 1);
    for (k, topic, qos) in [(1, "q/p3", 1), (2, "q/p35", 2), (1, "q/on", 1)] {
        let bulk = harness.session(k, "bulk", Protocol::V4, true);
        let published: u32 = count(line(FULL, &format!("to {topic} via n{k}"), 0), "published ");
        for m in 0..published {
            harness.publish(bulk, topic, &m.to_string(), qos);
        }
        harness.goodbye(bulk);
    }
    harness.run(1_000);
    (harness, [live, live5, on])
}

#[test]
fn twenty_are_in_flight() {
    let (harness, [.., on]) = recorded_setup();
    let recorded: usize = count(line(FULL, "never acks) got so far", 0), "so far: ");
    assert_eq!(harness.seen(on).got.len(), recorded);
}

#[test]
fn without_kill_the_listener_is_suspended_and_sessions_go_on() {
    let (mut harness, [live, ..]) = recorded_setup();
    let (answer, _) = harness.admin(1, leave_without_kill(&name(3)));
    let recorded = recording::admin(FULL, "cluster leave node=VerneMQ3@127.0.0.13 -i 1 -t 30", 0);
    assert_eq!(answer, Answer::Text(recorded.stdout));
    assert_eq!((answer.exit_code(), recorded.exit), (0, 0));
    assert!(!harness.model.listening(&name(3)));
    let watched = line(FULL, "watch n3: cluster/show: 1=T 2=T 3=T | /health 503", 0);
    assert_eq!(harness.health(3), health(watched));
    assert_eq!(harness.show(3), shown(watched));
    let (Some(listeners), _) = harness.http(3, Command::ListenerShow) else { panic!("no listeners") };
    let expected = &line(FULL, "n3 listeners:", 0)["[   4.68] n3 listeners: ".len()..];
    let (mut got, mut want): (serde_json::Value, serde_json::Value) = (
        serde_json::from_str(&listeners.json()).expect("JSON"),
        serde_json::from_str(expected).expect("recorded JSON"),
    );
    // How many HTTP calls are open at that moment is the recorder's business.
    for table in [&mut got, &mut want] {
        table["table"][1]["active_conns"] = 1.into();
        table["table"][1]["all_conns"] = 1.into();
    }
    assert_eq!(got, want);
    let publisher = harness.session(1, "pubc", Protocol::V4, true);
    harness.publish(publisher, "live/x", "x", 1);
    harness.publish(live, "live/y", "y", 1);
    let recorded: usize = count(line(FULL, "c3live can publish", 0), "got ");
    assert_eq!(harness.seen(live).got.len(), recorded);
}

#[test]
fn the_seed_command_prints_progress_and_then_done() {
    let (mut harness, [live, live5, on]) = recorded_setup();
    harness.admin(1, leave_without_kill(&name(3)));
    let asked = harness.now;
    let call = harness.ask(1, leave(&name(3), 30), Via::Admin);
    for conn in [live, live5, on] {
        assert_eq!(harness.seen(conn).closed, Some(CloseReason::Plain), "no DISCONNECT packet, even for v5");
    }
    harness.run(260);
    assert_eq!(harness.health(3), health(line(FULL, "watch n3: cluster/show: 1=T 2=T 3=T | /health 200", 1)));
    let watched = line(FULL, "watch n3: cluster/show: 1=T 2=T | /health 503", 0);
    assert!(harness.until(2_000, |harness| harness.health(3) == health(watched)).is_some());
    assert_eq!(harness.show(3), shown(watched), "it is out of its own view first");
    harness.until(3_000, |harness| harness.answers.contains_key(&call)).expect("it ends");
    let (at, answer) = harness.answers.remove(&call).expect("the answer");
    let recorded = recording::admin(FULL, "cluster leave node=VerneMQ3@127.0.0.13 -k -i 1 -t 30", 0);
    let Some(Answer::Text(text)) = answer else { panic!("{answer:?}") };
    let (got, want): (Vec<&str>, Vec<&str>) = (text.lines().collect(), recorded.stdout.lines().collect());
    assert_eq!(got.first(), want.first());
    assert_eq!(got[got.len() - 2..], want[want.len() - 2..], "all queues, all messages, `Done`");
    let took = at - asked;
    assert!(took >= 1_000 && took <= recorded.wall_ms, "{took} ms, recorded {}", recorded.wall_ms);
}

#[test]
fn the_node_stops_itself_and_the_others_drop_it() {
    let (mut harness, _) = recorded_setup();
    let (answer, _) = harness.http(1, leave(&name(3), 30));
    assert_eq!(answer, Some(Answer::Text("Done".into())));
    let done = harness.now;
    let recorded = millis(line(FULL, "n3 OS process gone", 0), "gone ");
    harness.until(5_000, |harness| !harness.model.http_up(&name(3))).expect("HTTP ends first");
    assert!(harness.now - done < 100 && !harness.gone(3));
    harness.until(5_000, |harness| harness.gone(3)).expect("it stops");
    assert!((harness.now - done).abs_diff(recorded) <= 50, "{} against {recorded}", harness.now - done);
    let last = line(FULL, "watch n1: cluster/show: 1=T 2=T | /health", 0);
    harness.run(300);
    assert_eq!((harness.show(1), harness.show(2)), (shown(last), shown(last)));
}

/// `leave_edge_cases.txt` F2: n2 drops the leaver at once, n1 lists it as running until its process ends.
#[test]
fn members_can_disagree_for_six_seconds() {
    let rec = recording!("leave_edge_cases.txt");
    let done = at_ms(line(rec, "cluster leave node=VerneMQ3@127.0.0.13 -k -i 1 -t 1", 0));
    let [n1, n2] = ["n1", "n2"].map(|n| line(rec, &format!("watch {n}: cluster/show: 1=T 2=T |"), 0));
    let recorded = at_ms(n1) - done;
    // The process was there at this line, and gone at the next.
    let lived = at_ms(line(rec, "5s later: show 1=T 2=T 3=T n3 pid 20519", 0)) - done;
    let gone = at_ms(line(rec, "show 1=T 2=T n3 pid ", 0)) - done;
    let mut settings = settings();
    let exit = recorded - settings.timing.leave_seen_at_end.min;
    assert!((lived..gone).contains(&exit));
    settings.timing.leave_exit = Spread::exactly(exit);
    settings.timing.leave_seen_at_end = Spread::exactly(settings.timing.leave_seen_at_end.min);
    settings.rates.leave_told_percent = 100;
    let mut harness = Harness::cluster(3, settings);
    for s in 0..1_500 {
        harness.connect(3, Connect::new(format!("s{s}"), Protocol::V4, false));
    }
    harness.until(20_000, |harness| harness.status(3).num_online == 1_500).expect("all are online");
    harness.model.fault(&Fault::DeafToLeaves { node: name(1), on: true }, Time(harness.now));
    assert_eq!(harness.http(1, leave(&name(3), 1)).0, Some(Answer::Text("Done".into())));
    let said = harness.now;
    harness.until(1_500, |harness| harness.model.members_seen_by(&name(2)).len() == 2).expect("n2 drops it");
    assert_eq!((harness.show(2), harness.show(1)), (shown(n2), "1=T 2=T 3=T".into()));
    harness.run(said + lived - harness.now);
    assert_eq!(harness.show(1), "1=T 2=T 3=T", "still");
    let again = recording::admin(rec, "cluster leave node=VerneMQ3@127.0.0.13 -k -i 1 -t 30", 0);
    assert_eq!(harness.http(1, leave(&name(3), 30)).0, Some(Answer::Text(again.stdout)), "it is stopping");
    harness
        .until(3_000, |harness| harness.model.members_seen_by(&name(1)).len() == 2)
        .expect("n1 drops it, too");
    assert!((harness.now - said).abs_diff(recorded) <= 50, "{} ms, recorded {recorded}", harness.now - said);
    assert_eq!((harness.show(1), harness.gone(3)), (shown(n1), true));
}

/// Milliseconds from `Done` over HTTP to each survivor's `cluster show` without the leaver, (coordinator's first), in every
/// recorded leave of a cluster of three that another member was asked for and that was watched.
fn drops() -> Vec<[u64; 2]> {
    // The coordinator, the other survivor, and how the leave is told from the others in its file.
    let all = [
        (recording!("q1_leave_small_1000.txt"), "n1", "n2", "HTTP reply after 5.23 s", "1=T 2=T |"),
        (recording!("q4_still_online.txt"), "n4", "n5", "HTTP reply after 4.14 s", "4=T 5=T |"),
        (recording!("q4_still_online.txt"), "n4", "n5", "HTTP reply after 1.78 s", "4=T 5=T |"),
        (recording!("q4_still_online.txt"), "n4", "n5", "HTTP reply after 1.71 s", "4=T 5=T |"),
        (recording!("q2_hanging_leave_http.txt"), "n4", "n6", "HTTP reply after 28.52 s", "4=T 6=T |"),
        (
            recording!("leave_edge_cases.txt"),
            "n1",
            "n2",
            "--timeout=30 -> (200, '{\"text\":\"Done\"",
            "1=T 2=T |",
        ),
    ];
    let drop = |rec: &str, survivor: &str, done: &str, rest: &str| {
        let mut lines = rec.lines().skip_while(|line| !line.contains(done));
        let said = at_ms(lines.next().expect("it is answered"));
        let dropped = lines.find(|line| line.contains(&format!("watch {survivor}: ")) && line.contains(rest));
        at_ms(dropped.expect("it is dropped")) - said
    };
    all.iter()
        .map(|(rec, coordinator, other, done, rest)| [coordinator, other].map(|n| drop(rec, n, done, rest)))
        .collect()
}

/// One survivor may be told at once, never the one that was asked; the rest lose it with the end of its process.
#[test]
fn survivors_drop_a_leaver_when_they_did_in_the_recordings() {
    let timing = settings().timing;
    let watched = 100; // The recorder looked so often (README of the recordings).
    let end = timing.leave_exit.min..=timing.leave_exit.max;
    let late = end.start() - watched..=end.end() + timing.leave_seen_at_end.max + watched;
    let recorded = drops();
    let early = |[coordinator, other]: &&[u64; 2]| {
        assert!(late.contains(coordinator), "the coordinator never is the first: {recorded:?}");
        let told = *other <= timing.leave_seen.max + watched;
        assert!(told || late.contains(other), "{other} ms in {recorded:?}");
        told
    };
    let told = recorded.iter().filter(early).count();
    assert!(told > 0 && told < recorded.len(), "some are told, some are not: {recorded:?}");

    let mut seen = Vec::new();
    for seed in 0..40 {
        let mut harness = Harness::cluster(3, Settings { seed, ..settings() });
        assert_eq!(harness.http(1, leave(&name(3), 30)).0, Some(Answer::Text("Done".into())));
        let said = harness.now;
        let mut drop = |k| {
            harness
                .until(2_000, |harness| harness.model.members_seen_by(&name(k)).len() == 2)
                .expect("it is dropped");
            harness.now - said
        };
        seen.push([drop(2), drop(1)]);
    }
    let early = seen.iter().filter(|[other, _]| *other <= timing.leave_seen.max).count();
    assert!((12..=28).contains(&early), "{early} of 40 were told at once");
    assert!(seen.iter().all(|[_, coordinator]| late.contains(coordinator)), "{seen:?}");
}

/// Nobody listens in the leaver from `Done` on, while the coordinator lists it until its process has ended.
#[test]
fn a_leaver_falls_silent_long_before_the_coordinator_drops_it() {
    let rec = recording!("leaver_after_done.txt");
    let ms = |text: &str| -> u64 {
        let digits: String = text.chars().take_while(|c| c.is_ascii_digit() || *c == '.').collect();
        let seconds = digits.trim_end_matches('.').parse::<f64>().expect("seconds");
        Duration::from_secs_f64(seconds).as_millis().try_into().expect("few")
    };
    let after = |line: &str, text: &str| ms(line.split_once(text).expect("it is told").1);
    let leaves: Vec<[&str; 2]> = rec
        .lines()
        .filter(|line| line.contains("process ended Done+"))
        .zip(rec.lines().filter(|line| line.contains("leaver says: ")))
        .map(|(leave, says)| [leave, says])
        .collect();
    assert_eq!(leaves.len(), 4, "{rec}");
    let timing = settings().timing;
    for [leave, says] in &leaves {
        // The last of what it was seen to say.
        let (before, _) = says.split_once(", (\"{'err': '<urlopen error [Errno 111]").expect("it refuses");
        let refuses = ms(before.rsplit('(').next().expect("a time").trim_start_matches('-'));
        assert!(refuses <= timing.leave_http_down.max, "{says}");
        let dropped = after(leave, "issuer drops it at Done+");
        let ended = after(leave, "process ended Done+");
        assert!(dropped >= timing.leave_exit.min && ended >= timing.leave_exit.min, "{leave}");
        assert!(dropped <= timing.leave_exit.max + timing.leave_seen_at_end.max, "{leave}");
    }
    let mut harness = Harness::cluster(3, settings());
    assert_eq!(harness.http(1, leave(&name(3), 30)).0, Some(Answer::Text("Done".into())));
    harness
        .until(timing.leave_http_down.max, |harness| !harness.model.http_up(&name(3)))
        .expect("nobody listens");
    assert_eq!(harness.show(1), "1=T 2=T 3=T");
    harness.run(timing.leave_exit.max + timing.leave_seen_at_end.max);
    assert_eq!(harness.show(1), "1=T 2=T");
}

#[test]
fn nothing_is_lost_and_what_was_in_flight_comes_as_duplicate() {
    let (mut harness, _) = recorded_setup();
    harness.http(1, leave(&name(3), 30));
    harness.run(3_000);
    let bulk = harness.session(1, "bulk", Protocol::V4, true);
    for m in 0..10 {
        harness.publish(bulk, "q/p3", &format!("late{m}"), 1);
    }
    let back = |harness: &mut Harness, k, id: &str, protocol| {
        let conn = harness.connect(k, Connect::new(id, protocol, false));
        harness.until(2_000, |harness| harness.seen(conn).connack.is_some()).expect("accepted");
        harness.run(100);
        assert_eq!(harness.seen(conn).connack, Some(true));
        conn
    };
    let p3 = back(&mut harness, 1, "p3", Protocol::V4);
    let want = line(FULL, "p3 received", 0);
    assert_eq!(harness.seen(p3).got.len(), count::<usize>(want, "received "));
    let order: Vec<String> =
        (0..500).map(|m| m.to_string()).chain((0..10).map(|m| format!("late{m}"))).collect();
    assert_eq!(harness.payloads(p3) == order, want.contains("order ok: True"));
    let p35 = back(&mut harness, 1, "p35", Protocol::V5);
    let want = line(FULL, "p35 received", 0);
    let distinct: std::collections::BTreeSet<_> = harness.payloads(p35).into_iter().collect();
    assert_eq!(harness.seen(p35).got.len(), count::<usize>(want, "received "));
    assert_eq!(distinct.len(), count::<usize>(want, "distinct "));
    let on = back(&mut harness, 2, "p3on", Protocol::V4);
    let want = line(FULL, "p3on received", 0);
    assert_eq!(harness.seen(on).got.len(), count::<usize>(want, "received "));
    let dups = harness.seen(on).got.iter().filter(|g| g.dup).count();
    assert_eq!(dups, count::<usize>(want, "dup flags "));
    assert_eq!(between(want, "[(", ","), format!("'{}'", harness.seen(on).got[0].topic));
}
