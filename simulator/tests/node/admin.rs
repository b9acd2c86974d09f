//! `vmq-admin`: text, tables with their ANSI codes, exit codes.

use crate::support::{Trio, name, no_key, recording};

/// The drawn table behind `head` in a recording, without the margin of the recorder's log.
fn recorded_table(name: &str, command: &str) -> String {
    let text = recording(name);
    let rest = &text[text.find(command).unwrap()..];
    let lines = rest.lines().skip(1).map_while(|line| line.split_once("stdout| ").map(|(_, row)| row));
    lines.flat_map(|line| [line, "\n"]).collect()
}

fn without_bold(text: &str) -> String {
    text.replace("\u{1b}[1m", "").replace("\u{1b}[0m", "")
}

#[tokio::test(start_paused = true)]
async fn tables_are_drawn_as_recorded() {
    let trio = Trio::start(100, no_key()).await;
    trio.kill(3).await;
    let show = trio.admin(1, "vmq-admin cluster show").await;
    assert_eq!((show.code, show.stderr.as_str()), (0, ""));
    assert!(
        show.stdout.contains("| \u{1b}[1mNode\u{1b}[0m                | \u{1b}[1mRunning\u{1b}[0m |\n"),
        "{}",
        show.stdout
    );
    let recorded = recorded_table("dead_node_netsplit.txt", "vmq-admin cluster show");
    assert_eq!(without_bold(&show.stdout), recorded);
    let json = trio.admin(1, "vmq-admin cluster show --format=json").await;
    let rows = [1, 2, 3].map(|n| format!(r#"{{"Node":"{}","Running":{}}}"#, name(n), n < 3));
    assert_eq!(json.stdout, format!("{{\"table\":[{}],\"type\":\"table\"}}\n", rows.join(",")));
}

#[tokio::test(start_paused = true)]
async fn failures_read_as_recorded() {
    let trio = Trio::start(101, no_key()).await;
    for (command, stdout, code) in [
        ("cluster leave node=VerneMQ2@127.0.0.12 -k -s 1 -t 5", "Invalid key: 115\n", 1),
        ("cluster leave", "You have to provide a node\n", 0),
        ("cluster leave node=NoSuch@127.0.0.99 -k -i 1 -t 5", "Done\n", 0),
        ("metrics reset", "Done\n", 0),
        ("node history", "existing_state\n", 0),
        ("session disconnect batch count=3 --node=VerneMQ3@127.0.0.13", "Done\n", 0),
        ("session disconnect client-id=nosuch", "Done\n", 0),
    ] {
        let output = trio.admin(1, &format!("vmq-admin {command}")).await;
        assert_eq!((output.stdout.as_str(), output.code), (stdout, code), "{command}");
    }
    let crash = trio.admin(1, "vmq-admin cluster leave node=VerneMQ2@127.0.0.12 -k -i 0 -t 5").await;
    assert!(crash.stderr.starts_with("RPC to 'VerneMQ1@127.0.0.11' failed: {'EXIT',"), "{crash:?}");
    assert_eq!(crash.code, 1);
    trio.kill(3).await;
    let dead = trio.admin(3, "vmq-admin cluster show").await;
    assert!(dead.stdout.contains("not responding to pings"), "{dead:?}");
    assert_ne!(dead.code, 0);
}

#[tokio::test(start_paused = true)]
async fn keys_are_added_shown_and_not_added_twice() {
    let trio = Trio::start(102, no_key()).await;
    assert_eq!(trio.admin(1, "vmq-admin api-key add key=labkey-mgmt scope=mgmt").await.stdout, "ok\n");
    let twice = trio.admin(1, "vmq-admin api-key add key=labkey-mgmt scope=mgmt").await;
    assert_eq!((twice.stdout.as_str(), twice.code), ("{error,key_already_exists}\n", 0));
    assert_eq!(trio.admin(1, "vmq-admin api-key add key=short scope=nosuch").await.code, 1);
    let created = trio.admin(1, "vmq-admin api-key create scope=mgmt").await;
    assert_eq!((created.stdout.trim_end().len(), created.code), (32, 0), "a key of 32 characters");
    let show = trio.admin(1, "vmq-admin api-key show").await.stdout;
    assert!(
        show.contains("| labkey-mgmt                      | mgmt  | never         | false       |\n"),
        "{show}"
    );
    assert!(show.contains(created.stdout.trim_end()));
}
