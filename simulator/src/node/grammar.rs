//! Which words, arguments and flags are a command. What it does is the model's.

use std::net::SocketAddr;

use lifecycle::NodeName;

use super::line::{Flag, Line};
use crate::model::{Command, Place, SessionFlag};

/// A flag that a command knows: long name, short name.
type Known = (&'static str, char);

const NO_SHORT: char = '\0';
const LEAVE: &[Known] = &[("kill_sessions", 'k'), ("summary-interval", 'i'), ("timeout", 't')];
const DISCONNECT: &[Known] = &[("cleanup", 'c'), ("mountpoint", 'm')];
const BATCH: &[Known] = &[("cleanup", 'c'), ("mountpoint", 'm'), ("filter-client-ids", 'f'), ("node", 'n')];
const ADDRESSED: &[Known] = &[("mountpoint", 'm')];
/// Accepted by every command (`http_api.txt`, `disconnect_semantics.txt`).
const COMMON: &[Known] = &[("format", NO_SHORT), ("help", 'h')];

/// Why a line is no command: over HTTP all of them are a 400.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Misfit {
    /// No such words. `vmq-admin` prints its usage.
    Words,
    /// A flag or key that the command does not know; the number or name as
    /// `vmq-admin` prints it (`Invalid key: 115` for `-s`, `dead_node_netsplit.txt`).
    Key(String),
}

/// How the answer is to be written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Format {
    /// As for people.
    #[default]
    Human,
    /// `--format=json`.
    Json,
}

/// A line that was understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Understood {
    pub(crate) command: Command,
    pub(crate) format: Format,
}

/// Finds the command.
pub(crate) fn understand(line: &Line) -> Result<Understood, Misfit> {
    let words: Vec<&str> = line.words.iter().map(String::as_str).collect();
    let (keys, flags) = signature(&words).ok_or(Misfit::Words)?;
    let shows_sessions = flags.is_none();
    for (flag, _) in &line.flags {
        let known =
            COMMON.iter().chain(flags.unwrap_or_default()).any(|&(long, short)| is(flag, long, short));
        match flag {
            _ if known => {}
            Flag::Long(_) if shows_sessions => {}
            Flag::Long(name) => return Err(Misfit::Key(name.clone())),
            Flag::Short(letter) => return Err(Misfit::Key(u32::from(*letter).to_string())),
        }
    }
    if let Some((key, _)) = line.arguments.iter().find(|(key, _)| !keys.contains(&key.as_str())) {
        return Err(Misfit::Key(key.clone()));
    }
    let format = match value(line, "format", NO_SHORT) {
        Some("json") => Format::Json,
        _ => Format::Human,
    };
    if has(line, "help", 'h') {
        return Ok(Understood { command: Command::Help, format });
    }
    Ok(Understood { command: command(&words, line)?, format })
}

/// Keys and flags of a command; flags of none mean that any long flag is a column.
fn signature(words: &[&str]) -> Option<(&'static [&'static str], Option<&'static [Known]>)> {
    Some(match words {
        ["cluster", "leave"] => (&["node"], Some(LEAVE)),
        ["cluster", "join"] => (&["discovery-node"], Some(&[])),
        ["listener", "start" | "restart"] => (&["address", "port"], Some(ADDRESSED)),
        ["session", "show"] | ["sessions"] => (&[], None),
        ["session", "disconnect"] => (&["client-id"], Some(DISCONNECT)),
        ["session", "disconnect", "clients"] => (&["client-ids"], Some(DISCONNECT)),
        ["session", "disconnect", "batch"] => (&["count"], Some(BATCH)),
        ["api-key", "create"] => (&["scope", "expires"], Some(&[])),
        ["api-key", "add"] => (&["key", "scope", "expires"], Some(&[])),
        ["cluster" | "listener" | "plugin" | "api-key", "show"]
        | ["metrics", "show" | "reset"]
        | ["node", "status" | "history" | "swc_sync_status" | "stop"]
        | ["show", _, ..] => (&[], Some(&[])),
        _ => return None,
    })
}

fn command(words: &[&str], line: &Line) -> Result<Command, Misfit> {
    Ok(match words {
        ["cluster", "show"] => Command::ClusterShow,
        ["cluster", "leave"] => Command::ClusterLeave {
            node: argument(line, "node").map(NodeName),
            kill: has(line, "kill_sessions", 'k'),
            // Both crash the broker's arithmetic when they are no positive number (dead_node_netsplit.txt).
            summary_interval: seconds(line, "summary-interval", 'i', 5),
            timeout: seconds(line, "timeout", 't', 60),
        },
        ["cluster", "join"] => match argument(line, "discovery-node") {
            Some(peer) => Command::ClusterJoin { peer: NodeName(peer) },
            None => Command::Unknown,
        },
        ["listener", "start"] => addressed(line, |place| Command::ListenerStart { place }),
        ["listener", "restart"] => addressed(line, |place| Command::ListenerRestart { place }),
        ["listener", _] => Command::ListenerShow,
        ["session", "show"] | ["sessions"] => session_show(line),
        ["session", "disconnect"] => Command::SessionDisconnect {
            client_id: argument(line, "client-id"),
            mountpoint: mountpoint(line),
            cleanup: has(line, "cleanup", 'c'),
        },
        ["session", "disconnect", "clients"] => Command::DisconnectClients {
            client_ids: argument(line, "client-ids").map(|all| list(&all)),
            mountpoint: mountpoint(line),
            cleanup: has(line, "cleanup", 'c'),
        },
        ["session", ..] => Command::DisconnectBatch {
            count: argument(line, "count"),
            nodes: value(line, "node", 'n').map(list).unwrap_or_default().into_iter().map(NodeName).collect(),
            mountpoint: mountpoint(line),
            except: value(line, "filter-client-ids", 'f').map(list).unwrap_or_default(),
            cleanup: has(line, "cleanup", 'c'),
        },
        ["metrics", "show"] => Command::MetricsShow,
        ["metrics", _] => Command::MetricsReset,
        ["node", "status"] => Command::NodeStatus,
        ["node", "history"] => Command::NodeHistory,
        ["node", "stop"] => Command::NodeStop,
        ["node", _] => Command::SwcSyncStatus,
        ["plugin", _] => Command::PluginShow,
        ["api-key", "create"] => Command::ApiKeyCreate { scope: argument(line, "scope") },
        ["api-key", "add"] => match argument(line, "key") {
            Some(key) => Command::ApiKeyAdd { key, scope: argument(line, "scope") },
            None => Command::Unknown,
        },
        ["api-key", _] => Command::ApiKeyShow,
        ["show", names @ ..] => {
            Command::ShowConfig { names: names.iter().map(|&name| name.to_owned()).collect() }
        }
        _ => return Err(Misfit::Words),
    })
}

/// `--name` alone is a column, `--name=value` a filter; two are neither.
fn session_show(line: &Line) -> Command {
    let flags = line.flags.iter().filter_map(|(flag, value)| match (flag, value) {
        (Flag::Long(name), _) if ["limit", "rowtimeout", "format"].contains(&name.as_str()) => None,
        (Flag::Long(name), Some(value)) => Some(SessionFlag::Is(name.clone(), value.clone())),
        (Flag::Long(name), None) => Some(SessionFlag::Column(name.clone())),
        (Flag::Short(_), _) => None,
    });
    let limit = value(line, "limit", NO_SHORT).and_then(|text| text.parse().ok());
    Command::SessionShow { flags: flags.collect(), limit }
}

/// `address=ADDRESS` or `address=local:PATH`: a bare path is refused, as is a name.
fn addressed(line: &Line, build: impl FnOnce(Place) -> Command) -> Command {
    let port = argument(line, "port").and_then(|text| text.parse().ok());
    let (Some(address), Some(port)) = (argument(line, "address"), port) else { return Command::Unknown };
    match (address.strip_prefix("local:"), address.parse()) {
        (Some(path), _) => build(Place::Unix(path.into())),
        (None, Ok(address)) => build(Place::Tcp(SocketAddr::new(address, port))),
        (None, Err(_)) => Command::Unknown,
    }
}

fn seconds(line: &Line, long: &str, short: char, default: u32) -> u32 {
    value(line, long, short).map_or(default, |text| text.parse().unwrap_or(0))
}

fn argument(line: &Line, key: &str) -> Option<String> {
    line.arguments.iter().find(|(name, _)| name == key).map(|(_, value)| value.clone())
}

fn value<'a>(line: &'a Line, long: &str, short: char) -> Option<&'a str> {
    line.flags.iter().find(|(flag, _)| is(flag, long, short)).and_then(|(_, value)| value.as_deref())
}

/// The broker's own without the flag.
fn mountpoint(line: &Line) -> String {
    value(line, "mountpoint", 'm').unwrap_or_default().to_owned()
}

fn has(line: &Line, long: &str, short: char) -> bool {
    line.flags.iter().any(|(flag, _)| is(flag, long, short))
}

fn is(flag: &Flag, long: &str, short: char) -> bool {
    match flag {
        Flag::Long(name) => name == long,
        Flag::Short(letter) => *letter == short,
    }
}

fn list(text: &str) -> Vec<String> {
    text.split(',').filter(|item| !item.is_empty()).map(Into::into).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admin(text: &str) -> Result<Understood, Misfit> {
        let argv: Vec<String> = text.split(' ').map(Into::into).collect();
        understand(&Line::from_argv(&argv))
    }

    fn http(text: &str) -> Command {
        understand(&Line::from_uri(&text.parse().unwrap()).unwrap()).unwrap().command
    }

    #[test]
    fn the_seed_command_is_one_leave_in_both_spellings() {
        let leave = Command::ClusterLeave {
            node: Some(NodeName("VerneMQ3@127.0.0.13".into())),
            kill: true,
            summary_interval: 1,
            timeout: 30,
        };
        let words = "vmq-admin cluster leave node=VerneMQ3@127.0.0.13";
        assert_eq!(admin(&format!("{words} -k -i 1 -t 30")).unwrap().command, leave);
        assert_eq!(
            admin(&format!("{words} --kill_sessions --summary-interval=1 --timeout=30")).unwrap().command,
            leave
        );
        let query = "node=VerneMQ3@127.0.0.13&--kill_sessions&--summary-interval=1&--timeout=30";
        assert_eq!(http(&format!("/api/v1/cluster/leave?{query}")), leave);
    }

    #[test]
    fn a_wrong_flag_is_named_as_the_broker_names_it() {
        // dead_node_netsplit.txt: `Invalid key: 115` is the letter s.
        assert_eq!(admin("cluster leave node=N -k -s 1 -t 5"), Err(Misfit::Key("115".into())));
        assert_eq!(admin("cluster"), Err(Misfit::Words));
        assert_eq!(admin("cluster nosuch"), Err(Misfit::Words));
    }

    #[test]
    fn an_interval_of_zero_or_of_letters_reaches_the_model_as_zero() {
        for text in ["0", "abc"] {
            let understood = admin(&format!("cluster leave node=N -k -i {text}")).unwrap();
            assert!(matches!(
                understood.command,
                Command::ClusterLeave { summary_interval: 0, timeout: 60, .. }
            ));
        }
    }

    #[test]
    fn session_show_tells_columns_from_filters() {
        let command = http("/api/v1/session/show?--limit=50&--client_id&--statename=online&--node=V@h");
        let flags = vec![
            SessionFlag::Column("client_id".into()),
            SessionFlag::Is("statename".into(), "online".into()),
            SessionFlag::Is("node".into(), "V@h".into()),
        ];
        assert_eq!(command, Command::SessionShow { flags, limit: Some(50) });
        assert_eq!(
            admin("session show --limit=2 --format=json").unwrap(),
            Understood {
                command: Command::SessionShow { flags: vec![], limit: Some(2) },
                format: Format::Json
            }
        );
    }

    #[test]
    fn the_three_disconnects() {
        assert_eq!(
            http("/api/v1/session/disconnect?client-id=c4"),
            Command::SessionDisconnect {
                client_id: Some("c4".into()),
                mountpoint: String::new(),
                cleanup: false
            }
        );
        assert_eq!(
            http("/api/v1/session/disconnect/clients?client-ids=a,b&--cleanup"),
            Command::DisconnectClients {
                client_ids: Some(vec!["a".into(), "b".into()]),
                mountpoint: String::new(),
                cleanup: true
            }
        );
        assert_eq!(
            http("/api/v1/session/disconnect/batch?count=3&--node=A,B&--filter-client-ids=x"),
            Command::DisconnectBatch {
                count: Some("3".into()),
                nodes: vec![NodeName("A".into()), NodeName("B".into())],
                mountpoint: String::new(),
                except: vec!["x".into()],
                cleanup: false
            }
        );
    }
}
