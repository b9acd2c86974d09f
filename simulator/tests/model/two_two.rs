//! What was tried on 2.2.0, in the order of `leave_2.2.0.txt`.

use simulator::model::{Answer, Command, Place, Signal, Version};

use crate::harness::{Harness, host, leave, leave_without_kill, name};
use crate::recording;
use crate::recording::{json_text, line};

const STORY: &str = recording!("leave_2.2.0.txt");

/// The part of the scenario under a headline.
fn part(headline: &str) -> &'static str {
    let (_, rest) =
        STORY.split_once(&format!("== {headline}\n")).unwrap_or_else(|| panic!("no {headline:?}"));
    rest.split("\n== ").next().unwrap_or(rest)
}

/// The `nth` line of views in a part.
fn recorded(part: &str, nth: usize) -> &str {
    line(part, "[[", nth).trim()
}

/// Views of all nodes as the recording prints them: `[["1",true],["2",true]]`, empty for one that is down.
fn views(harness: &mut Harness) -> String {
    let shown = [1, 2, 3].map(|k| harness.show(k));
    let of = |shown: &String| match shown.as_str() {
        "down" => String::new(),
        shown => {
            let members = shown.split(' ').map(|member| {
                let running = member.ends_with('T');
                format!("[\"{}\",{running}]", &member[..1])
            });
            format!("[{}]", members.collect::<Vec<_>>().join(","))
        }
    };
    shown.iter().map(of).collect::<Vec<_>>().join(" ").trim_end().to_owned()
}

/// Replies of the recorded calls in a part, in order.
fn texts(part: &str) -> Vec<String> {
    part.lines().filter(|line| line.starts_with("{\"text\"")).map(json_text).collect()
}

fn answered(harness: &mut Harness, k: u8, command: Command) -> String {
    match harness.http(k, command).0 {
        Some(Answer::Text(text)) => text,
        other => panic!("{other:?}"),
    }
}

fn settle(harness: &mut Harness) {
    harness.run(15_000);
}

#[test]
fn a_leave_a_return_without_data_and_two_dead_members() {
    let mut harness = Harness::cluster_of(Version::V2_2_0, 3);
    let scenario = part("leave over HTTP of n3 (empty)");
    let (answer, took) = harness.http(1, leave(&name(3), 30));
    assert_eq!(answer, Some(Answer::Text(texts(scenario)[0].clone())));
    assert!(took.abs_diff(recording::millis(scenario, "0m")) <= 150, "{took} ms");
    settle(&mut harness);
    assert_eq!(
        views(&mut harness),
        scenario.lines().rfind(|line| line.starts_with("[[")).expect("views").trim()
    );

    let scenario = part("restart n3 with its data");
    harness.boot(3);
    settle(&mut harness);
    assert_eq!(views(&mut harness), recorded(scenario, 0));
    let refused = harness.http(3, Command::ClusterJoin { peer: name(1) }).0;
    assert_eq!(refused, Some(Answer::HttpStatus(500)), "a crash, as the recording prints it");
    settle(&mut harness);
    assert_eq!(views(&mut harness), recorded(scenario, 1));
    assert!((1..=3).all(|k| scenario.contains(&format!(
        "n{k} {} {}",
        harness.health(k).1,
        harness.health(k).0
    ))));

    harness.signal(3, Signal::Kill);
    harness.model.wipe(&name(3));
    harness.boot(3);
    harness.run(5_000);
    assert_eq!(answered(&mut harness, 3, Command::ClusterJoin { peer: name(1) }), "Done");
    settle(&mut harness);
    assert_eq!(views(&mut harness), recorded(part("wipe n3, join again"), 0));

    let scenario = part("kill -9 n3; leave n2 over HTTP with a dead member");
    harness.signal(3, Signal::Kill);
    harness.run(1_000);
    assert_eq!(views(&mut harness), recorded(scenario, 0));
    let (answer, took) = harness.http(1, leave(&name(2), 30));
    assert!(answer.is_none() && took.abs_diff(recording::millis(scenario, "1m") + 60_000) <= 50, "{took} ms");
    assert_eq!(views(&mut harness), recorded(scenario, 1));
    harness.boot(3);
    settle(&mut harness);
    assert_eq!(views(&mut harness), recorded(scenario, 2));

    let scenario = part("kill -9 n3; leave n2, client closes after 10 s, n3 back");
    harness.signal(3, Signal::Kill);
    harness.run(1_000);
    let call = harness.ask(1, leave(&name(2), 30), simulator::model::Via::Http);
    harness.run(10_000);
    harness.model.hang_up(call, lifecycle::Time(harness.now));
    harness.boot(3);
    settle(&mut harness);
    assert_eq!(views(&mut harness), recorded(scenario, 0), "revoked");

    let scenario = part("leave of dead n3");
    harness.signal(3, Signal::Kill);
    harness.run(1_000);
    let (answer, took) = harness.http(1, leave(&name(3), 30));
    assert_eq!(answer, Some(Answer::Text(texts(scenario)[0].clone())));
    assert!(took >= 1_900, "{took} ms");
    settle(&mut harness);
    assert_eq!(views(&mut harness), recorded(scenario, 0));
}

#[test]
fn suspend_undo_and_the_last_node() {
    let mut harness = Harness::cluster_of(Version::V2_2_0, 2);
    let scenario = part("without -k on n2 (suspend)");
    assert_eq!(answered(&mut harness, 1, leave_without_kill(&name(2))), texts(scenario)[0]);
    let (Some(shown), _) = harness.http(2, Command::ListenerShow) else { panic!("no table") };
    let rows: serde_json::Value = serde_json::from_str(&shown.json()).expect("JSON");
    let lines = scenario.lines().filter_map(|row| serde_json::from_str::<serde_json::Value>(row).ok());
    let listeners: Vec<_> = lines.filter(|row| row["type"].is_string() && row["type"] != "text").collect();
    assert_eq!(rows["table"].as_array().expect("rows"), &listeners);
    let (status, body) = harness.health(2);
    assert!(scenario.contains(&format!("n2 {body} {status}")), "{body} {status}");
    let restart = Command::ListenerRestart { place: Place::Tcp(host(2).mqtt) };
    assert_eq!(answered(&mut harness, 2, restart), texts(scenario)[1]);
    assert!(harness.model.listening(&name(2)));

    let scenario = part("last node: leave n2 then n1");
    assert_eq!(answered(&mut harness, 1, leave(&name(2), 30)), texts(scenario)[0]);
    settle(&mut harness);
    assert_eq!(answered(&mut harness, 1, leave(&name(1), 30)), texts(scenario)[1]);
    // Past the 500 of the moment at which its listener is deleted.
    settle(&mut harness);
    assert_eq!(views(&mut harness), recorded(scenario, 0));
    let (status, body) = harness.health(1);
    assert!(scenario.contains(&format!("n1 {body} {status}")), "{body} {status}");
}
