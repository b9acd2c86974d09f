//! One paced round of disconnects.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures::future::{BoxFuture, join_all};
use lifecycle::{Call, NodeName, Stay, Time};

use crate::vernemq::admin::{AdminClient, Command, call};
use crate::vernemq::reply::{self, Session};
use net::Clock;

/// Begin of every client id that is ours: we must not disconnect ourselves
/// (docs/broker/drain.md, "Commands").
pub const OUR_CLIENTS: &str = "vernescale-";

/// A client that was kicked is left alone for this long: its queue drains for
/// half a second, and the broker may list it for as long (docs/broker/drain.md, "A safe pace").
const LEFT_ALONE: Duration = Duration::from_secs(5);

/// Most rows that one reconcile asks for. 500 a second are kicked at most and a round is worth two seconds at
/// most, so 2,500 can be within [`LEFT_ALONE`], and 1,000 be wanted. 5,000 rows took 0.05 s for the ids
/// (`disc2_session_show_limits.txt`: 0.4 s for all columns).
const ROWS_MAX: usize = 4_000;

/// Mountpoints of one round at most: each costs a call of its own, of 11 to 70 ms (`disconnect_cost.txt`), and a
/// round is worth two seconds at most. Whose turn has not come is in the next list.
const MOUNTPOINTS_MAX: usize = 40;

/// Bytes of a mountpoint that is put into a call; the broker's own names are words of its configuration.
const MOUNTPOINT_BYTES_MAX: usize = 128;

/// So many of whom no command can name are told by name.
const NAMED_MAX: usize = 3;

/// The pace that was reached is looked at over this time.
const RATE_OVER: Duration = Duration::from_secs(10);

/// Sooner it says nothing: it may be one round.
const RATE_AFTER: Duration = Duration::from_secs(3);

/// Whether a command can name this session as it is. The broker splits each word of a command at every `=` (`x=` becomes
/// `x`, and `Done` is said of another: `disconnect_names_2.1.2.txt`), and puts what is left between double quotes into a
/// query of its own. For mountpoints it is held to what was seen to work, and a bit: the broker keeps them as its
/// configuration or a plugin gave them.
fn sayable(session: &Session) -> bool {
    let Session { mountpoint, client_id } = session;
    let plain = |byte: u8| byte.is_ascii_graphic() && !b"=\"'\\,".contains(&byte);
    mountpoint.len() <= MOUNTPOINT_BYTES_MAX
        && mountpoint.bytes().all(plain)
        && !client_id.contains(['=', '"'])
        && !client_id.is_empty()
}

/// Whom we kicked, and how many when. Of the sessions it holds only those of the last five seconds, of the
/// numbers those of the last ten.
#[derive(Clone, Debug, Default)]
pub struct Kicked {
    sessions: BTreeMap<Session, Time>,
    /// How many no command can name, of the last list, and who the first of them are.
    stay: (usize, String),
    lately: VecDeque<(Time, u32)>,
    all: u32,
    span: Option<(Time, Time)>,
}

impl Kicked {
    /// The sessions of this answer that are to be kicked now, `most` at most.
    fn choose(&mut self, listed: Vec<Session>, most: usize, now: Time) -> Vec<Session> {
        self.sessions.retain(|_, at| now.since(*at) < LEFT_ALONE);
        let ours = |session: &Session| session.client_id.starts_with(OUR_CLIENTS);
        let (can, stay): (Vec<_>, Vec<_>) =
            listed.into_iter().filter(|session| !ours(session)).partition(sayable);
        self.stay = (stay.len(), named(&stay));
        let mut mountpoints = BTreeSet::new();
        let mut chosen: Vec<_> =
            can.into_iter().filter(|session| !self.sessions.contains_key(session)).collect();
        chosen.retain(|session| {
            let known = mountpoints.contains(&session.mountpoint);
            known || (mountpoints.len() < MOUNTPOINTS_MAX && mountpoints.insert(session.mountpoint.clone()))
        });
        chosen.truncate(most);
        self.sessions.extend(chosen.iter().map(|session| (session.clone(), now)));
        chosen
    }

    /// Online sessions that no command can name, of the last list; none where there are none.
    pub fn stay(&self) -> Option<Stay> {
        let (count, named) = &self.stay;
        (*count > 0).then(|| Stay { count: u32::try_from(*count).unwrap_or(u32::MAX), named: named.clone() })
    }

    fn note(&mut self, ids: usize, now: Time) {
        let ids = u32::try_from(ids).unwrap_or(u32::MAX);
        self.all = self.all.saturating_add(ids);
        self.lately.retain(|(at, _)| now.since(*at) < RATE_OVER);
        self.lately.push_back((now, ids));
        let since = self.span.map_or(now, |(since, _)| since);
        self.span = Some((since, now));
    }

    /// How many in all.
    pub fn all(&self) -> u32 {
        self.all
    }

    /// Sessions a second over the last ten seconds; none while that says nothing.
    pub fn rate(&self, now: Time) -> Option<u32> {
        let span = now.since(self.span?.0).min(RATE_OVER);
        let lately = self.lately.iter().filter(|(at, _)| now.since(*at) < RATE_OVER);
        (span >= RATE_AFTER).then(|| per_second(lately.map(|(_, ids)| *ids).sum(), span))
    }

    /// Sessions a second from the first to the last of them; none where there were none.
    pub fn average(&self) -> Option<u32> {
        let (since, until) = self.span?;
        Some(per_second(self.all, until.since(since).max(Duration::from_secs(1))))
    }
}

/// The first of them, as people may look for them.
fn named(stay: &[Session]) -> String {
    let short = |word: &str| format!("{:?}", word.chars().take(40).collect::<String>());
    let name = |session: &Session| match session.mountpoint.as_str() {
        "" => short(&session.client_id),
        mountpoint => format!("{} of mountpoint {}", short(&session.client_id), short(mountpoint)),
    };
    stay.iter().take(NAMED_MAX).map(name).collect::<Vec<_>>().join(", ")
}

fn per_second(ids: u32, span: Duration) -> u32 {
    let rate = u128::from(ids) * 1_000 / span.as_millis().max(1);
    u32::try_from(rate).unwrap_or(u32::MAX)
}

/// A member that carries out disconnects, one call at a time.
pub struct Lane {
    /// Its command layer.
    pub client: AdminClient,
    /// Whether it sees every member running at this moment; else why not.
    pub whole: Box<dyn Fn() -> BoxFuture<'static, Result<(), String>> + Send + Sync>,
}

/// What is to be done.
pub struct Round {
    /// The node that is drained.
    pub target: NodeName,
    /// Sessions at most.
    pub ids: u32,
    /// Ids in one call at most.
    pub batch: u32,
}

/// Lists the online sessions of the target once and disconnects as many as the round is for, in batches, each by
/// whichever member is free. Answered with the number that was to be kicked; 0 says that none was listed but those
/// that have just been kicked, and ours. Before each batch the member that carries it out looks whether all run:
/// where one is down, a kicked client cannot come back (docs/broker/http-api.md, "With a member down").
pub async fn drain_round(
    lanes: &[Lane],
    round: &Round,
    kicked: &Mutex<Kicked>,
    clock: Clock,
    limit: Duration,
) -> Call {
    let target = &round.target;
    let Some(first) = lanes.first() else {
        return Call::Refused("no pod that could be asked exists".into());
    };
    let locked = || kicked.lock().unwrap_or_else(PoisonError::into_inner);
    let ids = round.ids as usize;
    let passed_over = {
        let kicked = locked();
        kicked.sessions.len() + kicked.stay.0
    };
    // Without room for those that are left alone the same first rows would come
    // for ever (docs/broker/http-api.md, "Listing sessions").
    let rows = (ids + passed_over + 1).min(ROWS_MAX);
    let list = Command::OnlineSessions { node: target.clone(), limit: rows };
    let listed = match first.client.ask(&list, limit).await.and_then(reply::sessions) {
        Ok(listed) => listed,
        // Nobody was touched: the question itself changes nothing.
        Err(why) => return Call::Refused(format!("sessions of {target} could not be listed: {why}")),
    };
    let chosen = locked().choose(listed, ids, clock.now());
    let count = chosen.len();
    let batches = Mutex::new(batches(chosen, round.batch as usize));
    let next = || batches.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
    let work = lanes.iter().map(|lane| {
        let (next, locked) = (&next, &locked);
        async move {
            while let Some((batch, ids)) = next() {
                if let Err(why) = (lane.whole)().await {
                    return Err(Call::Refused(format!("nobody more is disconnected: {why}")));
                }
                lane.client.ask(&batch, limit).await.map_err(|why| call(Err(why)))?;
                locked().note(ids, clock.now());
            }
            Ok::<(), Call>(())
        }
    });
    let ends = join_all(work).await;
    ends.into_iter().find_map(Result::err).unwrap_or_else(|| Call::Answered(count.to_string()))
}

/// One command each, of one mountpoint and about the same size, and how many sessions are in it.
fn batches(chosen: Vec<Session>, most: usize) -> VecDeque<(Command, usize)> {
    let mut by_mountpoint: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for Session { mountpoint, client_id } in chosen {
        by_mountpoint.entry(mountpoint).or_default().push(client_id);
    }
    by_mountpoint.iter().flat_map(|(mountpoint, ids)| batches_of(mountpoint, ids, most)).collect()
}

fn batches_of(mountpoint: &str, ids: &[String], most: usize) -> Vec<(Command, usize)> {
    let mountpoint = || mountpoint.to_owned();
    let (odd, plain): (Vec<_>, Vec<_>) = ids.iter().cloned().partition(|id| id.contains([',', '\'']));
    let size = plain.len().div_ceil(plain.len().div_ceil(most.max(1)).max(1)).max(1);
    let together = plain.chunks(size).map(|ids| {
        (Command::DisconnectClients { mountpoint: mountpoint(), client_ids: ids.to_vec() }, ids.len())
    });
    let alone =
        odd.into_iter().map(|client_id| (Command::Disconnect { mountpoint: mountpoint(), client_id }, 1));
    alone.chain(together).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(mountpoint: &str, client_id: &str) -> Session {
        Session { mountpoint: mountpoint.into(), client_id: client_id.into() }
    }

    fn ids(names: &[&str]) -> Vec<Session> {
        names.iter().map(|name| session("", name)).collect()
    }

    #[test]
    fn nobody_is_kicked_twice_and_never_ourselves() {
        let mut kicked = Kicked::default();
        let listed = ids(&["a", "vernescale-probe-1", "b", "c"]);
        assert_eq!(kicked.choose(listed.clone(), 2, Time(0)), ids(&["a", "b"]));
        assert_eq!(kicked.choose(listed.clone(), 2, Time(200)), ids(&["c"]), "a and b are left alone");
        assert_eq!(kicked.choose(listed, 2, Time(5_000)), ids(&["a", "b"]), "they have come back meanwhile");
    }

    #[test]
    fn the_memory_is_bounded_by_its_time() {
        let mut kicked = Kicked::default();
        kicked.choose(ids(&["a", "b", "c"]), 3, Time(0));
        kicked.choose(Vec::new(), 3, Time(6_000));
        assert!(kicked.sessions.is_empty());
        (0..100).for_each(|second| kicked.note(10, Time(second * 1_000)));
        assert_eq!(kicked.lately.len(), 10);
    }

    #[test]
    fn the_pace_that_is_reached_is_that_of_the_last_ten_seconds() {
        let mut kicked = Kicked::default();
        kicked.note(50, Time(0));
        assert_eq!((kicked.rate(Time(2_000)), kicked.average()), (None, Some(50)), "one round says nothing");
        (1..20).for_each(|second| kicked.note(20, Time(second * 1_000)));
        assert_eq!(kicked.rate(Time(19_000)), Some(20));
        assert_eq!(kicked.rate(Time(40_000)), Some(0), "nobody goes any more");
        assert_eq!((kicked.all(), kicked.average()), (430, Some(22)));
    }

    #[test]
    fn a_round_is_split_evenly_and_odd_ids_go_alone() {
        let many: Vec<Session> =
            (0..120).map(|n| session("", &format!("c{n}"))).chain([session("", "a,b")]).collect();
        let sizes: Vec<usize> = batches(many, 50).into_iter().map(|(_, ids)| ids).collect();
        assert_eq!(sizes, [1, 40, 40, 40]);
        assert!(batches(Vec::new(), 50).is_empty());
    }

    #[test]
    fn no_call_mixes_mountpoints_and_no_round_has_many() {
        let two = vec![session("b", "1"), session("", "1"), session("b", "2")];
        let of = |mountpoint: &str, ids: &[&str]| {
            let client_ids = ids.iter().map(|&id| id.to_owned()).collect();
            (Command::DisconnectClients { mountpoint: mountpoint.into(), client_ids }, ids.len())
        };
        assert_eq!(batches(two, 50), [of("", &["1"]), of("b", &["1", "2"])]);

        let mut kicked = Kicked::default();
        let tenants: Vec<Session> = (0..100).map(|n| session(&format!("tenant-{n}"), "same")).collect();
        let turns = (0..4u64).map(|turn| kicked.choose(tenants.clone(), 1_000, Time(turn * 100)).len());
        assert_eq!(turns.collect::<Vec<_>>(), [MOUNTPOINTS_MAX, MOUNTPOINTS_MAX, 20, 0]);
    }

    #[test]
    fn whom_no_command_can_name_is_told_and_not_guessed() {
        let mut kicked = Kicked::default();
        let long = "m".repeat(MOUNTPOINT_BYTES_MAX + 1);
        let odd = vec![
            session("a=b", "1"),
            session("ü", "1"),
            session(&long, "1"),
            session("", "dGVzdA=="),
            session("", "a\"b"),
        ];
        let listed = [odd, vec![session("a/b-c.d:e_f", "ü")]].concat();
        assert_eq!(kicked.choose(listed, 10, Time(0)), [session("a/b-c.d:e_f", "ü")]);
        let stay = kicked.stay().expect("five stay");
        assert_eq!(stay.count, 5);
        assert!(
            stay.named.starts_with(r#""1" of mountpoint "a=b", "1" of mountpoint "ü""#),
            "{}",
            stay.named
        );
        assert!(stay.named.len() < 200, "{}", stay.named);
        kicked.choose(Vec::new(), 10, Time(1));
        assert_eq!(kicked.stay(), None);
    }

    #[test]
    fn what_can_be_said_is_what_the_broker_was_seen_to_reach() {
        let recorded = include_str!("../../tests/recordings/disconnect_names_2.1.2.txt");
        let ids: Vec<_> =
            recorded.lines().filter_map(|line| line.strip_prefix("id ")?.split_once(": ")).collect();
        assert_eq!(ids.len(), 5);
        for (id, seen) in ids {
            assert_eq!(sayable(&session("", id)), seen.contains("is closed"), "{id}: {seen}");
        }
    }
}
