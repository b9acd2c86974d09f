//! A quiet cluster as one reconcile sees it, to be disturbed by a test.

use std::collections::{BTreeMap, BTreeSet};

use lifecycle::{
    Call, Calls, Claim, Counts, Facts, Groups, Intent, Kind, Limits, Listener, ListenerState, Node, NodeName,
    Objects, Observed, Ordinal, Output, Pod, Reach, Step, Target, Time, step,
};

/// When the intents of these tests entered their step.
pub(crate) const THEN: Time = Time(1_000_000);

pub(crate) fn name(ordinal: u32) -> NodeName {
    NodeName(format!("VerneMQ@vmq-{ordinal}"))
}

pub(crate) fn listener(state: ListenerState) -> Listener {
    Listener { kind: "mqtt".into(), address: "10.0.0.3".into(), port: 1883, state }
}

pub(crate) fn unknown<T>() -> Observed<T> {
    Observed::Unknown("no answer within 2 s".into())
}

fn pod(ordinal: u32) -> Pod {
    Pod {
        uid: format!("pod-{ordinal}"),
        ready: true,
        ready_changed: Some(Time(0)),
        deleting: false,
        serving: Some(true),
        routed: true,
        restarts: 0,
        running: true,
        image: "vernemq:2.1.2".into(),
    }
}

fn node(ordinal: u32, size: u32) -> Node {
    let counts = Counts { online: 100, offline: 50, queues: 150, retained: 3 };
    Node {
        name: Some(name(ordinal)),
        reach: Reach::Answers,
        members: Observed::Seen((0..size).map(|o| (name(o), true)).collect()),
        listeners: Observed::Seen(vec![listener(ListenerState::Running)]),
        counts: Observed::Seen(counts),
        objects: Observed::Seen(Objects { live: Some(500), at: THEN }),
        groups: Some(Observed::Seen(Groups { synced: 10, all: 10 })),
        version: Observed::Seen("2.1.2".into()),
    }
}

/// What is seen, and what is recorded.
#[derive(Clone)]
pub(crate) struct Fixture {
    pub(crate) facts: Facts,
    pub(crate) intent: Option<Intent>,
    pub(crate) limits: Limits,
}

impl Fixture {
    /// A quiet cluster and a wish.
    pub(crate) fn new(size: u32, wish: u32) -> Self {
        let claim = |o| Claim { name: format!("data-{o}"), uid: format!("claim-{o}"), deleting: false };
        let facts = Facts {
            target: Target {
                uid: "set".into(),
                replicas: size,
                rollout: false,
                deleting: false,
                touched: None,
            },
            pods: (0..size).map(|o| (Ordinal(o), pod(o))).collect(),
            missing: None,
            unsettled: None,
            claims: (0..size).map(|o| (Ordinal(o), vec![claim(o)])).collect(),
            nodes: (0..size).map(|o| (Ordinal(o), node(o, size))).collect(),
            wish,
            shrink_vetoes: BTreeSet::new(),
            raise_vetoes: BTreeSet::new(),
            grow_vetoes: BTreeSet::new(),
            calls: Calls::default(),
        };
        Self { facts, intent: None, limits: Limits::default() }
    }

    /// A shrink of the highest ordinal in `step`, seen as it is before the leave: fenced, suspended.
    pub(crate) fn shrinking(size: u32, at: Step) -> Self {
        let mut fixture = Self::new(size, size - 1);
        let out = fixture.after(0);
        let asked = !matches!(at, Step::Fence | Step::Suspend | Step::Drain);
        fixture.intent = out.intent.map(|intent| Intent { step: at, sessions: 100, asked, ..intent });
        fixture.pod(size - 1).serving = Some(false);
        fixture.pod(size - 1).routed = false;
        fixture.listeners(Some(ListenerState::Suspended));
        fixture
    }

    /// A growth to `size` whose newcomer is in `step`: a member, in step, fenced.
    pub(crate) fn growing(size: u32, at: Step) -> Self {
        let mut fixture = Self::new(size - 1, size);
        let out = fixture.after(0);
        let uid = Some(format!("pod-{}", size - 1));
        fixture.intent = out.intent.map(|intent| Intent { step: at, pod_uid: uid, ..intent });
        fixture.facts = Self::new(size, size).facts;
        fixture.pod(size - 1).serving = Some(false);
        fixture.pod(size - 1).routed = false;
        fixture
    }

    pub(crate) fn top(&self) -> u32 {
        self.intent.as_ref().map_or(self.facts.target.replicas - 1, |intent| intent.ordinal.0)
    }

    pub(crate) fn pod(&mut self, ordinal: u32) -> &mut Pod {
        self.facts.pods.get_mut(&Ordinal(ordinal)).unwrap()
    }

    pub(crate) fn node(&mut self, ordinal: u32) -> &mut Node {
        self.facts.nodes.get_mut(&Ordinal(ordinal)).unwrap()
    }

    pub(crate) fn counts(&mut self, ordinal: u32) -> &mut Counts {
        match &mut self.node(ordinal).counts {
            Observed::Seen(counts) => counts,
            Observed::Unknown(_) => unreachable!(),
        }
    }

    /// Live objects of a node from now on.
    pub(crate) fn live(&mut self, ordinal: u32, live: i64) {
        self.node(ordinal).objects = Observed::Seen(Objects { live: Some(live), at: THEN });
    }

    /// What `viewer` sees from now on.
    pub(crate) fn view(&mut self, viewer: u32, members: &[(u32, bool)]) {
        let members: BTreeMap<_, _> = members.iter().map(|(o, running)| (name(*o), *running)).collect();
        self.node(viewer).members = Observed::Seen(members);
    }

    /// The top ordinal's only listener.
    pub(crate) fn listeners(&mut self, state: Option<ListenerState>) {
        let top = self.top();
        self.node(top).listeners = Observed::Seen(state.map(listener).into_iter().collect());
    }

    /// All survivors see a cluster without the top ordinal.
    pub(crate) fn dropped(&mut self) {
        let top = self.top();
        let rest: Vec<_> = (0..top).map(|o| (o, true)).collect();
        (0..top).for_each(|viewer| self.view(viewer, &rest));
    }

    /// The top ordinal's pod has ended.
    pub(crate) fn gone(&mut self) {
        let top = Ordinal(self.top());
        self.facts.pods.remove(&top);
        self.facts.nodes.remove(&top);
    }

    pub(crate) fn said(&mut self, text: &str) {
        self.facts.calls.leave = Call::Answered(text.into());
    }

    /// A step, so many milliseconds after the step was entered.
    pub(crate) fn after(&self, millis: u64) -> Output {
        let now = Time(THEN.0 + millis);
        let mut facts = self.facts.clone();
        for node in facts.nodes.values_mut() {
            if let Observed::Seen(objects) = &mut node.objects {
                objects.at = now;
            }
        }
        step(self.intent.as_ref(), &facts, &self.limits, now)
    }

    /// The same, and its intent is recorded.
    pub(crate) fn turn(&mut self, millis: u64) -> Output {
        let out = self.after(millis);
        self.intent.clone_from(&out.intent);
        out
    }
}

pub(crate) fn reasons(out: &Output) -> Vec<&'static str> {
    out.conditions.iter().map(|condition| condition.reason).collect()
}

/// The condition stands, and its message has these words.
pub(crate) fn tells(out: &Output, reason: &str, words: &str) -> bool {
    let told = out.conditions.iter().find(|condition| condition.reason == reason);
    told.is_some_and(|told| told.message.contains(words))
}

pub(crate) fn at(out: &Output) -> Step {
    out.intent.as_ref().map(|intent| intent.step).unwrap()
}

pub(crate) fn kind(out: &Output) -> Option<Kind> {
    out.intent.as_ref().filter(|intent| intent.active()).map(|intent| intent.kind)
}
