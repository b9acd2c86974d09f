//! Takes what the subscription tells: values into the fleet, everything else into the report.

use std::collections::HashMap;

use lifecycle::{NodeName, Time};

use super::heard::{Heard, Kind};
use super::{BadInput, Report};
use crate::mqtt::connection_state::Link;
use crate::mqtt::foreign::Tree;
use crate::mqtt::mosquitto::{Meaning, meaning};
use crate::mqtt::sys_topic::{Error as TopicError, Topic, is_odd, parse};
use crate::mqtt::{options::Options, subscription::Event};
use autoscaler::metrics::exposition::Labels;
use autoscaler::metrics::{Fleet, Keep, Key, Refused, Settings, Source};

/// The counters whose rates are served; for the rest Prometheus has `rate()`.
pub(super) const RATED: &str = "mqtt_publish_received";
/// The longest number that is read; an integer of 64 bits has 20 characters.
const NUMBER_MAX: usize = 40;
/// Topics whose way is remembered: 256 nodes of 150 topics are 38,400. Beyond it they are read anew each time.
const ROUTES_MAX: usize = 65_536;

/// What a topic leads to.
#[derive(Clone, Copy, Debug)]
enum Route {
    Series { key: Key, odd: bool, source: Source },
    Round,
    Nothing,
    Foreign(Tree),
}

impl Route {
    /// What a message on it says about whose broker this is.
    fn kind(self, retained: bool) -> Kind {
        match self {
            // VerneMQ retains none of them: somebody else left it there.
            Self::Series { source: Source::Sys, .. } if retained => Kind::Neither,
            Self::Series { .. } | Self::Round => Kind::Own,
            Self::Nothing => Kind::Neither,
            Self::Foreign(tree) => Kind::Foreign(tree),
        }
    }
}

/// Everything that the exporter knows.
pub struct Intake {
    pub(super) fleet: Fleet,
    pub(super) report: Report,
    heard: Heard,
    routes: HashMap<String, Route>,
    /// mosquitto has no name of its own.
    broker: NodeName,
    /// What is below `$SYS/broker/` on this connection is not mosquitto's.
    draft: bool,
    /// Length of the last page.
    pub(super) page_bytes: usize,
}

impl Intake {
    /// Knows nothing yet.
    pub fn new(source: &Options) -> Result<Self, prometheus::Error> {
        let settings = Settings { keep: Keep::Only(&[RATED]), ..Settings::default() };
        Ok(Self {
            fleet: Fleet::new(settings),
            report: Report::new(source.broker.authority())?,
            heard: Heard::new(source.message_wait),
            routes: HashMap::new(),
            broker: NodeName(source.broker.authority()),
            draft: false,
            page_bytes: 0,
        })
    }

    /// Takes one event of the subscription.
    pub fn take(&mut self, event: Event<'_>, now: Time) {
        match event {
            Event::Message { topic, payload, retained } => self.message(topic, payload, retained, now),
            Event::Silence(silence) => {
                let told = self.heard.silence(silence, self.fleet.any_fresh(now), now);
                self.tell(told);
            }
            Event::Link { link, cause } => self.link(link, cause, now),
        }
    }

    fn link(&mut self, link: Link, cause: String, now: Time) {
        if link == Link::Subscribed {
            // Another broker may have taken the place.
            self.set_draft(false);
        } else {
            self.fleet.interrupted(Source::Sys);
            self.fleet.interrupted(Source::Mosquitto);
        }
        self.heard.link(link, now);
        self.tell(Some((link, cause)));
    }

    fn tell(&mut self, told: Option<(Link, String)>) {
        if let Some((link, cause)) = told {
            self.report.link_is(link, &cause);
        }
    }

    fn set_draft(&mut self, draft: bool) {
        if self.draft != draft {
            self.draft = draft;
            self.routes.clear();
            self.fleet.remove(Source::Mosquitto);
        }
    }

    fn message(&mut self, topic: &str, payload: &[u8], retained: bool, now: Time) {
        self.report.message();
        let route = self.route(topic, now);
        let kind = route.as_ref().map_or(Kind::Neither, |route| route.kind(retained));
        if kind == Kind::Foreign(Tree::Draft) {
            self.set_draft(true);
        }
        let told = self.heard.message(kind, now);
        self.tell(told);
        let taken = route.and_then(|route| self.value(route, topic, payload, retained, now));
        if let Err((bad, detail)) = taken {
            self.report.bad(bad, topic, &detail, now);
        }
    }

    fn value(
        &mut self,
        route: Route,
        topic: &str,
        payload: &[u8],
        retained: bool,
        now: Time,
    ) -> Result<(), (BadInput, String)> {
        match route {
            Route::Nothing => Ok(()),
            Route::Foreign(tree) => Err((BadInput::Foreign, tree.words().to_owned())),
            // The retained one was sent at an unknown time.
            Route::Round if retained => Ok(()),
            Route::Round => self.fleet.tick(&self.broker, Source::Mosquitto, now).map_err(bad),
            Route::Series { key, odd, source } => {
                if retained && source == Source::Sys {
                    let detail = "a retained message: the broker sends none, so it may be of any age";
                    return Err((BadInput::Retained, detail.to_owned()));
                }
                let value = number(payload)?;
                if odd {
                    let detail = "the node's name has characters that are escaped in its label";
                    self.report.bad(BadInput::NodeName, topic, detail, now);
                }
                self.record(topic, key, value, now, !retained)
            }
        }
    }

    fn record(
        &mut self,
        topic: &str,
        key: Key,
        value: f64,
        now: Time,
        live: bool,
    ) -> Result<(), (BadInput, String)> {
        match self.fleet.record(key, value, now, live) {
            Err(Refused::Gone) => {
                // The node was forgotten and is back.
                self.routes.remove(topic);
                let Route::Series { key, .. } = self.route(topic, now)? else { return Ok(()) };
                self.fleet.record(key, value, now, live).map_err(bad)
            }
            result => result.map_err(bad),
        }
    }

    fn route(&mut self, topic: &str, now: Time) -> Result<Route, (BadInput, String)> {
        if let Some(route) = self.routes.get(topic) {
            return Ok(*route);
        }
        let route = self.find(topic, now)?;
        // What is not ours is known at a glance, and may have a topic a client.
        if self.routes.len() < ROUTES_MAX && !matches!(route, Route::Foreign(_)) {
            self.routes.insert(topic.to_owned(), route);
        }
        Ok(route)
    }

    fn find(&mut self, topic: &str, now: Time) -> Result<Route, (BadInput, String)> {
        let parsed = parse(topic).map_err(|error| {
            let reason = if error == TopicError::MetricName { BadInput::MetricName } else { BadInput::Topic };
            (reason, error.to_string())
        })?;
        let mut labels = Labels::new();
        let (node, source, metric) = match parsed {
            Topic::Foreign(tree) => return Ok(Route::Foreign(tree)),
            Topic::Mosquitto(_) if self.draft => return Ok(Route::Foreign(Tree::Draft)),
            Topic::Mosquitto(rest) => match meaning(rest) {
                Meaning::Other => return Ok(Route::Nothing),
                Meaning::Round => return Ok(Route::Round),
                Meaning::Metric(name) => (self.broker.clone(), Source::Mosquitto, name.to_owned()),
            },
            Topic::Node { node, metric, bound } => {
                if let Some(bound) = bound {
                    labels.insert("le".to_owned(), bound);
                }
                (NodeName(node.to_owned()), Source::Sys, metric)
            }
        };
        let key = self.fleet.key(&node, source, &metric, &labels, None, now).map_err(bad)?;
        Ok(Route::Series { key, odd: is_odd(&node.0), source })
    }
}

fn bad(refused: Refused) -> (BadInput, String) {
    let reason = match refused {
        Refused::TooManyNodes => BadInput::TooManyNodes,
        Refused::TooManySeries | Refused::Gone => BadInput::TooManySeries,
        Refused::BadValue => BadInput::Payload,
    };
    (reason, refused.to_string())
}

/// Reads a payload: the bare number, nothing around it.
fn number(payload: &[u8]) -> Result<f64, (BadInput, String)> {
    if payload.len() > NUMBER_MAX {
        let detail = format!("the payload has {} bytes, a number has at most {NUMBER_MAX}", payload.len());
        return Err((BadInput::PayloadTooLarge, detail));
    }
    let text = std::str::from_utf8(payload).ok();
    // `inf` and `nan` are numbers to Rust: the fleet refuses them.
    text.and_then(|text| text.parse().ok()).ok_or_else(|| {
        (BadInput::Payload, format!("the payload {:?} is not a number", String::from_utf8_lossy(payload)))
    })
}
