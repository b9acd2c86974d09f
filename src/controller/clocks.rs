//! Clocks that are apart: a broker's machine by the `Date` of its answers, and ours.

use std::time::Duration;

use lifecycle::{Ordinal, Severity, Time};

use crate::conditions::Told;

/// What is told. A `Date` has whole seconds, an answer may take a second, and Prometheus forgives minutes.
const APART: Duration = Duration::from_secs(30);

/// By how many seconds `date` is ahead of `now`.
pub(super) fn ahead(date: Time, now: Time) -> i64 {
    let seconds = |ms: u64| i64::try_from(ms / 1_000).unwrap_or(i64::MAX);
    seconds(date.0).saturating_sub(seconds(now.0))
}

/// The pods whose machines' clocks are apart from this controller's, of these and by how many seconds they are ahead.
/// Nothing that the controller does goes by theirs: whoever compares times that came from several of them is told.
pub(super) fn apart(clocks: impl Iterator<Item = (Ordinal, i64)>) -> Option<Told> {
    let each: Vec<String> = clocks
        .filter(|(_, ahead)| ahead.unsigned_abs() >= APART.as_secs())
        .map(|(ordinal, ahead)| {
            let (by, side) = (ahead.unsigned_abs(), if ahead > 0 { "ahead of" } else { "behind" });
            format!("pod {ordinal}'s is {by} s {side} it")
        })
        .collect();
    (!each.is_empty()).then(|| Told {
        name: "ClocksApart",
        severity: Severity::Warning,
        message: format!(
            "by the Date of the brokers' answers their machines' clocks and this controller's are apart: {}. Look at the \
             time synchronisation of these machines, and of the controller's where all brokers are named. With \
             `--timestamps`, Prometheus drops what an exporter on such a machine says, while `up` stays 1",
            each.join(", ")
        ),
        blocks: false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_are_told_from_half_a_minute_on_and_with_their_side() {
        let told =
            |clocks: &[(u32, i64)]| apart(clocks.iter().map(|(ordinal, ahead)| (Ordinal(*ordinal), *ahead)));
        assert_eq!(told(&[(0, 29), (1, -29)]), None);
        let message = told(&[(0, 0), (1, -30), (2, 900)]).expect("two are apart").message;
        assert!(message.contains("pod 1's is 30 s behind it, pod 2's is 900 s ahead of it"), "{message}");
        assert!(!message.contains("pod 0"), "{message}");
    }

    #[test]
    fn a_clock_may_be_on_either_side() {
        assert_eq!(ahead(Time(61_500), Time(1_200)), 60);
        assert_eq!(ahead(Time(0), Time(30_000)), -30);
    }
}
