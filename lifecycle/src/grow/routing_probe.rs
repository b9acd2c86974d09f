//! A message must cross from the newcomer to an old member and back before any client's does. It proves that the two
//! nodes carry messages to each other and let our user in. It proves nothing about subscriptions that are older than
//! the join: our own are new, and new ones are sent as events, ahead of the exchange
//! (docs/broker/join.md, "In step"). That the old ones are there is what [`super::proof`] has shown before.

use crate::members::Verdict;
use crate::transition::{Context, Flow, Transition};
use crate::verify::COORDINATOR;
use crate::{Call, Effect, Severity, Step};

use super::give_way::give_way;
use super::join::joined;
use super::{Newcomer, keep_fenced, newcomer};

pub(crate) fn routing_probe(transition: &mut Transition, ctx: &Context<'_>) -> Flow {
    let pod = match newcomer(transition, ctx) {
        Newcomer::Here(pod) => pod,
        Newcomer::Gone(flow) => return flow,
    };
    keep_fenced(transition, pod);
    if pod.restarts != transition.intent.restarts || matches!(joined(ctx), Verdict::No(..)) {
        return transition.enter(Step::Join);
    }
    // The first node has nobody to send to.
    if transition.intent.ordinal == COORDINATOR || crossed(transition, ctx) {
        return transition.enter(Step::Serve);
    }
    if ctx.facts.calls.routing_probe != Call::InFlight {
        transition.ask(Effect::RoutingProbe { newcomer: transition.intent.ordinal, peer: COORDINATOR });
    }
    if transition.wait("RoutingProbeCrossed", ctx.limits.routing_probe) {
        let why = match &ctx.facts.calls.routing_probe {
            Call::Refused(why) | Call::Unknown(why) => format!(" ({why})"),
            Call::None | Call::InFlight | Call::Answered(_) => String::new(),
        };
        let text = format!(
            "no message has crossed between pod {} and pod {COORDINATOR} though both are members{why}. The newcomer \
             is not served; see the logs of both, and whether the user of spec.routingProbeSecretRef (nobody, without one) \
             may connect with the client ids of status.routingProbeClients, and publish and subscribe to vernescale/probe/#",
            transition.intent.ordinal
        );
        transition.tell("RoutingProbeLost", Severity::Critical, text);
        return give_way(transition, ctx, "no message has crossed to it");
    }
    Flow::Requeue
}

/// In this step: the pod may have been made again after an earlier one.
fn crossed(transition: &Transition, ctx: &Context<'_>) -> bool {
    let calls = &ctx.facts.calls;
    let ours = calls.routing_probe_sent.is_some_and(|sent| sent >= transition.intent.entered);
    ours && matches!(&calls.routing_probe, Call::Answered(text) if text.trim() == "crossed")
}
