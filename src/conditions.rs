//! What people should know, by name: each condition's type is the name of what
//! was found, the same word that the metric has as label and the log as field.
//! Pure: the conditions of the last reconcile and what this reconcile says → conditions
//! now, and what has changed (for Events).

mod over;

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time as MetaTime};
use lifecycle::{Output, Severity, Time};

use crate::kubernetes::event::{Happened, timestamp};
use crate::kubernetes::preflight::Finding;

/// The summary: whether the resource does its job. True where the reconcile was whole, brokers answer, and neither
/// something that blocks nor something Critical stands: `kubectl wait --for=condition=Ready` is an alarm.
pub const READY: &str = "Ready";

/// The reason of `Ready` where it is True.
const WORKING: &str = "Working";

/// The reason of a condition that stands no more.
const ENDED: &str = "Ended";

/// Most conditions that are kept. The CRD allows 64; those that ended longest
/// ago are dropped first.
const CONDITIONS_MAX: usize = 48;

/// Longest message, in bytes. Enough for cause, place and remedy.
const MESSAGE_BYTES_MAX: usize = 1_024;

/// Something that stands in this reconcile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// CamelCase name.
    pub name: &'static str,
    /// How bad.
    pub severity: Severity,
    /// Cause, place and remedy.
    pub message: String,
    /// The controller cannot do its work while it stands: `Ready` is False.
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
        // One that the step has told of itself has said more than this could.
        && told.iter().all(|one| one.name != wait.name)
    {
        told.push(Told {
            name: wait.name,
            severity: Severity::Warning,
            message: format!(
                "step {:?} of ordinal {} still waits ({}), {} s longer than it should take{}: {}",
                intent.step,
                intent.ordinal,
                wait.name,
                now.since(wait.until).as_secs(),
                wait.because.as_ref().map(|why| format!(" ({why})")).unwrap_or_default(),
                wait.remedy
            ),
            blocks: false,
        });
    }
    told
}

/// What becomes of conditions that are not told this time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rest {
    /// The reconcile was whole, as far as they go: they stand no more.
    Ended,
    /// The reconcile failed: nobody knows better, and the next one will.
    Kept,
    /// The reconcile could not go on, and no other will before somebody mends what blocks: nobody looks at them.
    Unseen,
}

/// The conditions after this reconcile, and what has begun.
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
        // One that outlasts its time or gets worse is news again.
        let turned = stood.is_some_and(|old| rank(&format!("{severity:?}")) > rank(&old.reason));
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
    let silent = before.iter().filter(|old| old.type_ != READY && !standing.contains_key(old.type_.as_str()));
    let mut ended: Vec<_> = silent.map(|old| untold(old, rest, &at)).collect();
    ended.sort_by_key(|condition| std::cmp::Reverse(condition.last_transition_time.0));
    after.extend(ended);
    after.truncate(CONDITIONS_MAX);
    (after, begun)
}

/// Zero where the clock went backwards.
fn stood_for(condition: &Condition, now: &MetaTime) -> Duration {
    Duration::try_from(now.0.duration_since(condition.last_transition_time.0)).unwrap_or_default()
}

/// A condition that this reconcile does not tell. One that does not stand has a reason and a text of its own: the old
/// alarm and its remedy would be taken for today's.
fn untold(old: &Condition, rest: Rest, at: &MetaTime) -> Condition {
    let changed = |status: &str, reason: &str, what: &str, since: &MetaTime| Condition {
        status: status.into(),
        reason: reason.into(),
        message: format!("{what}, since {}", since.0.strftime("%Y-%m-%dT%H:%M:%SZ")),
        last_transition_time: since.clone(),
        ..old.clone()
    };
    match (rest, old.status.as_str()) {
        // Written by an older version, perhaps with the text of the alarm.
        (_, "False") => changed("False", ENDED, over::of(&old.type_), &old.last_transition_time),
        (Rest::Kept, _) | (Rest::Unseen, "Unknown") => old.clone(),
        (Rest::Ended, _) => changed("False", ENDED, over::of(&old.type_), at),
        (Rest::Unseen, _) => {
            let what = "nobody looks at this while what Ready names stands";
            changed("Unknown", "NotLookedAt", what, at)
        }
    }
}

/// From `Info` upwards; what is written in no such word is below them all.
fn rank(reason: &str) -> usize {
    ["Info", "Warning", "Critical"].iter().position(|word| *word == reason).map_or(0, |place| place + 1)
}

fn ready(before: &[Condition], told: &[Told], generation: Option<i64>, at: &MetaTime) -> Condition {
    let counts = |one: &&Told| one.blocks || one.severity == Severity::Critical;
    let worst = told.iter().filter(counts).max_by_key(|one| (one.severity, one.blocks));
    let (status, reason, message) = match worst {
        Some(one) => ("False", one.name, shortened(&one.message)),
        None => (
            "True",
            WORKING,
            "the last reconcile was whole, brokers answer, and nothing Critical stands".into(),
        ),
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
