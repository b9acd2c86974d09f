//! One paced batch of disconnects.

use std::collections::BTreeMap;
use std::time::Duration;

use lifecycle::{Call, NodeName, Time};

use super::broker::{Command, Door, call};
use crate::observe::management::{self, Unusable};

/// Begin of every client id that is ours: we must not disconnect ourselves (drain.md §4.4).
pub const OUR_CLIENTS: &str = "vernescale-";

/// A client that was kicked is left alone for this long: its queue drains for
/// half a second, and the broker may list it for as long (drain.md §8.2).
const LEFT_ALONE: Duration = Duration::from_secs(5);

/// Most rows that one look asks for. A batch has 50 ids at most and 500 a
/// second are kicked at most, so 2,500 can be within [`LEFT_ALONE`].
const ROWS_MAX: usize = 3_000;

/// Whom we kicked, and when. Holds only the last five seconds.
#[derive(Clone, Debug, Default)]
pub struct Kicked(BTreeMap<String, Time>);

impl Kicked {
    /// The ids of this answer that are to be kicked now, `batch` at most.
    fn choose(&mut self, listed: Vec<String>, batch: usize, now: Time) -> Vec<String> {
        self.0.retain(|_, at| now.since(*at) < LEFT_ALONE);
        let mut chosen: Vec<_> = listed
            .into_iter()
            .filter(|id| !id.starts_with(OUR_CLIENTS) && !self.0.contains_key(id))
            .collect();
        chosen.truncate(batch);
        self.0.extend(chosen.iter().map(|id| (id.clone(), now)));
        chosen
    }
}

/// Lists the online sessions of `target` and disconnects up to `batch` of them.
/// Answered with the number that was kicked; 0 says that none was listed but
/// those that have just been kicked, and ours.
pub async fn drain_batch(
    door: &Door,
    target: &NodeName,
    batch: u32,
    kicked: &std::sync::Mutex<Kicked>,
    now: Time,
    limit: Duration,
) -> Call {
    let batch = batch as usize;
    let recent = kicked.lock().map_or(0, |kicked| kicked.0.len());
    // Without room for those that are left alone the same first rows would come
    // for ever (drain.md §4.2).
    let rows = (batch + recent + 1).min(ROWS_MAX);
    let list = Command::OnlineSessions { node: target.clone(), limit: rows };
    let listed = match door.ask(&list, limit).await.and_then(management::client_ids) {
        Ok(ids) => ids,
        // Nobody was touched: the question itself changes nothing.
        Err(why) => return Call::Refused(format!("sessions of {target} could not be listed: {why}")),
    };
    let chosen = kicked.lock().map(|mut kicked| kicked.choose(listed, batch, now)).unwrap_or_default();
    let count = chosen.len();
    let (odd, plain): (Vec<_>, Vec<_>) = chosen.into_iter().partition(|id| id.contains([',', '"', '\'']));
    let mut commands: Vec<_> = odd.into_iter().map(Command::Disconnect).collect();
    if !plain.is_empty() {
        commands.push(Command::DisconnectClients(plain));
    }
    for command in &commands {
        if let Err(why) = door.ask(command, limit).await {
            return failed(why);
        }
    }
    Call::Answered(count.to_string())
}

fn failed(why: Unusable) -> Call {
    call(Err(why))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(names: &[&str]) -> Vec<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    #[test]
    fn nobody_is_kicked_twice_and_never_ourselves() {
        let mut kicked = Kicked::default();
        let listed = ids(&["a", "vernescale-canary-1", "b", "c"]);
        assert_eq!(kicked.choose(listed.clone(), 2, Time(0)), ids(&["a", "b"]));
        assert_eq!(kicked.choose(listed.clone(), 2, Time(200)), ids(&["c"]), "a and b are left alone");
        assert_eq!(kicked.choose(listed, 2, Time(5_000)), ids(&["a", "b"]), "they have come back meanwhile");
    }

    #[test]
    fn the_memory_is_bounded_by_its_time() {
        let mut kicked = Kicked::default();
        kicked.choose(ids(&["a", "b", "c"]), 3, Time(0));
        kicked.choose(Vec::new(), 3, Time(6_000));
        assert!(kicked.0.is_empty());
    }
}
