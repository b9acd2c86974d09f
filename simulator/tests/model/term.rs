//! SIGTERM where it does something else than end a node: in its leave, and at its start. From one run in which the
//! leaver's pod was deleted: once by a person, and, made again, at once by its StatefulSet; from one in which it came in
//! the midst of a migration; and from one whose leave was stuck.

use lifecycle::Time;
use simulator::model::{Answer, Connect, Fault, Protocol, Signal, Via};

use crate::harness::{Harness, all_allowed, host, leave, name, park_many, settings};
use crate::recording;
use crate::recording::line;

/// Seconds at the beginning of a line, in milliseconds.
fn at(line: &str) -> u64 {
    let seconds = line.trim_start_matches('[').split(']').next().expect("it has a time").trim();
    let (whole, part) = seconds.split_once('.').expect("with hundredths");
    whole.parse::<u64>().expect("digits") * 1_000 + part.parse::<u64>().expect("digits") * 10
}

#[test]
fn in_a_leave_it_ends_the_leave_and_the_others_drop_the_node() {
    let rec = recording!("pods_delete_in_leave.txt");
    let deleted = line(rec, "DELETE POD at Leave", 0);
    let dropped =
        rec.lines().filter(|line| at_or_zero(line) > at(deleted)).find(|l| l.contains("view vmq-1:"));
    let dropped = dropped.expect("the survivor's next view");
    assert!(dropped.ends_with("0=T 1=T"), "{dropped}");
    let mut harness = Harness::cluster(3, all_allowed());
    // Long enough that it is under way.
    park_many(&mut harness, 3, 800, |s| format!("t/{s}"));
    harness.ask(1, leave(&name(3), 30), Via::Http);
    harness.run(1_000);
    assert_eq!(harness.show(2), "1=T 2=T 3=T");
    harness.signal(3, Signal::Term);
    let took = harness.until(10_000, |harness| harness.gone(3)).expect("it ends");
    harness.run((at(dropped) - at(deleted)).saturating_sub(took));
    assert_eq!((harness.show(1), harness.show(2)), ("1=T 2=T".into(), "1=T 2=T".into()), "{dropped}");
    harness.boot(3);
    harness.run(10_000);
    assert_eq!(
        (harness.show(3), harness.show(1)),
        ("3=T".into(), "1=T 2=T".into()),
        "it has left, by its data too"
    );
}

fn at_or_zero(line: &str) -> u64 {
    if line.starts_with('[') { at(line) } else { 0 }
}

#[test]
fn one_that_is_stuck_is_ended_by_it_and_the_others_drop_the_node() {
    let rec = recording!("pods_stuck_leave.txt");
    let (stuck, asked) = (line(rec, "OK after 68.7 s: LeaveStuck", 0), line(rec, "SIGTERM of the broker", 0));
    let since = |text| at(line(rec, text, 0)) - at(asked);
    assert!(at(stuck) < at(asked) && since("view of vmq-1 [Errno 111]") < since("view of vmq-0 0=T 1=F"));
    let mut harness = Harness::cluster(2, all_allowed());
    park_many(&mut harness, 2, 1, |_| "t".into());
    let fault = Fault::StickQueue { node: name(2), client_id: "s0".into(), on: true };
    harness.model.fault(&fault, Time(harness.now));
    harness.ask(1, leave(&name(2), 30), Via::Http);
    harness.run(at(stuck) - at(line(rec, "RECORD Shrink 1 Leave", 0)));
    assert_eq!(harness.show(1), "1=T 2=T", "it is stuck");
    harness.signal(2, Signal::Term);
    let (closed, dropped) = (since("view of vmq-1 [Errno 111]"), since("RECORD Shrink 1 Shrink"));
    harness.run(closed);
    assert!(!harness.model.http_up(&name(2)), "its management is down within {closed} ms");
    harness.run(dropped - closed);
    assert_eq!(harness.show(1), "1=T", "dropped within {dropped} ms");
}

#[test]
fn in_the_midst_of_a_migration_it_breaks_the_leave_and_leaves_a_dead_member() {
    let rec = recording!("sigterm_in_migration.txt");
    let (asked, answered) = (line(rec, "SIGTERM to the leaver", 0), line(rec, "answer 12.17", 0));
    assert!(at(asked) < at(answered) && answered.contains("'http': 500"), "{rec}");
    let kept = line(rec, "views of I2121", 0);
    assert!(kept.contains("(15.04, '1T2T3F')"), "{kept}");
    let mut harness = Harness::cluster(3, settings());
    // As recorded: 1,500 offline queues with two messages each.
    park_many(&mut harness, 3, 1_500, |s| format!("t/{s}"));
    let publisher = harness.session(1, "publisher", Protocol::V4, true);
    for s in 0..3_000 {
        harness.publish(publisher, &format!("t/{}", s % 1_500), "p", 1);
    }
    let call = harness.ask(1, leave(&name(3), 30), Via::Http);
    // The recorded leave took its time until its queues moved: its SIGTERM came one second after that.
    assert!(line(rec, "all queues offline", 0).contains("T15:16:11.19"), "{rec}");
    assert!(line(rec, "SIGTERM received", 0).contains("T15:16:12.18"), "{rec}");
    harness.run(1_500);
    harness.signal(3, Signal::Term);
    harness.run(12_170 - 500);
    assert_eq!(harness.answers.get(&call), None, "{answered}");
    harness.run(1_000);
    assert_eq!(harness.answers[&call].1, Some(Answer::HttpStatus(500)), "{answered}");
    harness.run(2_500);
    assert_eq!((harness.show(1), harness.show(2)), ("1=T 2=T 3=F".into(), "1=T 2=T 3=F".into()), "{kept}");
    let refused = line(rec, "a new client at n1", 0);
    let late = harness.connect(1, Connect::new("late", Protocol::V4, true));
    harness.run(1_000);
    assert_eq!(harness.seen(late).refused.map(|refusal| refusal.code(Protocol::V4)), Some(3), "{refused}");
    assert!(refused.contains("20 02 00 03"), "{refused}");
}

#[test]
fn at_the_start_it_is_lost_and_the_node_joins_all_the_same() {
    let rec = recording!("pods_delete_in_leave.txt");
    let (condemned, started) = (line(rec, "SuccessfulDelete", 0), line(rec, "Running DELETING running", 1));
    let (joined, killed) = (line(rec, "view vmq-1: 0=T 1=T 2=T", 1), line(rec, "view vmq-1: 0=T 1=T 2=F", 0));
    assert!(at(condemned) < at(started) && at(started) < at(joined), "{condemned}\n{started}\n{joined}");
    // Its grace was over, and its process killed, before it was seen as dead.
    assert!(at(killed) - at(condemned) >= 60_000, "{killed}");
    let mut harness = Harness::cluster(2, all_allowed());
    harness.model.boot(&name(3), &host(3), Some(&name(1)), Time(harness.now));
    harness.run(300);
    harness.signal(3, Signal::Term);
    harness.run(at(joined) - at(started));
    assert_eq!((harness.show(1), harness.gone(3)), ("1=T 2=T 3=T".into(), false));
    harness.signal(3, Signal::Kill);
    harness.run(1_000);
    assert_eq!(harness.show(1), "1=T 2=T 3=F", "{killed}");
}
