//! Headroom: what the survivors would carry after one leave, with a margin.

use super::measure::Measured;
use super::policy::TargetKind;
use super::quantity;
use super::{ConnsMax, Current};

/// The load is never spread evenly, and clients come back in waves.
pub(super) const MARGIN: f64 = 1.2;

/// One prediction.
#[derive(Clone, Debug, PartialEq)]
pub struct Prediction {
    /// Metric, or the listener whose connections are meant.
    pub name: String,
    /// Per node after the leave, with the margin.
    pub after: f64,
    /// What it must not exceed.
    pub bound: f64,
}

impl Prediction {
    /// The survivors can carry it.
    pub fn holds(&self) -> bool {
        self.after <= self.bound * (1.0 + 1e-9)
    }
}

impl std::fmt::Display for Prediction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (after, bound) = (quantity::print(self.after), quantity::print(self.bound));
        write!(f, "{} {after} of {bound} per node", self.name)
    }
}

/// Every metric after the leave of one of `current.replicas` nodes. `windows`
/// holds each metric over the policy's window and the shorter ones: a load that
/// has just come counts, one that has just gone does not yet.
pub(super) fn predict(windows: &[Measured], connections: &Measured, current: &Current) -> Vec<Prediction> {
    let left = f64::from(current.replicas.saturating_sub(1).max(1));
    let size = f64::from(current.replicas.max(1));
    let mut predictions: Vec<Prediction> = Vec::new();
    for measured in windows {
        let name = &measured.metric.name;
        let (share, bound) = match measured.metric.kind {
            TargetKind::Node | TargetKind::Share => (measured.total / left, measured.metric.target),
            // The part of a node, of the whole and of the target alike.
            TargetKind::Total => (measured.total / left, measured.metric.target / size),
        };
        let after = share * MARGIN;
        match predictions.iter_mut().find(|have| &have.name == name && have.bound.total_cmp(&bound).is_eq()) {
            Some(have) => have.after = have.after.max(after),
            None => predictions.push(Prediction { name: name.clone(), after, bound }),
        }
    }
    if let ConnsMax::Limited(rooms) = &current.conns_max {
        predictions.extend(rooms.iter().map(|room| Prediction {
            name: room.name.clone(),
            after: room.held.map_or(connections.total, |held| held as f64) / left * MARGIN,
            bound: room.limit as f64,
        }));
    }
    predictions
}

#[cfg(test)]
mod tests;
