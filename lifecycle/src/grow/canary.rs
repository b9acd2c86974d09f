//! A message must cross from the newcomer to an old member and back before any client's does. It proves that the two
//! nodes carry messages to each other and let our user in. It proves nothing about subscriptions that are older than
//! the join: our own are new, and new ones are sent as events, ahead of the exchange
//! (docs/broker/join.md, "In step"). That the old ones are there is what [`super::proof`] has shown before.

use crate::draft::{Draft, Flow, Look};
use crate::members::Verdict;
use crate::verify::ASKER;
use crate::{Call, Effect, Severity, Step};

use super::give_way::give_way;
use super::join::joined;
use super::{Newcomer, keep_fenced, newcomer};

pub(crate) fn canary(draft: &mut Draft, look: &Look<'_>) -> Flow {
    let pod = match newcomer(draft, look) {
        Newcomer::Here(pod) => pod,
        Newcomer::Gone(flow) => return flow,
    };
    keep_fenced(draft, pod);
    if pod.restarts != draft.intent.restarts || matches!(joined(look), Verdict::No(..)) {
        return draft.enter(Step::Join);
    }
    // The first node has nobody to send to.
    if draft.intent.ordinal == ASKER || crossed(draft, look) {
        return draft.enter(Step::Serve);
    }
    if look.facts.calls.canary != Call::InFlight {
        draft.ask(Effect::Canary { newcomer: draft.intent.ordinal, peer: ASKER });
    }
    if draft.wait("CanaryCrossed", look.limits.canary) {
        let why = match &look.facts.calls.canary {
            Call::Refused(why) | Call::Unknown(why) => format!(" ({why})"),
            Call::None | Call::InFlight | Call::Answered(_) => String::new(),
        };
        let text = format!(
            "no message has crossed between pod {} and pod {ASKER} though both are members{why}. The newcomer \
             is not served; see the logs of both, and whether the user of spec.canarySecretRef (nobody, without one) \
             may connect with the client ids of status.canaryClients, and publish and subscribe to vernescale/canary/#",
            draft.intent.ordinal
        );
        draft.tell("CanaryLost", Severity::Critical, text);
        return give_way(draft, look, "no message has crossed to it");
    }
    Flow::Look
}

/// In this step: the pod may have been made again after an earlier one.
fn crossed(draft: &Draft, look: &Look<'_>) -> bool {
    let calls = &look.facts.calls;
    let ours = calls.canary_sent.is_some_and(|sent| sent >= draft.intent.entered);
    ours && matches!(&calls.canary, Call::Answered(text) if text.trim() == "crossed")
}
