//! Clients of a real broker do not stay where they are: they roam, sleep, lose
//! their network. The demo cuts one connection a second, so that its client
//! connects again to whichever node the Service gives it.

use std::time::Duration;

use lifecycle::Time;

use super::cluster::Cluster;

/// Time between two cuts: with 30 clients each comes back every half minute.
const EVERY: Duration = Duration::from_secs(1);

/// Cuts connections, one client after the other.
pub(super) struct Roam {
    clients: Vec<String>,
    next: usize,
    last: Option<Time>,
}

impl Roam {
    /// Of a load named `load` with so many clients of each kind.
    pub(super) fn new(load: &str, publishers: usize, subscribers: usize) -> Self {
        let publishers = (0..publishers).map(|index| format!("{load}-p{index}"));
        let subscribers = (0..subscribers).map(|index| format!("{load}-s{index}"));
        // A third of them are subscribers; taken in turn they are spread over time.
        let mut clients: Vec<String> = publishers.chain(subscribers).collect();
        clients.sort_by_key(|client| client.trim_start_matches(|c: char| !c.is_ascii_digit()).to_owned());
        Self { clients, next: 0, last: None }
    }

    /// One look: cuts one client, if it is time.
    pub(super) fn look(&mut self, cluster: &Cluster) {
        let now = cluster.clock.now();
        if self.clients.is_empty() || self.last.is_some_and(|at| now.since(at) < EVERY) {
            return;
        }
        self.last = Some(now);
        cluster.fleet.cut(&self.clients[self.next % self.clients.len()]);
        self.next += 1;
    }
}
