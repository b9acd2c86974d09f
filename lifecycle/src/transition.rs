//! A step on its way to an output.

use std::time::Duration;

use crate::{
    Condition, Effect, Facts, Finished, Intent, Limits, NodeName, Ordinal, Outcome, Output, Pod, Severity,
    Step, Time, Wait, waits,
};

/// What a step goes by.
#[derive(Clone, Copy)]
pub(crate) struct Context<'a> {
    pub(crate) facts: &'a Facts,
    pub(crate) limits: &'a Limits,
    pub(crate) now: Time,
}

impl<'a> Context<'a> {
    /// The pod that the intent was recorded for; none if it is gone or another has taken its place.
    pub(crate) fn same_pod(&self, intent: &Intent) -> Option<&'a Pod> {
        self.facts.pods.get(&intent.ordinal).filter(|pod| intent.pod_uid.as_ref() == Some(&pod.uid))
    }

    /// The name that the node of a pod was heard to have.
    pub(crate) fn name(&self, ordinal: Ordinal) -> Option<&'a NodeName> {
        self.facts.nodes.get(&ordinal)?.name.as_ref()
    }
}

/// Whether the step that follows may run on the same facts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flow {
    /// Another step was entered, and may go on with the same facts.
    Continue,
    /// Nothing more before the next reconcile.
    Requeue,
}

/// One active intent on its way to an [`Output`].
pub(crate) struct Transition {
    pub(crate) intent: Intent,
    pub(crate) out: Output,
    now: Time,
}

impl Transition {
    pub(crate) fn new(intent: Intent, ctx: &Context<'_>) -> Self {
        let out = Output { again: ctx.limits.requeue, ..Output::default() };
        Self { intent, out, now: ctx.now }
    }

    /// Goes on to `step`; what it waits for begins now.
    pub(crate) fn enter(&mut self, step: Step) -> Flow {
        self.intent.step = step;
        self.intent.asked |= step == Step::Leave;
        self.intent.entered = self.now;
        self.intent.unseen = None;
        self.broken();
        Flow::Continue
    }

    pub(crate) fn ask(&mut self, effect: Effect) {
        self.out.effects.push(effect);
    }

    pub(crate) fn tell(&mut self, reason: &'static str, severity: Severity, message: String) {
        self.out.conditions.push(Condition { reason, severity, message });
    }

    /// Names what is waited for, counted from the entry into the step. True when that is over.
    pub(crate) fn wait(&mut self, name: &'static str, span: Duration) -> bool {
        self.wait_until(name, self.intent.entered + span)
    }

    pub(crate) fn wait_until(&mut self, name: &'static str, until: Time) -> bool {
        self.out.wait = Some(Wait { name, until, remedy: waits::remedy(name), because: None });
        self.now > until
    }

    /// Says what stands in the way of what is waited for, with the numbers.
    pub(crate) fn waits_because(&mut self, why: &str) {
        if let Some(wait) = &mut self.out.wait {
            wait.because = Some(why.to_owned());
        }
    }

    /// For how long the thing that is waited for has held; starts with the first call.
    pub(crate) fn held(&mut self) -> Duration {
        self.now.since(self.since())
    }

    /// Since when it has held; now, with the first call.
    pub(crate) fn since(&mut self) -> Time {
        *self.intent.since.get_or_insert(self.now)
    }

    /// It does not hold any more.
    pub(crate) fn broken(&mut self) {
        self.intent.since = None;
        self.intent.in_step = None;
    }

    pub(crate) fn finish(&mut self, outcome: Outcome) -> Flow {
        self.intent.outcome = Some(outcome);
        self.enter(Step::Done);
        self.out.wait = None;
        self.out.finished = Some(Finished {
            epoch: self.intent.epoch,
            kind: self.intent.kind,
            ordinal: self.intent.ordinal,
            outcome,
            leave_verified: self.intent.verified,
            reason: self.intent.reason.clone().unwrap_or_default(),
        });
        Flow::Requeue
    }

    /// Ends because of something that came from outside.
    pub(crate) fn fail(&mut self, reason: String) -> Flow {
        self.intent.reason = Some(reason);
        self.finish(Outcome::Failed)
    }
}
