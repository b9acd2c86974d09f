//! Topic filters and who subscribed them, as a tree by level.

use std::collections::BTreeMap;

use super::node::Ix;
use super::queue::ClientKey;

/// One client's subscription of one filter.
#[derive(Clone, Copy, Debug)]
pub(super) struct Subscriber {
    /// Granted QoS.
    pub(super) qos: u8,
    /// Node to which its messages are routed.
    pub(super) home: Ix,
}

#[derive(Clone, Debug, Default)]
struct Level {
    below: BTreeMap<Box<str>, Level>,
    any: Option<Box<Level>>,
    here: Leaf,
    rest: Leaf,
}

#[derive(Clone, Debug, Default)]
struct Leaf {
    subscribers: BTreeMap<ClientKey, Subscriber>,
    homes: BTreeMap<Ix, usize>,
}

/// The tree, with the counts that the router's gauge needs.
#[derive(Clone, Debug, Default)]
pub(super) struct FilterTree {
    root: Level,
    filters: i64,
    local: BTreeMap<Ix, i64>,
    sole: BTreeMap<Ix, i64>,
}

impl Level {
    fn is_empty(&self) -> bool {
        self.below.is_empty()
            && self.any.is_none()
            && self.here.subscribers.is_empty()
            && self.rest.subscribers.is_empty()
    }

    /// The leaf of a filter, made if need be.
    fn leaf(&mut self, filter: &str) -> &mut Leaf {
        let mut level = self;
        for word in filter.split('/') {
            match word {
                "#" => return &mut level.rest,
                "+" => level = level.any.get_or_insert_with(Box::default),
                word => {
                    if !level.below.contains_key(word) {
                        level.below.insert(word.into(), Self::default());
                    }
                    level = level.below.get_mut(word).expect("it was just put there");
                }
            }
        }
        &mut level.here
    }

    /// Removes levels that nobody needs on the way to `filter`.
    fn prune(&mut self, mut words: std::str::Split<'_, char>) {
        match words.next() {
            None | Some("#") => {}
            Some("+") => {
                if let Some(any) = &mut self.any {
                    any.prune(words);
                    if any.is_empty() {
                        self.any = None;
                    }
                }
            }
            Some(word) => {
                if let Some(below) = self.below.get_mut(word) {
                    below.prune(words);
                    if below.is_empty() {
                        self.below.remove(word);
                    }
                }
            }
        }
    }

    fn visit<F: FnMut(&ClientKey, Subscriber)>(&self, topic: &[&str], wild: bool, found: &mut F) {
        if wild {
            self.rest.subscribers.iter().for_each(|(key, sub)| found(key, *sub));
        }
        match topic.split_first() {
            None => self.here.subscribers.iter().for_each(|(key, sub)| found(key, *sub)),
            Some((word, rest)) => {
                if let Some(below) = self.below.get(*word) {
                    below.visit(rest, true, found);
                }
                if let Some(any) = self.any.as_ref().filter(|_| wild) {
                    any.visit(rest, true, found);
                }
            }
        }
    }
}

impl FilterTree {
    /// Adds a subscription or replaces its QoS and home.
    pub(super) fn insert(&mut self, filter: &str, key: &ClientKey, sub: Subscriber) {
        let leaf = self.root.leaf(filter);
        let before: Vec<Ix> = leaf.homes.keys().copied().collect();
        if let Some(old) = leaf.subscribers.insert(key.clone(), sub) {
            leaf.leave(old.home);
        }
        *leaf.homes.entry(sub.home).or_default() += 1;
        let after: Vec<Ix> = leaf.homes.keys().copied().collect();
        self.recount(&before, &after);
    }

    /// Removes a subscription; false if there was none.
    pub(super) fn remove(&mut self, filter: &str, key: &ClientKey) -> bool {
        let leaf = self.root.leaf(filter);
        let before: Vec<Ix> = leaf.homes.keys().copied().collect();
        let found = leaf.subscribers.remove(key);
        if let Some(old) = found {
            leaf.leave(old.home);
        }
        let after: Vec<Ix> = leaf.homes.keys().copied().collect();
        let empty = leaf.subscribers.is_empty();
        self.recount(&before, &after);
        if empty {
            self.root.prune(filter.split('/'));
        }
        found.is_some()
    }

    /// Calls `found` for each subscription that matches `topic`; a client that
    /// subscribed overlapping filters is found once for each.
    pub(super) fn visit<F: FnMut(&ClientKey, Subscriber)>(&self, topic: &str, found: &mut F) {
        let words: Vec<&str> = topic.split('/').collect();
        self.root.visit(&words, !topic.starts_with('$'), found);
    }

    /// Whether anything under a first level is subscribed.
    pub(super) fn knows(&self, first: &str) -> bool {
        self.root.below.contains_key(first)
    }

    /// `router_subscriptions` of a node: filters of its own clients plus
    /// filters that some other node has. A filter with clients on both sides
    /// counts twice (`q1_leave_22000.txt`: 4392 of 2200).
    pub(super) fn subscriptions(&self, at: Ix) -> (i64, i64) {
        (self.local.get(&at).copied().unwrap_or(0), self.filters - self.only_at(at))
    }

    /// Filters that no other node has.
    pub(super) fn only_at(&self, at: Ix) -> i64 {
        self.sole.get(&at).copied().unwrap_or(0)
    }

    fn recount(&mut self, before: &[Ix], after: &[Ix]) {
        if before == after {
            return;
        }
        for (homes, step) in [(before, -1), (after, 1)] {
            for home in homes {
                *self.local.entry(*home).or_default() += step;
            }
            if let [home] = homes {
                *self.sole.entry(*home).or_default() += step;
            }
            if !homes.is_empty() {
                self.filters += step;
            }
        }
    }
}

impl Leaf {
    fn leave(&mut self, home: Ix) {
        if let Some(count) = self.homes.get_mut(&home) {
            *count -= 1;
            if *count == 0 {
                self.homes.remove(&home);
            }
        }
    }
}

/// Whether a filter matches a topic; for retained messages.
pub(super) fn matches(filter: &str, topic: &str) -> bool {
    if topic.starts_with('$') && filter.starts_with(['+', '#']) {
        return false;
    }
    let mut words = topic.split('/');
    for part in filter.split('/') {
        match (part, words.next()) {
            ("#", _) => return true,
            ("+", Some(_)) => {}
            (part, Some(word)) if part == word => {}
            _ => return false,
        }
    }
    words.next().is_none()
}

/// The part of a filter before its first wildcard; all of it if there is none.
pub(super) fn literal_prefix(filter: &str) -> &str {
    filter.find(['+', '#']).map_or(filter, |at| &filter[..at])
}

/// Whether a filter is well formed: wildcards stand alone, `#` comes last.
pub(super) fn valid(filter: &str) -> bool {
    let words: Vec<&str> = filter.split('/').collect();
    !filter.is_empty()
        && words.iter().enumerate().all(|(at, word)| match *word {
            "#" => at + 1 == words.len(),
            "+" => true,
            word => !word.contains(['+', '#']),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(tree: &FilterTree, topic: &str) -> usize {
        let mut count = 0;
        tree.visit(topic, &mut |_, _| count += 1);
        count
    }

    #[test]
    fn tree_and_plain_matching_agree() {
        let filters = ["a/b", "a/+", "a/#", "#", "+/b", "+", "$SYS/#", "a/+/c", "a//b", "/+"];
        let topics = ["a/b", "a", "a/x/c", "$SYS/x", "a//b", "/b", "b", "a/b/c"];
        for filter in filters {
            let mut tree = FilterTree::default();
            tree.insert(filter, &ClientKey::new("", "c"), Subscriber { qos: 0, home: Ix(0) });
            for topic in topics {
                assert_eq!(found(&tree, topic), usize::from(matches(filter, topic)), "{filter} {topic}");
            }
            assert!(tree.remove(filter, &ClientKey::new("", "c")));
            assert!(tree.root.is_empty(), "{filter} leaves a level behind");
        }
    }

    #[test]
    fn counts_local_and_foreign_filters() {
        let mut tree = FilterTree::default();
        for (client, filter, home) in [("a", "x", 0), ("b", "x", 1), ("c", "y", 1), ("d", "y", 1)] {
            tree.insert(filter, &ClientKey::new("", client), Subscriber { qos: 1, home: Ix(home) });
        }
        assert_eq!(tree.subscriptions(Ix(0)), (1, 2));
        assert_eq!(tree.subscriptions(Ix(1)), (2, 1));
        assert_eq!(tree.subscriptions(Ix(2)), (0, 2));
        tree.insert("x", &ClientKey::new("", "a"), Subscriber { qos: 1, home: Ix(1) });
        assert_eq!(tree.subscriptions(Ix(0)), (0, 2));
        assert_eq!(tree.subscriptions(Ix(1)), (2, 0));
    }
}
