//! `vmq-admin`, as it is called in a container: what it prints and its exit code.

use lifecycle::NodeName;

use super::{
    grammar::{self, Format, Misfit},
    line::Line,
    render,
};
use crate::{
    fleet::{AdminOutput, CallEnd, Fleet},
    model::{Answer, Command, Process, UNIX_TERM, Via},
};

/// Runs a command to its end. Dropping the future kills nothing at the broker:
/// a leave that was asked this way cannot be revoked (docs/broker/leave.md, "While a member is down").
pub(crate) async fn run(fleet: &Fleet, at: &NodeName, argv: &[String]) -> AdminOutput {
    let line = Line::from_argv(argv);
    let understood = match grammar::understand(&line) {
        Ok(understood) => understood,
        Err(misfit) if fleet.process(at) == Process::Running => return refused(&misfit),
        // Nobody is there to refuse it.
        Err(_) => return failed(not_responding(at), String::new()),
    };
    if understood.command == Command::Help {
        return output(&usage(&line), 0);
    }
    let (_, answer) = fleet.request(at, understood.command, Via::Admin);
    match answer.await {
        Ok(CallEnd::Answer(answer)) => answered(&answer, understood.format),
        Ok(CallEnd::Cut) | Err(_) => failed(String::new(), format!("RPC to '{at}' failed: timeout\n")),
    }
}

fn answered(answer: &Answer, format: Format) -> AdminOutput {
    let code = answer.exit_code();
    match answer {
        Answer::Failed { stdout, stderr } => {
            AdminOutput { stdout: ended(stdout), stderr: ended(stderr), code }
        }
        Answer::HttpStatus(_) => output(&usage(&Line::default()), code),
        Answer::Table(rows) if format == Format::Json && rows.iter().flatten().any(unix_socket) => {
            // It ends in a crash report; only its begin is played.
            failed("{badrpc,{'EXIT',{badarg,[{jsx_parser,value,4,\n".into(), String::new())
        }
        _ if format == Format::Json => output(&render::answer_json(answer), code),
        Answer::Text(text) | Answer::Alert(text) => output(text, code),
        Answer::Table(rows) => output(&render::table(rows), code),
    }
}

/// What the broker's JSON cannot carry.
fn unix_socket((column, value): &(String, serde_json::Value)) -> bool {
    column == "address" && value.as_str().is_some_and(|address| address.starts_with(UNIX_TERM))
}

/// `Invalid key: 115` and exit 1 (`dead_node_netsplit.txt`).
fn refused(misfit: &Misfit) -> AdminOutput {
    match misfit {
        Misfit::Key(key) => failed(format!("Invalid key: {key}\n"), String::new()),
        Misfit::Words => failed(usage(&Line::default()), String::new()),
    }
}

fn not_responding(at: &NodeName) -> String {
    format!("Node '{at}' not responding to pings.\n")
}

fn usage(line: &Line) -> String {
    let words = line.words.join(" ");
    format!("Usage: vmq-admin {}\n", if words.is_empty() { "<sub-command>" } else { &words })
}

fn output(stdout: &str, code: i32) -> AdminOutput {
    AdminOutput { stdout: ended(stdout), stderr: String::new(), code }
}

fn failed(stdout: String, stderr: String) -> AdminOutput {
    AdminOutput { stdout, stderr, code: 1 }
}

/// Text ends with a line's end, nothing stays nothing.
fn ended(text: &str) -> String {
    if text.is_empty() || text.ends_with('\n') { text.into() } else { format!("{text}\n") }
}
