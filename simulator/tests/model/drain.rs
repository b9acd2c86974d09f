//! Draining a node: paced or in one go, and queues that are pulled
//! (docs/broker/drain.md).

use std::collections::BTreeSet;

use simulator::model::{Answer, Command, ConnId, Connect, Protocol, SessionFlag};

use crate::harness::{Harness, leave, leave_without_kill, name, park, park_many, settings};
use crate::recording;
use crate::recording::{count, line};

fn listed(harness: &mut Harness, filter: (&str, &str), limit: usize) -> Vec<String> {
    let flags = vec![
        SessionFlag::Column("client_id".into()),
        SessionFlag::Is(filter.0.into(), filter.1.into()),
        SessionFlag::Is("node".into(), name(3).0),
    ];
    match harness.http(1, Command::SessionShow { flags, limit: Some(limit) }).0 {
        Some(Answer::Table(rows)) => {
            rows.into_iter().map(|row| row[0].1.as_str().expect("an id").to_owned()).collect()
        }
        other => panic!("{other:?}"),
    }
}

/// 300 persistent clients on n3 that come back at once on n1 or n2.
fn persistent(harness: &mut Harness) -> Vec<ConnId> {
    (0..300)
        .map(|s| {
            let conn = harness.session(3, &format!("B-{s}"), Protocol::V4, false);
            harness.subscribe(conn, &format!("d/{s}"), 1);
            conn
        })
        .collect()
}

/// Drains n3 at 50 clients a second; how often each client was cut.
fn paced_drain(filter: (&str, &str)) -> (Harness, Vec<ConnId>, Vec<u32>) {
    let mut harness = Harness::cluster(3, settings());
    let mut conns = persistent(&mut harness);
    let mut cuts = vec![0; conns.len()];
    harness.http(1, leave_without_kill(&name(3)));
    let publisher = harness.session(1, "pub", Protocol::V4, true);
    for batch in 0..400_u32 {
        let ids = listed(&mut harness, filter, 10);
        if ids.is_empty() {
            break;
        }
        let command =
            Command::DisconnectClients { client_ids: Some(ids), mountpoint: String::new(), cleanup: false };
        harness.ask(1, command, simulator::model::Via::Http);
        for s in 0..conns.len() {
            if harness.seen(conns[s]).closed.is_some() {
                cuts[s] += 1;
                let k = 1 + u8::try_from((s + batch as usize) % 2).expect("small");
                conns[s] = harness.connect(k, Connect::new(format!("B-{s}"), Protocol::V4, false));
            }
            harness.publish(publisher, &format!("d/{s}"), &batch.to_string(), 1);
        }
        harness.run(200);
    }
    (harness, conns, cuts)
}

#[test]
fn by_statename_each_client_is_cut_once() {
    let rec = recording!("drain_paced_50_1112.txt");
    let b = line(rec, "B      p4", 0);
    let (mut harness, conns, cuts) = paced_drain(("statename", "online"));
    assert_eq!(count::<u32>(b, "outages=") / count::<u32>(b, " n="), 1);
    assert!(cuts.iter().all(|n| *n == 1), "{cuts:?}");
    harness.run(2_000);
    for conn in &conns {
        assert_eq!(harness.seen(*conn).connack, Some(true));
    }
    assert_eq!(harness.status(3).num_online, 0);
    assert_eq!(harness.http(1, leave(&name(3), 30)).0, Some(Answer::Text("Done".into())));
}

#[test]
fn by_is_online_clients_are_cut_again_where_they_have_gone() {
    let rec = recording!("drain_paced_50_1112_is_online_filter.txt");
    let b = line(rec, "B      p4", 0);
    let recorded = count::<u32>(b, "outages=") / count::<u32>(b, " n=");
    let (.., cuts) = paced_drain(("is_online", "true"));
    let mean = cuts.iter().sum::<u32>() / u32::try_from(cuts.len()).expect("small");
    assert!(mean >= 2 && mean <= recorded + 1, "{mean} cuts each, recorded {recorded}");
}

#[test]
fn a_queue_is_pulled_in_a_tenth_of_a_second() {
    let rec = recording!("rebalance.txt");
    let b = line(rec, "B      p4", 0);
    let (p50, p99) = (recording::millis(b, "p50="), recording::millis(b, "p99="));
    let mut harness = Harness::cluster(3, settings());
    park(&mut harness, 3, "p", "q/p", 1);
    let publisher = harness.session(1, "pub", Protocol::V4, true);
    for m in 0..10 {
        harness.publish(publisher, "q/p", &m.to_string(), 1);
    }
    let start = harness.now;
    let conn = harness.connect(1, Connect::new("p", Protocol::V4, false));
    harness.run(2);
    assert_eq!(
        (harness.status(1).num_online, harness.status(1).num_offline),
        (2, -1),
        "wrong while it waits"
    );
    assert_eq!(harness.status(3).num_offline, 1);
    assert_eq!(listed(&mut harness, ("is_online", "true"), 10), ["p"], "state drain");
    assert_eq!(listed(&mut harness, ("statename", "drain"), 10), ["p"]);
    harness.until(1_000, |harness| harness.seen(conn).connack.is_some()).expect("accepted");
    let took = harness.now - start;
    assert!((p50 - 10..=p99 + 20).contains(&took), "{took} ms, recorded {p50}–{p99}");
    assert_eq!(harness.payloads(conn), (0..10).map(|m| m.to_string()).collect::<Vec<_>>());
    assert!(harness.seen(conn).got.iter().all(|g| !g.dup));
    assert_eq!(harness.metric(3, "queue_message_out"), 10);
    harness.run(500);
    assert!(listed(&mut harness, ("is_online", "true"), 10).is_empty());
}

#[test]
fn a_thousand_at_once_take_4500_ms() {
    let rec = recording!("queue_migration_collapse_500ps.txt");
    let recorded = recording::millis(line(rec, "Q1: 1000 reconnect", 0), "all CONNACKed ");
    let mut harness = Harness::cluster(3, settings());
    park_many(&mut harness, 3, 1_000, |s| format!("t/{s}"));
    let start = harness.now;
    let conns: Vec<ConnId> = (0..1_000_u32)
        .map(|s| {
            let k = 1 + u8::try_from(s % 2).expect("small");
            harness.connect(k, Connect::new(format!("s{s}"), Protocol::V4, false))
        })
        .collect();
    harness
        .until(20_000, |harness| conns.iter().all(|c| harness.seen(*c).connack == Some(true)))
        .expect("all");
    let took = harness.now - start;
    assert!(took.abs_diff(recorded) < 800, "{took} ms, recorded {recorded}");
}

/// Reconnects 5000 clients at `rate` a second with a CONNACK limit of 15 s;
/// how many were up after 92 s.
fn reconnect(rate: usize) -> (Harness, usize) {
    let mut harness = Harness::cluster(3, settings());
    park_many(&mut harness, 3, 5_000, |s| format!("t/{}", s / 10));
    let start = harness.now;
    let mut conns: Vec<Option<(ConnId, u64, usize)>> = vec![None; 5_000];
    let mut begun = 0;
    while harness.now - start < 92_000 {
        begun = (begun + rate).min(5_000);
        for (s, slot) in conns.iter_mut().enumerate().take(begun) {
            let try_again = match slot {
                None => Some(0),
                Some((conn, at, tries)) => {
                    let waits = harness.seen(*conn).connack.is_none();
                    let late = waits && harness.now - *at > 15_000;
                    if late {
                        harness.model.disconnect(
                            *conn,
                            simulator::model::Goodbye::Lost,
                            lifecycle::Time(harness.now),
                        );
                    }
                    (late || harness.seen(*conn).closed.is_some()).then_some(*tries + 1)
                }
            };
            if let Some(tries) = try_again {
                let k = 1 + u8::try_from((s / 7 + s + tries) % 2).expect("small");
                let conn = harness.connect(k, Connect::new(format!("s{s}"), Protocol::V4, false));
                *slot = Some((conn, harness.now, tries));
            }
        }
        harness.run(1_000);
    }
    let up = conns.iter().flatten().filter(|(c, ..)| harness.seen(*c).connack == Some(true)).count();
    (harness, up)
}

#[test]
fn at_125_a_second_all_come_back_at_500_the_pulling_collapses() {
    let paced = recording!("queue_migration_paced.txt");
    let (_, up) = reconnect(120);
    assert_eq!(up, count::<usize>(line(paced, "Q2     p4", 0), "up="));
    let collapse = recording!("queue_migration_collapse_500ps.txt");
    let (harness, up) = reconnect(500);
    let recorded: usize = count(line(collapse, "Q2     p4", 0), "up=");
    assert!(up < 3_500, "{up} up, recorded {recorded}");
    let status = harness.status(1);
    assert!(status.num_offline < 0, "num_offline is {} while CONNECTs wait", status.num_offline);
}

#[test]
fn the_seed_command_under_reconnecting_clients_cuts_again_loses_and_strands() {
    let rec = recording!("drain_seed_0_1112.txt");
    let b = line(rec, "B      p4", 0);
    assert!(count::<u32>(b, "lost=") > 0 && count::<u32>(b, "outages=") > count::<u32>(b, " n="));
    let mut harness = Harness::cluster(3, settings());
    let mut conns = persistent(&mut harness);
    let mut seen: Vec<BTreeSet<String>> = vec![BTreeSet::new(); conns.len()];
    let mut sent: Vec<BTreeSet<String>> = seen.clone();
    let publisher = harness.session(1, "pub", Protocol::V4, true);
    harness.ask(1, leave(&name(3), 30), simulator::model::Via::Http);
    let mut cuts = 0;
    for round in 0..300_u32 {
        for s in 0..conns.len() {
            let got = std::mem::take(&mut harness.clients.get_mut(&conns[s]).expect("it is there").got);
            seen[s].extend(got.into_iter().map(|g| String::from_utf8_lossy(&g.payload).into_owned()));
            if harness.seen(conns[s]).closed.is_some() || harness.seen(conns[s]).refused.is_some() {
                cuts += 1;
                let k = 1 + u8::try_from((s / 3 + round as usize) % 2).expect("small");
                conns[s] = harness.connect(k, Connect::new(format!("B-{s}"), Protocol::V4, false));
            }
            if round < 200 {
                harness.publish(publisher, &format!("d/{s}"), &round.to_string(), 1);
                sent[s].insert(round.to_string());
            }
        }
        harness.run(100);
    }
    let all: usize = sent.iter().map(BTreeSet::len).sum();
    let lost: usize = sent.iter().zip(&seen).map(|(sent, seen)| sent.difference(seen).count()).sum();
    assert!(cuts > conns.len(), "{cuts} cuts of {} clients", conns.len());
    assert!(lost > 0 && lost < all / 5, "{lost} of {all} acknowledged messages lost");
    let stranded = harness.status(1).num_offline + harness.status(2).num_offline;
    assert!(stranded > 0, "duplicate queues stay behind");
}
