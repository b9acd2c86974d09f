//! Reads the topics of `$SYS`: whose message it is, and which metric.
//!
//! VerneMQ writes `$SYS/<node>/<metric with every _ turned into />` (`sys_default_n1.txt`), so `_` and `/` of
//! a metric cannot be told apart, and a slash in a node's host looks like one more level. mosquitto writes
//! `$SYS/broker/…`; no VerneMQ node can have that name, for its names contain an `@`. What has none in its first level
//! is another broker's ([`crate::mqtt::foreign`]).

use crate::mqtt::foreign::{self, Tree};
use autoscaler::metrics::exposition::is_name;
use autoscaler::metrics::{is_known, sys_name};

/// Longest topic that is looked at: a node name of 255 characters, a metric of 120, some room.
const TOPIC_MAX: usize = 512;
/// Longest node name; Erlang's atoms end at 255 characters.
const NODE_MAX: usize = 255;
/// Longest metric; the longest of VerneMQ 2.1.2 has 41 characters.
const METRIC_MAX: usize = 120;

/// What a topic names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Topic<'a> {
    /// A metric of a VerneMQ node.
    Node {
        /// The node, as it calls itself.
        node: &'a str,
        /// Plain name; `x_bucket` for a bucket of the histogram `x`.
        metric: String,
        /// Bound of the bucket, as the label `le` has it.
        bound: Option<String>,
    },
    /// What follows `$SYS/broker/` of a mosquitto.
    Mosquitto(&'a str),
    /// Something of another broker.
    Foreign(Tree),
}

/// Why a topic is not understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// See [`TOPIC_MAX`], [`NODE_MAX`], [`METRIC_MAX`].
    #[error("longer than any topic that a broker sends")]
    TooLong,
    /// Not `$SYS/<node>/<metric>`.
    #[error("not of the form $SYS/<node>/<metric>")]
    Form,
    /// The metric's name has characters that no metric may have.
    #[error("the metric's name has characters that Prometheus does not allow")]
    MetricName,
}

/// Reads a topic.
pub fn parse(topic: &str) -> Result<Topic<'_>, Error> {
    if topic.len() > TOPIC_MAX {
        return Err(Error::TooLong);
    }
    let rest = topic.strip_prefix("$SYS/").ok_or(Error::Form)?;
    if let Some(tree) = foreign::tree(rest) {
        return Ok(Topic::Foreign(tree));
    }
    if let Some(rest) = rest.strip_prefix("broker/") {
        return Ok(Topic::Mosquitto(rest));
    }
    let (node, metric) = split(rest).ok_or(Error::Form)?;
    if node.len() > NODE_MAX || metric.len() > METRIC_MAX {
        return Err(Error::TooLong);
    }
    if !is_name(&metric, false) {
        return Err(Error::MetricName);
    }
    let (name, bound) = sys_name(&metric);
    Ok(Topic::Node { node, bound: bound.map(str::to_owned), metric: name.to_owned() })
}

/// The name has something in it that must be escaped, or that makes the topic ambiguous. It is shown all the
/// same, but people should know.
pub fn is_odd(node: &str) -> bool {
    node.chars().any(|c| matches!(c, '"' | '\\' | '/') || c.is_control())
}

/// Splits node and metric where the metric is one that the broker is known to have, as far to the left as
/// possible; after the first level where it is none.
fn split(rest: &str) -> Option<(&str, String)> {
    let mut first = None;
    for (index, _) in rest.match_indices('/') {
        let (node, metric) = (&rest[..index], rest[index + 1..].replace('/', "_"));
        if node.is_empty() || metric.is_empty() {
            continue;
        }
        if is_known(&metric) {
            return Some((node, metric));
        }
        first.get_or_insert((node, metric));
    }
    first
}

#[cfg(test)]
mod tests;
