//! What was measured and is the reason of a figure of ours.

use lifecycle::Limits;
use simulator::model::{Answer, Command, Connect, Protocol, SessionFlag};

use crate::harness::{Harness, host, settings};
use crate::recording;
use crate::recording::between;

/// Rows for each limit, as 5,000 sessions of one node were listed.
#[test]
fn a_list_is_as_long_as_its_limit_and_a_hundred_without_one() {
    let rec = recording!("disc2_session_show_limits.txt");
    let mut harness = Harness::cluster(1, settings());
    for s in 0..5_000 {
        let peer = Some(host(1).http);
        harness.connect(1, Connect { peer, ..Connect::new(format!("s{s:05}"), Protocol::V4, true) });
    }
    harness.run(20_000);
    for limit in [None, Some(1_000), Some(5_000), Some(100_000), Some(0)] {
        let flags = match limit {
            Some(0) => Vec::new(),
            _ => vec![SessionFlag::Is("statename".into(), "online".into())],
        };
        let asked = match limit {
            None => "session/show?--statename=online ->".to_owned(),
            Some(0) => "session/show?--limit=0 ->".to_owned(),
            Some(limit) => format!("session/show?--statename=online&--limit={limit} ->"),
        };
        let line = rec.lines().find(|line| line.contains(&asked)).expect("it was asked");
        let rows: usize = between(line, "200 (", ",").parse().expect("a count");
        match harness.http(1, Command::SessionShow { flags, limit }).0 {
            Some(Answer::Table(table)) => assert_eq!(table.len(), rows, "{line}"),
            other => panic!("{other:?}"),
        }
    }
}

/// The default is about twice the longest time in which a fenced pod still got new connections.
#[test]
fn the_fence_waits_longer_than_any_proxy_was_late() {
    let rec = recording!("disc2_kube_proxy_fence.txt");
    // (connections in all, of them late, milliseconds of the last after the EndpointSlice) of each try.
    let tries = rec.split('(').filter_map(|text| text.split_once(')')).filter_map(|(inside, _)| {
        let figures: Result<Vec<u64>, _> = inside.split(", ").map(str::parse).collect();
        figures.ok().filter(|figures| figures.len() == 3)
    });
    let late: Vec<u64> = tries.map(|figures| figures[2]).collect();
    let longest = late.iter().max().copied().expect("some were recorded");
    assert!(late.len() >= 8 && longest > 500, "{late:?}");
    let waits = Limits::default().unrouted.as_millis();
    assert!(waits >= u128::from(longest) * 19 / 10, "{waits} ms against {longest} ms");
}
