//! What can be made to go wrong while it runs.

use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::sync::watch;

use super::request::{Route, Verb};

/// How a request goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// 409, as if somebody else had written in between. Not applied.
    Conflict,
    /// 429 with `Retry-After` of so many seconds. Not applied.
    TooManyRequests(u32),
    /// 500. Not applied.
    ServerError,
    /// 403, as a missing role rule. Not applied.
    Forbidden,
    /// 422, as an admission policy or a failed JSON patch `test` answers. Not applied.
    Invalid,
    /// No answer ever; applied or not. The client must give up by itself.
    Hang {
        /// The request is carried out all the same.
        applied: bool,
    },
    /// The connection is cut without an answer; applied or not. Of an exec that
    /// is applied, the output and the exit code are lost.
    Cut {
        /// The request is carried out all the same.
        applied: bool,
    },
    /// The answer comes so much later.
    Slow(Duration),
    /// A get or a list is served from the state as it was at this revision
    /// (see [`super::Kubernetes::revision`]). A real server does so for reads with
    /// `resourceVersion=0`; a client must survive it on any.
    Stale(u64),
}

/// Which requests go wrong, and how often.
#[derive(Clone, Debug)]
pub struct Rule {
    /// In turn; never empty.
    faults: Vec<Fault>,
    resource: Option<String>,
    except: Vec<String>,
    verbs: Vec<Verb>,
    name: Option<String>,
    client: Option<String>,
    skip: u32,
    times: Option<u32>,
    pass: Option<u32>,
}

impl Rule {
    /// Every request, from now on.
    pub fn new(fault: Fault) -> Self {
        Self {
            faults: vec![fault],
            resource: None,
            except: Vec::new(),
            verbs: Vec::new(),
            name: None,
            client: None,
            skip: 0,
            times: None,
            pass: None,
        }
    }

    /// The next that goes wrong does it like this, and so on in turn.
    #[must_use]
    pub fn or(mut self, fault: Fault) -> Self {
        self.faults.push(fault);
        self
    }

    /// Only requests for this plural, or plural and subresource: `pods`, `statefulsets/scale`.
    #[must_use]
    pub fn resource(mut self, resource: &str) -> Self {
        self.resource = Some(resource.to_owned());
        self
    }

    /// No request for this plural, or plural and subresource; may be repeated.
    #[must_use]
    pub fn except(mut self, resource: &str) -> Self {
        self.except.push(resource.to_owned());
        self
    }

    /// Only this verb; may be repeated.
    #[must_use]
    pub fn verb(mut self, verb: Verb) -> Self {
        self.verbs.push(verb);
        self
    }

    /// Only what changes something.
    #[must_use]
    pub fn writes(mut self) -> Self {
        self.verbs.extend([Verb::Create, Verb::Update, Verb::Patch, Verb::Delete, Verb::Exec]);
        self
    }

    /// Only the object of this name.
    #[must_use]
    pub fn name(mut self, name: &str) -> Self {
        self.name = Some(name.to_owned());
        self
    }

    /// Only requests of this client: its `fieldManager` parameter, else its `User-Agent`
    /// (see [`super::Kubernetes::client_named`]).
    #[must_use]
    pub fn client(mut self, client: &str) -> Self {
        self.client = Some(client.to_owned());
        self
    }

    /// Lets so many matching requests pass first.
    #[must_use]
    pub fn after(mut self, requests: u32) -> Self {
        self.skip = requests;
        self
    }

    /// So many matching requests, then no more.
    #[must_use]
    pub fn times(mut self, requests: u32) -> Self {
        self.times = Some(requests);
        self
    }

    /// After so many as [`Self::times`] says, lets so many pass and begins again.
    #[must_use]
    pub fn then_pass(mut self, requests: u32) -> Self {
        self.pass = Some(requests);
        self
    }

    fn matches(&self, route: &Route, client: &str) -> bool {
        self.resource.as_ref().is_none_or(|resource| *resource == route.path())
            && !self.except.contains(&route.path())
            && (self.verbs.is_empty() || self.verbs.contains(&route.verb))
            && self.name.as_ref().is_none_or(|name| *name == route.name)
            && self.client.as_ref().is_none_or(|own| own == client)
    }
}

/// Handle of a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RuleId(u64);

#[derive(Default)]
struct Rules {
    active: Vec<Active>,
    next: u64,
}

struct Active {
    id: RuleId,
    rule: Rule,
    /// Requests that it matched.
    met: u32,
    /// Those of them that went wrong.
    hits: u32,
}

impl Active {
    /// How a request that matches goes wrong, if it does; counts it.
    fn strike(&mut self) -> Option<Fault> {
        let since = self.met.checked_sub(self.rule.skip);
        self.met += 1;
        let since = since?;
        let strikes = match (self.rule.times, self.rule.pass) {
            (None, _) => true,
            (Some(times), None) => since < times,
            (Some(times), Some(pass)) => since % (times + pass) < times,
        };
        let fault = strikes.then(|| self.rule.faults[self.hits as usize % self.rule.faults.len()]);
        self.hits += u32::from(strikes);
        fault
    }
}

/// What every open watch follows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Watching {
    /// Grows when all watches are to be cut.
    pub(super) cuts: u64,
    /// No watch says anything.
    pub(super) silent: bool,
}

/// The switches.
pub struct Faults {
    rules: Mutex<Rules>,
    watching: watch::Sender<Watching>,
    still: AtomicBool,
}

impl Default for Faults {
    fn default() -> Self {
        Self {
            rules: Mutex::default(),
            watching: watch::channel(Watching::default()).0,
            still: AtomicBool::new(false),
        }
    }
}

impl Faults {
    fn rules(&self) -> MutexGuard<'_, Rules> {
        self.rules.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Switches a rule on. Of several that match, the one that was added first applies.
    pub fn add(&self, rule: Rule) -> RuleId {
        let mut rules = self.rules();
        rules.next += 1;
        let id = RuleId(rules.next);
        rules.active.push(Active { id, rule, met: 0, hits: 0 });
        id
    }

    /// Switches a rule off.
    pub fn remove(&self, id: RuleId) {
        self.rules().active.retain(|active| active.id != id);
    }

    /// How many requests went wrong by this rule.
    pub fn hits(&self, id: RuleId) -> u32 {
        self.rules().active.iter().find(|active| active.id == id).map_or(0, |active| active.hits)
    }

    /// Switches everything off, silence included.
    pub fn clear(&self) {
        self.stand_still(false);
        self.rules().active.clear();
        self.silence_watches(false);
    }

    /// Cuts every open watch in the middle.
    pub fn drop_watches(&self) {
        self.watching.send_modify(|watching| watching.cuts += 1);
    }

    /// Watches stay open and say nothing, as behind a dead connection; what was
    /// missed is delivered when it ends.
    pub fn silence_watches(&self, silent: bool) {
        self.watching.send_modify(|watching| watching.silent = silent);
    }

    /// A StatefulSet that a pod is missing of stands still until somebody writes to it; no word of it anywhere.
    pub fn stand_still(&self, still: bool) {
        self.still.store(still, Ordering::Relaxed);
    }

    pub(super) fn stands_still(&self) -> bool {
        self.still.load(Ordering::Relaxed)
    }

    pub(super) fn watching(&self) -> watch::Receiver<Watching> {
        self.watching.subscribe()
    }

    /// The fault that this request meets; counts it.
    pub(super) fn meet(&self, route: &Route, client: &str) -> Option<Fault> {
        let mut rules = self.rules();
        let mut matching = rules.active.iter_mut().filter(|active| active.rule.matches(route, client));
        matching.find_map(Active::strike)
    }
}
