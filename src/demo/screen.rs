//! What the demo shows while it runs: a block that is redrawn on a terminal, a
//! line per change elsewhere. Pure: text in, text out.

use std::collections::BTreeMap;
use std::fmt::Write as _;

/// What decides whether another line is worth printing: phase, size, wanted, step.
pub type Gist = (String, u32, Option<u32>, Option<String>);

/// One look at everything.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Snapshot {
    /// Seconds since the start.
    pub seconds: f64,
    /// Name and rate of the phase.
    pub phase: (String, f64),
    /// `spec.replicas`.
    pub size: u32,
    /// What the decision wants.
    pub wanted: Option<u32>,
    /// Step of the lifecycle, with its ordinal.
    pub step: Option<String>,
    /// Messages a second that each node received, as the exporter says; none where it does not know.
    pub rates: BTreeMap<String, Option<f64>>,
    /// What each node sees of the others, such as `vmq-0 vmq-1(down)`.
    pub members: BTreeMap<String, String>,
    /// Messages acknowledged and not yet received.
    pub open: u64,
    /// Messages acknowledged.
    pub acknowledged: u64,
    /// Connects that failed.
    pub connects_failed: u64,
}

impl Snapshot {
    /// One line, for logs: enough to follow the run.
    pub fn line(&self) -> String {
        let rates: Vec<String> =
            self.rates.iter().map(|(node, rate)| format!("{node}={}", per_second(*rate))).collect();
        format!(
            "{:6.1}s  {:<6} size {} wanted {} step {:<16} rate {}  acked {} open {} connects failed {}",
            self.seconds,
            self.phase.0,
            self.size,
            self.wanted.map_or("?".to_owned(), |wanted| wanted.to_string()),
            self.step.as_deref().unwrap_or("-"),
            rates.join(" "),
            self.acknowledged,
            self.open,
            self.connects_failed,
        )
    }

    /// What decides whether another line is worth printing.
    pub fn gist(&self) -> Gist {
        (self.phase.0.clone(), self.size, self.wanted, self.step.clone())
    }

    /// The block for a terminal; its lines end with `\n`.
    pub fn block(&self) -> String {
        let mut text = String::new();
        let wanted = self.wanted.map_or("?".to_owned(), |wanted| wanted.to_string());
        let step = self.step.as_deref().unwrap_or("-");
        let _ = writeln!(text, "{:5.1} s   phase {} ({:.0} msg/s)", self.seconds, self.phase.0, self.phase.1);
        let _ = writeln!(text, "size {}   wanted {wanted}   step {step}", self.size);
        let largest = self.rates.values().flatten().copied().fold(1.0, f64::max);
        let all = self.members.keys().cloned().collect::<Vec<_>>().join(" ");
        for (node, view) in &self.members {
            // Short where there is nothing to tell: a line that wraps would spoil the redrawing.
            let view =
                if *view == all { format!("all {}", self.members.len()) } else { format!("only {view}") };
            let rate = self.rates.get(node).copied().flatten();
            let _ = writeln!(
                text,
                "  {node:<8} {:>8}/s {:<20} sees {view}",
                per_second(rate),
                bar(rate, largest)
            );
        }
        let _ = writeln!(
            text,
            "acknowledged {}   not yet received {}   connects failed {}",
            self.acknowledged, self.open, self.connects_failed
        );
        text
    }
}

fn per_second(rate: Option<f64>) -> String {
    rate.map_or("?".to_owned(), |rate| format!("{rate:.0}"))
}

fn bar(rate: Option<f64>, largest: f64) -> String {
    const WIDTH: f64 = 20.0;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and 20")]
    let filled = (rate.unwrap_or(0.0) / largest * WIDTH).clamp(0.0, WIDTH) as usize;
    "#".repeat(filled)
}

/// Moves the cursor up over the last block and clears from there on.
pub fn erase(lines: usize) -> String {
    if lines == 0 { String::new() } else { format!("\x1b[{lines}A\x1b[J") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot() -> Snapshot {
        Snapshot {
            seconds: 12.34,
            phase: ("flood".into(), 460.0),
            size: 2,
            wanted: Some(5),
            step: Some("Join vmq-1".into()),
            rates: [("vmq-0".into(), Some(459.6)), ("vmq-1".into(), None)].into(),
            members: [("vmq-0".into(), "vmq-0".into()), ("vmq-1".into(), "vmq-1".into())].into(),
            open: 3,
            acknowledged: 1_000,
            connects_failed: 0,
        }
    }

    #[test]
    fn an_unknown_rate_is_a_question_mark_and_not_a_zero() {
        let snapshot = snapshot();
        assert!(snapshot.line().contains("vmq-0=460 vmq-1=?"), "{}", snapshot.line());
        assert!(snapshot.block().contains("vmq-1           ?/s"), "{}", snapshot.block());
    }

    #[test]
    fn a_block_says_everything_in_its_lines() {
        let block = snapshot().block();
        assert_eq!(block.lines().count(), 5);
        assert!(block.contains("phase flood (460 msg/s)") && block.contains("step Join vmq-1"));
        assert!(block.contains("####################"));
    }

    #[test]
    fn a_node_that_sees_other_members_stands_out() {
        let members = [("vmq-0".into(), "vmq-0 vmq-1".into()), ("vmq-1".into(), "vmq-0(down) vmq-1".into())];
        let block = Snapshot { members: members.into(), ..snapshot() }.block();
        assert!(block.contains("sees all 2\n"), "{block}");
        assert!(block.contains("sees only vmq-0(down) vmq-1\n"), "{block}");
    }

    #[test]
    fn lines_differ_only_when_something_happened() {
        let later = Snapshot { seconds: 13.0, acknowledged: 2_000, ..snapshot() };
        assert_eq!(later.gist(), snapshot().gist());
    }
}
