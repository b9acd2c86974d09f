//! One look at every broker.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use futures::future::join_all;
use lifecycle::{Counts, Node, NodeName, Objects, Observed, Ordinal, Reach, Time};

use super::clocks;
use super::page::{Page, Trouble, crashes, trouble};
use crate::vernemq::admin::{AdminClient, Command};
use crate::vernemq::http::{self, Endpoint};
use crate::vernemq::reply::{self, ShownListener, Unusable};
use crate::vernemq::status_page::{self, Entry};
use autoscaler::metrics::exposition::{self, Series};
use net::Clock;

/// Whom to ask, and how.
#[derive(Clone)]
pub(super) struct Ask {
    pub(super) ordinal: Ordinal,
    /// `/metrics` and `/status.json`.
    pub(super) pages: Endpoint,
    /// `/api/v1`; none where leaves go through exec: then the status page speaks for it, because
    /// `vmq-admin` starts an Erlang VM for every question (0.12 to 0.45 s,
    /// docs/broker/http-api.md, "vmq-admin").
    pub(super) management: Option<Endpoint>,
    /// The name that this pod's broker was heard to have.
    pub(super) name: Option<NodeName>,
    /// Read `/metrics` in this reconcile.
    pub(super) sample: bool,
    /// Gauges as last sampled, where that is not long ago.
    pub(super) gauges: Option<Gauges>,
    /// Where to ask for the groups of the replicated metadata: a newcomer alone is asked, for each question through
    /// exec starts a VM.
    pub(super) groups: Option<(AdminClient, Duration)>,
}

impl Ask {
    /// The management API; none where everything goes through exec.
    fn client(&self) -> Option<AdminClient> {
        self.management.clone().map(|endpoint| AdminClient::Http(Box::new(endpoint)))
    }
}

/// What of `/metrics` the lifecycle looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Gauges {
    /// `queue_processes`.
    pub(super) queues: Option<i64>,
    /// Replicated objects that are not deleted.
    pub(super) live: Option<i64>,
    /// When they were read.
    pub(super) at: Time,
}

/// What one broker answered.
pub(super) struct Answered {
    pub(super) node: Node,
    /// A whole page of `/metrics`, and when it was here.
    pub(super) sample: Option<(Vec<Series>, Time)>,
    /// The gauges of that page, or of one that is not old.
    pub(super) gauges: Option<Gauges>,
    /// Its MQTT listeners that clients reach; none where they were not read. Empty where a leave has deleted them.
    pub(super) client_listeners: Option<Vec<ShownListener>>,
    /// By how much its clock is ahead of ours, by the `Date` of its status page, in seconds.
    pub(super) ahead: Option<i64>,
    /// Its `listener show` crashes: the status page speaks for it, and counts no connections.
    pub(super) list_crashes: bool,
    /// The first thing that could not be read.
    pub(super) trouble: Option<Trouble>,
}

/// Asks all at once.
pub(super) async fn ask_all(asks: Vec<Ask>, limit: Duration, clock: Clock) -> BTreeMap<Ordinal, Answered> {
    let answers =
        asks.into_iter().map(|ask| async move { (ask.ordinal, Box::pin(ask_one(ask, limit, clock)).await) });
    join_all(answers).await.into_iter().collect()
}

/// The members as this broker sees them, and nothing else.
pub(super) async fn members(ask: &Ask, limit: Duration) -> Observed<BTreeMap<NodeName, bool>> {
    if let Some(reply) = question(ask.client().as_ref(), Command::ClusterShow, limit).await {
        return observed(reply.and_then(reply::members));
    }
    members_of(http::get(&ask.pages, "/status.json", limit).await, ask.name.as_ref())
}

/// The members by a node's status page, which speaks for it where everything goes through exec.
fn members_of(
    page: Result<http::Answer, http::Broken>,
    name: Option<&NodeName>,
) -> Observed<BTreeMap<NodeName, bool>> {
    let Some(name) = name else { return Observed::Unknown("it has not said its name".into()) };
    let page = page.map_err(Unusable::from);
    observed(page.and_then(|page| status_page::entry(&page, name)).map(|entry| entry.members))
}

/// The members as a broker sees them that may be about to end, and whether anybody listens there still.
pub(super) async fn last_word(ask: &Ask, limit: Duration) -> (Reach, Observed<BTreeMap<NodeName, bool>>) {
    let page = http::get(&ask.pages, "/status.json", limit);
    let client = ask.client();
    let shown = question(client.as_ref(), Command::ClusterShow, limit);
    let (page, shown) = tokio::join!(page, shown);
    let reach = reach(&page, None, shown.as_ref());
    let members = shown.map_or_else(
        || members_of(page, ask.name.as_ref()),
        |reply| observed(reply.and_then(reply::members)),
    );
    (reach, members)
}

type Reply = Result<reply::Reply, Unusable>;

async fn ask_one(ask: Ask, limit: Duration, clock: Clock) -> Answered {
    let page = http::get(&ask.pages, "/status.json", limit);
    let sample = async {
        if !ask.sample && ask.name.is_some() {
            return None;
        }
        Some((http::get(&ask.pages, "/metrics", limit).await, clock.now()))
    };
    let client = ask.client();
    let members = question(client.as_ref(), Command::ClusterShow, limit);
    let listeners = question(client.as_ref(), Command::ListenerShow, limit);
    let groups = async {
        let (client, limit) = ask.groups.as_ref()?;
        Some(client.ask(&Command::SyncStatus, *limit).await.and_then(reply::groups))
    };
    let (page, sample, members, listeners, groups) = tokio::join!(page, sample, members, listeners, groups);

    let reach = reach(&page, sample.as_ref().map(|(answer, _)| answer), members.as_ref());
    let date = page.as_ref().ok().and_then(|answer| answer.date);
    let sample = sample.map(|(answer, at)| read_sample(answer).map(|series| (series, at)));
    let pages = pages(&page, sample.as_ref().and_then(|sample| sample.as_ref().err()));
    let heard = sample.as_ref().and_then(|sample| own_name(&sample.as_ref().ok()?.0));
    let name = heard.or(ask.name);
    let unread = sample.as_ref().and_then(|sample| sample.as_ref().err());
    let (entry, entry_page) = own_entry(page, name.as_ref(), unread);
    let fresh = |sample: &Result<(Vec<Series>, Time), Unusable>| {
        sample.as_ref().ok().map(|(series, at)| gauges(series, *at))
    };
    let gauges = sample.as_ref().and_then(fresh).or(ask.gauges);
    let unread = unread.map(ToString::to_string);
    let asked = |page| if client.is_some() { page } else { entry_page };
    let (members_page, listeners_page) = (asked(Page::Members), asked(Page::Listeners));
    let members = members.map_or_else(
        || entry.as_ref().map(|entry| entry.members.clone()).map_err(Clone::clone),
        |reply| reply.and_then(reply::members),
    );
    let list_crashes =
        listeners.as_ref().is_some_and(|reply| crashes(reply.as_ref().err(), entry.as_ref().ok()));
    let shown = listeners.filter(|_| !list_crashes).map_or_else(
        || entry.as_ref().map(|entry| entry.listeners.clone()).map_err(Clone::clone),
        |reply| reply.and_then(reply::listeners),
    );
    let mut each = vec![
        (members_page, members.as_ref().err().cloned()),
        (listeners_page, shown.as_ref().err().cloned()),
        (entry_page, entry.as_ref().err().cloned()),
    ];
    each.extend(pages);
    let trouble = trouble(&each);
    let host = ask.pages.host;
    let client_listeners = shown.as_ref().ok().map(|shown| for_clients(shown, host));
    Answered {
        node: Node {
            name,
            reach,
            members: observed(members),
            listeners: observed(shown.map(|shown| shown.into_iter().map(|one| one.listener).collect())),
            counts: counts(entry.as_ref(), gauges.and_then(|gauges| gauges.queues)),
            objects: objects(gauges, unread),
            groups: groups.map(observed),
            version: observed(entry.map(|entry| entry.version)),
        },
        sample: sample.and_then(Result::ok),
        gauges,
        client_listeners,
        ahead: date.map(|date| clocks::ahead(date, clock.now())),
        list_crashes,
        trouble,
    }
}

async fn question(client: Option<&AdminClient>, command: Command, limit: Duration) -> Option<Reply> {
    match client {
        Some(client) => Some(client.ask(&command, limit).await),
        None => None,
    }
}

/// What a node says of itself, or which page keeps it from that and why.
fn own_entry(
    page: Result<http::Answer, http::Broken>,
    name: Option<&NodeName>,
    sample: Option<&Unusable>,
) -> (Result<Entry, Unusable>, Page) {
    if let Some(name) = name {
        let entry = page.map_err(Unusable::from).and_then(|page| status_page::entry(&page, name));
        return (entry, Page::Status);
    }
    let (page, why) = nameless(page, sample);
    (Err(why), page)
}

/// Why a broker's name is not known, and where: its metrics bear it.
fn nameless(page: Result<http::Answer, http::Broken>, sample: Option<&Unusable>) -> (Page, Unusable) {
    let page = page.map_err(Unusable::from).and_then(|page| reply::usable(&page));
    let unnamed = || Unusable::Malformed("no label `node` in it".into());
    match page {
        Err(why) => (Page::Status, why),
        Ok(()) => (Page::Metrics, sample.cloned().unwrap_or_else(unnamed)),
    }
}

/// What the two pages for themselves answered that is of no use.
fn pages(
    status: &Result<http::Answer, http::Broken>,
    metrics: Option<&Unusable>,
) -> [(Page, Option<Unusable>); 2] {
    let status = match status {
        Ok(answer) => reply::usable(answer).err(),
        Err(broken) => Some(Unusable::from(broken.clone())),
    };
    [(Page::Status, status), (Page::Metrics, metrics.cloned())]
}

fn observed<T>(read: Result<T, Unusable>) -> Observed<T> {
    match read {
        Ok(value) => Observed::Seen(value),
        Err(why) => Observed::Unknown(why.to_string()),
    }
}

/// One answer of whatever status says that the process is there; that nobody
/// listens is only said where every connection was refused.
fn reach(
    page: &Result<http::Answer, http::Broken>,
    sample: Option<&Result<http::Answer, http::Broken>>,
    members: Option<&Reply>,
) -> Reach {
    let mut each = Vec::new();
    for answer in [Some(page), sample].into_iter().flatten() {
        each.push(answer.as_ref().err());
    }
    if let Some(reply) = members {
        each.push(match reply {
            Err(Unusable::Wire(broken)) => Some(broken),
            _ => None,
        });
    }
    if each.iter().any(Option::is_none) {
        return Reach::Answers;
    }
    let refused = |broken: Option<&http::Broken>| matches!(broken, Some(http::Broken::Refused(_)));
    if each.into_iter().all(refused) { Reach::Refused } else { Reach::Silent }
}

fn read_sample(answer: Result<http::Answer, http::Broken>) -> Result<Vec<Series>, Unusable> {
    let answer = answer?;
    reply::usable(&answer)?;
    let text = std::str::from_utf8(&answer.body).map_err(|_| Unusable::Malformed("not UTF-8".into()))?;
    exposition::parse(text).map_err(|error| Unusable::Malformed(error.to_string()))
}

/// What the node calls itself: the label `node` that all of its own series bear.
fn own_name(series: &[Series]) -> Option<NodeName> {
    series.iter().find_map(|one| one.labels.get("node")).map(|name| NodeName(name.clone()))
}

fn gauges(series: &[Series], at: Time) -> Gauges {
    let sum = |name: &str| {
        let found = series.iter().filter(|one| one.name.ends_with(name) && one.value.is_finite());
        #[expect(clippy::cast_possible_truncation, reason = "counts of one broker")]
        found.map(|one| one.value as i64).reduce(i64::saturating_add)
    };
    let live = sum("swc_object_count").map(|all| all.saturating_sub(sum("swc_tombstone_count").unwrap_or(0)));
    Gauges { queues: sum("queue_processes"), live, at }
}

fn objects(gauges: Option<Gauges>, unread: Option<String>) -> Observed<Objects> {
    match gauges {
        Some(Gauges { live, at, .. }) => Observed::Seen(Objects { live, at }),
        None => Observed::Unknown(unread.unwrap_or_else(|| "/metrics was not read".into())),
    }
}

fn counts(entry: Result<&Entry, &Unusable>, queues: Option<i64>) -> Observed<Counts> {
    match (entry, queues) {
        (Ok(entry), Some(queues)) => Observed::Seen(Counts {
            online: entry.online,
            offline: entry.offline,
            queues,
            retained: entry.retained,
        }),
        (Err(why), _) => Observed::Unknown(why.to_string()),
        (Ok(_), None) => Observed::Unknown("no `queue_processes` in /metrics".into()),
    }
}

/// Those that clients reach.
fn for_clients(shown: &[ShownListener], host: Option<IpAddr>) -> Vec<ShownListener> {
    // None of them: something else in the pod, such as a proxy, hands clients on.
    let any = shown.iter().any(|one| one.reached(host));
    shown.iter().filter(|one| !any || one.reached(host)).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused<T>() -> Result<T, http::Broken> {
        Err(http::Broken::Refused("refused".into()))
    }

    #[test]
    fn a_broker_without_a_name_says_what_its_pages_answer() {
        let answer = |status, body: &'static str| http::Answer {
            status,
            content_type: String::new(),
            date: None,
            body: bytes::Bytes::from_static(body.as_bytes()),
        };
        assert_eq!(nameless(Ok(answer(500, "")), None), (Page::Status, Unusable::Crashed));
        assert_eq!(nameless(Ok(answer(200, "<html>")), None), (Page::Status, Unusable::Html(200)));
        let sample = Unusable::Empty(200);
        assert_eq!(nameless(Ok(answer(200, "[]")), Some(&sample)), (Page::Metrics, Unusable::Empty(200)));
        let (page, why) = nameless(Ok(answer(200, "[]")), None);
        assert_eq!((page, why.kind()), (Page::Metrics, "Malformed"));
    }

    #[test]
    fn gone_is_only_what_refuses_everywhere() {
        let answer =
            http::Answer { status: 500, content_type: String::new(), date: None, body: bytes::Bytes::new() };
        let show_refused: Reply = Err(Unusable::Wire(http::Broken::Refused(String::new())));
        assert_eq!(reach(&refused(), None, Some(&show_refused)), Reach::Refused);
        assert_eq!(reach(&Ok(answer), None, Some(&show_refused)), Reach::Answers, "a 500 is an answer");
        let cut = Err(http::Broken::Cut("EOF".into()));
        assert_eq!(reach(&cut, None, Some(&show_refused)), Reach::Silent, "an EOF is not yet a refusal");
        assert_eq!(reach(&refused(), None, Some(&Err(Unusable::Unauthorized))), Reach::Answers);
    }

    #[test]
    fn clients_reach_neither_loopback_nor_a_unix_socket() {
        let shown = |address: &str, port| ShownListener {
            mountpoint: String::new(),
            listener: lifecycle::Listener {
                kind: "mqtt".into(),
                address: address.into(),
                port,
                state: lifecycle::ListenerState::Running,
            },
            connections_max: Some(10_000),
            active: Some(0),
        };
        // As the official chart has them: one for the probes, one for clients.
        let (own, clients) = (shown("127.0.0.1", 1883), shown("10.0.0.1", 1883));
        let (pod, own_v6, local) =
            (Some(IpAddr::from([10, 0, 0, 1])), shown("::1", 1883), shown("/run/vernemq.sock", 0));
        let all = [own.clone(), own_v6, local.clone(), clients.clone()];
        assert_eq!(for_clients(&all, pod), [clients]);
        assert_eq!(
            for_clients(&[own.clone(), local.clone()], pod),
            [own.clone(), local],
            "a proxy in the pod"
        );
        assert!(own.reached(Some(IpAddr::from([127, 0, 0, 1]))), "the pod's own address");
    }

    #[test]
    fn name_queues_and_live_objects_come_from_the_recorded_metrics() {
        let at = Time(7);
        let of = |recording: &str| exposition::parse(recording).unwrap();
        let series = of(include_str!("../../tests/recordings/metrics_n1_after_load.prom"));
        assert_eq!(own_name(&series), Some(NodeName("VerneMQ1@127.0.0.11".into())));
        assert!(gauges(&series, at).queues.is_some());
        // One object in all, and one tombstone: nothing lives.
        let series = of(include_str!("../../tests/recordings/metrics_2.2.0.prom"));
        assert_eq!(gauges(&series, at).live, Some(0));
        let without: Vec<_> = series.into_iter().filter(|one| !one.name.contains("swc_")).collect();
        assert_eq!(gauges(&without, at).live, None, "another metadata plugin");
        assert_eq!(objects(Some(gauges(&without, at)), None), Observed::Seen(Objects { live: None, at }));
    }
}
