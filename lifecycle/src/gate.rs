//! What must be true before a change of size, and what ends one that has not gone too far.

use std::collections::BTreeSet;

use crate::members::{Match, Verdict, agree, below, view};
use crate::pace::Pace;
use crate::settled::settled;
use crate::transition::Context;
use crate::{Intent, NodeName, Ordinal, Veto};

/// What makes them one build again.
const ONE_BUILD: &str = ", and a leave fails between two builds: set one fixed image tag in the pod template, and see \
                         `kubectl rollout status` until all pods have it";

/// May the highest ordinal leave?
pub(crate) fn shrink(ctx: &Context<'_>) -> Verdict {
    Verdict::worst([departs(ctx, None), settled(ctx)])
}

/// The same of a newcomer that was never served: that it is not ready is why it goes.
pub(crate) fn give_back(ctx: &Context<'_>) -> Verdict {
    departs(ctx, ctx.facts.target.replicas.checked_sub(1).map(Ordinal))
}

/// May the size be lowered below a newcomer without a leave? There is none to ask for where every survivor was
/// seen and lists the survivors and nobody else; and nothing is lost where nobody was sent there.
pub(crate) fn stranger(ctx: &Context<'_>, newcomer: Ordinal) -> Verdict {
    Verdict::worst([
        vetoed(&ctx.facts.shrink_vetoes),
        target_quiet(ctx),
        agree(ctx, newcomer.0, Match::Exact),
        empty_handed(ctx, newcomer),
    ])
}

/// It is fenced, and what runs in it holds no client's messages.
fn empty_handed(ctx: &Context<'_>, newcomer: Ordinal) -> Verdict {
    let Some(pod) = ctx.facts.pods.get(&newcomer) else { return Verdict::Clear };
    if pod.routed || pod.serving != Some(false) {
        let text =
            format!("pod {newcomer} is not fenced yet: its label vernescale.dev/serving must be \"false\"");
        return Verdict::No("NewcomerNotFenced", text);
    }
    if !pod.running {
        return Verdict::Clear;
    }
    let Some(node) = ctx.facts.nodes.get(&newcomer) else {
        return Verdict::Unknown(format!("what pod {newcomer} holds: it was not asked"));
    };
    match (&node.members, &node.counts) {
        (crate::Observed::Seen(members), _) if members.len() > 1 => {
            Verdict::No("MembersDisagree", format!("pod {newcomer} lists members that do not list it"))
        }
        (_, crate::Observed::Seen(counts)) if counts.queues > 0 => Verdict::No(
            "NewcomerHoldsQueues",
            format!(
                "{} queues are on pod {newcomer}, which is no member: they go with it. If nobody misses them, delete \
                 its claim and its pod",
                counts.queues
            ),
        ),
        (crate::Observed::Seen(_), crate::Observed::Seen(_)) => Verdict::Clear,
        (crate::Observed::Unknown(why), _) | (_, crate::Observed::Unknown(why)) => {
            Verdict::Unknown(format!("what pod {newcomer} holds: {why}"))
        }
    }
}

/// `unready` is one whose readiness does not count.
fn departs(ctx: &Context<'_>, unready: Option<Ordinal>) -> Verdict {
    let size = ctx.facts.target.replicas;
    if size < 2 {
        return Verdict::No("LastNode", "the last node never leaves: its queues would be lost".into());
    }
    Verdict::worst([
        vetoed(&ctx.facts.shrink_vetoes),
        target_quiet(ctx),
        pods_well(ctx, size, unready),
        one_build(ctx, size),
        agree(ctx, size, Match::Exact),
        listeners_known(ctx, Ordinal(size - 1)),
        drain_fits(ctx, Ordinal(size - 1)),
    ])
}

/// May one more node be added?
pub(crate) fn grow(ctx: &Context<'_>) -> Verdict {
    let size = ctx.facts.target.replicas;
    Verdict::worst([
        vetoed(&ctx.facts.grow_vetoes),
        target_quiet(ctx),
        pods_well(ctx, size, None),
        agree(ctx, size, Match::GhostsAllowed),
        // After what keeps the members from being asked: people are to read of the cause.
        vetoed(&ctx.facts.raise_vetoes),
        claim_absent(ctx, Ordinal(size)),
    ])
}

/// Has something begun that a shrink before its leave must give way to (I2)?
pub(crate) fn undisturbed(intent: &Intent, ctx: &Context<'_>) -> Verdict {
    let size = ctx.facts.target.replicas;
    let leaver = intent.ordinal;
    if size != leaver.0 + 1 {
        let text = format!(
            "replicas became {size} by another hand while ordinal {leaver} was to leave: find out who else \
             scales this StatefulSet (`kubectl get hpa`, its managedFields)"
        );
        return Verdict::No("ForeignScale", text);
    }
    if ctx.facts.wish > leaver.0 {
        return Verdict::No("WishRaised", format!("{} nodes are wanted again", ctx.facts.wish));
    }
    let Some(pod) = ctx.same_pod(intent) else {
        return Verdict::No(
            "LeaverReplaced",
            format!("pod {leaver} is gone or is another one: its Events say who deleted it"),
        );
    };
    if pod.restarts != intent.restarts {
        let text = format!("the container of pod {leaver} was restarted: see `kubectl logs --previous`");
        return Verdict::No("LeaverRestarted", text);
    }
    // A rollout makes numbers unknown as well: people are to read of the cause.
    Verdict::worst([
        target_quiet(ctx),
        overruled(&ctx.facts.shrink_vetoes),
        pods_well(ctx, size, Some(leaver)),
        agree(ctx, size, Match::Exact),
    ])
}

/// Nothing begins against a veto, of whatever kind. One that is meant is named before one that stands for
/// lack of knowledge.
fn vetoed(vetoes: &BTreeSet<Veto>) -> Verdict {
    vetoes
        .iter()
        .min_by_key(|veto| veto.unknown)
        .map_or(Verdict::Clear, |veto| Verdict::No(veto.name, veto.message.clone()))
}

/// What has begun ends for what is known. A controller that has just started knows no load yet: the
/// drain that its predecessor began waits for that.
fn overruled(vetoes: &BTreeSet<Veto>) -> Verdict {
    Verdict::worst(vetoes.iter().map(|veto| {
        if veto.unknown {
            Verdict::Unknown(format!("{}: {}", veto.name, veto.message))
        } else {
            Verdict::No(veto.name, veto.message.clone())
        }
    }))
}

fn target_quiet(ctx: &Context<'_>) -> Verdict {
    let target = &ctx.facts.target;
    if target.deleting {
        return Verdict::No("TargetDeleting", "the StatefulSet is being deleted".into());
    }
    if target.rollout {
        let text = "a rollout of the StatefulSet is under way: if it stays so, `kubectl rollout status` says what it \
                    waits for, and `kubectl describe pod` why";
        return Verdict::No("RolloutUnderWay", text.into());
    }
    let beyond = ctx.facts.pods.keys().find(|ordinal| ordinal.0 >= target.replicas);
    beyond.map_or(Verdict::Clear, |ordinal| {
        let text = format!(
            "pod {ordinal} still exists though it is not wanted: `kubectl describe pod` shows finalizers and \
             whether its machine is away; with OrderedReady it also waits until every lower pod is ready"
        );
        Verdict::No("PodBeyondSize", text)
    })
}

/// All pods are there and well. A leaver whose listeners are suspended may have a readiness probe
/// that says no: that alone is no disruption.
fn pods_well(ctx: &Context<'_>, size: u32, leaver: Option<Ordinal>) -> Verdict {
    Verdict::worst(below(size).map(|ordinal| {
        let (name, trouble, remedy) = match ctx.facts.pods.get(&ordinal) {
            None => (
                "PodMissing",
                "does not exist",
                "`kubectl describe statefulset` says why it is not made (quota, admission, a lower pod that is not ready)",
            ),
            Some(pod) if pod.deleting => (
                "PodDeleting",
                "is being deleted",
                "if it stays so, `kubectl describe pod` shows its finalizers, and `kubectl get node` whether its machine is away",
            ),
            Some(pod) if !pod.running => (
                "PodNotRunning",
                "does not run",
                "see `kubectl describe pod` (image, volume, place) and `kubectl logs --previous`",
            ),
            Some(pod) if !pod.ready && leaver != Some(ordinal) => (
                "PodNotReady",
                "is not ready",
                "see its readiness probe in `kubectl describe pod`, its log, and `vmq-admin listener show` in it",
            ),
            Some(_) => return Verdict::Clear,
        };
        Verdict::No(name, format!("pod {ordinal} {trouble}: {remedy}"))
    }))
}

/// One image and one version, one that we know: a leave ships a closure, which another build cannot
/// run (docs/broker/leave.md, "Across versions"), and what it shows of itself is read from words and
/// counters.
fn one_build(ctx: &Context<'_>, size: u32) -> Verdict {
    let mut images = below(size).filter_map(|o| ctx.facts.pods.get(&o)).map(|pod| &pod.image);
    let first = images.next();
    if images.any(|image| Some(image) != first) {
        return Verdict::No("MixedVersions", format!("the pods run different images{ONE_BUILD}"));
    }
    let mut versions = Vec::new();
    for ordinal in below(size) {
        match ctx.facts.nodes.get(&ordinal).map(|node| &node.version) {
            Some(crate::Observed::Seen(version)) => versions.push(version),
            Some(crate::Observed::Unknown(why)) => {
                return Verdict::Unknown(format!("version of pod {ordinal}: {why}"));
            }
            None => return Verdict::Unknown(format!("version of pod {ordinal}: not asked")),
        }
    }
    if versions.windows(2).any(|pair| pair[0] != pair[1]) {
        return Verdict::No("MixedVersions", format!("the nodes run different versions{ONE_BUILD}"));
    }
    match versions.first().filter(|version| !ctx.limits.versions.contains(version)) {
        None => Verdict::Clear,
        Some(version) => Verdict::No(
            "VersionUnknown",
            format!(
                "the nodes run {version}, and leaves were measured with {}: add it to spec.leave.versions \
                 once you have tried one",
                ctx.limits.versions.join(", ")
            ),
        ),
    }
}

fn listeners_known(ctx: &Context<'_>, leaver: Ordinal) -> Verdict {
    match ctx.facts.nodes.get(&leaver).map(|node| &node.listeners) {
        Some(crate::Observed::Seen(list)) if list.is_empty() => Verdict::No(
            "NoListener",
            format!(
                "pod {leaver} has no MQTT listener: a leave may have begun there; restarting it ends that"
            ),
        ),
        Some(crate::Observed::Seen(_)) => Verdict::Clear,
        Some(crate::Observed::Unknown(why)) => Verdict::Unknown(format!("listeners of pod {leaver}: {why}")),
        None => Verdict::Unknown(format!("listeners of pod {leaver}: not asked")),
    }
}

/// A drain that cannot be through within its budget would be undone at its end: whoever was moved by it, for nothing.
fn drain_fits(ctx: &Context<'_>, leaver: Ordinal) -> Verdict {
    let counts = match ctx.facts.nodes.get(&leaver).map(|node| &node.counts) {
        Some(crate::Observed::Seen(counts)) => counts,
        Some(crate::Observed::Unknown(why)) => {
            return Verdict::Unknown(format!("sessions of pod {leaver}: {why}"));
        }
        None => return Verdict::Unknown(format!("sessions of pod {leaver}: not asked")),
    };
    let sessions = u32::try_from(counts.online.max(0)).unwrap_or(u32::MAX);
    let (rate, budget) = (Pace::of(sessions, ctx.limits).rate, ctx.limits.drain);
    let needs = Pace::span(sessions, rate) + ctx.limits.drained;
    if needs <= budget {
        return Verdict::Clear;
    }
    let wanted = u64::from(sessions).div_ceil(budget.saturating_sub(ctx.limits.drained).as_secs().max(1));
    Verdict::No(
        "DrainTooLong",
        format!(
            "pod {leaver} has {sessions} sessions, and at {rate} a second its drain takes {} s, longer than \
             spec.drain.budget ({} s): allow a budget of {} s, or {wanted} a second (spec.drain.maxPerSecond, and \
             percentPerSecond of the sessions)",
            needs.as_secs(),
            budget.as_secs(),
            needs.as_secs() + 1
        ),
    )
}

/// A used volume must not be used again (docs/broker/join.md, "A node that has left"); one that is
/// terminating is still there.
fn claim_absent(ctx: &Context<'_>, newcomer: Ordinal) -> Verdict {
    let Some(claim) = ctx.facts.claims.get(&newcomer).and_then(|claims| claims.first()) else {
        return Verdict::Clear;
    };
    let text = match without_pod(ctx, newcomer.0).next() {
        // It was not we who took its pod away, and it did not leave.
        Some(member) => format!(
            "claim {} of ordinal {newcomer} is there, and {member} is a member without a pod. If the claim is its \
             data, bring the pod back with it: `kubectl scale statefulset --replicas={}` (and find out who took it \
             away). If not, delete the claim",
            claim.name,
            newcomer.0 + 1
        ),
        None => format!(
            "claim {} of ordinal {newcomer} is left over: a node with old data cannot join. Delete the claim if \
             nobody needs what it holds",
            claim.name
        ),
    };
    Verdict::No("ClaimInTheWay", text)
}

/// Members that some view lists, none has running, and no pod's node is; none while a pod has not said its name.
fn without_pod<'a>(ctx: &Context<'a>, size: u32) -> impl Iterator<Item = &'a NodeName> {
    let names: BTreeSet<_> = below(size).filter_map(|ordinal| ctx.name(ordinal)).collect();
    let views: Vec<_> = ctx.facts.nodes.keys().filter_map(|ordinal| view(ctx, *ordinal)).collect();
    let running = |name: &NodeName| views.iter().any(|members| members.get(name) == Some(&true));
    let listed: BTreeSet<_> = views.iter().flat_map(|members| members.keys()).collect();
    let known = names.len() == size as usize;
    let lost: Vec<_> =
        listed.into_iter().filter(|name| known && !names.contains(name) && !running(name)).collect();
    lost.into_iter()
}
