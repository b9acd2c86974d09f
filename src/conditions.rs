//! What people should know, by name: each condition's type is the name of what
//! was found, the same word that the metric has as label and the log as field.
//! Pure: the conditions of the last look and what this look says → conditions
//! now, and what has changed (for Events).

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time as MetaTime};
use lifecycle::{Output, Severity, Time};

use crate::act::event::{Happened, timestamp};
use crate::observe::kubernetes::Finding;

/// The summary: the last look was whole and nothing forbids to work.
pub const READY: &str = "Ready";

/// Most conditions that are kept. The CRD allows 64; those that ended longest
/// ago are dropped first.
const CONDITIONS_MAX: usize = 48;

/// Longest message, in bytes. Enough for cause, place and cure.
const MESSAGE_BYTES_MAX: usize = 1_024;

/// Something that stands in this look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// CamelCase name.
    pub name: &'static str,
    /// How bad.
    pub severity: Severity,
    /// Cause, place and cure.
    pub message: String,
    /// The controller cannot do its work while it stands.
    pub blocks: bool,
}

impl From<&lifecycle::Condition> for Told {
    fn from(condition: &lifecycle::Condition) -> Self {
        Self {
            name: condition.reason,
            severity: condition.severity,
            message: condition.message.clone(),
            blocks: false,
        }
    }
}

impl From<&Finding> for Told {
    fn from(finding: &Finding) -> Self {
        Self {
            name: finding.reason,
            severity: finding.severity,
            message: finding.message.clone(),
            blocks: finding.blocks,
        }
    }
}

/// What the lifecycle says: its conditions, and its wait where it is overdue (I11).
pub fn of_output(output: &Output, now: Time) -> Vec<Told> {
    let mut told: Vec<_> = output.conditions.iter().map(Told::from).collect();
    if let (Some(wait), Some(intent)) = (&output.wait, &output.intent)
        && now > wait.until
    {
        told.push(Told {
            name: wait.name,
            severity: Severity::Warning,
            message: format!(
                "step {:?} of ordinal {} still waits for {}, {} s longer than it should take: {}",
                intent.step,
                intent.ordinal,
                wait.name,
                now.since(wait.until).as_secs(),
                wait.cure
            ),
            blocks: false,
        });
    }
    told
}

/// What becomes of conditions that are not told this time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rest {
    /// The look was whole, as far as they go: they stand no more.
    Ended,
    /// The look failed: nobody knows better.
    Kept,
}

/// The conditions after this look, and what has begun.
pub fn merge(
    before: &[Condition],
    told: &[Told],
    rest: Rest,
    generation: Option<i64>,
    now: Time,
) -> (Vec<Condition>, Vec<Happened>) {
    let at = MetaTime(timestamp(now));
    let mut standing: BTreeMap<&str, &Told> = BTreeMap::new();
    for one in told {
        let worst = standing.entry(one.name).or_insert(one);
        if one.severity > worst.severity {
            *worst = one;
        }
    }
    let mut after = vec![ready(before, told, generation, &at)];
    let mut begun = Vec::new();
    for (name, one) in &standing {
        let old = before.iter().find(|condition| condition.type_ == *name);
        let stood = old.filter(|condition| condition.status == "True");
        let severity = one.severity.after(stood.map_or(Duration::ZERO, |old| stood_for(old, &at)));
        // One that outlasts its time is news again, once: it never becomes shorter.
        let turned = severity != one.severity.after(Duration::ZERO)
            && stood.is_some_and(|old| old.reason != format!("{severity:?}"));
        if stood.is_none() || turned {
            begun.push(Happened { reason: (*name).to_owned(), severity, message: one.message.clone() });
        }
        after.push(Condition {
            type_: (*name).to_owned(),
            status: "True".into(),
            reason: format!("{severity:?}"),
            message: shortened(&one.message),
            observed_generation: generation,
            last_transition_time: stood.map_or(at.clone(), |old| old.last_transition_time.clone()),
        });
    }
    let ended = before.iter().filter(|old| old.type_ != READY && !standing.contains_key(old.type_.as_str()));
    let mut ended: Vec<_> = ended
        .map(|old| {
            if old.status == "False" || rest == Rest::Kept {
                return old.clone();
            }
            Condition { status: "False".into(), last_transition_time: at.clone(), ..old.clone() }
        })
        .collect();
    ended.sort_by_key(|condition| std::cmp::Reverse(condition.last_transition_time.0));
    after.extend(ended);
    after.truncate(CONDITIONS_MAX);
    (after, begun)
}

/// Zero where the clock went backwards.
fn stood_for(condition: &Condition, now: &MetaTime) -> Duration {
    Duration::try_from(now.0.duration_since(condition.last_transition_time.0)).unwrap_or_default()
}

fn ready(before: &[Condition], told: &[Told], generation: Option<i64>, at: &MetaTime) -> Condition {
    let worst = told.iter().filter(|one| one.blocks).max_by_key(|one| one.severity);
    let (status, reason, message) = match worst {
        Some(one) => ("False", one.name, shortened(&one.message)),
        None => ("True", "Looking", "the last look was whole".into()),
    };
    let old = before.iter().find(|condition| condition.type_ == READY && condition.status == status);
    Condition {
        type_: READY.into(),
        status: status.into(),
        reason: reason.into(),
        message,
        observed_generation: generation,
        last_transition_time: old.map_or(at.clone(), |old| old.last_transition_time.clone()),
    }
}

fn shortened(message: &str) -> String {
    let mut message = message.to_owned();
    while message.len() > MESSAGE_BYTES_MAX {
        message.pop();
    }
    message
}

#[cfg(test)]
mod tests;
