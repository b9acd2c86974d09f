//! Do queues lie where they belong? Right after a rollout without volumes a leave can stick: queues lie on members
//! that no client's record names, and are not migrated (seen once: no progress for 227 s, until a restart). A member
//! that became ready lately is therefore a reason to count: each session is one replicated object and one queue, be it
//! clean or persistent, there or away, with subscriptions or without (`queues_beside_objects_2.1.2.txt`: 150 of each); each
//! retained message is an object as well (`join_sync_2.1.2.txt`). More queues than that belong to nobody there. API keys
//! are objects, too: so many left-over queues more are not seen.

use crate::grow::{AGAIN, apart, live, on_the_way};
use crate::members::{Verdict, below};
use crate::transition::Context;
use crate::{Facts, Observed, Ordinal, Time};

/// What one process saw of queues that lie where they do not belong, from one reconcile to the next. It begins with nothing seen.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unsettled {
    /// The surplus from which it is told whether it moves. Where records have lost their queues, as by a rollout
    /// without volumes (`queues_beside_objects_2.1.2.txt`: 38 of 150), it is far below nothing, and hides queues that are
    /// where they do not belong; but those that go still move it.
    level: Option<i64>,
    since: Option<Time>,
    last: Option<Time>,
}

impl Unsettled {
    /// Takes one reconcile, and says when it was last not settled. One reading proves nothing: two counts may pass each other,
    /// and where many clients come and go one of a dozen always does. Left-over queues are there a second later. What is
    /// not known changes nothing.
    pub fn observe(&mut self, facts: &Facts, now: Time) -> Option<Time> {
        let tally = match Tally::of(facts) {
            Ok(tally) => Some(tally),
            Err(Verdict::Unknown(_)) => return self.last,
            Err(_) => None,
        };
        if let Some(tally) = tally.filter(|tally| tally.verdict() == Verdict::Clear)
            && !tally.moved(*self.level.get_or_insert(tally.surplus()))
        {
            self.since = None;
        } else if now.since(*self.since.get_or_insert(now)) >= AGAIN {
            self.last = Some(now);
            self.level = tally.map(Tally::surplus);
        }
        self.last
    }

    /// The same while a change is under way, which moves queues itself.
    pub fn changing(&mut self) -> Option<Time> {
        (self.since, self.level) = (None, None);
        self.last
    }
}

/// While a pod is young: nothing is amiss, and nothing was for the settle time.
pub(crate) fn settled(ctx: &Context<'_>) -> Verdict {
    let ready = |pod: Ordinal| Some((ctx.facts.pods.get(&pod)?.ready_changed?, pod));
    let youngest = below(ctx.facts.target.replicas).filter_map(ready).max();
    let asks = ctx.limits.unsettled;
    let Some((_, pod)) = youngest.filter(|(since, _)| ctx.now.since(*since) < asks) else {
        return Verdict::Clear;
    };
    let until = format!(
        "A leave can stick meanwhile. This is waited for until pod {pod} has been ready for {} s at the latest",
        asks.as_secs()
    );
    let settle = ctx.limits.settle;
    match Tally::of(ctx.facts).map_or_else(|verdict| verdict, Tally::verdict) {
        Verdict::No(name, why) => Verdict::No(name, format!("{why}. {until}")),
        Verdict::Unknown(why) => Verdict::Unknown(format!("QueuesUnsettled: {why}. {until}")),
        Verdict::Clear if ctx.facts.unsettled.is_some_and(|at| ctx.now.since(at) < settle) => {
            let why = format!(
                "less than {} s ago (spec.settle) queues and clients' records were still on their way",
                settle.as_secs()
            );
            Verdict::No("QueuesUnsettled", format!("{why}. {until}"))
        }
        Verdict::Clear => Verdict::Clear,
    }
}

/// What a reconcile counts.
#[derive(Clone, Copy)]
struct Tally {
    /// On all pods together.
    queues: i64,
    /// Of as many sessions there are records.
    sessions: i64,
}

impl Tally {
    /// Counts where every pod was read; not where it is known that members do not have the same records.
    fn of(facts: &Facts) -> Result<Self, Verdict> {
        let (mut tally, mut first) = (Self { queues: 0, sessions: 0 }, None);
        for pod in below(facts.target.replicas) {
            let Some(node) = facts.nodes.get(&pod) else {
                return Err(Verdict::Unknown(format!("queues of pod {pod}: it was not asked")));
            };
            let objects = live(pod, node).map_err(|lack| Verdict::Unknown(lack.to_string()))?;
            let counts = match &node.counts {
                Observed::Seen(counts) => counts,
                Observed::Unknown(why) => {
                    return Err(Verdict::Unknown(format!("queues of pod {pod}: {why}")));
                }
            };
            let other = *first.get_or_insert((pod, objects));
            apart((pod, objects), other, on_the_way(other.1))
                .map_err(|lack| Verdict::No("QueuesUnsettled", lack.to_string()))?;
            tally.queues = tally.queues.saturating_add(counts.queues.max(0));
            // The two are of two pages, and retained messages come later than their objects.
            tally.sessions = tally.sessions.max(objects.saturating_sub(counts.retained));
        }
        Ok(tally)
    }

    fn surplus(self) -> i64 {
        self.queues.saturating_sub(self.sessions)
    }

    fn moved(self, level: i64) -> bool {
        (self.surplus() - level).abs() > on_the_way(self.sessions)
    }

    fn verdict(self) -> Verdict {
        let (Self { queues, sessions }, surplus) = (self, self.surplus());
        let most = on_the_way(sessions);
        if surplus <= most {
            return Verdict::Clear;
        }
        let text = format!(
            "the pods hold {queues} queues (queue_processes), and clients' records account for {sessions} (live objects \
             less retained messages): {surplus} lie where they do not belong, {most} at most are none"
        );
        Verdict::No("QueuesUnsettled", text)
    }
}
