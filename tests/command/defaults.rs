//! What holds where nobody says otherwise. Nothing is bound here: another program may hold the port.

use crate::process::{run, vernescale};

/// The default of an option, as its help states it.
fn default_of(command: &str, option: &str) -> String {
    let help = run(&mut vernescale(&[command, "--help"])).stdout;
    let about =
        help.split("\n\n      --").find_map(|about| about.strip_prefix(&format!("{option} <"))).unwrap();
    let words = about.split_whitespace().collect::<Vec<_>>().join(" ");
    let (_, default) = words.split_once("[default: ").unwrap();
    default.split(']').next().unwrap().to_owned()
}

#[test]
fn each_process_serves_where_the_chart_and_the_readme_say() {
    assert_eq!(default_of("exporter", "listen"), "0.0.0.0:8888");
    assert_eq!(default_of("controller", "listen"), "0.0.0.0:8889");
    // A demo is for one person on one machine.
    assert_eq!(default_of("demo", "listen"), "127.0.0.1:8888");
}
