//! What can be set on the broker, and what varied in the recordings.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::{ListenerSetting, Version};

/// A span of milliseconds in which something was seen to vary. Where in it a
/// single event falls is derived from [`Settings::seed`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spread {
    /// Shortest, ms.
    pub min: u64,
    /// Longest, ms.
    pub max: u64,
}

impl Spread {
    /// Between `min` and `max` milliseconds.
    pub const fn new(min: u64, max: u64) -> Self {
        Self { min, max }
    }

    /// Always `ms`.
    pub const fn exactly(ms: u64) -> Self {
        Self { min: ms, max: ms }
    }
}

/// Whether `/api/v1` asks for a key (`http_module.vmq_http_mgmt_api.auth.mode`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ManagementAuth {
    /// A key of scope `mgmt` is needed: 401 without (`http_api.txt`). The broker's default.
    #[default]
    Keys,
    /// Open, as in the recordings from `leave_edge_cases.txt` on.
    Noauth,
}

/// A persistent session that comes back on another node can lose what is acknowledged while its queue is on the way;
/// on its own node it loses nothing (`disconnect_loss.txt`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TakeoverLoss {
    /// Messages lost, one a move at most …
    pub lost: u64,
    /// … of so many moves, where something is published to each while it moves.
    pub moves: u64,
}

impl TakeoverLoss {
    /// 3 messages in 120 moves.
    pub const RECORDED: Self = Self { lost: 3, moves: 120 };

    /// Whether the move of this number, from 0, loses one.
    pub(super) fn strikes(self, number: u64) -> bool {
        let upto = |number: u64| number.saturating_mul(self.lost) / self.moves.max(1);
        upto(number) != upto(number + 1)
    }
}

/// Settings of a cluster. `Default` is VerneMQ 2.1.2's, with the timing that was recorded.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Derives everything that varied in reality. The same seed and the same calls give the same events.
    pub seed: u64,
    /// `allow_register_during_netsplit`; default off.
    pub allow_register_during_netsplit: bool,
    /// `allow_publish_during_netsplit`; default off.
    pub allow_publish_during_netsplit: bool,
    /// `allow_subscribe_during_netsplit`; default off.
    pub allow_subscribe_during_netsplit: bool,
    /// `allow_unsubscribe_during_netsplit`; default off.
    pub allow_unsubscribe_during_netsplit: bool,
    /// `systree_interval`; default 20 s (`misc_restart_reset_idle.txt`). Zero turns `$SYS` off.
    pub systree_interval: Duration,
    /// How late each tick of `$SYS` is after the interval: about 2 ms (`sys_interval2000_through_kill_n3.txt`).
    pub systree_drift: Duration,
    /// Who may call `/api/v1`.
    pub management_auth: ManagementAuth,
    /// Pages that ask for a key of the scope of their name: `status`, `metrics`, `health`
    /// (`http_module.*.auth.mode = apikey`). None by default (`http_api.txt`).
    pub keyed_pages: Vec<&'static str>,
    /// `allow_anonymous`; the recordings ran with `on`.
    pub allow_anonymous: bool,
    /// User and password for `allow_anonymous=off`.
    pub users: BTreeMap<String, String>,
    /// Mountpoint and client id of everybody who is let in, as the login databases that the broker can ask have
    /// them; none lets in every id.
    pub known_clients: Option<BTreeSet<(String, String)>>,
    /// The listeners for clients, in the order in which they are shown; empty for a plain one on the node's port.
    pub listeners: Vec<ListenerSetting>,
    /// `listener show` has a column `ip` for `address`, as brokers before 1.13 do.
    pub old_listener_show: bool,
    /// Filters and topics that begin with one of these are refused by the ACL; none by default (`topic #`).
    pub denied_prefixes: Vec<String>,
    /// `vmq_swc.prevent_nonempty_join`; default on. Off: a join says `Done` and never happens.
    pub prevent_nonempty_join: bool,
    /// QoS 1 and 2 messages sent and not yet acknowledged, per session (`leave_full_semantics.txt`: 20).
    pub max_inflight: usize,
    /// Messages of an online session that wait behind those in flight; 1000 (`q4_still_online.txt`).
    pub max_online_messages: usize,
    /// Messages of an offline queue; 1000 (`q4_still_online.txt`).
    pub max_offline_messages: usize,
    /// What a takeover across nodes loses. None by default, so that whatever else is lost shows.
    pub takeover_loss: Option<TakeoverLoss>,
    /// Timing that varied.
    pub timing: Timing,
    /// Speed of the recorded machine (2 shared cores).
    pub rates: Rates,
}

/// Spans that varied between recordings, ms.
#[derive(Clone, Debug)]
pub struct Timing {
    /// Start of the process to HTTP and MQTT up (docs/broker/http-api.md, "While booting": 1.2–3 s).
    pub boot: Spread,
    /// After that: `cluster show` is 400 (`leave_edge_cases.txt`: 0.4–0.6 s).
    pub commands: Spread,
    /// Then one start in three answers 500 for this long (`q7_dead_leave_many_sessions_http.txt`).
    pub commands_500: Spread,
    /// Then a restarted member shows only itself for this long (docs/broker/http-api.md, "While booting").
    pub boot_alone: Spread,
    /// HTTP up to a member seen as running by the others (docs/broker/netsplit.md, "A restart": up to 6 s).
    pub seen_up: Spread,
    /// Process gone to `Running=false` on the others (`dead_node_netsplit.txt`: 0.08 s).
    pub seen_down: Spread,
    /// SIGTERM to the end of the process (`netsplit_allow_on_systree_2000.txt`: 1.1 s).
    pub term_exit: Spread,
    /// The same in the midst of a migration, as far as the others see (`sigterm_in_migration.txt`: the coordinator is answered
    /// after 12.17 s, the next views have it down).
    pub term_exit_moving: Spread,
    /// `cluster join` to its `Done`: the newcomer is a member then (`join_sync_2.1.2.txt`: 0.32 s; `join_under_load.txt`:
    /// 0.15–0.19 s; `join_sync_2.2.0.txt`: 6.2 s). What follows counts from there.
    pub join_answer: Spread,
    /// `join` to a newcomer's own `cluster show` (`join_under_load.txt`: 0.08–6.4 s).
    pub join_seen_by_newcomer: Spread,
    /// `join` to the old members' `cluster show` (`join_under_load.txt`: 2.8–6.7 s; `pods_raise_1_to_4.txt`: 7.9 s,
    /// from vmq-2's own view to vmq-1's).
    pub join_seen_by_members: Spread,
    /// `join` to the first message from an old node to the newcomer (`join_under_load.txt`: 6.7–7.5 s).
    pub join_loss_out: Spread,
    /// The newcomer's own `cluster show` to the first message from it to an old node, as far as it has the subscriber's
    /// group (`join_under_load.txt`: 6.28 and 7.26 s, 6.38 and 7.25 s).
    pub join_link: Spread,
    /// `join` to the first of ten groups of subscribers and retained messages on the newcomer
    /// (`join_under_load.txt`: 1.8–2 s; `join_sync_2.1.2.txt`: 2.5 s; `join_sync_2.2.0.txt`: 2.5 s).
    pub join_sync_start: Spread,
    /// `join` to the last of them (`join_under_load.txt`: 3.6–4.6 s; `join_sync_2.1.2.txt`: 6.3 s;
    /// `pods_raise_1_to_4.txt`: 7 s; `join_sync_2.2.0.txt`: 6.6 s).
    pub join_sync_end: Spread,
    /// `join` to the newcomer's subscriptions on the old nodes under load (`join_under_load.txt`: 8.4–11.2 s).
    pub join_own_subs: Spread,
    /// The same with fewer than 100 subscriptions: too early to be a proof (`join_under_load.txt`: 3.6 s).
    pub join_own_subs_idle: Spread,
    /// Last queue migrated to `Done`, after the fixed cost of a leave.
    pub leave_fixed: Spread,
    /// Shortest leave with `-k` (`leave_edge_cases.txt`: 1.01 s).
    pub leave_shortest: Spread,
    /// `/health` of the leaver is 500 for this long when its listener is deleted (`q1_leave_22000.txt`).
    pub health_blip: Spread,
    /// `Done` to the end of HTTP on the leaver (`q1_leave_small_1000.txt`: 0.05 s; `leaver_after_done.txt`: at
    /// most 0.01 s).
    pub leave_http_down: Spread,
    /// `Done` to the end of the leaver's process (`leave_full_semantics.txt`: 1.1 s; `leaver_after_done.txt`: 1.13 to
    /// 1.2 s; `leave_edge_cases.txt` F2, with 1,500 live sessions: more than 5 s).
    pub leave_exit: Spread,
    /// `Done` to the leaver gone from the `cluster show` of the one member that heard of it from the leaver, see
    /// [`Rates::leave_told_percent`] (`q4_still_online.txt` B: 0.36 s; `leave_full_semantics.txt`: 0.08 s).
    pub leave_seen: Spread,
    /// End of the leaver's process to it gone from all others' (`q1_leave_small_1000.txt`, `leave_edge_cases.txt` F6,
    /// `q4_still_online.txt`, `q5_mixed_build_leave.txt`: 0.99–1.29 s after `Done`).
    pub leave_seen_at_end: Spread,
    /// Every member refuses CONNECT for this long at a leave (docs/broker/leave.md, "CONNACK 3 in a leave":
    /// 0.4–1.2 s, mostly 0.8 s).
    pub not_ready: Spread,
    /// A waiting leave looks again for a whole cluster this often.
    pub leave_poll: Spread,
    /// What `vmq-admin` adds to every call: it starts a VM (docs/broker/http-api.md, "vmq-admin": 0.12–0.45
    /// s).
    pub admin: Spread,
    /// Dead-node leave: removal to the first recreated session
    /// (docs/broker/netsplit.md, "Removing a dead member": 2–8 s).
    pub dead_leave_wait: Spread,
    /// Dead-node leave: removal to the other members' `cluster show` (`q7_…`: ≤ 1 s).
    pub dead_leave_seen: Spread,
    /// Restarted issuer of a dead-node leave: alone for this long (`q3_…`: 9.1–19.4 s).
    pub issuer_alone: Spread,
    /// HTTP requests are cut after this (cowboy's idle timeout, `q1_leave_22000.txt`: 60.00 s).
    pub http_cut: Spread,
    /// RPC limit of `vmq-admin` (`dead_node_netsplit.txt`: 60.3 s with its start).
    pub admin_rpc: Spread,
    /// A persistent client that comes from another node gets its CONNACK this much later (`rebalance.txt`: 106 ms).
    pub pull_wait: Spread,
    /// `max_drain_time`: how long a queue that was pulled away stays in state `drain`
    /// (docs/broker/drain.md, "Queues in state drain").
    pub drain_state: Spread,
    /// A client that a zombie knows is refused after this long (`dead_node_netsplit.txt` E5).
    pub zombie_refusal: Spread,
    /// `discover`: time between two tries of the image's join loop (docs/broker/kubernetes.md, "The image").
    pub join_loop: Spread,
    /// How long a node keeps the tombstone of a deleted object; each has its own time (`join_sync_2.1.2.txt`: 42 at most,
    /// 28 on the newcomer, at 2.1 deletions a second).
    pub tombstone: Spread,
    /// A node that joined again without its disk: how long every other member keeps a queue of each client whose record
    /// still names it, which no leave moves; a leave that has begun meanwhile is stuck by it until a restart. A claim
    /// without a recording: all that was seen is one leave right after a rollout without volumes that was stuck for
    /// 227 s, with queues that belonged to other nodes by then, and was healed by a restart. Zero: there are none.
    pub left_over: Spread,
    /// Sessions made within this before a SIGKILL may be unknown to the others
    /// (docs/broker/netsplit.md, "Removing a dead member": 8 s).
    pub replication_lag: Spread,
}

/// Speeds, per second.
#[derive(Clone, Debug)]
pub struct Rates {
    /// Queues with messages that a leave migrates (`queue_migration_paced.txt`: 215).
    pub migrate: u64,
    /// The same above `many` queues (`q1_leave_22000.txt`: 127).
    pub migrate_many: u64,
    /// Queues above which `migrate_many` holds.
    pub many: usize,
    /// Empty queues (`q4_still_online.txt` A: 3000 in 4.1 s).
    pub migrate_empty: u64,
    /// Queues that reconnecting clients can pull, in the whole cluster
    /// (docs/broker/drain.md, "Queues that clients pull": 220).
    pub pull: u64,
    /// The same once `pull_backlog` is exceeded: retries feed it (`queue_migration_collapse_500ps.txt`:
    /// 1,724 in 92 s).
    pub pull_collapsed: u64,
    /// Milliseconds of work that may wait before pulling collapses: 1,000 at once still went well.
    pub pull_backlog: u64,
    /// In so many leaves of a hundred one survivor drops the leaver before its process has ended: never the one that
    /// was asked, where there is another (in 6 of 12 leaves of a cluster of three, in none the coordinator).
    pub leave_told_percent: u64,
    /// Sessions recreated by a dead-node leave (`q7_…`: 7,040 between two samples 5.2 s apart).
    pub recreate: u64,
    /// CONNECTs that a node serves while nothing migrates (`q8_…`: 10,000 sessions in 6.8 s).
    pub connect: u64,
    /// CONNECTs that a node serves while queues migrate under them (docs/broker/drain.md, "Signs of a storm":
    /// 1,488 take 12 s).
    pub connect_storm: u64,
    /// Persistent sessions made within `replication_lag` above which a SIGKILL loses some.
    pub replication_burst: usize,
    /// Of those, this many in a hundred are lost (`q8_…`: 1814 of 10000).
    pub replication_lost_percent: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            seed: 1,
            allow_register_during_netsplit: false,
            allow_publish_during_netsplit: false,
            allow_subscribe_during_netsplit: false,
            allow_unsubscribe_during_netsplit: false,
            systree_interval: Duration::from_secs(20),
            systree_drift: Duration::from_millis(2),
            management_auth: ManagementAuth::Keys,
            keyed_pages: Vec::new(),
            allow_anonymous: true,
            users: BTreeMap::new(),
            known_clients: None,
            listeners: Vec::new(),
            old_listener_show: false,
            denied_prefixes: Vec::new(),
            prevent_nonempty_join: true,
            max_inflight: 20,
            max_online_messages: 1_000,
            max_offline_messages: 1_000,
            takeover_loss: None,
            timing: Timing::default(),
            rates: Rates::default(),
        }
    }
}

impl Settings {
    /// Of a cluster of this version. Which version a node runs is its [`super::NodeHost`]'s.
    pub fn of(version: Version) -> Self {
        Self { timing: Timing::of(version), ..Self::default() }
    }
}

impl Timing {
    /// What was recorded of this version; where nothing was, what was recorded of the other.
    pub fn of(version: Version) -> Self {
        match version {
            Version::V2_1_2 => Self::default(),
            Version::V2_2_0 => Self {
                join_answer: Spread::new(6_000, 6_400),
                join_seen_by_newcomer: Spread::new(0, 600),
                // One survivor within 3.4 s, the other after 8.9 s.
                join_seen_by_members: Spread::new(600, 8_900),
                join_sync_start: Spread::new(2_100, 2_500),
                join_sync_end: Spread::new(5_100, 6_600),
                ..Self::default()
            },
        }
    }

    /// Booting and joining take a `factor`-th of what was recorded: for tests and
    /// demos in real time that are about something else. Leaves take what they take.
    #[must_use]
    pub fn with_joins_faster(mut self, factor: u64) -> Self {
        for spread in [
            &mut self.boot,
            &mut self.seen_up,
            &mut self.join_answer,
            &mut self.join_seen_by_newcomer,
            &mut self.join_seen_by_members,
            &mut self.join_loss_out,
            &mut self.join_link,
            &mut self.join_sync_start,
            &mut self.join_sync_end,
            &mut self.join_own_subs,
            &mut self.join_own_subs_idle,
            &mut self.join_loop,
        ] {
            *spread = Spread::new(spread.min / factor, spread.max / factor);
        }
        self
    }
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            boot: Spread::new(1_200, 3_000),
            commands: Spread::new(400, 600),
            commands_500: Spread::new(100, 250),
            boot_alone: Spread::new(0, 300),
            seen_up: Spread::new(0, 5_000),
            seen_down: Spread::exactly(80),
            term_exit: Spread::exactly(1_080),
            term_exit_moving: Spread::exactly(12_170),
            join_answer: Spread::new(150, 320),
            join_seen_by_newcomer: Spread::new(80, 6_400),
            join_seen_by_members: Spread::new(2_800, 7_900),
            join_loss_out: Spread::new(6_700, 7_540),
            join_link: Spread::new(850, 980),
            join_sync_start: Spread::new(1_750, 2_500),
            join_sync_end: Spread::new(3_600, 7_000),
            join_own_subs: Spread::new(8_400, 11_200),
            join_own_subs_idle: Spread::exactly(3_570),
            leave_fixed: Spread::exactly(400),
            leave_shortest: Spread::exactly(1_000),
            health_blip: Spread::new(100, 250),
            leave_http_down: Spread::new(0, 50),
            leave_exit: Spread::exactly(1_070),
            leave_seen: Spread::new(10, 460),
            leave_seen_at_end: Spread::new(0, 220),
            not_ready: Spread::new(400, 1_200),
            leave_poll: Spread::exactly(1_000),
            admin: Spread::new(120, 450),
            dead_leave_wait: Spread::new(2_000, 8_000),
            dead_leave_seen: Spread::new(100, 1_000),
            issuer_alone: Spread::new(9_100, 19_400),
            http_cut: Spread::exactly(60_000),
            admin_rpc: Spread::exactly(60_000),
            pull_wait: Spread::new(95, 105),
            drain_state: Spread::exactly(500),
            zombie_refusal: Spread::exactly(1_100),
            join_loop: Spread::exactly(2_000),
            tombstone: Spread::new(13_000, 20_000),
            left_over: Spread::exactly(0),
            replication_lag: Spread::exactly(8_000),
        }
    }
}

impl Default for Rates {
    fn default() -> Self {
        Self {
            migrate: 215,
            migrate_many: 127,
            many: 10_000,
            migrate_empty: 750,
            pull: 220,
            pull_collapsed: 19,
            pull_backlog: 5_000,
            leave_told_percent: 50,
            recreate: 1_300,
            connect: 1_500,
            connect_storm: 150,
            replication_burst: 1_000,
            replication_lost_percent: 18,
        }
    }
}
