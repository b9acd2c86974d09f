//! One node as one source tells it: its ticks, its series, its age.

use std::time::Duration;

use lifecycle::{NodeName, Time};

use super::{Kind, Monotone, Window};
use crate::metrics::exposition::Labels;

/// Bounds of a learned interval. Below: one topic delivered twice is not a tick. Above: an outage of hours must not be
/// learned as an interval, or a dead node would look alive for three times as long; `sys_interval` and
/// `systree_interval` of some minutes are seen.
const INTERVAL_MIN: Duration = Duration::from_millis(500);
const INTERVAL_MAX: Duration = Duration::from_mins(5);
/// As many gaps as the median is taken of.
const GAPS: usize = 5;
/// Unheard for as many intervals is stale.
const STALE_AFTER: u32 = 3;

/// Silence that is no staleness before an interval is learned, of a source whose interval somebody else sets: three of a
/// minute, the longest that is usual (`sys_interval 60` of mosquitto; EMQX and `HiveMQ` by default). A node that dies
/// between its first message and its second is noticed as late as that, if no other node has shown the interval.
pub const UNLEARNED_PATIENCE: Duration = Duration::from_mins(3);

/// Who tells it. Ordered by preference, the best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// The node's own `/metrics`, with labels.
    Metrics,
    /// Messages of VerneMQ under `$SYS/<node>/`: every metric in every tick.
    Sys,
    /// Messages of mosquitto under `$SYS/broker/`: only what has changed, after `uptime`, which always changes.
    Mosquitto,
}

impl Source {
    /// The interval that is assumed until one is learned: 2 s as the controller scrapes, 20 s as
    /// `systree_interval` (`sys_default_n1.txt`), 10 s as mosquitto's `sys_interval`.
    pub fn assumed_interval(self) -> Duration {
        Duration::from_secs(match self {
            Self::Metrics => 2,
            Self::Sys => 20,
            Self::Mosquitto => 10,
        })
    }

    /// A value that was not sent again has not changed.
    pub fn only_changes(self) -> bool {
        self == Self::Mosquitto
    }

    /// Name as a label's value.
    pub fn label(self) -> &'static str {
        match self {
            Self::Metrics => "metrics",
            Self::Sys => "sys",
            Self::Mosquitto => "mosquitto",
        }
    }
}

/// One series of a family: one set of labels.
#[derive(Debug)]
pub(super) struct Series {
    pub(super) labels: Labels,
    pub(super) value: f64,
    pub(super) at: Time,
    tick: u64,
    counter: Monotone,
}

impl Series {
    fn new(labels: &Labels) -> Self {
        Self { labels: labels.clone(), value: f64::NAN, at: Time(0), tick: 0, counter: Monotone::default() }
    }
}

/// All series of one name.
///
/// The first one, which in `$SYS` is mostly the only one, is kept in place: a page walks over sixteen thousand of
/// them, and each step to another part of the memory would cost more than writing the line.
#[derive(Debug)]
pub(super) struct Family {
    pub(super) kind: Kind,
    first: Series,
    rest: Vec<Series>,
    /// Numbers of the series in the order in which they are shown, buckets by their bound; empty for a single one.
    order: Vec<usize>,
    pub(super) window: Option<Box<Window>>,
}

impl Family {
    pub(super) fn new(kind: Kind, window: Option<Box<Window>>, labels: &Labels) -> Self {
        Self { kind, first: Series::new(labels), rest: Vec::new(), order: Vec::new(), window }
    }

    /// The number of the series with these labels, if there is one.
    pub(super) fn find(&self, labels: &Labels) -> Option<usize> {
        self.iter().position(|series| &series.labels == labels)
    }

    /// Makes a series that [`Family::find`] has not found.
    pub(super) fn add(&mut self, labels: &Labels) -> usize {
        self.rest.push(Series::new(labels));
        let bound = |number: &usize| {
            let le = self.get(*number).and_then(|series| series.labels.get("le"));
            le.and_then(|le| le.parse::<f64>().ok()).unwrap_or(f64::INFINITY)
        };
        let mut order: Vec<usize> = (0..=self.rest.len()).collect();
        order.sort_by(|a, b| bound(a).total_cmp(&bound(b)));
        self.order = order;
        self.rest.len()
    }

    pub(super) fn get(&self, number: usize) -> Option<&Series> {
        if number == 0 { Some(&self.first) } else { self.rest.get(number - 1) }
    }

    fn get_mut(&mut self, number: usize) -> Option<&mut Series> {
        if number == 0 { Some(&mut self.first) } else { self.rest.get_mut(number - 1) }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Series> {
        std::iter::once(&self.first).chain(&self.rest)
    }

    /// All series as they are to be shown.
    pub(super) fn in_order(&self) -> impl Iterator<Item = &Series> {
        let only = self.rest.is_empty().then_some(&self.first);
        only.into_iter().chain(self.order.iter().filter_map(|number| self.get(*number)))
    }
}

/// When the samples of a source come in.
#[derive(Debug, Default)]
struct Ticks {
    number: u64,
    started: Option<Time>,
    gaps: Vec<Duration>,
    interrupted: bool,
}

impl Ticks {
    fn begin(&mut self, at: Time) {
        if let Some(before) = self.started
            && !self.interrupted
        {
            if self.gaps.len() == GAPS {
                self.gaps.remove(0);
            }
            self.gaps.push(at.since(before));
        }
        self.interrupted = false;
        self.number += 1;
        self.started = Some(at);
    }

    /// Median of the last gaps, the shortest of fewer than three: one lost tick or one outage is not an interval.
    fn interval(&self) -> Option<Duration> {
        let mut sorted = self.gaps.clone();
        sorted.sort_unstable();
        let learned = if sorted.len() < 3 { sorted.first() } else { sorted.get(sorted.len() / 2) };
        learned.map(|gap| (*gap).clamp(INTERVAL_MIN, INTERVAL_MAX))
    }
}

/// One node as one source tells it.
#[derive(Debug)]
pub(super) struct Track {
    pub(super) node: NodeName,
    pub(super) source: Source,
    /// Tells the node that was evicted from this place from the one that took it.
    pub(super) generation: u32,
    pub(super) heard: Time,
    pub(super) last_reset: Option<Time>,
    /// By the number of the family.
    pub(super) families: Vec<Option<Family>>,
    pub(super) series_count: usize,
    ticks: Ticks,
    learned: Option<Duration>,
    /// The longest interval that other nodes of the source have learned: all of a cluster are set alike.
    pub(super) siblings: Option<Duration>,
}

impl Track {
    pub(super) fn new(node: NodeName, source: Source, generation: u32, now: Time) -> Self {
        Self {
            node,
            source,
            generation,
            heard: now,
            last_reset: None,
            families: Vec::new(),
            series_count: 0,
            ticks: Ticks::default(),
            learned: None,
            siblings: None,
        }
    }

    /// Learned time between two ticks.
    pub(super) fn interval(&self) -> Option<Duration> {
        self.learned
    }

    /// Learned time between two ticks, or the source's usual one.
    pub(super) fn interval_or_assumed(&self) -> Duration {
        self.learned.unwrap_or_else(|| self.source.assumed_interval())
    }

    /// Silence that is still no staleness.
    pub(super) fn patience(&self) -> Duration {
        match (self.learned, self.source) {
            (Some(interval), _) => interval * STALE_AFTER,
            // The interval is our own.
            (None, Source::Metrics) => self.source.assumed_interval() * STALE_AFTER,
            (None, Source::Sys | Source::Mosquitto) => {
                self.siblings.map_or(UNLEARNED_PATIENCE, |interval| interval * STALE_AFTER)
            }
        }
    }

    pub(super) fn fresh(&self, now: Time) -> bool {
        now.since(self.heard) <= self.patience()
    }

    /// The series still comes: a metric may vanish while its node lives.
    pub(super) fn series_fresh(&self, series: &Series, now: Time) -> bool {
        self.source.only_changes() || now.since(series.at) <= self.patience()
    }

    /// The connection was lost: the time until the next tick says nothing about the interval.
    pub(super) fn interrupted(&mut self) {
        self.ticks.interrupted = true;
    }

    /// A source that sends only changes says that everything else is as it was.
    pub(super) fn tick(&mut self, at: Time) {
        let gap = !self.fresh(at);
        self.begin_tick(at);
        self.heard = self.heard.max(at);
        for window in self.families.iter_mut().flatten().filter_map(|family| family.window.as_mut()) {
            if gap {
                window.clear();
            }
            window.mark(at);
        }
    }

    fn begin_tick(&mut self, at: Time) {
        self.ticks.begin(at);
        self.learned = self.ticks.interval();
    }

    /// Takes a value of a series that [`Family::series_of`] has made.
    pub(super) fn record(&mut self, family: usize, series: usize, value: f64, at: Time, live: bool) {
        let patience = self.patience();
        let only_changes = self.source.only_changes();
        let started = self.ticks.started;
        let repeated = self
            .families
            .get(family)
            .and_then(Option::as_ref)
            .and_then(|family| family.get(series))
            .is_some_and(|series| series.tick == self.ticks.number);
        if !only_changes && started.is_none_or(|started| repeated && at.since(started) >= INTERVAL_MIN) {
            self.begin_tick(at);
        }
        let Some(Some(family)) = self.families.get_mut(family) else { return };
        let kind = family.kind;
        let Some(entry) = family.get_mut(series) else { return };
        let gap = !only_changes && at.since(entry.at) > patience;
        entry.value = value;
        entry.at = at;
        entry.tick = self.ticks.number;
        self.heard = self.heard.max(at);
        if !kind.counts() {
            return;
        }
        let step = entry.counter.step(value);
        if step.reset {
            self.last_reset = Some(at);
        }
        let Some(window) = &mut family.window else { return };
        if gap {
            window.clear();
            window.mark(at);
        } else {
            window.credit(step.increase);
            if !only_changes {
                window.mark(at);
            } else if let Some(tick) = started
                && live
            {
                window.mark(tick);
            }
        }
    }
}
