//! How connections fared, by kind.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::client::{Broken, ConnectError};

/// Kinds kept at most in one map: reason codes are one byte, other texts are ours.
const KINDS_MAX: usize = 300;

/// Connections opened, refused, lost and tried again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// CONNECTs answered with success.
    pub accepted: u64,
    /// TCP connects that were refused: nobody listens there.
    pub tcp_refused: u64,
    /// No CONNACK within the deadline, TCP and TLS included.
    pub timed_out: u64,
    /// Closed or reset before a CONNACK.
    pub closed_before_connack: u64,
    /// TLS, name resolution, an unreadable answer or an empty list of addresses.
    pub other_failures: u64,
    /// CONNACKs that said no, by return code (`3`) or reason code (`0x88`).
    pub connack: BTreeMap<String, u64>,
    /// Connections that ended without our wish, by cause.
    pub disconnects: BTreeMap<String, u64>,
    /// Connects after a failed connect or a lost connection.
    pub retries: u64,
    /// Subscriptions that the broker refused, by code.
    pub subscriptions_refused: BTreeMap<String, u64>,
    /// The text of the last failure, for people.
    pub last_failure: Option<String>,
}

impl Tally {
    /// Counts a failed connect.
    pub(crate) fn refused(&mut self, error: &ConnectError) {
        match error {
            ConnectError::TcpRefused => self.tcp_refused += 1,
            ConnectError::TimedOut(_) => self.timed_out += 1,
            ConnectError::Closed(_) => self.closed_before_connack += 1,
            ConnectError::Refused(code) => count(&mut self.connack, code.to_string()),
            ConnectError::NoAddress | ConnectError::Other(_) => self.other_failures += 1,
        }
        self.last_failure = Some(error.to_string());
    }

    /// Counts a lost connection.
    pub(crate) fn disconnected(&mut self, cause: &Broken) {
        count(&mut self.disconnects, cause.kind());
    }

    /// Counts a refused subscription.
    pub(crate) fn subscription_refused(&mut self, code: String) {
        self.last_failure = Some(format!("the broker refused the subscription with code {code}"));
        count(&mut self.subscriptions_refused, code);
    }

    /// All connects that failed.
    pub fn failures(&self) -> u64 {
        self.tcp_refused
            + self.timed_out
            + self.closed_before_connack
            + self.other_failures
            + self.connack.values().sum::<u64>()
    }

    /// All connections that ended without our wish.
    pub fn lost_connections(&self) -> u64 {
        self.disconnects.values().sum()
    }
}

fn count(map: &mut BTreeMap<String, u64>, kind: String) {
    if map.len() < KINDS_MAX || map.contains_key(&kind) {
        *map.entry(kind).or_default() += 1;
    }
}
