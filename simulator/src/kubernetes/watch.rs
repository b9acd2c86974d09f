//! Watches: a stream of changes from a version on, with bookmarks and 410.

use std::{collections::VecDeque, io, pin::Pin, sync::Arc, time::Duration};

use axum::body::Body;
use bytes::Bytes;
use futures::stream;
use serde_json::{Value, json};
use tokio::{
    sync::watch,
    time::{Sleep, sleep},
};

use super::{
    Shared,
    faults::Watching,
    refusal::Refusal,
    request::{Query, Route},
    selector::Selector,
    store::{Change, ChangeKind},
};

/// A server sends a bookmark about once a minute.
const BOOKMARK_EVERY: Duration = Duration::from_mins(1);

/// Longest life of a watch whose client names none; real servers draw 30 to 60 minutes.
const LIFE: Duration = Duration::from_mins(30);

struct Watch {
    shared: Arc<Shared>,
    route: Route,
    selector: Selector,
    /// The last revision that was looked at.
    cursor: u64,
    /// Lines to be sent: as many as the history holds, at most.
    pending: VecDeque<Bytes>,
    changed: watch::Receiver<u64>,
    watching: watch::Receiver<Watching>,
    cuts: u64,
    bookmarks: bool,
    next_bookmark: Pin<Box<Sleep>>,
    end: Pin<Box<Sleep>>,
    ended: bool,
}

/// Starts a watch.
pub(super) fn start(shared: &Arc<Shared>, route: &Route, query: &Query) -> Result<Body, Refusal> {
    let selector = Selector::parse(route.resource, query.get("labelSelector"), query.get("fieldSelector"))?;
    let initial = query.flag("sendInitialEvents");
    let version = query.get("resourceVersion");
    let asked: u64 = if version.is_empty() {
        0
    } else {
        version.parse().map_err(|_| {
            Refusal::bad_request(format!("Invalid value: \"{version}\": invalid resource version"))
        })?
    };
    let store = shared.store();
    let life = query.get("timeoutSeconds").parse().map_or(LIFE, Duration::from_secs);
    let watching = shared.faults.watching();
    let cuts = watching.borrow().cuts;
    let mut watch = Watch {
        shared: shared.clone(),
        route: route.clone(),
        selector,
        cursor: asked,
        pending: VecDeque::new(),
        changed: store.subscribe(),
        cuts,
        watching,
        bookmarks: query.flag("allowWatchBookmarks"),
        next_bookmark: Box::pin(sleep(BOOKMARK_EVERY)),
        end: Box::pin(sleep(life)),
        ended: false,
    };
    if asked == 0 || initial {
        watch.cursor = store.revision();
        for object in store.list(route.resource.id, route.namespace.as_deref()) {
            if watch.selector.matches(&object) {
                watch.say("ADDED", &object);
            }
        }
    }
    if initial {
        watch.bookmark(true);
    }
    drop(store);
    Ok(Body::from_stream(stream::unfold(watch, Watch::next)))
}

impl Watch {
    async fn next(mut self) -> Option<(io::Result<Bytes>, Self)> {
        loop {
            let watching = *self.watching.borrow_and_update();
            if watching.cuts != self.cuts {
                self.cuts = watching.cuts;
                self.ended = true;
                self.pending.clear();
                let cut = io::Error::new(io::ErrorKind::ConnectionReset, "watches are dropped");
                return Some((Err(cut), self));
            }
            if !watching.silent {
                if !self.ended && self.pending.is_empty() {
                    self.gather();
                }
                if let Some(line) = self.pending.pop_front() {
                    return Some((Ok(line), self));
                }
                if self.ended {
                    return None;
                }
            }
            tokio::select! {
                _ = self.changed.changed() => {}
                _ = self.watching.changed() => {}
                () = &mut self.end, if !watching.silent => {
                    self.ended = true;
                    if self.bookmarks {
                        self.bookmark(false);
                    }
                }
                () = &mut self.next_bookmark, if self.bookmarks && !watching.silent => {
                    self.next_bookmark = Box::pin(sleep(BOOKMARK_EVERY));
                    self.bookmark(false);
                }
            }
        }
    }

    /// Takes the changes since the cursor; says 410 where some are forgotten.
    fn gather(&mut self) {
        let shared = self.shared.clone();
        let store = shared.store();
        self.changed.borrow_and_update();
        let Some(changes) = store.history().since(self.cursor) else {
            let expired = Refusal::expired(self.cursor, store.history().forgotten());
            self.say("ERROR", &expired.status());
            self.ended = true;
            return;
        };
        for change in changes {
            if let Some(kind) = self.seen_as(change) {
                self.say(kind, &change.object);
            }
        }
        self.cursor = store.revision();
    }

    /// What a change is to this watch: an object that begins to match is an
    /// added one, one that ceases to is a deleted one.
    fn seen_as(&self, change: &Change) -> Option<&'static str> {
        let here = change.key.resource == self.route.resource.id
            && self.route.namespace.as_ref().is_none_or(|ns| *ns == change.key.namespace);
        if !here {
            return None;
        }
        let before = change.before.as_deref().is_some_and(|object| self.selector.matches(object));
        let now = change.kind != ChangeKind::Deleted && self.selector.matches(&change.object);
        match (before, now) {
            (false, false) => None,
            (false, true) => Some("ADDED"),
            (true, true) => Some("MODIFIED"),
            (true, false) => Some("DELETED"),
        }
    }

    fn say(&mut self, kind: &str, object: &Value) {
        self.pending.push_back(format!("{}\n", json!({"type": kind, "object": object})).into());
    }

    fn bookmark(&mut self, initial_end: bool) {
        let kind = self.route.resource;
        let mut metadata = json!({"resourceVersion": self.cursor.to_string()});
        if initial_end {
            metadata["annotations"] = json!({"k8s.io/initial-events-end": "true"});
        }
        let object = json!({"kind": kind.kind, "apiVersion": kind.api_version(), "metadata": metadata});
        self.say("BOOKMARK", &object);
    }
}
