//! API keys. Stored cluster-wide, but each node reads the list once, answers
//! from its own copy and writes the whole of it back: the last writer wins
//! (`apikey_create.txt`).

use super::node::Ix;
use super::store::Key;
use super::{Answer, CallId, ClusterModel, Spread};

/// Scopes of `api-key create --help` (`apikey_create.txt`).
const SCOPES: [&str; 6] = ["status", "mgmt", "metrics", "health", "api2", "httppub"];
/// Scope of a key that is made without one.
const MGMT: &str = "mgmt";
const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

impl ClusterModel {
    /// The node's copy, read from the cluster's list at its first use.
    pub(super) fn keys_of(&mut self, ix: Ix) -> &mut Vec<Key> {
        if self.nodes[ix.0].keys.is_none() {
            let keys = self.store(self.nodes[ix.0].disk.store).keys.clone();
            self.nodes[ix.0].keys = Some(keys);
        }
        self.nodes[ix.0].keys.get_or_insert_default()
    }

    pub(super) fn api_key_create(&mut self, ix: Ix, call: CallId, scope: Option<&str>) {
        let letters = Spread::new(0, ALPHABET.len() as u64 - 1);
        let key: String =
            (0..32).map(|_| char::from(ALPHABET[usize::try_from(self.vary(letters)).unwrap_or(0)])).collect();
        if self.put_key(ix, &key, scope) {
            self.answer(call, Answer::Text(key));
        } else {
            self.fail(call, 500, "", "");
        }
    }

    pub(super) fn api_key_add(&mut self, ix: Ix, call: CallId, key: &str, scope: Option<&str>) {
        let asked = scope.unwrap_or(MGMT);
        // One key may have several scopes, each added by itself (vmq_auth_apikey:check_key_exists/2).
        if self.keys_of(ix).iter().any(|known| known.key == key && known.scope == asked) {
            self.answer(call, Answer::Text("{error,key_already_exists}".into()));
        } else if self.put_key(ix, key, scope) {
            let ok = Answer::Text("ok".into());
            self.answer(call, ok);
        } else {
            self.fail(call, 500, "", "");
        }
    }

    fn put_key(&mut self, ix: Ix, key: &str, scope: Option<&str>) -> bool {
        let scope = scope.unwrap_or(MGMT);
        if !SCOPES.contains(&scope) {
            return false;
        }
        let keys = self.keys_of(ix);
        keys.push(Key { key: key.into(), scope: scope.into() });
        let all = keys.clone();
        let store = self.nodes[ix.0].disk.store;
        self.store_mut(store).keys = all;
        true
    }

    pub(super) fn api_key_show(&mut self, ix: Ix) -> Answer {
        let row = |key: &Key| {
            vec![
                ("Key".to_owned(), key.key.clone().into()),
                ("Scope".to_owned(), key.scope.clone().into()),
                ("Expires (UTC)".to_owned(), "never".into()),
                ("has expired".to_owned(), false.into()),
            ]
        };
        Answer::Table(self.keys_of(ix).iter().map(row).collect())
    }
}
