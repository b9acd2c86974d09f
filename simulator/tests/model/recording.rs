//! Reading the recordings.

/// A recording by its file name.
#[macro_export]
macro_rules! recording {
    ($name:literal) => {
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/recordings/", $name))
    };
}

/// Output of one recorded `vmq-admin` call.
#[derive(Debug)]
pub(crate) struct Admin {
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) exit: i32,
    pub(crate) wall_ms: u64,
}

/// The `nth` line that contains `text`, from 0.
pub(crate) fn line<'a>(recording: &'a str, text: &str, nth: usize) -> &'a str {
    recording
        .lines()
        .filter(|line| line.contains(text))
        .nth(nth)
        .unwrap_or_else(|| panic!("the recording has no line {nth} with {text:?}"))
}

/// Recorded output of the `nth` call that ends with `command`.
pub(crate) fn admin(recording: &str, command: &str, nth: usize) -> Admin {
    let mut lines = recording.lines().skip_while({
        let mut seen = 0;
        move |line| {
            let hit = line.ends_with(command) && line.contains("$ vmq-admin");
            seen += usize::from(hit);
            !(hit && seen == nth + 1)
        }
    });
    lines.next().unwrap_or_else(|| panic!("the recording has no call {command:?}"));
    let mut call = Admin { stdout: String::new(), stderr: String::new(), exit: -1, wall_ms: 0 };
    for line in lines {
        let text = line.get(10..).unwrap_or("").trim_start();
        if let Some(out) = text.strip_prefix("stdout|") {
            push(&mut call.stdout, out);
        } else if let Some(err) = text.strip_prefix("stderr|") {
            push(&mut call.stderr, err);
        } else if text.starts_with("exit=") {
            call.exit = count(text, "exit=");
            call.wall_ms = millis(text, "wall=");
            return call;
        }
    }
    panic!("{command:?} has no exit line");
}

fn push(to: &mut String, line: &str) {
    if !to.is_empty() {
        to.push('\n');
    }
    to.push_str(line.strip_prefix(' ').unwrap_or(line));
}

fn digits<'a>(text: &'a str, before: &str) -> &'a str {
    let at = text.find(before).unwrap_or_else(|| panic!("no {before:?} in {text:?}")) + before.len();
    let rest = text[at..].trim_start();
    let end = rest.find(|c: char| !(c.is_ascii_digit() || c == '.' || c == '-')).unwrap_or(rest.len());
    rest[..end].trim_end_matches('.')
}

/// The whole number that follows `before`.
pub(crate) fn count<T: std::str::FromStr>(text: &str, before: &str) -> T {
    let digits = digits(text, before);
    digits.parse().unwrap_or_else(|_| panic!("no number but {digits:?} after {before:?} in {text:?}"))
}

/// The seconds that follow `before`, in milliseconds.
pub(crate) fn millis(text: &str, before: &str) -> u64 {
    let seconds: f64 = count(text, before);
    u64::try_from(std::time::Duration::from_secs_f64(seconds).as_millis()).expect("less than an age")
}

/// Seconds at the head of a line, `[  3.66]` or `02:14:11.687 [   0.00]`, in milliseconds.
pub(crate) fn at_ms(line: &str) -> u64 {
    millis(line, "[")
}

/// The text between two markers.
pub(crate) fn between<'a>(text: &'a str, before: &str, after: &str) -> &'a str {
    let from = text.find(before).unwrap_or_else(|| panic!("no {before:?} in {text:?}")) + before.len();
    let len = text[from..].find(after).unwrap_or_else(|| panic!("no {after:?} after {before:?} in {text:?}"));
    &text[from..from + len]
}

/// The `text` of a recorded JSON answer in a line.
pub(crate) fn json_text(line: &str) -> String {
    let from = line.find("{\"").unwrap_or_else(|| panic!("no JSON in {line:?}"));
    let mut values = serde_json::Deserializer::from_str(&line[from..]).into_iter::<serde_json::Value>();
    let value = values.next().expect("a value").expect("JSON");
    value["text"].as_str().unwrap_or_else(|| panic!("no text in {line:?}")).to_owned()
}

/// Health reply of a `watch` line: status and body.
pub(crate) fn health(line: &str) -> (u16, String) {
    let text = &line[line.find("/health ").expect("a health reply") + 8..];
    let (status, body) = text.split_once(' ').unwrap_or((text, ""));
    (status.trim().parse().expect("a status"), body.trim().to_owned())
}

/// `cluster/show` of a `watch` line, as `1=T 2=T 3=F`.
pub(crate) fn shown(line: &str) -> String {
    let text =
        line.split_once("cluster/show: ").map_or_else(|| line.split_once(": ").expect("a watch").1, |p| p.1);
    text.split(" | ").next().unwrap_or("").trim().to_owned()
}

/// A recording that no test reads proves nothing: somebody cites it, and nobody would notice that it is not so.
#[test]
fn every_recording_is_replayed_by_a_test() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let read = |path: &std::path::Path| -> Vec<std::path::PathBuf> {
        let entries = std::fs::read_dir(path).expect("a folder of this repository");
        entries.map(|entry| entry.expect("it can be read").path()).collect()
    };
    // Unit tests read them, too.
    let mut folders = ["tests", "src", "simulator", "autoscaler"].map(|one| root.join(one)).to_vec();
    let mut code = String::new();
    while let Some(folder) = folders.pop() {
        for path in read(&folder) {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                code.push_str(&std::fs::read_to_string(path).expect("UTF-8"));
            }
        }
    }
    for recording in read(&root.join("tests/recordings")) {
        let name = recording.file_name().and_then(|name| name.to_str()).expect("UTF-8");
        let read_by = [format!("recording!(\"{name}\")"), format!("recordings/{name}\")")];
        assert!(name == "README.md" || read_by.iter().any(|text| code.contains(text)), "nobody reads {name}");
    }
}
