//! What nodes count of the replicated metadata, before, during and after a join.

use bytes::Bytes;
use lifecycle::Time;
use rstest::rstest;
use simulator::model::{Answer, Command, Connect, Protocol, Publish, Version};

use crate::harness::{Harness, name, park, settings};
use crate::recording;
use crate::recording::{between, count, line, millis};

const SHARED_212: &str = recording!("num_subscriptions_not_comparable.txt");
const LEAVE_220: &str = recording!("leave_2.2.0.txt");
const JOIN_212: &str = recording!("join_sync_2.1.2.txt");
const JOIN_220: &str = recording!("join_sync_2.2.0.txt");
const PODS: &str = recording!("pods_raise_1_to_4.txt");

/// `n1,n2,n3 = [1, 2, 3]`.
fn rows(recording: &str, what: &str) -> Vec<i64> {
    let row = line(recording, what, 0);
    between(row, "= [", "]").split(", ").map(|number| number.parse().expect("a number")).collect()
}

/// One filter after the other, on one node and on two.
#[rstest]
#[case(Version::V2_1_2, SHARED_212)]
#[case(Version::V2_2_0, LEAVE_220)]
fn each_node_counts_the_rows_of_its_own_trie(#[case] version: Version, #[case] recording: &str) {
    let mut harness = Harness::cluster_of(version, 3);
    let before = rows(recording, "before  ");
    let seen = |harness: &Harness| (1..=3).map(|k| harness.status(k).num_subscriptions).collect::<Vec<_>>();
    let recorded = |what: &str| -> Vec<i64> {
        rows(recording, what).iter().zip(&before).map(|(now, before)| now - before).collect()
    };
    assert_eq!(seen(&harness), [0; 3]);
    park(&mut harness, 1, "eq1", "eq/x", 1);
    assert_eq!(seen(&harness), recorded("one subscriber of eq/x on n1"));
    park(&mut harness, 2, "eq2", "eq/x", 1);
    assert_eq!(seen(&harness), recorded("a second subscriber of eq/x, on n2"));
    for nth in 0..5 {
        park(&mut harness, 1, &format!("a{nth}"), &format!("eq/{nth}"), 1);
        park(&mut harness, 2, &format!("b{nth}"), &format!("eq/{nth}"), 1);
    }
    assert_eq!(seen(&harness), recorded("5 more filters, each on n1 and on n2"));
    harness.run(25_000);
    assert_eq!(seen(&harness), recorded("25 s later"));
}

/// The recorded cluster of two: subscribers half and half, each with a filter of its own and those that all share.
fn two(version: Version, own: usize, shared: usize, retained: usize) -> Harness {
    let mut harness = Harness::cluster_of(version, 2);
    for nth in 0..own {
        let k = 1 + u8::try_from(nth % 2).expect("small");
        let conn = harness.session(k, &format!("s{nth}"), Protocol::V4, false);
        harness.subscribe(conn, &format!("own/{nth}"), 1);
        for filter in 0..shared {
            harness.subscribe(conn, &format!("all/{filter}"), 1);
        }
    }
    let publisher = harness.session(1, "publisher", Protocol::V4, true);
    for nth in 0..retained {
        let topic = format!("kept/{nth}");
        let publish = Publish { topic, payload: Bytes::from_static(b"x"), qos: 0, retain: true };
        harness.model.publish(publisher, publish, Time(harness.now));
    }
    harness.boot(3);
    harness.run(4_000);
    harness
}

/// The parts of a line like `t+2.8 subs 210/210/28 ret …`.
fn three(text: &str, before: &str) -> [i64; 3] {
    let of = between(text, before, " ").split('/').map(|number| number.parse().expect("a number"));
    of.collect::<Vec<_>>().try_into().expect("three nodes")
}

#[rstest]
#[case(Version::V2_1_2, JOIN_212, (200, 5, 300))]
#[case(Version::V2_2_0, JOIN_220, (400, 20, 1_000))]
fn live_objects_and_groups_of_a_newcomer(
    #[case] version: Version,
    #[case] recording: &str,
    #[case] (own, shared, retained): (usize, usize, usize),
) {
    let mut harness = two(version, own, shared, retained);
    let before = line(recording, "before join n1", 0);
    assert_eq!(harness.status(1).num_subscriptions, count::<i64>(before, "'subs': "));
    assert_eq!(harness.status(1).num_retained, count::<i64>(before, "'ret': "));
    assert_eq!(harness.live(1), count::<i64>(before, "'oct': "));
    let alone = line(recording, "n3 alone", 0);
    assert_eq!((harness.live(3), harness.synced(3)), (count(alone, "'oct': "), count(alone, "'init': ")));
    let (answer, took) = harness.http(3, Command::ClusterJoin { peer: name(1) });
    assert_eq!(answer, Some(Answer::Text("Done".into())));
    let recorded = millis(line(recording, "join call took", 0), "took ");
    assert!(took.abs_diff(recorded) <= 250, "{took} ms, not {recorded}");

    let from = harness.session(3, "from the newcomer", Protocol::V4, true);
    let subscribers: Vec<_> =
        (0..own).map(|nth| harness.model.connection_of(&format!("s{nth}")).expect("online")).collect();
    let (mut rounds, mut complete, mut partly) = (0, None, 0);
    for tick in 0..200 {
        if tick % 5 == 0 {
            for nth in 0..own {
                harness.publish(from, &format!("own/{nth}"), &tick.to_string(), 1);
            }
            harness.run(0);
            let text = tick.to_string();
            let got = subscribers
                .iter()
                .filter(|conn| {
                    harness.seen(**conn).got.last().is_some_and(|got| got.payload == text.as_bytes())
                })
                .count();
            rounds += 1;
            partly += usize::from(got > 0 && got < own);
            match complete {
                None if got == own => complete = Some(tick * 100),
                Some(_) => assert_eq!(got, own, "complete once is complete for ever"),
                None => {}
            }
            let synced = harness.synced(3);
            if version == Version::V2_1_2 {
                assert!(got < own || synced == 10, "{got} delivered with {synced} groups");
            } else {
                assert_eq!(synced, 10, "from the start: no proof");
            }
            let apart = harness.live(1) - harness.live(3);
            assert!(got < own || apart == 0, "{apart} objects apart with complete delivery");
        }
        harness.run(100);
    }
    assert!(rounds > 30 && partly >= 1, "{rounds} rounds, {partly} partly delivered");
    let complete = complete.expect("at last");
    assert!((4_000..=8_000).contains(&complete), "complete after {complete} ms");
    let last =
        recording.lines().rfind(|line| line.contains("] t+") && line.contains(" subs ")).expect("a sample");
    let lasting = harness.status(1).num_subscriptions - harness.status(3).num_subscriptions;
    let [n1, _, n3] = three(last, "subs ");
    assert!(lasting == i64::try_from(shared).expect("small"), "they differ for ever: {lasting}");
    assert!((n1 - n3 - lasting).abs() <= 1, "{last}");
}

#[test]
fn tombstones_are_collected_by_each_node_in_its_own_time() {
    let mut harness = two(Version::V2_1_2, 20, 2, 30);
    harness.http(3, Command::ClusterJoin { peer: name(1) });
    harness.run(10_000);
    let mut apart = 0;
    for nth in 0..120 {
        let conn = harness.connect(1, Connect::new(format!("churn{nth}"), Protocol::V4, true));
        harness.run(480);
        harness.goodbye(conn);
        let each = [1, 2, 3].map(|k| harness.objects(k).0);
        apart = apart.max(each.iter().max().expect("three") - each.iter().min().expect("three"));
        assert_eq!(
            [2, 3].map(|k| harness.live(k)),
            [harness.live(1); 2],
            "live objects are equal all the while"
        );
    }
    // `join_sync_2.1.2.txt`: as far apart as 544/531, with up to 42 tombstones.
    let recorded = three(line(JOIN_212, "t+20.0", 0), "objects ");
    assert!(recorded[0] - recorded[2] >= 10 && apart >= 5, "{apart}");
    assert!((20..=45).contains(&harness.objects(1).1), "{:?}", harness.objects(1));
    harness.run(30_000);
    assert_eq!(harness.objects(1).1, 0);
}

/// The list of API keys is replicated as one object, with the connects of nobody.
#[rstest]
#[case(Version::V2_1_2, recording!("claims_2.1.2.txt"))]
#[case(Version::V2_2_0, recording!("claims_2.2.0.txt"))]
fn api_keys_are_one_object(#[case] version: Version, #[case] recording: &str) {
    let recorded = |of: &str| count::<i64>(line(recording, of, 0), "'live': ");
    let mut harness = Harness::cluster_of(version, 1);
    assert_eq!(harness.live(1), recorded("] alone {"));
    for (key, scope) in [("a", "mgmt"), ("a", "metrics")] {
        harness.admin(1, Command::ApiKeyAdd { key: key.into(), scope: Some(scope.into()) });
        assert_eq!(harness.live(1), recorded("alone, with one API key"), "{scope}");
    }
    harness.boot(2);
    harness.run(4_000);
    assert_eq!(harness.live(2), 0);
    harness.http(2, Command::ClusterJoin { peer: name(1) });
    harness.run(15_000);
    assert_eq!([harness.live(1), harness.live(2)], [1, 1], "{}", line(recording, "'view': '1T2T3T'", 0));
}

#[test]
fn the_first_node_exchanges_its_groups_with_the_first_that_joins() {
    let recorded = |t: &str| count::<usize>(line(PODS, t, 0), "0R live 42 init ");
    let mut harness = Harness::cluster(1, crate::harness::settings());
    assert_eq!(harness.synced(1), recorded("t+1.7 "));
    harness.boot(2);
    harness.run(4_000);
    harness.http(2, Command::ClusterJoin { peer: name(1) });
    harness.run(10_000);
    assert_eq!((harness.synced(1), harness.synced(2)), (recorded("t+16.0"), 10));
}

const BESIDE: &str = recording!("queues_beside_objects_2.1.2.txt");

/// Queues, live objects and retained messages of each node.
fn counted(row: &str) -> Vec<[i64; 3]> {
    let (_, rows) = row.split_once("queues/live/retained/online/offline ").expect("a row of counts");
    let number = |part: &str| part.parse::<i64>().expect("a number");
    rows.split(' ')
        .take(3)
        .map(|node| {
            let mut parts = node.split('/').map(number);
            std::array::from_fn(|_| parts.next().expect("five counts"))
        })
        .collect()
}

/// Sessions that are away and never subscribed, that did, clean ones, and those that stay: one object each, one queue each.
#[test]
fn each_queue_is_one_object() {
    let mut harness = Harness::cluster(3, settings());
    let seen = |harness: &Harness| -> Vec<[i64; 3]> {
        (1..=3)
            .map(|k| [harness.metric(k, "queue_processes"), harness.live(k), harness.status(k).num_retained])
            .collect()
    };
    let mut round = |what: &str, begin: fn(&mut Harness, u8, &str)| {
        for nth in 0..30 {
            begin(&mut harness, 1 + nth % 3, &format!("{what}{nth}"));
        }
        harness.run(2_000);
        assert_eq!(seen(&harness), counted(line(BESIDE, what, 0)), "{what}");
    };
    round("persistent without subscription", |harness, k, id| {
        let conn = harness.session(k, id, Protocol::V4, false);
        harness.goodbye(conn);
    });
    round("and 30 with one", |harness, k, id| park(harness, k, id, &format!("w/{id}"), 1));
    round("30 clean", |harness, k, id| {
        let conn = harness.session(k, id, Protocol::V4, true);
        harness.subscribe(conn, &format!("s/{id}"), 1);
    });
}
