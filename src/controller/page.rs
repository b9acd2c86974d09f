//! Pages of a broker's HTTP listeners, and what is said of those that could not be read.

use crate::vernemq::reply::Unusable;
use crate::vernemq::status_page::Entry;

/// A page of the broker's HTTP listeners.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Page {
    /// `cluster show`.
    Members,
    /// `listener show`.
    Listeners,
    /// `/status.json`.
    Status,
    /// `/metrics`.
    Metrics,
}

impl Page {
    pub(super) fn path(self) -> &'static str {
        match self {
            Self::Members => "/api/v1/cluster/show",
            Self::Listeners => "/api/v1/listener/show",
            Self::Status => "/status.json",
            Self::Metrics => "/metrics",
        }
    }

    /// Where its port is set.
    pub(super) fn port_setting(self) -> &'static str {
        match self {
            Self::Members | Self::Listeners => "spec.management.port",
            Self::Status | Self::Metrics => "spec.management.metricsPort",
        }
    }

    /// Scope of the key that it asks for, where it asks for any (`apikey_create.txt`).
    pub(super) fn scope(self) -> &'static str {
        match self {
            Self::Members | Self::Listeners => "mgmt",
            Self::Status => "status",
            Self::Metrics => "metrics",
        }
    }

    /// What serves it, by its name in `http_modules`.
    pub(super) fn module(self) -> &'static str {
        match self {
            Self::Members | Self::Listeners => "vmq_http_mgmt_api",
            Self::Status => "vmq_status_http",
            Self::Metrics => "vmq_metrics_http",
        }
    }
}

/// Something that could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Trouble {
    /// One CamelCase word.
    pub(super) kind: &'static str,
    /// Where.
    pub(super) page: Page,
    /// What it answered, and what the others did.
    pub(super) message: String,
    /// Pages that want a key, one a scope.
    pub(super) refused: Vec<Page>,
}

/// The first that went wrong. Where it wants a key, all that do are named, for each scope is put onto a node by itself.
pub(super) fn trouble(each: &[(Page, Option<Unusable>)]) -> Option<Trouble> {
    let (page, why) = each.iter().find_map(|(page, why)| Some((*page, why.as_ref()?)))?;
    let wants_key = |why: &Option<Unusable>| *why == Some(Unusable::Unauthorized);
    let mut refused: Vec<Page> = Vec::new();
    for (page, _) in each.iter().filter(|(_, why)| wants_key(why)) {
        if !refused.iter().any(|known| known.scope() == page.scope()) {
            refused.push(*page);
        }
    }
    let mut message = format!("{} ({}): {why}", page.path(), page.port_setting());
    if *why == Unusable::Unauthorized {
        let wants = refused.iter().map(|page| format!("{} wants scope {}", page.path(), page.scope()));
        message = format!("{message}; {}", wants.collect::<Vec<_>>().join(", "));
    }
    Some(Trouble { kind: why.kind(), page, message, refused })
}

/// `listener show` is a 500 as a whole where a listener is a Unix socket (`listeners_mountpoint_unix.txt`, 2.1.2 and
/// 2.2.0), for as long as there is one. Any other 500 is a trouble.
pub(super) fn crashes(why: Option<&Unusable>, entry: Option<&Entry>) -> bool {
    why == Some(&Unusable::Crashed) && entry.is_some_and(|entry| entry.unix_socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_unix_socket_explains_a_list_that_crashes() {
        let entry = |unix_socket| Entry {
            online: 0,
            offline: 0,
            retained: 0,
            version: String::new(),
            members: std::collections::BTreeMap::new(),
            listeners: Vec::new(),
            unix_socket,
        };
        let crashed = Some(&Unusable::Crashed);
        assert!(crashes(crashed, Some(&entry(true))));
        assert!(!crashes(crashed, Some(&entry(false))) && !crashes(crashed, None));
        assert!(!crashes(Some(&Unusable::Unauthorized), Some(&entry(true))));
    }

    #[test]
    fn every_page_that_wants_a_key_is_named_once_a_scope() {
        let wants = || Some(Unusable::Unauthorized);
        let each = [
            (Page::Members, wants()),
            (Page::Listeners, wants()),
            (Page::Status, None),
            (Page::Metrics, wants()),
        ];
        let found = trouble(&each).unwrap();
        assert_eq!((found.kind, found.refused), ("Unauthorized", vec![Page::Members, Page::Metrics]));
        let words = "/api/v1/cluster/show wants scope mgmt, /metrics wants scope metrics";
        assert!(found.message.contains(words), "{}", found.message);
        let malformed = || Some(Unusable::Malformed("x".into()));
        let found = trouble(&[(Page::Members, None), (Page::Metrics, malformed())]).unwrap();
        assert_eq!(found.page, Page::Metrics);
        assert!(found.message.starts_with("/metrics (spec.management.metricsPort): "), "{}", found.message);
    }
}
