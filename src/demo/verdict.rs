//! What a run of the demo proved, and whether that is good enough. Pure.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

/// Everything that is counted in a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Verdict {
    /// What changed the size: `vernescale`, `naive` or `naive pre-stop`.
    pub practice: String,
    /// The fault that was switched on.
    pub fault: Option<String>,
    /// Seconds that the run took.
    pub seconds: f64,
    /// Every size that `spec.replicas` had, in order.
    pub sizes: Vec<u32>,
    /// The size that the load asks for at the end.
    pub size_expected: u32,
    /// Largest size that the profile asks for.
    pub size_peak_expected: u32,
    /// Shrinks by one that went through.
    pub shrinks: u32,
    /// Leaves that the survivors confirmed before the shrink.
    pub leaves_verified: u32,
    /// TCP connects that found no listener.
    pub connects_refused_tcp: u64,
    /// CONNECTs that the broker refused, by code.
    pub connects_refused_code: BTreeMap<String, u64>,
    /// Other failed connects: cut, timed out.
    pub connects_failed_otherwise: u64,
    /// Probes by a stranger: all, and those that failed.
    pub probes: (u64, u64),
    /// Messages.
    pub sent: u64,
    /// Acknowledged by the broker.
    pub acknowledged: u64,
    /// Acknowledged and received.
    pub received: u64,
    /// Acknowledged and never received.
    pub lost: u64,
    /// Acknowledged and not received, by a subscriber that was not connected at the end: it could still come, or not.
    pub unknown: u64,
    /// Received more often than sent, for no reason of ours.
    pub duplicated: u64,
    /// Members that some node lists and that do not run.
    pub dead_members: Vec<String>,
    /// Nodes that run and serve clients outside the others' cluster.
    pub isolated: Vec<String>,
    /// What the run could not do (a fault never struck, a size was not reached in time).
    pub incomplete: Vec<String>,
}

impl Verdict {
    /// Nothing acknowledged was lost, nothing dead or double is left, and the job was done.
    pub fn is_clean(&self) -> bool {
        self.complaints().is_empty()
    }

    /// Each thing that is wrong, in a sentence.
    pub fn complaints(&self) -> Vec<String> {
        let mut list = self.incomplete.clone();
        let mut add = |wrong: bool, text: String| {
            if wrong {
                list.push(text);
            }
        };
        add(self.lost > 0, format!("{} acknowledged messages were lost", self.lost));
        add(
            self.unknown > 0,
            format!(
                "{} acknowledged messages have not arrived, their subscribers cannot get in to fetch them",
                self.unknown
            ),
        );
        add(self.acknowledged == 0, "no message was acknowledged at all".to_owned());
        add(
            !self.dead_members.is_empty(),
            format!("dead members are left: {}", self.dead_members.join(", ")),
        );
        add(
            !self.isolated.is_empty(),
            format!("nodes serve outside the cluster: {}", self.isolated.join(", ")),
        );
        let (final_size, peak) =
            (self.sizes.last().copied().unwrap_or(0), self.sizes.iter().max().copied().unwrap_or(0));
        add(
            final_size != self.size_expected,
            format!("the size ended at {final_size}, not at {}", self.size_expected),
        );
        add(
            peak < self.size_peak_expected,
            format!("the size never went above {peak}; {} was asked for", self.size_peak_expected),
        );
        let verified = self.leaves_verified;
        add(
            self.shrinks > verified,
            format!("{} shrinks, and only {verified} verified leaves", self.shrinks),
        );
        list
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sizes: Vec<String> = self.sizes.iter().map(u32::to_string).collect();
        let codes: Vec<String> =
            self.connects_refused_code.iter().map(|(code, n)| format!("{n} with {code}")).collect();
        let codes = if codes.is_empty() {
            "0 by the broker".to_owned()
        } else {
            format!("{} by the broker", codes.join(", "))
        };
        let list = |names: &[String]| if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        let fault = self.fault.as_ref().map(|fault| format!(", fault {fault}")).unwrap_or_default();
        writeln!(f, "practice            {}{fault}, {:.0} s", self.practice, self.seconds)?;
        writeln!(f, "sizes               {}", sizes.join(" > "))?;
        writeln!(f, "leaves verified     {} of {} shrinks", self.leaves_verified, self.shrinks)?;
        writeln!(
            f,
            "connects refused    {} by TCP, {codes}, {} otherwise",
            self.connects_refused_tcp, self.connects_failed_otherwise
        )?;
        writeln!(f, "probes failed       {} of {}", self.probes.1, self.probes.0)?;
        writeln!(
            f,
            "messages            {} sent, {} acknowledged, {} received",
            self.sent, self.acknowledged, self.received
        )?;
        writeln!(f, "lost                {}", self.lost)?;
        let kept_out = if self.unknown > 0 { " (their subscribers are kept out)" } else { "" };
        writeln!(f, "not arrived         {}{kept_out}", self.unknown)?;
        writeln!(f, "duplicated          {}", self.duplicated)?;
        writeln!(f, "dead members left   {}", list(&self.dead_members))?;
        writeln!(f, "isolated nodes left {}", list(&self.isolated))?;
        let complaints = self.complaints();
        if complaints.is_empty() {
            return write!(
                f,
                "verdict             CLEAN: nothing acknowledged was lost, nothing dead is left"
            );
        }
        write!(f, "verdict             NOT CLEAN: {}", complaints.join("; "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clean() -> Verdict {
        Verdict {
            practice: "vernescale".to_owned(),
            sizes: vec![1, 2, 1],
            size_expected: 1,
            size_peak_expected: 2,
            shrinks: 1,
            leaves_verified: 1,
            acknowledged: 10,
            received: 10,
            ..Verdict::default()
        }
    }

    #[test]
    fn a_clean_run_is_clean() {
        assert!(clean().is_clean(), "{}", clean());
    }

    #[test]
    fn each_thing_that_can_be_wrong_is_said() {
        let cases: Vec<(Verdict, &str)> = vec![
            (Verdict { lost: 1, ..clean() }, "1 acknowledged"),
            (Verdict { unknown: 2, ..clean() }, "2 acknowledged messages have not arrived"),
            (Verdict { acknowledged: 0, ..clean() }, "no message"),
            (Verdict { dead_members: vec!["VerneMQ@a".into()], ..clean() }, "VerneMQ@a"),
            (Verdict { isolated: vec!["vmq-1".into()], ..clean() }, "vmq-1"),
            (Verdict { sizes: vec![1, 2], ..clean() }, "ended at 2"),
            (Verdict { sizes: vec![1], ..clean() }, "never went above 1"),
            (Verdict { leaves_verified: 0, ..clean() }, "only 0 verified"),
            (Verdict { incomplete: vec!["the fault never struck".into()], ..clean() }, "never struck"),
        ];
        for (verdict, part) in cases {
            assert!(!verdict.is_clean());
            assert!(verdict.to_string().contains(part), "{verdict}");
        }
    }
}
