//! `/metrics`, `metrics show` and the values of `$SYS`.

use super::counts::{BOUNDS, Histogram};
use super::metric_table::{self, Labels, RUNS, Run};
use super::node::Ix;
use super::page::Kind;
use super::{Answer, ClusterModel, Series};

/// Values of an idle node that nothing in the model moves (`metrics_n1_after_load.prom`,
/// `sys_default_n1.txt`).
const IDLE: &[(&str, i64)] = &[
    ("retain_memory", 12_208),
    ("vm_memory_ets", 6_671_152),
    ("vm_memory_code", 13_817_622),
    ("vm_memory_binary", 8_147_976),
    ("vm_memory_atom_used", 600_197),
    ("vm_memory_atom", 631_001),
    ("vm_memory_system", 39_266_752),
    ("vm_memory_processes_used", 8_622_488),
    ("vm_memory_processes", 8_623_800),
    ("vm_memory_total", 47_890_552),
];

/// Counters of the runtime: what they have at the start and gain in a second
/// (`sys_default_n1.txt`, two ticks of 20 s).
const RUNTIME: &[(&str, i64, i64)] = &[
    ("system_wallclock", 0, 1_000),
    ("system_runtime", 640, 4),
    ("system_reductions", 19_300_000, 20_400),
    ("system_exact_reductions", 19_100_000, 20_400),
    ("system_io_out", 30_000, 6_500),
    ("system_io_in", 30_000, 5_300),
    ("system_words_reclaimed_by_gc", 29_000_000, 60_000),
    ("system_gc_count", 1_300, 72),
    ("system_context_switches", 34_000, 270),
];

impl ClusterModel {
    pub(super) fn metrics_of(&self, ix: Ix) -> Vec<Series> {
        let mut lines = Vec::with_capacity(450);
        for run in RUNS {
            self.lines(ix, run, &mut lines);
        }
        let node = self.nodes[ix.0].name.0.clone();
        for line in &mut lines {
            line.labels.insert(0, ("node", node.clone()));
        }
        lines
    }

    fn lines(&self, ix: Ix, run: &Run, out: &mut Vec<Series>) {
        let counts = &self.nodes[ix.0].counts;
        let mut push = |name: String, labels: Vec<(&'static str, String)>, value: i64| {
            let (family, help, kind) = (run.family, run.help, run.kind);
            out.push(Series { family, name, help, kind, labels, value });
        };
        let plain = || run.family.to_owned();
        let count = |version: &str, code: &str| counts.at(run.family, version, code).unwrap_or(0);
        match run.labels {
            Labels::Plain => push(plain(), Vec::new(), self.plain(ix, run.family)),
            Labels::V4 => push(plain(), vec![("mqtt_version", "4".into())], count("4", "")),
            Labels::V4AndV5 => {
                for version in ["4", "5"] {
                    push(plain(), vec![("mqtt_version", version.into())], count(version, ""));
                }
            }
            Labels::Returns(codes) => {
                for code in codes {
                    let labels = vec![("mqtt_version", "4".into()), ("return_code", (*code).to_owned())];
                    push(plain(), labels, count("4", code));
                }
            }
            Labels::Reasons(codes) => {
                for code in codes {
                    let labels = vec![("mqtt_version", "5".into()), ("reason_code", (*code).to_owned())];
                    push(plain(), labels, count("5", code));
                }
            }
            Labels::Groups => {
                for (nth, group) in metric_table::GROUPS.into_iter().enumerate() {
                    push(plain(), vec![("group", group.into())], self.of_group(ix, run.family, nth));
                }
            }
            Labels::Histogram => {
                let Some(histogram) = self.histogram(ix, run.family) else { return };
                for (passed, bound) in metric_table::BOUNDS.iter().enumerate() {
                    // The page counts down, from `+Inf`.
                    let at = BOUNDS.len() - passed;
                    let labels = vec![("le", (*bound).to_owned())];
                    push(format!("{}_bucket", run.family), labels, histogram.up_to(at));
                }
                push(format!("{}_count", run.family), Vec::new(), histogram.count());
                push(format!("{}_sum", run.family), Vec::new(), histogram.sum);
            }
        }
    }

    /// Those of writes and deletions are not there before their first use (`sys_2.2.0.txt`: 141 topics of a node
    /// without a client, 159 of the others; `sys_default_n1.txt`: 150 with one that stays).
    fn histogram(&self, ix: Ix, family: &str) -> Option<&Histogram> {
        let counts = &self.nodes[ix.0].counts;
        let used = |histogram| Some(histogram).filter(|histogram: &&Histogram| histogram.count() > 0);
        match family {
            "storage_scan_microseconds" => Some(&counts.storage_scan),
            "storage_read_microseconds" => Some(&counts.storage_read),
            "storage_write_microseconds" => Some(&counts.storage_write),
            "metadata_put_microseconds" => used(&counts.metadata_put),
            "metadata_fold_microseconds" => Some(&counts.metadata_fold),
            "metadata_get_microseconds" => Some(&counts.metadata_get),
            _ => used(&counts.metadata_delete),
        }
    }

    fn plain(&self, ix: Ix, family: &str) -> i64 {
        let node = &self.nodes[ix.0];
        if let Some(value) = node.counts.at(family, "", "") {
            return value;
        }
        let conns = self.online(ix);
        let websockets = self.websockets(ix);
        match family {
            "total_active_connections" => conns,
            "active_mqtt_connections" => conns - websockets,
            "active_mqttws_connections" => websockets,
            "queue_processes" => self.queue_count(ix),
            "retain_messages" => self.retained_seen(ix),
            "router_subscriptions" => self.subscriptions_seen(ix),
            "router_memory" => 14_848 + 60 * self.subscriptions_seen(ix),
            "system_process_count" => 394 + 2 * conns,
            // 4 schedulers on 2 cores: 50 is the ceiling (docs/broker/drain.md, "Signs of a storm").
            "system_utilization" => {
                if self.storm(ix) {
                    50
                } else {
                    27
                }
            }
            "system_run_queue" => {
                if self.storm(ix) {
                    10
                } else {
                    0
                }
            }
            _ => self.background(ix, family),
        }
    }

    fn background(&self, ix: Ix, family: &str) -> i64 {
        if let Some((_, value)) = IDLE.iter().find(|(name, _)| *name == family) {
            return *value;
        }
        let up = i64::try_from(self.now.since(self.nodes[ix.0].started).as_millis()).unwrap_or(i64::MAX);
        RUNTIME
            .iter()
            .find(|(name, ..)| *name == family)
            .map_or(0, |(_, start, gain)| start + gain.saturating_mul(up) / 1_000)
    }

    /// Topics below `$SYS/<node>/` with `_` for `/`, and their values: labels
    /// are summed (docs/broker/status-and-metrics.md, "The $SYS tree").
    pub(super) fn sys_of(&self, ix: Ix) -> Vec<(String, i64)> {
        let mut sums: Vec<(String, i64)> = Vec::with_capacity(160);
        let mut places = std::collections::BTreeMap::new();
        for line in self.metrics_of(ix) {
            let bound = line.labels.iter().find(|(name, _)| *name == "le").map(|(_, bound)| bound.as_str());
            let name = match bound {
                Some("+Inf") => format!("{}_inf", line.name),
                Some(bound) => format!("{}_{bound}", line.name),
                None => line.name,
            };
            let place = *places.entry(name.clone()).or_insert(sums.len());
            if place == sums.len() {
                sums.push((name, 0));
            }
            sums[place].1 += line.value;
        }
        sums
    }

    /// `metrics show` (`http_api.txt`): kind, name, value, a line each.
    pub(super) fn metrics_show(&self, ix: Ix) -> Answer {
        let kinds: std::collections::BTreeMap<&str, Kind> = RUNS.iter().map(|r| (r.family, r.kind)).collect();
        let kind = |name: &str| match kinds.get(name) {
            Some(Kind::Counter) => "counter",
            Some(Kind::Gauge) => "gauge",
            _ => "histogram",
        };
        let lines: Vec<String> = self
            .sys_of(ix)
            .into_iter()
            .map(|(name, value)| {
                let kind = kind(&name);
                let name = name.strip_suffix("_inf").map_or(name.clone(), |n| format!("{n}_infinity"));
                format!("{kind}.{name} = {value}")
            })
            .collect();
        Answer::Text(lines.join("\n"))
    }
}
