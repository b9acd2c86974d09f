//! What was tried on 2.2.0, in the order of `leave_2.2.0.txt`.

use simulator::model::{Answer, Command, Place, Signal, Version};

use crate::lab::{Lab, host, leave, leave_without_kill, name};
use crate::recording;
use crate::recording::{json_text, line};

const STORY: &str = recording!("leave_2.2.0.txt");

/// The part of the story under a headline.
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
fn views(lab: &mut Lab) -> String {
    let shown = [1, 2, 3].map(|k| lab.show(k));
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

fn answered(lab: &mut Lab, k: u8, command: Command) -> String {
    match lab.http(k, command).0 {
        Some(Answer::Text(text)) => text,
        other => panic!("{other:?}"),
    }
}

fn settle(lab: &mut Lab) {
    lab.run(15_000);
}

#[test]
fn a_leave_a_return_without_data_and_two_dead_members() {
    let mut lab = Lab::cluster_of(Version::V2_2_0, 3);
    let story = part("leave over HTTP of n3 (empty)");
    let (answer, took) = lab.http(1, leave(&name(3), 30));
    assert_eq!(answer, Some(Answer::Text(texts(story)[0].clone())));
    assert!(took.abs_diff(recording::millis(story, "0m")) <= 150, "{took} ms");
    settle(&mut lab);
    assert_eq!(views(&mut lab), story.lines().rfind(|line| line.starts_with("[[")).expect("views").trim());

    let story = part("restart n3 with its data");
    lab.boot(3);
    settle(&mut lab);
    assert_eq!(views(&mut lab), recorded(story, 0));
    let refused = lab.http(3, Command::ClusterJoin { peer: name(1) }).0;
    assert_eq!(refused, Some(Answer::HttpStatus(500)), "a crash, as the recording prints it");
    settle(&mut lab);
    assert_eq!(views(&mut lab), recorded(story, 1));
    assert!((1..=3).all(|k| story.contains(&format!("n{k} {} {}", lab.health(k).1, lab.health(k).0))));

    lab.signal(3, Signal::Kill);
    lab.model.wipe(&name(3));
    lab.boot(3);
    lab.run(5_000);
    assert_eq!(answered(&mut lab, 3, Command::ClusterJoin { peer: name(1) }), "Done");
    settle(&mut lab);
    assert_eq!(views(&mut lab), recorded(part("wipe n3, join again"), 0));

    let story = part("kill -9 n3; leave n2 over HTTP with a dead member");
    lab.signal(3, Signal::Kill);
    lab.run(1_000);
    assert_eq!(views(&mut lab), recorded(story, 0));
    let (answer, took) = lab.http(1, leave(&name(2), 30));
    assert!(answer.is_none() && took.abs_diff(recording::millis(story, "1m") + 60_000) <= 50, "{took} ms");
    assert_eq!(views(&mut lab), recorded(story, 1));
    lab.boot(3);
    settle(&mut lab);
    assert_eq!(views(&mut lab), recorded(story, 2));

    let story = part("kill -9 n3; leave n2, client closes after 10 s, n3 back");
    lab.signal(3, Signal::Kill);
    lab.run(1_000);
    let call = lab.ask(1, leave(&name(2), 30), simulator::model::Via::Http);
    lab.run(10_000);
    lab.model.hang_up(call, lifecycle::Time(lab.now));
    lab.boot(3);
    settle(&mut lab);
    assert_eq!(views(&mut lab), recorded(story, 0), "revoked");

    let story = part("leave of dead n3");
    lab.signal(3, Signal::Kill);
    lab.run(1_000);
    let (answer, took) = lab.http(1, leave(&name(3), 30));
    assert_eq!(answer, Some(Answer::Text(texts(story)[0].clone())));
    assert!(took >= 1_900, "{took} ms");
    settle(&mut lab);
    assert_eq!(views(&mut lab), recorded(story, 0));
}

#[test]
fn suspend_undo_and_the_last_node() {
    let mut lab = Lab::cluster_of(Version::V2_2_0, 2);
    let story = part("without -k on n2 (suspend)");
    assert_eq!(answered(&mut lab, 1, leave_without_kill(&name(2))), texts(story)[0]);
    let (Some(shown), _) = lab.http(2, Command::ListenerShow) else { panic!("no table") };
    let rows: serde_json::Value = serde_json::from_str(&shown.json()).expect("JSON");
    let lines = story.lines().filter_map(|row| serde_json::from_str::<serde_json::Value>(row).ok());
    let listeners: Vec<_> = lines.filter(|row| row["type"].is_string() && row["type"] != "text").collect();
    assert_eq!(rows["table"].as_array().expect("rows"), &listeners);
    let (status, body) = lab.health(2);
    assert!(story.contains(&format!("n2 {body} {status}")), "{body} {status}");
    let restart = Command::ListenerRestart { place: Place::Tcp(host(2).mqtt) };
    assert_eq!(answered(&mut lab, 2, restart), texts(story)[1]);
    assert!(lab.model.listening(&name(2)));

    let story = part("last node: leave n2 then n1");
    assert_eq!(answered(&mut lab, 1, leave(&name(2), 30)), texts(story)[0]);
    settle(&mut lab);
    assert_eq!(answered(&mut lab, 1, leave(&name(1), 30)), texts(story)[1]);
    // Past the 500 of the moment at which its listener is deleted.
    settle(&mut lab);
    assert_eq!(views(&mut lab), recorded(story, 0));
    let (status, body) = lab.health(1);
    assert!(story.contains(&format!("n1 {body} {status}")), "{body} {status}");
}
