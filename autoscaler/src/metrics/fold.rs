//! Folds samples into nodes, with a bound on everything that a broker could make grow.

use std::collections::{BTreeMap, HashMap};

use lifecycle::{NodeName, Time};

use super::known::histogram_of;
use super::track::{Family, Series, Track};
use super::{
    FleetView, Keep, Kind, Metric, NodeView, OtherSource, Reading, Refused, Sample, Settings, Source, Span,
    Why, Window, kind_of,
};
use crate::metrics::exposition::{self, Labels};

/// The place of one series: saves the search by name when the next value comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    track: u32,
    generation: u32,
    family: u32,
    series: u32,
}

/// One series as it may be shown now.
#[derive(Debug)]
pub struct Shown<'a> {
    /// Number of the node, the same for all series of a node within one call.
    pub track: usize,
    /// The node.
    pub node: &'a NodeName,
    /// Labels, less `node`.
    pub labels: &'a Labels,
    /// Last value.
    pub value: f64,
    /// When the value was last known to be so.
    pub at: Time,
}

#[derive(Debug)]
struct Name {
    name: String,
    kind: Kind,
}

/// Everything that was heard of the nodes.
#[derive(Debug)]
pub struct Fleet {
    settings: Settings,
    names: Vec<Name>,
    by_name: BTreeMap<String, usize>,
    tracks: Vec<Option<Track>>,
    by_node: HashMap<(NodeName, Source), usize>,
    generation: u32,
}

impl Fleet {
    /// An empty one.
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            names: Vec::new(),
            by_name: BTreeMap::new(),
            tracks: Vec::new(),
            by_node: HashMap::new(),
            generation: 0,
        }
    }

    /// Takes one sample.
    pub fn ingest(&mut self, sample: &Sample) -> Result<(), Refused> {
        let key = self.key(&sample.node, sample.source, &sample.name, &sample.labels, None, sample.at)?;
        self.record(key, sample.value, sample.at, true)
    }

    /// Takes one answer of a node's `/metrics`: drops the prefix `vernemq_`, uses the types that it
    /// states, and leaves out what is not a number. Returns how many series were taken.
    ///
    /// The label `node` is the broker's own word for who it is; `fallback` is used where it is missing.
    pub fn ingest_metrics(
        &mut self,
        fallback: &NodeName,
        series: &[exposition::Series],
        at: Time,
    ) -> Result<usize, Refused> {
        let mut taken = 0;
        for one in series {
            let mut labels = one.labels.clone();
            let node = labels.remove("node").map_or_else(|| fallback.clone(), NodeName);
            let name = one.name.strip_prefix("vernemq_").unwrap_or(&one.name);
            let key = self.key(&node, Source::Metrics, name, &labels, Some(one.kind), at)?;
            match self.record(key, one.value, at, true) {
                Ok(()) => taken += 1,
                Err(Refused::BadValue) => {}
                Err(refused) => return Err(refused),
            }
        }
        Ok(taken)
    }

    /// Finds or makes the place of a series. `kind` is what the source states of its type, if it does.
    pub fn key(
        &mut self,
        node: &NodeName,
        source: Source,
        name: &str,
        labels: &Labels,
        kind: Option<Kind>,
        now: Time,
    ) -> Result<Key, Refused> {
        let family = self.family(name, kind)?;
        let track = self.track(node, source, now)?;
        let Some(place) = self.tracks[track].as_mut() else { return Err(Refused::Gone) };
        if place.families.len() <= family {
            place.families.resize_with(family + 1, || None);
        }
        let kind = self.names[family].kind;
        let full = place.series_count >= self.settings.series_max;
        let entry = &mut place.families[family];
        let found = entry.as_ref().and_then(|entry| entry.find(labels));
        let series = match (found, entry) {
            (Some(series), _) => series,
            (None, _) if full => return Err(Refused::TooManySeries),
            (None, Some(entry)) => entry.add(labels),
            (None, entry) => {
                let keep = keeps_window(self.settings.keep, kind, name);
                *entry = Some(Family::new(kind, keep.then(Box::<Window>::default), labels));
                0
            }
        };
        place.series_count += usize::from(found.is_none());
        let generation = place.generation;
        let number = |index: usize| u32::try_from(index).map_err(|_| Refused::TooManySeries);
        Ok(Key { track: number(track)?, generation, family: number(family)?, series: number(series)? })
    }

    /// Takes the next value of a series. `live` is false for a retained message: a value that is right, but
    /// was counted at an unknown moment.
    pub fn record(&mut self, key: Key, value: f64, at: Time, live: bool) -> Result<(), Refused> {
        let Some(Some(track)) = self.tracks.get_mut(key.track as usize) else { return Err(Refused::Gone) };
        if track.generation != key.generation {
            return Err(Refused::Gone);
        }
        let family = key.family as usize;
        if !value.is_finite() || (value < 0.0 && self.names[family].kind.counts()) {
            return Err(Refused::BadValue);
        }
        let (source, learned) = (track.source, track.interval().is_some());
        track.record(family, key.series as usize, value, at, live);
        if !learned && track.interval().is_some() {
            self.share_interval(source);
        }
        Ok(())
    }

    /// Tells the nodes that have none yet of the interval that others of the source have learned.
    fn share_interval(&mut self, source: Source) {
        let tracks = || self.tracks.iter().flatten().filter(|track| track.source == source);
        let longest = tracks().filter_map(Track::interval).max();
        for track in self.tracks.iter_mut().flatten().filter(|track| track.source == source) {
            track.siblings = longest;
        }
    }

    /// A source that sends only changes has begun its next round at `at`: what it does not send is unchanged.
    pub fn tick(&mut self, node: &NodeName, source: Source, at: Time) -> Result<(), Refused> {
        let track = self.track(node, source, at)?;
        if let Some(track) = &mut self.tracks[track] {
            track.tick(at);
        }
        Ok(())
    }

    /// The connection to a source was lost: the silence until it is back is no interval.
    pub fn interrupted(&mut self, source: Source) {
        for track in self.tracks.iter_mut().flatten().filter(|track| track.source == source) {
            track.interrupted();
        }
    }

    /// Some node is still within its intervals.
    pub fn any_fresh(&self, now: Time) -> bool {
        self.tracks.iter().flatten().any(|track| track.fresh(now))
    }

    /// Takes back everything of a source: it was not what it was taken for.
    pub fn remove(&mut self, source: Source) {
        for place in &mut self.tracks {
            if place.as_ref().is_some_and(|track| track.source == source) {
                *place = None;
            }
        }
        self.drop_names_of_gone();
    }

    /// Forgets nodes unheard for [`Settings::forget_after`].
    pub fn forget(&mut self, now: Time) {
        let patience = self.settings.forget_after;
        for place in &mut self.tracks {
            if place.as_ref().is_some_and(|track| now.since(track.heard) > patience) {
                *place = None;
            }
        }
        self.drop_names_of_gone();
    }

    fn drop_names_of_gone(&mut self) {
        let tracks = &self.tracks;
        self.by_node.retain(|_, index| tracks[*index].is_some());
    }

    /// Calls `show` for every series that is fresh, grouped by name in alphabetical order, nodes in the
    /// order in which they were first heard. Stale nodes are left out.
    pub fn for_each(&self, now: Time, mut show: impl FnMut(&str, Kind, Shown<'_>)) {
        let fresh: Vec<(usize, &Track)> = self
            .tracks
            .iter()
            .enumerate()
            .filter_map(|(index, track)| {
                track.as_ref().filter(|track| track.fresh(now)).map(|track| (index, track))
            })
            .collect();
        for (name, number) in &self.by_name {
            let kind = self.names[*number].kind;
            for (index, track) in &fresh {
                let Some(Some(family)) = track.families.get(*number) else { continue };
                for one in family.in_order() {
                    if !one.value.is_nan() && track.series_fresh(one, now) {
                        let at = if track.source.only_changes() { track.heard } else { one.at };
                        let (labels, value) = (&one.labels, one.value);
                        show(name, kind, Shown { track: *index, node: &track.node, labels, value, at });
                    }
                }
            }
        }
    }

    /// What is known at `now`.
    pub fn view(&self, now: Time) -> FleetView {
        self.view_if(now, |_| true)
    }

    /// What is known at `now` of these metrics only.
    pub fn view_of(&self, now: Time, names: &[&str]) -> FleetView {
        self.view_if(now, |name| names.contains(&name))
    }

    fn view_if(&self, now: Time, wanted: impl Fn(&str) -> bool) -> FleetView {
        let wanted: Vec<bool> = self.names.iter().map(|name| wanted(&name.name)).collect();
        let mut by_node: BTreeMap<&NodeName, Vec<&Track>> = BTreeMap::new();
        for track in self.tracks.iter().flatten() {
            by_node.entry(&track.node).or_default().push(track);
        }
        let nodes = by_node
            .into_iter()
            .filter_map(|(node, mut tracks)| {
                tracks.sort_by_key(|track| (!track.fresh(now), track.source));
                let (best, rest) = tracks.split_first()?;
                Some((node.clone(), self.node_view(best, rest, &wanted, now)))
            })
            .collect();
        FleetView { at: now, nodes }
    }

    fn node_view(&self, best: &Track, rest: &[&Track], wanted: &[bool], now: Time) -> NodeView {
        let other =
            |track: &&Track| OtherSource { source: track.source, metrics: self.metrics(track, wanted, now) };
        NodeView {
            source: best.source,
            age: Some(now.since(best.heard)),
            interval: best.interval(),
            fresh: best.fresh(now),
            last_reset: best.last_reset,
            metrics: self.metrics(best, wanted, now),
            others: rest.iter().filter(|track| track.fresh(now)).map(other).collect(),
        }
    }

    fn metrics(&self, track: &Track, wanted: &[bool], now: Time) -> BTreeMap<String, Metric> {
        let mut metrics = BTreeMap::new();
        for ((name, family), wanted) in self.names.iter().zip(&track.families).zip(wanted) {
            let (Some(family), true) = (family, wanted) else { continue };
            if name.kind == Kind::Histogram && name.name.ends_with("_bucket") {
                continue;
            }
            let metric = if name.kind.counts() {
                Metric::Counter(rates(track, family, now))
            } else {
                Metric::Gauge(level(track, family, now))
            };
            metrics.insert(name.name.clone(), metric);
        }
        metrics
    }

    fn family(&mut self, name: &str, stated: Option<Kind>) -> Result<usize, Refused> {
        if let Some(number) = self.by_name.get(name) {
            return Ok(*number);
        }
        if self.names.len() >= self.settings.families_max {
            return Err(Refused::TooManySeries);
        }
        let kind = match stated {
            Some(Kind::Untyped) | None => kind_of(name),
            Some(stated) => stated,
        };
        // A histogram is only ever seen by its parts.
        let kind = if kind == Kind::Histogram && histogram_of(name).is_none() { Kind::Untyped } else { kind };
        self.names.push(Name { name: name.to_owned(), kind });
        self.by_name.insert(name.to_owned(), self.names.len() - 1);
        Ok(self.names.len() - 1)
    }

    fn track(&mut self, node: &NodeName, source: Source, now: Time) -> Result<usize, Refused> {
        // The lookup wants an owned pair; it is only made for a series that is new to its caller.
        let pair = (node.clone(), source);
        if let Some(index) = self.by_node.get(&pair) {
            return Ok(*index);
        }
        if self.by_node.len() >= self.settings.nodes_max {
            self.forget(now);
        }
        if self.by_node.len() >= self.settings.nodes_max {
            return Err(Refused::TooManyNodes);
        }
        self.generation += 1;
        let track = Some(Track::new(node.clone(), source, self.generation, now));
        let index = if let Some(free) = self.tracks.iter().position(Option::is_none) {
            self.tracks[free] = track;
            free
        } else {
            self.tracks.push(track);
            self.tracks.len() - 1
        };
        self.by_node.insert(pair, index);
        self.share_interval(source);
        Ok(index)
    }
}

fn keeps_window(keep: Keep, kind: Kind, name: &str) -> bool {
    // Buckets are left out: a decision uses the mean, which is sum by count.
    kind.counts()
        && match keep {
            Keep::All => kind == Kind::Counter || !name.ends_with("_bucket"),
            Keep::Only(names) => names.contains(&name),
        }
}

fn rates(track: &Track, family: &Family, now: Time) -> BTreeMap<Span, Reading> {
    let rate = |span| {
        if !track.fresh(now) || !family.iter().any(|one| track.series_fresh(one, now)) {
            return Reading::Unknown(Why::Stale);
        }
        match &family.window {
            Some(window) => window.rate(span, track.interval_or_assumed()),
            None => Reading::Unknown(Why::NotKept),
        }
    };
    Span::ALL.into_iter().map(|span| (span, rate(span))).collect()
}

fn level(track: &Track, family: &Family, now: Time) -> Reading {
    if !track.fresh(now) {
        return Reading::Unknown(Why::Stale);
    }
    let fresh = |one: &&Series| !one.value.is_nan() && track.series_fresh(one, now);
    let values: Vec<f64> = family.iter().filter(fresh).map(|one| one.value).collect();
    if values.is_empty() { Reading::Unknown(Why::Stale) } else { Reading::Known(values.iter().sum()) }
}

#[cfg(test)]
mod tests;
