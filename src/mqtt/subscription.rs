//! One MQTT subscription that is never given up.
//!
//! The client is not trusted to repair a connection: it does not subscribe again, loses what was queued, and
//! may take an old SUBACK for a new one. So on any error client and event loop are dropped, and after a pause
//! both are built anew. Only `mqtt/session` knows the client.

use std::pin::{Pin, pin};
use std::time::Duration;

use lifecycle::Time;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use crate::mqtt::connection_state::{Ended, Link};
use crate::mqtt::options::Options;
use net::Clock;

use crate::mqtt::session::{Failure, Grant, News, Session, Subscriber, Version};

/// For the SUBACK.
const SUBACK_WAIT: Duration = Duration::from_secs(10);
/// Pauses before a new attempt: from half a second, because a leave refuses connects for about one, to 30 s.
const PAUSE_MIN: Duration = Duration::from_millis(500);
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// A connection that lasted as long begins again with the shortest pause.
const LASTING: Duration = Duration::from_secs(10);

/// What the subscription tells.
#[derive(Debug)]
pub enum Event<'a> {
    /// The link is in another state, or failed once more in the same way.
    Link {
        /// The state.
        link: Link,
        /// Cause in words.
        cause: String,
    },
    /// Subscribed, and nothing has come for as long: said every second from [`Options::message_wait`] on. What to think
    /// of it depends on what came before.
    Silence(Duration),
    /// A message.
    Message {
        /// Its topic.
        topic: &'a str,
        /// Its payload.
        payload: &'a [u8],
        /// The broker had kept it: it says nothing about now.
        retained: bool,
    },
}

/// The end of a connection, and what it says about the version of the protocol.
struct Over {
    ended: Ended,
    accepted: bool,
    version_refused: bool,
}

/// Connects, subscribes and hands over messages until `stop` resolves; then says goodbye.
pub async fn subscribe(
    options: &Options,
    clock: Clock,
    stop: impl Future<Output = ()>,
    mut sink: impl FnMut(Event<'_>, Time),
) {
    let mut stop = pin!(stop);
    let mut pause = PAUSE_MIN;
    let mut version = Version::V4;
    loop {
        let begun = clock.now();
        let Some(ended) = attempt(options, &mut version, clock, stop.as_mut(), &mut sink).await else {
            return;
        };
        if clock.now().since(begun) >= LASTING {
            pause = PAUSE_MIN;
        }
        sink(Event::Link { link: ended.link, cause: ended.cause }, clock.now());
        // Half of it is chance, so that many exporters do not come back in one burst.
        let jittered = pause.mul_f64(rand::random_range(0.5..=1.0));
        tokio::select! {
            () = sleep(jittered) => {}
            () = stop.as_mut() => return,
        }
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

/// One connection to its end, in the version that the broker takes: MQTT 3.1.1 first, and where a listener refuses that,
/// MQTT 5 at once, which is remembered as long as it is accepted. So there are two connects an attempt at most.
async fn attempt(
    options: &Options,
    version: &mut Version,
    clock: Clock,
    mut stop: Pin<&mut impl Future<Output = ()>>,
    sink: &mut impl FnMut(Event<'_>, Time),
) -> Option<Ended> {
    let first = connection(options, *version, clock, stop.as_mut(), sink).await?;
    if *version == Version::V5 {
        if !first.accepted {
            *version = Version::V4;
        }
        return Some(first.ended);
    }
    if !first.version_refused {
        return Some(first.ended);
    }
    let second = connection(options, Version::V5, clock, stop, sink).await?;
    if second.accepted {
        *version = Version::V5;
    }
    if second.accepted || second.ended.by_the_broker() || second.ended.not_reached() {
        return Some(second.ended);
    }
    let cause = format!("{}; with MQTT 5: {}", first.ended.cause, second.ended.cause);
    Some(Ended { link: Link::ConnectRefused, cause })
}

/// Runs one connection to its end; none if it was `stop` that ended it.
async fn connection(
    options: &Options,
    version: Version,
    clock: Clock,
    mut stop: Pin<&mut impl Future<Output = ()>>,
    sink: &mut impl FnMut(Event<'_>, Time),
) -> Option<Over> {
    let mut session = Session::new(version, options);
    let mut progress = Progress::default();
    let mut watch = interval(Duration::from_secs(1));
    watch.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        // One poll is never given up for a tick: it would begin a connect anew, and its deadline with it.
        let (poll, subscriber) = session.poll();
        let mut poll = pin!(poll.next());
        let polled = loop {
            tokio::select! {
                biased;
                () = stop.as_mut() => break None,
                polled = poll.as_mut() => break Some(polled),
                _ = watch.tick() => match progress.watch(options, clock.now()) {
                    Ok(silence) => silence.into_iter().for_each(|silence| sink(Event::Silence(silence), clock.now())),
                    Err(ended) => return Some(progress.over(ended, false)),
                },
            }
        };
        let now = clock.now();
        let news = match polled {
            None => break,
            Some(Ok(News::Message { topic, payload, retained })) => {
                progress.heard = Some(now);
                sink(Event::Message { topic: &topic, payload: &payload, retained }, now);
                continue;
            }
            Some(Ok(news)) => progress.news(&news, subscriber, options, now),
            Some(Err(Failure { ended, version_refused })) => {
                return Some(progress.over(ended, version_refused));
            }
        };
        match news {
            Ok(None) => {}
            Ok(Some(Ended { link, cause })) => sink(Event::Link { link, cause }, now),
            Err(ended) => return Some(progress.over(ended, false)),
        }
    }
    if progress.connected.is_some() {
        goodbye(&mut session).await;
    }
    None
}

/// DISCONNECT, so that the broker does not take us for lost. A second is enough on a connection that works.
async fn goodbye(session: &mut Session) {
    let (poll, subscriber) = session.poll();
    if !subscriber.disconnect() {
        return;
    }
    let sent = async { while !matches!(poll.next().await, Ok(News::Goodbye) | Err(_)) {} };
    let _ = timeout(Duration::from_secs(1), sent).await;
}

/// How far one connection has come.
#[derive(Default)]
struct Progress {
    connected: Option<Time>,
    subscribe_id: Option<u16>,
    /// When the SUBACK came, or the last message.
    heard: Option<Time>,
}

impl Progress {
    fn news(
        &mut self,
        news: &News,
        subscriber: &Subscriber,
        options: &Options,
        now: Time,
    ) -> Result<Option<Ended>, Ended> {
        match news {
            News::Accepted => {
                self.connected = Some(now);
                subscriber.subscribe(&options.filters).map_err(|error| Ended {
                    link: Link::Protocol,
                    cause: format!("the subscription could not be sent: {error}"),
                })?;
            }
            News::Subscribing(id) => self.subscribe_id = Some(*id),
            // Any other SUBACK is an old one.
            News::Granted { id, grants } if Some(*id) == self.subscribe_id => {
                return self.subscribed(grants, options, now);
            }
            _ => {}
        }
        Ok(None)
    }

    fn subscribed(&mut self, grants: &[Grant], options: &Options, now: Time) -> Result<Option<Ended>, Ended> {
        self.subscribe_id = None;
        self.heard = Some(now);
        let codes = grants.iter().zip(&options.filters);
        let refused: Vec<(u8, &str)> =
            codes.filter_map(|(grant, filter)| Some((grant.refused?, filter.as_str()))).collect();
        let Some((code, _)) = refused.first() else {
            let cause = "subscribed, waiting for the first message".to_owned();
            return Ok(Some(Ended { link: Link::Subscribed, cause }));
        };
        let filters: Vec<&str> = refused.iter().map(|(_, filter)| *filter).collect();
        let ended = Ended {
            link: Link::AclRefused,
            cause: format!("SUBACK {code:#04x}: the broker refuses {}", filters.join(", ")),
        };
        if filters.len() == options.filters.len() { Err(ended) } else { Ok(Some(ended)) }
    }

    /// Adds how far it had come.
    fn over(&self, ended: Ended, version_refused: bool) -> Over {
        let ended = match (ended.link, self.connected) {
            (Link::Closed, None) => Ended { cause: format!("{}, before its CONNACK", ended.cause), ..ended },
            _ => ended,
        };
        Over { ended, accepted: self.connected.is_some(), version_refused }
    }

    /// Looks for what should have come by now.
    fn watch(&self, options: &Options, now: Time) -> Result<Option<Duration>, Ended> {
        match (self.connected, self.heard) {
            (Some(connected), None) if now.since(connected) >= SUBACK_WAIT => Err(Ended {
                link: Link::Silent,
                cause: format!("no SUBACK within {} s", SUBACK_WAIT.as_secs()),
            }),
            (_, Some(heard)) => Ok(Some(now.since(heard)).filter(|silence| *silence >= options.message_wait)),
            _ => Ok(None),
        }
    }
}
