//! Takes what the subscription tells: values into the fleet, everything else into the report.

use std::collections::HashMap;

use lifecycle::{NodeName, Time};

use super::{BadInput, Report};
use crate::fleet::{Fleet, Keep, Key, Refused, Settings, Source};
use crate::observe::exposition::Labels;
use crate::observe::link::Link;
use crate::observe::mosquitto::{Meaning, meaning};
use crate::observe::mqtt::{Address, Event};
use crate::observe::topic::{Error as TopicError, Topic, is_odd, parse};

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
}

/// Everything that the exporter knows.
pub struct Intake {
    pub(super) fleet: Fleet,
    pub(super) report: Report,
    routes: HashMap<String, Route>,
    /// mosquitto has no name of its own.
    broker: NodeName,
    /// Length of the last page.
    pub(super) page_bytes: usize,
}

impl Intake {
    /// Knows nothing yet.
    pub fn new(broker: &Address) -> Result<Self, prometheus::Error> {
        let settings = Settings { keep: Keep::Only(&[RATED]), ..Settings::default() };
        Ok(Self {
            fleet: Fleet::new(settings),
            report: Report::new(broker.to_string())?,
            routes: HashMap::new(),
            broker: NodeName(broker.to_string()),
            page_bytes: 0,
        })
    }

    /// Takes one event of the subscription.
    pub fn take(&mut self, event: Event<'_>, now: Time) {
        match event {
            Event::Message { topic, payload, retained } => self.message(topic, payload, retained, now),
            Event::Link { link, cause } => {
                if !matches!(link, Link::Up | Link::NoMessages | Link::Subscribed | Link::Connecting) {
                    self.fleet.interrupted(Source::Sys);
                    self.fleet.interrupted(Source::Mosquitto);
                }
                self.report.link_is(link, &cause);
            }
        }
    }

    fn message(&mut self, topic: &str, payload: &[u8], retained: bool, now: Time) {
        self.report.message();
        if let Err((bad, detail)) = self.value(topic, payload, retained, now) {
            self.report.bad(bad, topic, &detail, now);
        }
    }

    fn value(
        &mut self,
        topic: &str,
        payload: &[u8],
        retained: bool,
        now: Time,
    ) -> Result<(), (BadInput, String)> {
        match self.route(topic, now)? {
            Route::Nothing => Ok(()),
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
        if self.routes.len() < ROUTES_MAX {
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
