//! Replays of the recordings under `tests/recordings/` against the cluster
//! model: what a recording says is read out of it, not typed again.

#[path = "model/lab.rs"]
mod lab;
#[path = "model/recording.rs"]
mod recording;

#[path = "model/api.rs"]
mod api;
#[path = "model/boot_and_stop.rs"]
mod boot_and_stop;
#[path = "model/disconnect.rs"]
mod disconnect;
#[path = "model/drain.rs"]
mod drain;
#[path = "model/full_listener.rs"]
mod full_listener;
#[path = "model/join.rs"]
mod join;
#[path = "model/leave_dead.rs"]
mod leave_dead;
#[path = "model/leave_live.rs"]
mod leave_live;
#[path = "model/leave_long.rs"]
mod leave_long;
#[path = "model/leave_refused.rs"]
mod leave_refused;
#[path = "model/leave_several.rs"]
mod leave_several;
#[path = "model/listeners.rs"]
mod listeners;
#[path = "model/measured.rs"]
mod measured;
#[path = "model/metrics.rs"]
mod metrics;
#[path = "model/mixed_versions.rs"]
mod mixed_versions;
#[path = "model/netsplit.rs"]
mod netsplit;
#[path = "model/properties.rs"]
mod properties;
#[path = "model/rejoin.rs"]
mod rejoin;
#[path = "model/sync.rs"]
mod sync;
#[path = "model/systree.rs"]
mod systree;
#[path = "model/takeover.rs"]
mod takeover;
#[path = "model/term.rs"]
mod term;
#[path = "model/two_two.rs"]
mod two_two;
