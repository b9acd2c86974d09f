//! A StatefulSet that stands still: a wanted pod is never made, with no Event and no condition, until somebody writes
//! to the object. Seen on Kubernetes 1.35.4 where a claim was on its way out when the pod was wanted.

use std::{collections::BTreeMap, time::Duration};

use lifecycle::Time;
use serde_json::{Value, json};

use super::super::object;

/// What is written in the first seconds does not wake it: then it waits for the claim still.
const DOZES: Duration = Duration::from_secs(3);

/// What stands still, by the uid of its StatefulSet: since when, and what they were then. At most those of one simulator.
#[derive(Default)]
pub(super) struct Still {
    asleep: BTreeMap<String, (Time, Option<Value>)>,
}

impl Still {
    /// Whether `set` makes no pod now. `missing`: one is wanted; `fault`: it is to happen.
    pub(super) fn stands(&mut self, fault: bool, set: &Value, missing: bool, now: Time) -> bool {
        let uid = object::uid(set).to_owned();
        if !fault || !missing {
            self.asleep.remove(&uid);
            return false;
        }
        let (since, was) = self.asleep.entry(uid).or_insert((now, None));
        let is = json!([set["metadata"]["annotations"], set["spec"]]);
        if now.since(*since) < DOZES {
            return true;
        }
        *was.get_or_insert_with(|| is.clone()) == is
    }
}
